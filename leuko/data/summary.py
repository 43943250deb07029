"""What a folder of images holds, in words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from leuko.core.classes import SETS
from leuko.data import groups
from leuko.data.duplicates import FINDINGS, RANK, in_words
from leuko.data.survey import Survey
from leuko.data.tree import printable

TISSUE = {"cam16": "labelled tissue (CAM16)", "prcc": "unlabelled tissue (pRCC)"}


def summary(survey: Survey) -> str:
    """How many images there are of every class of every part, how many have masks, and how large they are."""
    if survey.manifest.empty:
        return "No image can be used."
    sides = survey.manifest[["width", "height"]]
    images = survey.manifest.assign(shortest=sides.min(axis=1), longest=sides.max(axis=1))
    images = images.sort_values("part", key=lambda parts: parts.map(RANK), kind="stable")
    images = images.sort_values("set", key=lambda sets: sets.map(SETS.index), kind="stable")
    table = images.groupby(["set", "part", "class"], sort=False).agg(
        images=("path", "size"),
        masks=("mask", lambda masks: (masks != "").sum()),
        shortest=("shortest", "min"),
        longest=("longest", "max"),
    )
    return f"Images that can be used, and their sides in pixels:\n\n{table.to_string()}"


def describe_notes(survey: Survey, shown: int | None = None) -> str:
    """How images and masks are read, and all that only seems wrong.

    Args:
        survey: of the data root.
        shown: how many of each kind of warning are named; none for all.
    """
    said = [*survey.notes, *survey.mask_notes]
    lines = ["", *said] if said else []
    for kind, paths in sorted(survey.warnings.found.items()):
        lines += ["", f"{kind} ({len(paths)}):", *(f"    {printable(path)}" for path in sorted(paths)[:shown])]
        lines += ["    ... all: leuko check"] * (len(paths) > len(sorted(paths)[:shown]))
    return "\n".join([*lines, ""]) if lines else ""


def count_warnings(survey: Survey, classes: Sequence[str]) -> int:
    """How much only seems wrong: images and masks, pictures in several parts or classes, what groups mean."""
    doubtful = survey.duplicates[survey.duplicates["finding"] != "copy"]
    return (
        sum(map(len, survey.warnings.found.values()))
        + doubtful["group"].nunique()
        + len(groups.in_words(groups.describe_groups(survey.manifest, classes)))
    )


def verdict(survey: Survey, root: Path, classes: Sequence[str]) -> str:
    """The last line of a check that found no problem."""
    number = count_warnings(survey, classes)
    if not number:
        return f"No problems in {root}."
    return f"No errors, {number} warning{'s' * (number > 1)} in {root}."


def describe_gaps(manifest: pd.DataFrame, classes: Sequence[str]) -> str:
    """What the data root lacks: tissue images, and classes without a test image, as only a test folder may."""
    lines = []
    if absent := [TISSUE[name] for name in TISSUE if name not in set(manifest["set"])]:
        lines += ["", f"No images of {' and '.join(absent)}: what needs them is left out."]
    tested = set(manifest[(manifest["set"] == "wbc") & (manifest["part"] == "test")]["class"])
    if missing := [label for label in classes if label not in tested]:
        lines += ["", f"No test image of {', '.join(missing)}: nothing will be known of these classes."]
    return "\n".join([*lines, ""]) if lines else ""


def describe_groups(manifest: pd.DataFrame, classes: Sequence[str]) -> str:
    """How many groups the blood cells come from, and what that means for the scores; nothing if none is known."""
    findings = groups.describe_groups(manifest, classes)
    if findings is None:
        return ""
    parts = findings["parts"]
    heading = f"Groups: {parts['train']} in training, {parts['val']} in validation, {parts['test']} in the test."
    return "\n".join(["", heading, *(f"    {sentence}" for sentence in groups.in_words(findings, named=True)), ""])


def describe_duplicates(duplicates: pd.DataFrame, shown: int | None = None, where: str = "") -> str:
    """The pictures that occur more than once, by what was found.

    Args:
        duplicates: from `survey_data`.
        shown: how many of each finding are named; none for all.
        where: where the others are.
    """
    lines = []
    for finding, pictures in in_words(duplicates).items():
        if pictures:
            lines += ["", f"{FINDINGS[finding]} ({len(pictures)}):", *(f"    {line}" for line in pictures[:shown])]
            lines += [f"    ... {where}"] * (len(pictures) > len(pictures[:shown]))
    return "\n".join(lines or ["", "No picture occurs more than once."])
