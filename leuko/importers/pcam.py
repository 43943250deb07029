"""PatchCamelyon: `camelyonpatch_level_2_split_{train,valid,test}_{x,y}.h5`, patches of lymph node of 96 x 96 px.

Key `x` holds the patches, shape (patch, 96, 96, 3), and key `y` whether there is tumor in their middle 32 x 32 pixels,
shape (patch, 1, 1, 1). Beside them lie the masks of the training part (`..._train_mask.h5`, key `mask`), and tables
with the slide of each patch (`..._meta.csv`, column `wsi`).

Veeling et al., MICCAI 2018; Ehteshami Bejnordi et al., JAMA 318:2199 (2017). CC0.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from leuko.core.errors import LeukoError
from leuko.data.images import Pixels
from leuko.importers.base import Found, Item, Kind, one_folder
from leuko.importers.delimited import read_table

if TYPE_CHECKING:
    import h5py

PARTS = {"train": "train", "valid": "val", "test": "test"}
FILE = "camelyonpatch_level_2_split_{}_{}"
READ_AT_ONCE = 1024
"""Patches; 28 MB of images."""


def find(sources: Sequence[Path], options: Namespace, found: Found) -> None:
    """Find the patches of all parts that are there, the masks of training, and the slides as groups."""
    folder = one_folder(sources, KIND.name)
    for name, part in PARTS.items():
        if not (folder / f"{FILE.format(name, 'x')}.h5").exists():
            if (folder / f"{FILE.format(name, 'x')}.h5.gz").exists():
                raise LeukoError(f"{folder}: the files are still packed; unpack them with gunzip *.gz")
            continue
        images, truths = _Patches(_open(folder, name, "x")), _open(folder, name, "y")
        has_masks = part == "train" and (folder / f"{FILE.format(name, 'mask')}.h5").exists()
        masks = _Patches(_open(folder, name, "mask")) if has_masks else None
        labels = _read(truths, slice(None)).reshape(len(truths))
        table = folder / f"{FILE.format(name, 'meta')}.csv"
        slides = [row.get("wsi", "") for row in read_table(table)] if table.exists() else [""] * len(labels)
        if len({len(images), len(labels), len(slides), len(labels if masks is None else masks)}) > 1:
            raise LeukoError(f"{folder}: the files of {name} have different numbers of patches; fetch them again")
        for number, (label, slide) in enumerate(zip(labels, slides, strict=True)):
            found.items.append(
                Item(
                    f"{FILE.format(name, 'x')}.h5[{number}]",
                    f"{name}_{number:06}.png",
                    _image(images, number),
                    "tumor" if label else "normal",
                    part,
                    slide,
                    None if masks is None else _mask(masks, number),
                )
            )


def _open(folder: Path, name: str, key: str) -> h5py.Dataset:
    """Open the array of a file.

    Raises:
        LeukoError: if h5py is not installed, or the file does not hold the array itself.
    """
    try:
        import h5py
    except ImportError as error:
        raise LeukoError('pcam reads HDF5 files with h5py; install it with pip install "leuko[importers]"') from error
    path = folder / f"{FILE.format(name, key)}.h5"
    try:
        file = h5py.File(path, "r")
        is_here = isinstance(file.get(key, getlink=True), h5py.HardLink)
        array = file[key] if is_here else None
    except (OSError, KeyError) as error:
        raise LeukoError(f"{path}: not one of PatchCamelyon's files ({error})") from error
    shape = {"x": (96, 96, 3), "y": (1, 1, 1), "mask": (96, 96, 1)}[key]
    # An array may also be a view of other files, which are none of this import's business.
    is_own = isinstance(array, h5py.Dataset) and not (array.external or array.is_virtual)
    if array is None or not is_own or (array.shape[1:], array.dtype) != (shape, np.uint8):
        raise LeukoError(
            f"{path}: not one of PatchCamelyon's files (no array {key} of 8 bits and shape {('patch', *shape)})"
        )
    return array


def _read(array: h5py.Dataset, rows: slice) -> Pixels:
    """Read some rows of an array.

    Raises:
        LeukoError: if the file is damaged there.
    """
    try:
        values: Pixels = array[rows]
    except OSError as error:
        raise LeukoError(f"{array.file.filename}: damaged; fetch it again ({error})") from error
    return values


class _Patches:
    """The patches of a file, read many at a time and in turn, since files are compressed across patches.

    Args:
        array: of shape (patch, 96, 96, channel).
    """

    def __init__(self, array: h5py.Dataset) -> None:
        together = array.chunks[0] if array.chunks else 1
        self._array, self._size = array, together * max(1, READ_AT_ONCE // together)
        self._lock, self._start, self._block = Lock(), -1, np.empty(0, np.uint8)

    def __len__(self) -> int:
        return len(self._array)

    def __getitem__(self, number: int) -> Pixels:
        """One patch, shape (96, 96, channel).

        Raises:
            LeukoError: if the file is damaged there.
        """
        start = number - number % self._size
        with self._lock:
            if start != self._start:
                self._block = _read(self._array, slice(start, start + self._size))
                self._start = start
            patch: Pixels = self._block[number - start]
            return patch


def _image(patches: _Patches, number: int) -> Callable[[], Pixels]:
    """What gives one of the patches."""
    return lambda: patches[number]


def _mask(patches: _Patches, number: int) -> Callable[[], Pixels]:
    """What gives one of the masks, 255 where there is tumor."""
    return lambda: np.where(patches[number][..., 0] > 0, np.uint8(255), np.uint8(0))


KIND = Kind("pcam", "PatchCamelyon: the folder of its .h5 files; the tissue set, with its masks", find, of_set="cam16")
