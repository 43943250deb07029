"""Fine-tuning an encoder on the labels, from wherever it starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import torch

from leuko.core.params.compute import Compute
from leuko.core.params.families import Families
from leuko.core.params.group import Device, Group, Seed
from leuko.core.params.labels import Classes, Split, ValidationLabels
from leuko.core.params.transfer import Finetune, Start, Transfer, changed
from leuko.evaluation.calibration import fit_temperature
from leuko.models.encoders import MultiTaskNet, TransferNet, encoder_of
from leuko.models.store import load_config, load_weights
from leuko.morphology.reference import Reference
from leuko.packs.reading import read_preparation, read_values
from leuko.pretraining.augmentation import RandomViews
from leuko.pretraining.tasks import standardize
from leuko.training.device import to_device
from leuko.training.loop import fit, predict
from leuko.training.multitask import MultiTask
from leuko.training.parts import cell_parts, select_cells, select_validation
from leuko.training.resume import Checkpoint
from leuko.training.tasks import Classification


class Settings(Group):
    """The settings that fine-tuning reads."""

    classes: Classes
    device: Device
    split: Split
    validation_labels: ValidationLabels
    seed: Seed
    families: Families
    compute: Compute
    transfer: Transfer
    finetune: Finetune


def finetune(
    params: Settings,
    name: str,
    packs: Path,
    manifest: pd.DataFrame,
    path: Path,
    device: torch.device,
    checkpoint: Checkpoint | None = None,
) -> tuple[TransferNet, dict[str, Any], pd.DataFrame]:
    """Train an encoder and a linear layer on the labels.

    Args:
        params: the settings.
        name: of the starting point, in `params.transfer`.
        packs: the folder of all packs.
        manifest: of the images.
        path: the file of the encoder; one that has learned nothing yet gives way to other random weights with every
            seed.
        device: where to train.
        checkpoint: where the training's state is kept.

    Returns:
        The network, its configuration and its history.

    Raises:
        LeukoError: if the encoder cannot be read.
    """
    start = params.transfer[name]
    recipe = changed(params.finetune, start.finetune)
    known = load_config(path)
    torch.manual_seed(params.seed)
    encoder = encoder_of(known)
    if start.learned:
        load_weights(path, encoder)
    model = TransferNet(encoder, len(params.classes))
    to_device(model, device)
    task = _task(params, start, recipe, model, packs, manifest, device)
    history = fit(task, recipe, seed=params.seed, title=name, checkpoint=checkpoint)
    classification = Classification(model, task.train, task.val, recipe=recipe, compute=params.compute)
    config = {
        "network": "transfer",
        "encoder": known["encoder"],
        "width": known["width"],
        "side": known["side"],
        "model": name,
        "classes": params.classes,
        **read_preparation(packs / "cells/train"),
        "nuclei": Reference.read(packs / "cells/scale.json").scale.to_json(),
        "split": params.split,
        "seed": params.seed,
        "temperature": fit_temperature(*predict(classification, task.val)),
        "recipe": recipe.model_dump(),
    }
    return model, config, history


def _task(
    params: Settings,
    start: Start,
    recipe: Finetune,
    model: TransferNet,
    packs: Path,
    manifest: pd.DataFrame,
    device: torch.device,
) -> Classification:
    """Tell classes apart, and predict descriptors on the way if that is wanted."""
    train, val = cell_parts(
        packs, manifest, params.split, params.validation_labels, params.classes, model.inputs, device
    )
    views = RandomViews(recipe.zoom, recipe.jitter, recipe.stain_jitter) if recipe.augment == "views" else None
    if not start.multitask:
        return Classification(
            model,
            train,
            val,
            recipe=recipe,
            orientations=recipe.augment == "d4",
            augmentation=views,
            compute=params.compute,
        )
    folders = [packs / "cells/train", packs / "cells/val"]
    rows = [
        select_cells(folders[0], manifest, params.split)[0],
        select_validation(folders[1], params.split, params.validation_labels)[0],
    ]
    values = [read_values(folder, "descriptors")[some] for folder, some in zip(folders, rows, strict=True)]
    of_train, of_val = standardize(*(torch.from_numpy(some).to(device) for some in values))
    network = MultiTaskNet(model, of_train.shape[1])
    to_device(network, device)
    return MultiTask(
        network,
        train,
        val,
        descriptors=(of_train, of_val),
        weight=start.multitask,
        recipe=recipe,
        orientations=recipe.augment == "d4",
        augmentation=views,
        compute=params.compute,
    )
