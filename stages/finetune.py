"""Fine-tune an encoder of the transfer family on the chosen share of the labels: `python -m stages.finetune NAME`."""

import sys
from pathlib import Path

from leuko.core.errors import LeukoError, run
from leuko.core.files import write_table
from leuko.core.params.reading import load_params
from leuko.models.store import save_model
from leuko.training import distributed
from leuko.training.device import set_up
from leuko.training.finetune import Settings, finetune
from leuko.training.resume import resumable

PACKS = Path("data/packs")


def main() -> None:
    """Write the classifier and its history."""
    if len(sys.argv) != 2:
        raise LeukoError("which entry of transfer? python -m stages.finetune NAME")
    name = sys.argv[1]
    params = load_params(Settings)
    device = set_up(params.device, params.compute, params.seed)
    inputs = [Path(__file__), PACKS / "wbc/train", PACKS / "wbc/val"]
    with resumable(f"finetune_{name}", params, device, inputs) as checkpoint:
        model, config, history = finetune(params, name, PACKS, device, checkpoint)
        if distributed.is_rank_zero():
            save_model(Path(f"models/transfer/{name}.safetensors"), model, config)
            write_table(Path(f"plots/history/transfer/{name}.csv"), history)


if __name__ == "__main__":
    run(main)
