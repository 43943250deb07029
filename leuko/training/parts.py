"""Packs as parts of a task, and as a classifier's inputs by their names."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from leuko.core.errors import LeukoError
from leuko.core.params.labels import ValidationLabels
from leuko.packs.reading import read_images, read_rows, read_values
from leuko.training.inputs import Concat, Images, Inputs, Values
from leuko.training.tasks import Part

PACK_OF = {"wbc": "wbc", "prcc": "wbc", "cam16": "wbc", "cell": "cells", "descriptors": "cells"}
"""The packs of blood cells in which the inputs of classifiers are, by their names."""


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


def select_validation(pack: Path, split: int, labels: ValidationLabels) -> tuple[NDArray[np.int64], pd.DataFrame]:
    """Choose a pack's validation images whose labels may be used.

    Args:
        pack: the folder of its part `val`.
        split: percentage of the labels to train on.
        labels: `all`, or `matched` for this percentage of every class, rounded down but at least one image. Which, the
            images' paths decide, so that a larger share holds a smaller one, and all arms use the same.

    Returns:
        The rows' numbers in the pack, and what they are.
    """
    rows, table = select_rows(pack)
    if labels == "all":
        return rows, table
    chosen = matched(table, split)
    return rows[chosen], table[chosen].reset_index(drop=True)


def matched(table: pd.DataFrame, split: int) -> NDArray[np.bool_]:
    """Which of some images are this percentage of every class; `table` has their `class` and `path`."""
    order = table["path"].map(lambda path: sha256(path.encode()).hexdigest())
    rank = order.groupby(table["class"]).rank(method="first")
    size = table.groupby("class")["path"].transform("size")
    chosen: NDArray[np.bool_] = (rank <= np.maximum(1, size * split // 100)).to_numpy()
    return chosen


def labels_of(table: pd.DataFrame, classes: Sequence[str], device: torch.device) -> Tensor:
    """The numbers of the rows' classes, in the order of `classes`."""
    numbers = [classes.index(label) for label in table["class"]]
    return torch.tensor(numbers, dtype=torch.int64, device=device)


def images_of(pack: Path, size: str, rows: NDArray[np.int64], device: torch.device) -> Images:
    """The pixels of a pack's rows at one of its sizes."""
    return Images(read_images(pack, size), rows, device)


def inputs_of(packs: Path, part: str, names: Sequence[str], rows: NDArray[np.int64], device: torch.device) -> Inputs:
    """What a classifier takes, of blood cells.

    Args:
        packs: the folder of all packs.
        part: `train`, `val` or `test`.
        names: as `Classifier.inputs` has them.
        rows: of the pack.
        device: where the inputs are wanted.

    Returns:
        The inputs, side by side.
    """
    sources: list[Inputs] = []
    for name in names:
        pack = packs / PACK_OF[name] / part
        if name == "descriptors":
            sources.append(Values(read_values(pack, name), rows, device))
        else:
            sources.append(images_of(pack, name, rows, device))
    return Concat(*sources)


def select_cells(
    pack: Path, manifest: pd.DataFrame, split: int | None = None
) -> tuple[NDArray[np.int64], pd.DataFrame]:
    """Choose rows of a pack of cells, which does not say itself to which subsets its images belong.

    Args:
        pack: the pack's folder.
        manifest: of the images.
        split: only rows of the subsets up to this percentage; none for all rows.

    Returns:
        The rows' numbers in the pack, and what they are.

    Raises:
        LeukoError: if the pack holds an image that the manifest does not have.
    """
    table = read_rows(pack)
    subset = table["path"].map(manifest.set_index("path")["subset"])
    if subset.isna().any():
        raise LeukoError(f"{pack} is of other images than the manifest; dvc repro makes both anew")
    chosen = table if split is None else table[subset <= split]
    return chosen.index.to_numpy(np.int64, copy=True), chosen.reset_index(drop=True)


def cell_parts(
    packs: Path,
    manifest: pd.DataFrame,
    split: int,
    validation_labels: ValidationLabels,
    classes: Sequence[str],
    names: Sequence[str],
    device: torch.device,
) -> tuple[Part, Part]:
    """The training and validation images of a classifier that takes what was measured of cells.

    Args:
        packs: the folder of all packs.
        manifest: of the images.
        split: percentage of the labels to train on.
        validation_labels: how many of the validation labels are used.
        classes: in the order of their labels.
        names: the inputs.
        device: where the inputs are wanted.

    Returns:
        Training and validation part.
    """
    parts = []
    chosen = {
        "train": select_cells(packs / "cells/train", manifest, split),
        "val": select_validation(packs / "cells/val", split, validation_labels),
    }
    for part, (rows, table) in chosen.items():
        inputs = inputs_of(packs, part, names, rows, device)
        parts.append(Part(inputs, labels_of(table, classes, device), len(rows)))
    return parts[0], parts[1]
