"""Matek's AML cytomorphology (TCIA, AML-Cytomorphology_LMU): `<code>/<code>_0001.tiff`, with 15 codes of classes.

Matek et al., Nature Machine Intelligence 1:538 (2019). CC BY 3.0.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from leuko.importers.base import Found, Kind, one_folder
from leuko.importers.folders import read_tree


def find(sources: Sequence[Path], options: Namespace, found: Found) -> None:
    """Find the images, however many folders the package has around those of the codes."""
    folder = one_folder(sources, KIND.name)
    found.items += read_tree(folder, found, "**/{class}/{class}_*.tif*", None)


KIND = Kind("matek", "AML-Cytomorphology_LMU of TCIA: the folder of its package", find)
