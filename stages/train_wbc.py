"""Train the base classifier of white blood cells on the chosen share of the labels."""

from pathlib import Path

from leuko.core.errors import run
from leuko.core.files import write_table
from leuko.core.params.augment import Augment
from leuko.core.params.compute import Compute
from leuko.core.params.families import SWITCHED_OFF, Families
from leuko.core.params.group import Device, Group, Seed
from leuko.core.params.labels import Classes, Split, ValidationLabels
from leuko.core.params.reading import load_params
from leuko.core.params.wbc import Wbc
from leuko.evaluation.calibration import fit_temperature
from leuko.models.base import WbcNet
from leuko.models.store import read_tensors, save_model
from leuko.packs.reading import read_preparation
from leuko.training import distributed
from leuko.training.blood import blood_parts
from leuko.training.device import set_up
from leuko.training.loop import fit, predict
from leuko.training.resume import leave_out, resumable
from leuko.training.tasks import Classification

PACKS = Path("data/packs/wbc")
MODEL = Path("models/wbc.safetensors")
HISTORY = Path("plots/history/wbc.csv")
DOMAIN = Path("data/packs/cells/domain.safetensors")


class Settings(Group):
    """The settings that this stage reads."""

    classes: Classes
    device: Device
    split: Split
    validation_labels: ValidationLabels
    seed: Seed
    families: Families
    compute: Compute
    augment: Augment
    wbc: Wbc


def main() -> None:
    """Write the classifier and its history."""
    params = load_params(Settings)
    if not params.families.published:
        leave_out(SWITCHED_OFF, MODEL, HISTORY)
        return
    device = set_up(params.device, params.compute, params.seed)
    model = WbcNet(len(params.classes)).to(device)
    train, val = blood_parts(PACKS, params.split, params.validation_labels, params.classes, device, params.wbc)
    task = Classification(
        model,
        train,
        val,
        recipe=params.wbc,
        orientations=params.wbc.augment == "d4",
        compute=params.compute,
    )
    with resumable("train_wbc", params, device, [Path(__file__), PACKS / "train", PACKS / "val"]) as checkpoint:
        history = fit(task, params.wbc, seed=params.seed, title="base", checkpoint=checkpoint)
        config = {
            "network": "wbc",
            "model": "base",
            "classes": params.classes,
            "size": params.augment.wbc_size,
            **read_preparation(PACKS / "train"),
            "split": params.split,
            "seed": params.seed,
            "temperature": fit_temperature(*predict(task, val)),
            "recipe": params.wbc.model_dump(),
        }
        if distributed.is_rank_zero():
            save_model(MODEL, model, config, read_tensors(DOMAIN))
            write_table(HISTORY, history)


if __name__ == "__main__":
    run(main)
