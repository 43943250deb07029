"""BCCD: whole fields of view with Pascal-VOC boxes, of which crops are made.

`Annotations/BloodImage_00000.xml` has the boxes of `WBC`, `RBC` and `Platelets` in `JPEGImages/BloodImage_00000.jpg`
(640 x 480 px), `ImageSets/Main/*.txt` the parts. The boxes do not tell the types of white blood cells; a table made by
others does, with an image's number and `NEUTROPHIL`, or several types where there are several cells. Any other set with
such boxes serves too, if their names are the classes.

Shenggan/BCCD_Dataset on GitHub, MIT licence.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from leuko.core.errors import LeukoError
from leuko.data.images import Pixels, UnreadableImageError, probe_image, read_rgb
from leuko.importers.base import Found, Item, Kind, look_through, one_folder, only_images
from leuko.importers.delimited import read_table

Box = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels; right and bottom are the first ones outside."""

CELL, OTHERS = "WBC", ("RBC", "Platelets")
MIN_SIDE = 16
"""Boxes of fewer pixels a side, without what is beyond the image's edge, show no cell."""


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options for crops."""
    parser.add_argument("--types", type=Path, metavar="TABLE", help="labels.csv with columns Image and Category")
    parser.add_argument(
        "--margin", type=float, default=0.1, help="around a box, as a share of its longer side (0.1 as it comes)"
    )


def find(sources: Sequence[Path], options: Namespace, found: Found) -> None:
    """Find the boxes of white blood cells; the image is the group of its cells."""
    folder = one_folder(sources, KIND.name)
    folder = folder if (folder / "Annotations").is_dir() else folder / "BCCD"
    if not (folder / "Annotations").is_dir() or not (folder / "JPEGImages").is_dir():
        raise LeukoError(f"{sources[0]}: there are no folders Annotations and JPEGImages")
    if not 0 <= options.margin <= 1:
        raise LeukoError(f"--margin {options.margin}: a share from 0 to 1 of the box's longer side")
    types = _types(options.types) if options.types else None
    parts = _parts(folder / "ImageSets/Main")
    images = {path.stem: path for path in only_images(look_through(folder / "JPEGImages", found), found)}
    for path in look_through(folder / "Annotations", found):
        if path.suffix != ".xml":
            continue
        if path.stem not in images:
            found.problems.add("Boxes without an image; fetch it, or take their file away", f"Annotations/{path.name}")
            continue
        image = folder / "JPEGImages" / images[path.stem]
        try:
            probe = probe_image(image)
        except UnreadableImageError as error:
            found.problems.add("Images that cannot be read; fetch them again", f"{image.name}: {error}")
            continue
        cells = [(name, box) for name, box in _boxes(folder / "Annotations" / path) if name not in OTHERS]
        found.left_out["images without a white blood cell"] += not cells
        for count, (name, box) in enumerate(cells, 1):
            label = types.get(path.stem, "") if types is not None and name == CELL else name
            inside = _within(box, 0, probe.width, probe.height)
            if min(inside[2] - inside[0], inside[3] - inside[1]) < MIN_SIDE:
                found.left_out[f"boxes with fewer than {MIN_SIDE} pixels a side in their image"] += 1
            elif not label:
                found.left_out["cells of no or of several types in the table"] += 1
            else:
                margin = round(options.margin * max(inside[2] - inside[0], inside[3] - inside[1]))
                content = _crop(image, _within(inside, margin, probe.width, probe.height))
                origin, name = f"JPEGImages/{image.name}, cell {count}", f"{path.stem}_{count}.png"
                found.items.append(Item(origin, name, content, label, parts.get(path.stem, ""), path.stem))
    if types is None and any(item.label == CELL for item in found.items):
        raise LeukoError("The boxes say WBC and no type; give the table of types (Image, Category) with --types")


def _boxes(path: Path) -> list[tuple[str, Box]]:
    """The names and boxes in a file of annotations; files that it names are not looked for.

    Raises:
        LeukoError: if it is no such file.
    """
    try:
        return [
            (
                (entry.findtext("name") or "").strip(),
                (_number(entry, "xmin"), _number(entry, "ymin"), _number(entry, "xmax"), _number(entry, "ymax")),
            )
            for entry in ET.fromstring(path.read_bytes()).iter("object")
        ]
    except (ET.ParseError, LookupError, ValueError, OverflowError) as error:  # LookupError: of an unknown encoding
        raise LeukoError(f"{path}: not a file of Pascal-VOC boxes ({error})") from error


def _number(entry: ET.Element, side: str) -> int:
    """One side of an object's box."""
    return int(float(entry.findtext(f"bndbox/{side}") or ""))


def _within(box: Box, margin: int, width: int, height: int) -> Box:
    """A box with a margin around it, as far as it is in its image."""
    left, top, right, bottom = box
    return max(left - margin, 0), max(top - margin, 0), min(right + margin, width), min(bottom + margin, height)


def _crop(image: Path, box: Box) -> Callable[[], Pixels]:
    """What cuts a box out of an image."""

    def cut() -> Pixels:
        try:
            return np.asarray(read_rgb(image).crop(box))
        except UnreadableImageError as error:  # it could be read a moment ago
            raise LeukoError(f"{image}: {error}") from error

    return cut


def _parts(folder: Path) -> dict[str, str]:
    """The part of each image, by its name without extension, as far as lists tell.

    Raises:
        LeukoError: if a list is no text.
    """
    parts: dict[str, str] = {}
    for part in ("train", "val", "test"):
        path = folder / f"{part}.txt"
        try:
            names = path.read_text("utf-8-sig").split() if path.is_file() else []
        except UnicodeDecodeError as error:
            raise LeukoError(f"{path}: not a list of names in UTF-8 ({error})") from error
        parts |= dict.fromkeys(names, part)
    return parts


def _types(table: Path) -> dict[str, str]:
    """The type of an image's cells, by the image's name, where the table has one type for all of them.

    Raises:
        LeukoError: if the table has no such columns.
    """
    rows = read_table(table)
    if not {"Image", "Category"} <= set(rows[0]):
        raise LeukoError(f"{table}: there are no columns Image and Category")
    types = {}
    for row in rows:
        kinds = {kind.strip() for kind in row["Category"].split(",")}
        number = row["Image"].lstrip("0").zfill(5)
        name = f"BloodImage_{number}" if row["Image"].isdecimal() else Path(row["Image"]).stem
        types[name] = kinds.pop() if len(kinds) == 1 else ""
    return types


KIND = Kind("bccd", "BCCD or other Pascal-VOC boxes, which become crops", find, add_arguments)
