"""Packs as parts of a task."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from leuko.core.classes import CLASSES
from leuko.core.params import Wbc, WbcPlus
from leuko.packs.reading import read_images, read_rows
from leuko.training.inputs import N_ORIENTATIONS, Concat, FrozenEncoder, Images, Inputs, Network, cached
from leuko.training.loop import n_steps_per_epoch
from leuko.training.tasks import Part


def select_rows(pack: Path, split: int | None = None) -> tuple[NDArray[np.int64], pd.DataFrame]:
    """Choose a pack's rows.

    Args:
        pack: the pack's folder.
        split: only rows of the subsets up to this percentage; none for all rows.

    Returns:
        The rows' numbers in the pack, and what they are.
    """
    table = read_rows(pack)
    chosen = table if split is None else table[table["subset"] <= split]
    return chosen.index.to_numpy(np.int64, copy=True), chosen.reset_index(drop=True)


def labels_of(table: pd.DataFrame, of_set: str, device: torch.device) -> Tensor:
    """The numbers of the rows' classes, in the fixed order of `CLASSES`."""
    numbers = [CLASSES[of_set].index(label) for label in table["class"]]
    return torch.tensor(numbers, dtype=torch.int64, device=device)


def images_of(pack: Path, size: str, rows: NDArray[np.int64], device: torch.device) -> Images:
    """The pixels of a pack's rows at one of its sizes."""
    return Images(read_images(pack, size), rows, device)


def blood_parts(
    packs: Path, split: int, device: torch.device, recipe: Wbc, encode: Network | None = None
) -> tuple[Part, Part]:
    """The training and validation images of blood cells.

    Args:
        packs: the folder of the WBC packs.
        split: percentage of the labels to train on.
        device: where the inputs are wanted.
        recipe: how the network is trained.
        encode: for WBC+, the frozen networks: from images at the pRCC and the CAM16 size to their outputs, which then
            follow the images as inputs.

    Returns:
        Training and validation part.
    """
    return (
        _blood_part(packs / "train", split, device, recipe, encode),
        _blood_part(packs / "val", None, device, recipe, encode),
    )


def _blood_part(pack: Path, split: int | None, device: torch.device, recipe: Wbc, encode: Network | None) -> Part:
    """One part; with a split, the training part."""
    rows, table = select_rows(pack, split)
    inputs: Inputs = images_of(pack, "wbc", rows, device)
    if encode:
        assert isinstance(recipe, WbcPlus)
        frozen = FrozenEncoder(encode, *(images_of(pack, size, rows, device) for size in ("prcc", "cam16")))
        n_views = N_ORIENTATIONS if split and recipe.augment == "d4" else 1
        n_seen = n_steps_per_epoch(recipe, len(rows)) * recipe.batch_size if split else len(rows)
        outputs = cached(
            frozen,
            n_views=n_views,
            n_uses=n_seen * recipe.epochs,
            cache_gb=recipe.cache_gb,
            scratch=pack.parent,
        )
        inputs = Concat(inputs, outputs)
    return Part(inputs, labels_of(table, "wbc", device), len(rows))
