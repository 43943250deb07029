"""Training the WBC+ network around two frozen networks, whichever they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import torch

from leuko.core.params.augment import Augment
from leuko.core.params.compute import Compute
from leuko.core.params.families import Families
from leuko.core.params.group import Device, Group, Seed
from leuko.core.params.labels import Classes, Split, ValidationLabels
from leuko.core.params.wbc_plus import WbcPlus
from leuko.evaluation.calibration import fit_temperature
from leuko.models.autoencoder import PrccAutoencoder
from leuko.models.plus import WbcPlusNet
from leuko.models.tissue import Cam16Net
from leuko.packs.reading import read_preparation
from leuko.training.blood import blood_parts
from leuko.training.device import to_device
from leuko.training.loop import fit, predict
from leuko.training.resume import Checkpoint
from leuko.training.tasks import Classification


class Settings(Group):
    """The settings that WBC+ and its control read."""

    classes: Classes
    device: Device
    split: Split
    validation_labels: ValidationLabels
    seed: Seed
    families: Families
    compute: Compute
    augment: Augment
    wbc_plus: WbcPlus


def train_plus(
    params: Settings,
    prcc: PrccAutoencoder,
    cam16: Cam16Net,
    packs: Path,
    device: torch.device,
    name: str,
    checkpoint: Checkpoint | None = None,
) -> tuple[WbcPlusNet, dict[str, Any], pd.DataFrame]:
    """Train a WBC+ network.

    With one seed, the trained part starts from the same weights whatever the frozen networks are.

    Args:
        params: the settings.
        prcc: the autoencoder whose encoder is used.
        cam16: the tissue classifier.
        packs: the folder of the WBC packs.
        device: where to train.
        name: what it is: `control` or `plus`.
        checkpoint: where the training's state is kept.

    Returns:
        The network, its configuration and its history.
    """
    torch.manual_seed(params.seed)
    model = WbcPlusNet(prcc.encoder, cam16, len(params.classes)).eval()
    to_device(model, device)
    recipe = params.wbc_plus
    train, val = blood_parts(
        packs, params.split, params.validation_labels, params.classes, device, recipe, model.encode
    )
    task = Classification(model, train, val, recipe=recipe, orientations=recipe.augment == "d4", compute=params.compute)
    history = fit(task, recipe, seed=params.seed, title="WBC+" if name == "plus" else name, checkpoint=checkpoint)
    config = {
        "network": "wbc_plus",
        "model": name,
        "classes": params.classes,
        **read_preparation(packs / "train"),
        "size": params.augment.wbc_size,
        "prcc_size": params.augment.prcc_size,
        "cam16_size": params.augment.cam16_size,
        "split": params.split,
        "seed": params.seed,
        "temperature": fit_temperature(*predict(task, val)),
        "recipe": recipe.model_dump(),
    }
    return model, config, history
