"""The kinds of sources that can be imported."""

from __future__ import annotations

from leuko.importers import bccd, csv_table, folders, lisc, matek, medmnist, mll23, pbc, pcam, raabin, tiles
from leuko.importers.base import Kind

KINDS: dict[str, Kind] = {
    module.KIND.name: module.KIND
    for module in (folders, csv_table, raabin, pbc, medmnist, bccd, lisc, mll23, matek, pcam, tiles)
}
"""By their names on the command line, in the order of the help."""
