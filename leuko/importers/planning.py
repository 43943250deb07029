"""From what an importer found to what is to be written: usable images, groups, classes, parts and places."""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import TypeAdapter, ValidationError

from leuko.core.classes import TISSUE_CLASSES
from leuko.core.errors import LeukoError
from leuko.core.parallel import map_images
from leuko.core.params.grouping import compile_rule
from leuko.core.params.labels import Classes
from leuko.data.images import UnreadableImageError, probe_image
from leuko.data.probing import MAX_ELONGATION
from leuko.importers.base import Content, Found, Item, Kind
from leuko.importers.division import divide
from leuko.importers.labels import FIVE_TYPES, Choice, assign_classes
from leuko.importers.writing import Placed, place

MIN_SIDE = 16
"""The shorter side, in pixels, that an image must have; `ingest.min_side` of the settings as they come."""


@dataclass(frozen=True)
class Plan:
    """What is to be written.

    Attributes:
        of_set: the set: `wbc`, `cam16` or `prcc`.
        classes: its classes; none for `prcc`.
        placed: the images with their places.
        left_out: why something was passed over, and how many times.
    """

    of_set: str
    classes: tuple[str, ...]
    placed: list[Placed]
    left_out: Counter[str]

    def counts(self) -> pd.DataFrame:
        """How many images each class (a row) has in each part (a column)."""
        parts = [part for part in ("train", "val", "test") if any(entry.part == part for entry in self.placed)]
        rows = [(entry.label or "images", entry.part or "all") for entry in self.placed]
        table = pd.DataFrame(rows, columns=["class", "part"])
        counts = pd.crosstab(table["class"], table["part"])
        return counts.reindex(index=self.classes or ["images"], columns=parts or ["all"], fill_value=0)


def make_plan(kind: Kind, sources: Sequence[Path], options: Namespace) -> Plan:
    """Look through the sources and decide everything that there is to decide; nothing is written.

    Args:
        kind: of the sources.
        sources: files and folders that are there, as `check_sources` sees to.
        options: of the command line.

    Returns:
        The plan.

    Raises:
        LeukoError: if something is wrong with the sources, or a person has to decide something.
    """
    found = Found()
    kind.find(sources, options, found)
    found.problems.raise_if_any(sources[0])
    items = _usable(found, skip=options.skip_unusable)
    found.problems.raise_if_any(sources[0])
    if not items:
        passed = "; ".join(f"{reason}: {number}" for reason, number in sorted(found.left_out.items()))
        raise LeukoError(f"{sources[0]}: no image of kind {kind.name}" + f"; passed over were {passed}" * bool(passed))
    items = _with_groups(items, options.group)
    of_set = "cam16" if getattr(options, "tissue", False) else kind.of_set
    classes: tuple[str, ...] = ()
    rows = [(item, "", "") for item in items]
    if of_set != "prcc":
        choice = _choice(options, kind, of_set)
        meaning = assign_classes(Counter(item.label for item in items), choice)
        found.left_out.update(f"images of {item.label}" for item in items if not meaning[item.label])
        classes = choice.classes or _checked(sorted({label for label in meaning.values() if label}))
        labelled = [(item, label) for item in items if (label := meaning[item.label])]
        needed = ("train", "val") if of_set == "wbc" else ("train", "val", "test")
        parts = divide(
            [label for _, label in labelled],
            [item.group for item, _ in labelled],
            [item.part for item, _ in labelled],
            needed,
            options.ratios,
            options.seed,
        )
        rows = [(item, label, part) for (item, label), part in zip(labelled, parts, strict=True)]
    if options.limit:
        rows = _limited(rows, options.limit, options.seed, found)
    return Plan(of_set, classes, place(of_set, rows), found.left_out)


def _choice(options: Namespace, kind: Kind, of_set: str) -> Choice:
    """What the command line decides about classes.

    Raises:
        LeukoError: if a class cannot be one, or a decision is not understood.
    """
    classes = TISSUE_CLASSES if of_set == "cam16" else FIVE_TYPES
    if options.classes:
        classes = _checked([name.strip() for name in options.classes.split(",")])
    names = {}
    for choice in options.map:
        old, sign, new = choice.rpartition("=")
        if not sign:
            raise LeukoError(f"--map {choice}: say LABEL=CLASS")
        names[old] = new
    drop_others = kind.is_published and of_set == "wbc"
    return Choice(() if options.all_classes else classes, names, options.drop, drop_others)


def _checked(classes: Sequence[str]) -> tuple[str, ...]:
    """Classes as the settings allow them.

    Raises:
        LeukoError: if they are fewer than two, alike, or cannot be names of folders.
    """
    try:
        checked: tuple[str, ...] = TypeAdapter(Classes).validate_python(tuple(classes))
    except ValidationError as error:
        reasons = "; ".join(problem["msg"].removeprefix("Value error, ") for problem in error.errors())
        raise LeukoError(f"Classes {', '.join(classes)}: {reasons}; rename with --map LABEL=CLASS") from error
    return checked


def _with_groups(items: Sequence[Item], rule: str | None) -> list[Item]:
    """The items with their groups, if a pattern for them is given.

    Raises:
        LeukoError: if it is no pattern, or fits nothing.
    """
    if not rule or (any(item.group for item in items) and "(?P<group>" not in rule):
        return list(items)  # no rule, or a table's column or an importer's own word for it
    try:
        pattern = compile_rule(rule)
    except ValueError as error:
        raise LeukoError(f"--group: {error}") from error
    matches = [pattern.search(item.origin) for item in items]
    if not any(matches):
        raise LeukoError(f"--group {rule}: fits no image, such as {items[0].origin}")
    return [
        replace(item, group=match["group"] or "") if match else item for item, match in zip(items, matches, strict=True)
    ]


def _usable(found: Found, *, skip: bool) -> list[Item]:
    """The items whose files can be used; of the others it is noted what is wrong, or that they were left out.

    Args:
        found: the items, and where to note what is wrong.
        skip: whether to leave out what cannot be used instead of stopping.
    """

    def note(what: str, origin: str, why: str) -> None:
        if skip:
            found.left_out[f"{what} that cannot be used"] += 1
        else:
            kind = f"{what} that cannot be used; replace them in the source, or leave them out with --skip-unusable"
            found.problems.add(kind, f"{origin}: {why}")

    checks = map_images(_check, found.items, "checking images")
    usable = []
    for item, (why, why_mask) in zip(found.items, checks, strict=True):
        if why:
            note("Images", item.origin, why)
            continue
        if why_mask:
            note("Masks", item.origin, why_mask)
        usable.append(replace(item, mask=None) if why_mask else item)
    return usable


def _check(item: Item) -> tuple[str, str]:
    """What is wrong with an image, and what with its mask; empty if nothing. What is made by an importer is right."""
    size, why = _size(item.content)
    mask_size, why_mask = _size(item.mask)
    if size:
        if min(size) < MIN_SIDE:
            why = f"{size[0]} x {size[1]} pixels; the shorter side must have {MIN_SIDE}"
        elif max(size) > MAX_ELONGATION * min(size):
            why = f"{size[0]} x {size[1]} pixels, more than {MAX_ELONGATION} times as long as wide"
        if mask_size and mask_size != size:
            why_mask = f"mask of {mask_size[0]} x {mask_size[1]} pixels, image of {size[0]} x {size[1]}"
    return why, why_mask


def _size(content: Content | None) -> tuple[tuple[int, int] | None, str]:
    """Width and height of an image file, or why it cannot be read."""
    if not isinstance(content, Path):
        return None, ""
    try:
        probe = probe_image(content)
    except UnreadableImageError as error:
        return None, str(error)
    return (probe.width, probe.height), ""


Row = tuple[Item, str, str]
"""An image with its class and its part."""


def _limited(rows: Sequence[Row], limit: int, seed: int, found: Found) -> list[Row]:
    """At most so many images of each class in each part, drawn by a seed, in their order."""
    order = np.random.default_rng([seed, 1]).permutation(len(rows))
    drawn: Counter[tuple[str, str]] = Counter()
    kept = []
    for number in order:
        cell = rows[number][1:]
        drawn[cell] += 1
        if drawn[cell] <= limit:
            kept.append(number)
    found.left_out["images beyond --limit"] += len(rows) - len(kept)
    return [rows[number] for number in sorted(kept)]
