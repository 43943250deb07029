"""PBC, peripheral blood cells: `PBC_dataset_normal_DIB/<class>/*.jpg`, 360 x 363 px, eight folders.

The folder is the coarse class, what stands before `_` in a file's name the fine one: `neutrophil` holds `SNE_`
(segmented), `BNE_` (band) and `NEUTROPHIL_`, `ig` holds `MMY_`, `MY_`, `PMY_` and `IG_`. Names tell no patient.
WBCAtt's lists, `pbc_attr_v1_{train,val,test}.csv`, divide the five types.

Acevedo et al., Data in Brief 30:105474 (2020); Tsutsui et al., NeurIPS 2023 (WBCAtt).
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from leuko.core.errors import LeukoError
from leuko.importers.base import Found, Item, Kind, one_folder
from leuko.importers.csv_table import read_tables
from leuko.importers.folders import read_tree


def add_arguments(parser: ArgumentParser) -> None:
    """Add the option for fine classes."""
    parser.add_argument("--fine", action="store_true", help="classes by the files' prefixes, such as SNE and BNE")


def find(sources: Sequence[Path], options: Namespace, found: Found) -> None:
    """Find the images, with the parts of WBCAtt's lists if these are given."""
    folder = one_folder([source for source in sources if not source.is_file()], KIND.name)
    items = read_tree(folder, found, "**/{class}/*", None)
    if options.fine:
        items = [replace(item, label=item.name.split("_")[0]) for item in items]
    lists = [source for source in sources if source.is_file()]
    found.items += _divided(items, lists, found) if lists else items


def _divided(items: Sequence[Item], lists: Sequence[Path], found: Found) -> list[Item]:
    """The images that lists name, with the parts that the names of the lists tell.

    Raises:
        LeukoError: if these are no such lists.
    """
    rows = read_tables(lists)
    if not rows[0].get("part") or "path" not in rows[0]:
        raise LeukoError(f"{lists[0]}: pbc reads WBCAtt's lists: at least two, named *_train, *_val or *_test")
    parts = {PurePosixPath(row["path"]).name: row["part"] for row in rows}
    for name in parts.keys() - {item.name for item in items}:
        found.problems.add("Images in the lists that are not in the folder; unpack all of it", name)
    found.left_out["images that no list names"] += sum(item.name not in parts for item in items)
    return [replace(item, part=parts[item.name]) for item in items if item.name in parts]


KIND = Kind("pbc", "PBC: its folder and, for parts, the lists of WBCAtt", find, add_arguments)
