"""Raabin-WBC, double-labelled crops: `Train`, `TestA` and `TestB`, or flat folders with lists of numbers in JSON.

First edition: `Train/<class>/*.jpg` and `TestA/<class>/*.jpg` of the five types; `TestB`, of another microscope and
camera, has neutrophils and lymphocytes only. Second edition: `Train/*.jpg` with `Train.json`, `{file: 1 to 5}`, and the
same for `Test`. File names hold the smear, or the day, and the field of view: `95-8-10-1_527_1.jpg`.

Kouzehkanan et al., Scientific Reports 12:1123 (2022).
"""

from __future__ import annotations

import json
import re
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from leuko.core.errors import LeukoError
from leuko.core.params.grouping import PRESETS
from leuko.importers.base import Found, Item, Kind, look_through, one_folder, only_images
from leuko.importers.folders import read_tree

PARTS = {"Train": "train", "TestA": "test", "Test": "test"}
NUMBERS = {1: "Neutrophil", 2: "Lymphocyte", 3: "Monocyte", 4: "Eosinophil", 5: "Basophil"}
GROUPS = {"smear": PRESETS["raabin"], "field": r"(?P<group>[^/_]+_\d+)_\d+\.[^/]*$"}
"""What groups can be: smears (or days), and the fields of view within them."""


def find(sources: Sequence[Path], options: Namespace, found: Found) -> None:
    """Find the images of either edition, with their smears, or fields of view, as groups."""
    folder = one_folder(sources, KIND.name)
    parts = [part for part in PARTS if (folder / part).is_dir()]
    if "Train" not in parts:
        raise LeukoError(
            f"{folder}: there is no folder Train; give the folder that holds it, with its archive unpacked"
        )
    pattern = re.compile(GROUPS.get(options.group or "smear", GROUPS["smear"]))
    for part in parts:
        listed = folder / f"{part}.json"
        items = _flat(folder, part, listed, found) if listed.is_file() else _by_class(folder, part, found)
        for item in items:
            match = pattern.search(item.origin)
            found.items.append(replace(item, part=PARTS[part], group=match["group"] if match else ""))
    if (folder / "TestB").is_dir():
        outside = only_images(look_through(folder / "TestB", found), found)
        found.left_out["images of TestB (two types, another microscope)"] += len(outside)


def _by_class(folder: Path, part: str, found: Found) -> list[Item]:
    """The images of a part whose folders are classes."""
    items = read_tree(folder / part, found, "{class}/*", None)
    return [replace(item, origin=f"{part}/{item.origin}") for item in items]


def _flat(folder: Path, part: str, listed: Path, found: Found) -> list[Item]:
    """The images of a part whose list has the numbers of their classes.

    Raises:
        LeukoError: if it is no such list.
    """
    try:
        numbers = json.loads(listed.read_text("utf-8"))
        labels = {name: NUMBERS[int(number)] for name, number in numbers.items()}
    except (ValueError, AttributeError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise LeukoError(f"{listed}: not a list of files with numbers from 1 to 5 ({error})") from error
    paths = {path.name: path for path in only_images(look_through(folder / part, found), found)}
    for name in labels.keys() - paths.keys():
        found.problems.add(f"Files in {listed.name} that are not there; correct the list", f"{part}/{name}")
    found.left_out[f"images that {listed.name} does not name"] += len(paths.keys() - labels.keys())
    return [
        Item(f"{part}/{path.as_posix()}", name, folder / part / path, labels[name])
        for name, path in paths.items()
        if name in labels
    ]


KIND = Kind("raabin", "Raabin-WBC, both editions; --group smear (as it comes) or field", find)
