"""Fine-tune an encoder of the transfer family on the chosen share of the labels: `python -m stages.finetune NAME`."""

import sys
from pathlib import Path

from leuko.core.errors import run
from leuko.core.files import write_table
from leuko.core.params.families import SWITCHED_OFF
from leuko.core.params.reading import load_params, named_entry
from leuko.data.manifest import read_manifest
from leuko.models.store import left_out, read_tensors, save_model
from leuko.training import distributed
from leuko.training.device import set_up
from leuko.training.finetune import Settings, finetune
from leuko.training.resume import leave_out, resumable

PACKS = Path("data/packs")
MANIFEST = Path("data/manifest.csv")
DOMAIN = Path("data/packs/cells/domain.safetensors")


def main() -> None:
    """Write the classifier and its history."""
    params = load_params(Settings)
    name = named_entry("transfer", params.transfer, sys.argv[1:])
    encoder = Path(f"models/encoders/{name}.safetensors")
    model_file, history_file = Path(f"models/transfer/{name}.safetensors"), Path(f"plots/history/transfer/{name}.csv")
    reason = left_out(encoder) if params.families.transfer else SWITCHED_OFF
    if not params.transfer[name].is_fine_tuned:
        reason = "an ablation of the classifier on frozen features"
    if reason:
        leave_out(reason, model_file, history_file)
        return
    device = set_up(params.device, params.compute, params.seed)
    manifest = read_manifest(MANIFEST)
    inputs = [Path(__file__), encoder, MANIFEST, PACKS / "cells/train", PACKS / "cells/val"]
    with resumable(f"finetune_{name}", params, device, inputs) as checkpoint:
        model, config, history = finetune(params, name, PACKS, manifest, encoder, device, checkpoint)
        if distributed.is_rank_zero():
            save_model(model_file, model, config, read_tensors(DOMAIN))
            write_table(history_file, history)


if __name__ == "__main__":
    run(main)
