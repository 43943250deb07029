"""Packs: the images of one part of one set as uint8 arrays, with a table of what each row is.

A pack is a folder with `rows.csv` and one array per image side, `<size>.npy` of shape (row, side, side, 3), which is
memory-mapped when read; how its images were read stands beside it, see `leuko.packs.preparation`. One large
file is many times faster to hash, copy and read than its many images, and an image is decoded and resized from its
original once, instead of in every epoch.
"""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from leuko.core.errors import LeukoError
from leuko.core.files import read_json


def read_rows(folder: Path) -> pd.DataFrame:
    """Read what each row of a pack is: `class`, `subset`, `path`, `source`, `group` and `pose`.

    Raises:
        LeukoError: if the table is damaged, or does not fit the arrays beside it.
    """
    path = folder / "rows.csv"
    try:
        table = pd.read_csv(path, dtype={"class": "str", "group": "str"}, keep_default_na=False)
    except ValueError as error:  # pandas' parser errors and bad UTF-8
        raise _damaged(path, error) from error
    for array in sorted(folder.glob("*.npy")):
        if (number := len(_open(array))) != len(table):
            raise _damaged(path, f"{len(table)} rows, but {number} in {array.name}")
    return table


def read_preparation(folder: Path) -> dict[str, Any]:
    """Read how a pack's images were read, as model files keep it.

    Args:
        folder: of a pack of blood cells.

    Returns:
        `scales`, as `leuko.data.scale.to_json` writes them, and `stain`, as the setting has it, unless that is `none`.

    Raises:
        LeukoError: if a file is damaged.
    """
    found = {"scales": _read_json(folder / "scales.json")}
    stain = folder / "stain.json"
    return found | (_read_json(stain) if stain.exists() else {})


def _read_json(path: Path) -> dict[str, Any]:
    """Read an object that `leuko.packs.preparation` wrote.

    Raises:
        LeukoError: if the file is damaged.
    """
    try:
        return read_json(path)
    except ValueError as error:
        raise _damaged(path, error) from error


def read_images(folder: Path, size: str) -> NDArray[np.uint8]:
    """Open one of a pack's arrays, memory-mapped: shape (row, side, side, 3), 0 to 255.

    The mapping is copy-on-write, which PyTorch takes without complaint; nothing ever reaches the file.
    """
    images: NDArray[np.uint8] = _open(folder / f"{size}.npy")
    return images


def read_values(folder: Path, name: str) -> NDArray[np.float32]:
    """Open one of a pack's tables of numbers, memory-mapped: shape (row, value)."""
    values: NDArray[np.float32] = _open(folder / f"{name}.npy")
    return values


def read_features(packs: Path, part: str, *, encoder: str, descriptors: bool) -> list[NDArray[np.float32]]:
    """Read what a classifier on features takes of the cells of a part.

    Args:
        packs: the folder of all packs.
        part: `train`, `val` or `test`.
        encoder: the entry of `transfer` whose features are wanted; empty for none.
        descriptors: whether descriptors are.

    Returns:
        The features, then the descriptors, each of shape (row, feature).
    """
    blocks = [read_values(packs / "features" / encoder, part)] if encoder else []
    return blocks + ([read_values(packs / "cells" / part, "descriptors")] if descriptors else [])


def _open(path: Path) -> NDArray[Any]:
    """Map an array; one without rows, which cannot be mapped, is read.

    Raises:
        LeukoError: if the file is missing or damaged.
    """
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="c", allow_pickle=False)
    except (EOFError, ValueError) as error:
        try:
            array = np.load(path, allow_pickle=False)
        except (EOFError, ValueError):
            raise _damaged(path, error) from error
    except OSError as error:
        raise LeukoError(f"{path} cannot be read ({error}); dvc repro makes it") from error
    return array


def _damaged(path: Path, why: object) -> LeukoError:
    """An error about a file of a pack."""
    return LeukoError(f"{path} is damaged ({why}); remove it and let dvc repro make it anew")


def release(array: NDArray[Any]) -> None:
    """Take what was read or written of a memory-mapped array so far out of this process's memory.

    It stays in the system's cache and in the file. Otherwise a process that goes through a file of many gigabytes
    would in the end hold all of it.
    """
    if isinstance(array.base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        array.base.madvise(mmap.MADV_DONTNEED)
