"""Train the base classifier of white blood cells on the chosen share of the labels."""

from pathlib import Path

from leuko.core.classes import CLASSES
from leuko.core.errors import run
from leuko.core.files import write_table
from leuko.core.params import load_params
from leuko.evaluation.calibration import fit_temperature
from leuko.models.base import WbcNet
from leuko.models.store import save_model
from leuko.training import distributed
from leuko.training.device import set_up
from leuko.training.loop import fit, predict
from leuko.training.parts import blood_parts
from leuko.training.resume import resumable
from leuko.training.tasks import Classification

PACKS = Path("data/packs/wbc")


def main() -> None:
    """Write the classifier and its history."""
    params = load_params()
    device = set_up(params.device, params.compute, params.seed)
    model = WbcNet(len(CLASSES["wbc"])).to(device)
    train, val = blood_parts(PACKS, params.split, device, params.wbc)
    task = Classification(model, train, val, turn=params.wbc.augment == "d4", compute=params.compute)
    with resumable("train_wbc", params, device, [Path(__file__), PACKS / "train", PACKS / "val"]) as checkpoint:
        history = fit(task, params.wbc, seed=params.seed, title="base", checkpoint=checkpoint)
        config = {
            "network": "wbc",
            "model": "base",
            "classes": CLASSES["wbc"],
            "size": params.augment.wbc_size,
            "split": params.split,
            "seed": params.seed,
            "temperature": fit_temperature(*predict(task, val)),
            "recipe": params.wbc.model_dump(),
        }
        if distributed.is_rank_zero():
            save_model(Path("models/wbc.safetensors"), model, config)
            write_table(Path("plots/history/wbc.csv"), history)


if __name__ == "__main__":
    run(main)
