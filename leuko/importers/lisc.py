"""LISC: `Main_Dataset/<class>/*.bmp`, with the masks `Ground_Truth/<class>/*_expert.bmp`.

The classes are `baso`, `eosi`, `lymp`, `mono`, `neut` and `mixt`, in which several cells are in one image.

Rezatofighi and Soltanian-Zadeh, Computerized Medical Imaging and Graphics 35:333 (2011).
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from leuko.core.errors import LeukoError
from leuko.importers.base import Found, Kind, one_folder
from leuko.importers.folders import read_tree

IMAGES = "Main_Dataset"


def find(sources: Sequence[Path], options: Namespace, found: Found) -> None:
    """Find the images and the experts' masks."""
    folder = one_folder(sources, KIND.name)
    if not (folder / IMAGES).is_dir():
        raise LeukoError(f"{folder}: there is no folder {IMAGES}; give the folder that holds it and Ground_Truth")
    masks = "Ground_Truth/{class}/{stem}_expert.bmp"
    found.items += read_tree(folder, found, f"{IMAGES}/{{class}}/*", masks)


KIND = Kind("lisc", "LISC: the folder of Main_Dataset and Ground_Truth, whose masks come along", find)
