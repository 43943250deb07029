"""Any tree with a folder per class: classes above or below parts and patients, masks beside the images or apart."""

from __future__ import annotations

import re
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from leuko.importers.base import Found, Item, Kind, look_through, one_folder, only_images, part_of
from leuko.importers.patterns import compile_pattern, describe_path

FIELDS = ("class", "part", "group")


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options for patterns."""
    parser.add_argument(
        "--pattern",
        help="what an image's path below SOURCE means, such as {part}/{class}/* or {group}/{class}/* or {class}_*; "
        "** stands for any folders; without it {class}/*, or {part}/{class}/* where the folders are train, val, test",
    )
    parser.add_argument(
        "--masks",
        metavar="PATTERN",
        help="what an image's mask is called: {stem}_mask.png beside it, masks/{folder}/{stem}.* in a tree of its own",
    )


def find(sources: Sequence[Path], options: Namespace, found: Found) -> None:
    """Find the images of a tree."""
    folder = one_folder(sources, "folders")
    found.items += read_tree(folder, found, options.pattern, options.masks)


def read_tree(folder: Path, found: Found, pattern: str | None, masks: str | None) -> list[Item]:
    """Find the images and masks of a tree.

    Args:
        folder: the tree.
        found: where to note what is left out, and problems.
        pattern: what the images' paths mean; images that it does not fit are left out. Without one, the folders are
            classes, or parts with classes below them, and images elsewhere are a problem.
        masks: what a mask's path is; files that it fits are masks, and all others images.

    Returns:
        The items, in the order of their paths.
    """
    paths = only_images(look_through(folder, found), found)
    images, of_image = _apart(paths, masks)
    expression = compile_pattern(pattern or _usual(images), "--pattern", FIELDS)
    items = []
    for path in images:
        match = expression.fullmatch(path.as_posix())
        fields = match.groupdict("") if match else {}
        mask = _mask_of(path, fields, of_image, found)
        part = part_of(fields.get("part", ""))
        if "part" in fields and not part:
            kind = "Folders of no known part; they should be called train, val and test (see --pattern)"
            found.problems.add(kind, f"{path.parent.as_posix()}: {fields['part']}")
        elif match:
            item = Item(path.as_posix(), path.name, folder / path, fields.get("class", ""), part)
            items.append(replace(item, group=fields.get("group", ""), mask=mask and folder / mask))
        elif pattern:
            found.left_out["images elsewhere than the pattern says"] += 1
        else:
            kind = "Folders with images where no class is expected; say what the folders mean with --pattern"
            found.problems.add(kind, path.parent)
    for path in (path for paths in of_image.values() for path in paths):
        found.problems.add("Masks (by --masks) without an image; correct the pattern, or leave them out", path)
    return items


Masks = dict[tuple[tuple[str, str], ...], list[Path]]
"""Masks by the fields that their pattern has."""


def _apart(paths: Sequence[Path], pattern: str | None) -> tuple[list[Path], Masks]:
    """The images, and the masks by what their pattern says of them."""
    if not pattern:
        return list(paths), {}
    expression = _mask_pattern(pattern)
    images, masks = [], Masks()
    for path in paths:
        if match := expression.fullmatch(path.as_posix()):
            key = tuple(sorted(match.groupdict("").items()))
            masks.setdefault(key, []).append(path)
        else:
            images.append(path)
    return images, masks


def _mask_pattern(pattern: str) -> re.Pattern[str]:
    """The expression for masks; a pattern without a folder means beside the image."""
    pattern = pattern if "/" in pattern else f"{{folder}}/{pattern}"
    return compile_pattern(pattern, "--masks", (*FIELDS, "folder", "stem"))


def _mask_of(path: Path, fields: dict[str, str], masks: Masks, found: Found) -> Path | None:
    """Take an image's mask out of the masks."""
    if not masks:
        return None
    known = {**describe_path(path), **fields}
    names = [name for name, _ in next(iter(masks))]
    of_image = masks.pop(tuple((name, known.get(name, "")) for name in names), [])
    for mask in of_image if len(of_image) > 1 else ():
        found.problems.add("Several masks of one image; name one of them in --masks", mask)
    return of_image[0] if of_image else None


def _usual(images: Sequence[Path]) -> str:
    """The pattern of the usual layouts: parts above classes, or classes alone."""
    tops = {path.parts[0] for path in images if len(path.parts) > 1}
    return "{part}/{class}/*" if tops and all(map(part_of, tops)) else "{class}/*"


KIND = Kind("folders", "any tree with a folder per class", find, add_arguments, is_published=False)
