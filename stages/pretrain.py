"""Pre-train an encoder of the transfer family without labels, if it is to be: `python -m stages.pretrain NAME`."""

import sys
from pathlib import Path

import numpy as np

from leuko.core.errors import run
from leuko.core.files import atomic_folder, write_bytes, write_table
from leuko.core.params.families import SWITCHED_OFF
from leuko.core.params.reading import load_params, named_entry
from leuko.models.store import save_model
from leuko.pretraining.pretrain import Settings, encode_cells, pretrain, too_few
from leuko.training import distributed
from leuko.training.device import set_up
from leuko.training.resume import leave_out, resumable

PACKS = Path("data/packs")


def main() -> None:
    """Write the encoder, the history of its pre-training, and its features of all blood cells."""
    params = load_params(Settings)
    name = named_entry("transfer", params.transfer, sys.argv[1:])
    model, history_file = Path(f"models/encoders/{name}.safetensors"), Path(f"plots/history/pretrain/{name}.csv")
    features = PACKS / "features" / name
    if reason := too_few(params.transfer[name].images, PACKS) if params.families.transfer else SWITCHED_OFF:
        leave_out(reason, model, history_file)
        with atomic_folder(features) as folder:
            write_bytes(folder / "left_out.txt", reason.encode())
        return
    device = set_up(params.device, params.compute, params.pretrain.seed)
    inputs = [Path(__file__), PACKS / "cells/train", PACKS / "cells/val", PACKS / "nuclei"]
    with resumable(f"pretrain_{name}", params, device, inputs) as checkpoint:
        encoder, config, history = pretrain(params, name, PACKS, device, checkpoint)
        if distributed.is_rank_zero():
            save_model(model, encoder, config)
            write_table(history_file, history)
            with atomic_folder(features) as folder:
                for part in ("train", "val", "test"):
                    np.save(
                        folder / f"{part}.npy",
                        encode_cells(encoder, PACKS / "cells" / part, device, f"features {part}"),
                    )


if __name__ == "__main__":
    run(main)
