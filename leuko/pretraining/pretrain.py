"""Pre-training one encoder of the transfer family, and its features of the cells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from leuko.core.params.compute import Compute
from leuko.core.params.families import Families
from leuko.core.params.group import Device, Group
from leuko.core.params.transfer import Pretrain, Start, Transfer
from leuko.models.encoders import Encoder, build_encoder, load_encoder_weights
from leuko.models.feature_classifier import encode
from leuko.packs.reading import read_images, read_rows, read_values
from leuko.pretraining.augmentation import RandomViews
from leuko.pretraining.tasks import pretraining_task, standardize
from leuko.training.device import to_device
from leuko.training.inputs import Images
from leuko.training.loop import fit
from leuko.training.resume import EMPTY_HISTORY, Checkpoint
from leuko.training.tasks import Part

CHUNK = 64
"""Cells encoded at a time."""
HELD_OUT = 10
"""Of the tissue images, which have no validation part here, every tenth is one to validate on, at least the last."""


class Settings(Group):
    """The settings that pre-training reads."""

    device: Device
    compute: Compute
    families: Families
    transfer: Transfer
    pretrain: Pretrain


def pretrain(
    params: Settings, name: str, packs: Path, device: torch.device, checkpoint: Checkpoint | None = None
) -> tuple[Encoder, dict[str, Any], pd.DataFrame]:
    """Bring an encoder to where its fine-tuning starts.

    Args:
        params: the settings.
        name: of the starting point, in `params.transfer`.
        packs: the folder of all packs.
        device: where to train.
        checkpoint: where the training's state is kept.

    Returns:
        The encoder, its configuration, and the history of its pre-training, without rows if it has none.

    Raises:
        LeukoError: if its weights cannot be had.
    """
    start, recipe = params.transfer[name], params.pretrain
    side = read_images(packs / "cells/train", "cell").shape[1]
    torch.manual_seed(recipe.seed)
    encoder = build_encoder(start.network, width=recipe.width, side=side)
    load_encoder_weights(encoder, start.network, start.weights)
    to_device(encoder, device)
    history = EMPTY_HISTORY
    if start.images != "none":
        train, val = _parts(start, packs, device)
        task = pretraining_task(
            start.task,
            encoder,
            train,
            val,
            side=side,
            views=RandomViews(recipe.zoom, recipe.jitter, recipe.stain_jitter),
            compute=params.compute,
        )
        history = fit(task, recipe, seed=recipe.seed, title=f"pre-training {name}", checkpoint=checkpoint)
    config = {
        "network": "encoder",
        "encoder": start.network,
        "width": recipe.width,
        "side": side,
        "model": name,
        "start": start.model_dump(),
        "recipe": recipe.model_dump(),
    }
    return encoder.eval(), config, history


def too_few(images: str, packs: Path) -> str:
    """Why there can be no pre-training on some images, in a few words; empty if there can.

    Args:
        images: `none`, `blood` or `tissue`.
        packs: the folder of all packs.
    """
    n_tissue = read_rows(packs / "nuclei/train")["source"].nunique()
    return "there are no nuclei of two tissue images" if images == "tissue" and n_tissue < 2 else ""


def _parts(start: Start, packs: Path, device: torch.device) -> tuple[Part, Part]:
    """The images to learn from and to validate on, all in which a cell was found, with their descriptors as labels."""
    if start.images == "blood":
        folders = [packs / "cells/train", packs / "cells/val"]
        chosen = [np.flatnonzero(read_rows(folder)["found"] == 1) for folder in folders]
    else:
        folders = [packs / "nuclei/train"] * 2
        rows = read_rows(folders[0])
        # Nuclei of one image stay together.
        image = pd.factorize(rows["source"])[0]
        held_out = (image % HELD_OUT == HELD_OUT - 1) | (image == image.max())
        chosen = [np.flatnonzero(~held_out), np.flatnonzero(held_out)]
    descriptors = [read_values(folder, "descriptors")[rows] for folder, rows in zip(folders, chosen, strict=True)]
    labels = standardize(*(torch.from_numpy(some).to(device) for some in descriptors))
    train, val = (
        Part(Images(read_images(folder, "cell"), rows, device), targets, len(rows))
        for folder, rows, targets in zip(folders, chosen, labels, strict=True)
    )
    return train, val


@torch.no_grad()
def encode_cells(encoder: Encoder, pack: Path, device: torch.device, title: str) -> NDArray[np.float32]:
    """An encoder's features of all cells of a pack, averaged over their eight orientations.

    Args:
        encoder: in evaluation mode, on the device.
        pack: the pack's folder.
        device: where to compute.
        title: what the progress bar says.

    Returns:
        Shape (row, feature).
    """
    cells = read_images(pack, "cell")
    source = Images(cells, np.arange(len(cells)), device)
    chunks = torch.arange(len(cells), device=device).split(CHUNK)
    features = [encode(encoder, *source(chunk, None)).cpu() for chunk in tqdm(chunks, title, leave=False, disable=None)]
    return torch.cat(features or [torch.empty(0, encoder.n_features)]).numpy()
