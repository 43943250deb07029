"""Train the base classifier of white blood cells on the chosen share of the labels."""

from pathlib import Path

from leuko.data.classes import CLASSES
from leuko.errors import run
from leuko.evaluation.calibration import fit_temperature
from leuko.files import write_table
from leuko.models.store import save_model
from leuko.models.wbc import WbcNet
from leuko.params import load_params
from leuko.runtime import set_up
from leuko.training.loop import fit, predict
from leuko.training.parts import blood_parts
from leuko.training.tasks import Classification


def main() -> None:
    """Write the classifier and its history."""
    params = load_params()
    device = set_up(params.device, params.seed)
    model = WbcNet(len(CLASSES["wbc"])).to(device)
    train, val = blood_parts(Path("data/packs/wbc"), params.split, device, params.wbc)
    task = Classification(model, train, val, turn=params.wbc.augment == "d4")
    history = fit(task, params.wbc, seed=params.seed, title="base")
    config = {
        "network": "wbc",
        "classes": CLASSES["wbc"],
        "size": params.augment.wbc_size,
        "split": params.split,
        "seed": params.seed,
        "temperature": fit_temperature(*predict(task, val)),
        "recipe": params.wbc.model_dump(),
    }
    save_model(Path("models/wbc.safetensors"), model, config)
    write_table(Path("plots/history/wbc.csv"), history)


if __name__ == "__main__":
    run(main)
