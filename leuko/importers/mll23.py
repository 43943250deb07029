"""MLL23 (Zenodo 14277609): a zip per class, of which each unpacks to `class/class/*.tif`, 18 classes, 288 x 288 px.

Shetab Boushehri et al., Scientific Data 12:1773 (2025).
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from leuko.importers.base import Found, Kind, one_folder
from leuko.importers.folders import read_tree


def find(sources: Sequence[Path], options: Namespace, found: Found) -> None:
    """Find the images of the unpacked archives, each class in a folder of its name, once or twice."""
    folder = one_folder(sources, KIND.name)
    found.items += read_tree(folder, found, "**/{class}/*", None)


KIND = Kind("mll23", "MLL23: the folder in which its archives, one for each class, were unpacked", find)
