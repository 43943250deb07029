"""Packs as parts of a task."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from leuko.data.classes import CLASSES
from leuko.data.packs import read_images, read_rows
from leuko.training.sources import Images


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
