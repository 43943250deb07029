"""A folder of tissue images without labels, in any tree: the unlabelled set, for pre-training."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from leuko.importers.base import Found, Item, Kind, look_through, one_folder, only_images


def find(sources: Sequence[Path], options: Namespace, found: Found) -> None:
    """Find the images of a tree."""
    folder = one_folder(sources, KIND.name)
    paths = only_images(look_through(folder, found), found)
    found.items += [Item(path.as_posix(), path.name, folder / path) for path in paths]


KIND = Kind("tiles", "any folder of tissue images, which become the unlabelled set", find, of_set="prcc")
