"""The parts that base and WBC+ are trained on: whole images of blood cells, and what frozen networks make of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from leuko.core.params.labels import ValidationLabels
from leuko.core.params.wbc import Wbc
from leuko.core.params.wbc_plus import WbcPlus
from leuko.training.inputs import N_ORIENTATIONS, Concat, FrozenEncoder, Inputs, Network, cached
from leuko.training.parts import images_of, labels_of, select_rows, select_validation
from leuko.training.recipe import n_steps_per_epoch
from leuko.training.tasks import Part


def blood_parts(
    packs: Path,
    split: int,
    validation_labels: ValidationLabels,
    classes: Sequence[str],
    device: torch.device,
    recipe: Wbc,
    encode: Network | None = None,
) -> tuple[Part, Part]:
    """The training and validation images of blood cells.

    Args:
        packs: the folder of the WBC packs.
        split: percentage of the labels to train on.
        validation_labels: how many of the validation labels are used.
        classes: in the order of their labels.
        device: where the inputs are wanted.
        recipe: how the network is trained.
        encode: for WBC+, the frozen networks: from images at the pRCC and the CAM16 size to their outputs, which then
            follow the images as inputs.

    Returns:
        Training and validation part.
    """
    train, val = packs / "train", packs / "val"
    return (
        _blood_part(train, select_rows(train, split), classes, device, recipe, encode, train=True),
        _blood_part(
            val, select_validation(val, split, validation_labels), classes, device, recipe, encode, train=False
        ),
    )


def _blood_part(
    pack: Path,
    selected: tuple[NDArray[np.int64], pd.DataFrame],
    classes: Sequence[str],
    device: torch.device,
    recipe: Wbc,
    encode: Network | None,
    *,
    train: bool,
) -> Part:
    """One part, of the rows that are selected."""
    rows, table = selected
    inputs: Inputs = images_of(pack, "wbc", rows, device)
    if encode:
        assert isinstance(recipe, WbcPlus)
        frozen = FrozenEncoder(encode, *(images_of(pack, size, rows, device) for size in ("prcc", "cam16")))
        n_orientations = N_ORIENTATIONS if train and recipe.augment == "d4" else 1
        n_seen = n_steps_per_epoch(recipe, len(rows)) * recipe.batch_size if train else len(rows)
        outputs = cached(
            frozen,
            n_orientations=n_orientations,
            n_uses=n_seen * recipe.epochs,
            cache_gb=recipe.cache_gb,
            scratch=pack.parent,
        )
        inputs = Concat(inputs, outputs)
    return Part(inputs, labels_of(table, classes, device), len(rows))
