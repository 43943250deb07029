"""Fine-tuning an encoder on the labels, from whatever weights it starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import torch

from leuko.core.errors import LeukoError
from leuko.core.params.compute import Compute
from leuko.core.params.group import Device, Group, Seed
from leuko.core.params.labels import Classes, Split
from leuko.core.params.transfer import Finetune, Transfer
from leuko.evaluation.calibration import fit_temperature
from leuko.models.encoders import TransferNet, build_encoder, load_encoder_weights
from leuko.packs.reading import read_images, read_scales
from leuko.training.device import to_device
from leuko.training.loop import fit, predict
from leuko.training.parts import cell_parts
from leuko.training.resume import Checkpoint
from leuko.training.tasks import Classification


class Settings(Group):
    """The settings that fine-tuning reads."""

    classes: Classes
    device: Device
    split: Split
    seed: Seed
    compute: Compute
    transfer: Transfer
    finetune: Finetune


def finetune(
    params: Settings, name: str, packs: Path, device: torch.device, checkpoint: Checkpoint | None = None
) -> tuple[TransferNet, dict[str, Any], pd.DataFrame]:
    """Train an encoder and a linear layer on the labels.

    Args:
        params: the settings.
        name: of the starting point, in `params.transfer`.
        packs: the folder of all packs.
        device: where to train.
        checkpoint: where the training's state is kept.

    Returns:
        The network, its configuration and its history.

    Raises:
        LeukoError: if there is no such starting point, or its weights cannot be had.
    """
    if name not in params.transfer:
        raise LeukoError(f"transfer has no entry {name!r}; it has {', '.join(params.transfer)}")
    start, recipe = params.transfer[name], params.finetune
    side = read_images(packs / "wbc/train", "wbc").shape[1]
    torch.manual_seed(params.seed)
    encoder = build_encoder(start.network, width=recipe.width, side=side)
    load_encoder_weights(encoder, start.network, start.weights)
    model = TransferNet(encoder, len(params.classes))
    to_device(model, device)
    train, val = cell_parts(packs, params.split, params.classes, model.inputs, device)
    task = Classification(model, train, val, recipe=recipe, orientations=True, compute=params.compute)
    history = fit(task, recipe, seed=params.seed, title=name, checkpoint=checkpoint)
    config = {
        "network": "transfer",
        "encoder": start.network,
        "width": recipe.width,
        "side": side,
        "model": name,
        "classes": params.classes,
        "scales": read_scales(packs / "wbc/train"),
        "split": params.split,
        "seed": params.seed,
        "temperature": fit_temperature(*predict(task, val)),
        "recipe": recipe.model_dump(),
    }
    return model, config, history
