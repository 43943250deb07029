"""BloodMNIST of MedMNIST: `bloodmnist.npz` (28 px) and `bloodmnist_{64,128,224}.npz`.

The arrays are `{train,val,test}_images`, uint8 with channels last, and `{train,val,test}_labels`, numbers of eight
classes. The images are PBC's, cropped to the middle and resized.

Yang et al., Scientific Data 10:41 (2023), CC BY 4.0.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from leuko.core.errors import LeukoError
from leuko.data.images import Pixels
from leuko.importers.base import Found, Item, Kind

NAMES = (
    "basophil",
    "eosinophil",
    "erythroblast",
    "ig",  # immature granulocytes: myelocytes, metamyelocytes and promyelocytes
    "lymphocyte",
    "monocyte",
    "neutrophil",
    "platelet",
)


def find(sources: Sequence[Path], options: Namespace, found: Found) -> None:
    """Find the images of an archive of arrays."""
    if len(sources) != 1 or sources[0].suffix != ".npz":
        raise LeukoError("medmnist reads one file, bloodmnist.npz or bloodmnist_64.npz, _128 or _224")
    for part in ("train", "val", "test"):
        images, labels = _arrays(sources[0], part)
        for number, label in enumerate(labels):
            name = f"{part}_{number:05}.png"
            content = _drawing(images, number)
            found.items.append(Item(f"{part}_images[{number}]", name, content, NAMES[label], part))


DAMAGED = (
    *(OSError, ValueError, KeyError, EOFError, MemoryError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error, struct.error),
)
"""What NumPy and zipfile raise for files that are damaged, encrypted or something else."""


def _arrays(path: Path, part: str) -> tuple[Pixels, list[int]]:
    """The images of a part, shape (image, side, side, 3), and their labels.

    Raises:
        LeukoError: if the file does not hold them.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            images, labels = arrays[f"{part}_images"], arrays[f"{part}_labels"]
    except DAMAGED as error:
        raise LeukoError(f"{path}: not one of BloodMNIST's files ({error})") from error
    is_right = images.dtype == np.uint8 and images.ndim == 4 and images.shape[3] == 3
    numbers = labels.reshape(len(labels) if labels.ndim else 1, -1)
    is_right &= numbers.shape == (len(images), 1) and np.issubdtype(labels.dtype, np.integer)
    if not is_right or not np.isin(numbers, range(len(NAMES))).all():
        what = f"{images.dtype} {images.shape} with labels {labels.dtype} {labels.shape}"
        raise LeukoError(f"{path}: {part} is {what}; BloodMNIST has colour images of 8 bits, and labels from 0 to 7")
    return images, numbers[:, 0].tolist()


def _drawing(images: Pixels, number: int) -> Callable[[], Pixels]:
    """What gives one of the images."""
    return lambda: images[number]


KIND = Kind("medmnist", "BloodMNIST of any size, a .npz file", find)
