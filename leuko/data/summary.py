"""What a folder of images holds, in words."""

from __future__ import annotations

import pandas as pd

from leuko.core.classes import CLASSES
from leuko.data.duplicates import FINDINGS, RANK, in_words
from leuko.data.manifest import Survey


def summary(survey: Survey) -> str:
    """How many images there are of every class of every part, how many have masks, and how large they are."""
    sides = survey.manifest[["width", "height"]]
    images = survey.manifest.assign(shortest=sides.min(axis=1), longest=sides.max(axis=1))
    images = images.sort_values("part", key=lambda parts: parts.map(RANK), kind="stable")
    images = images.sort_values("set", key=lambda sets: sets.map(list(CLASSES).index), kind="stable")
    table = images.groupby(["set", "part", "class"], sort=False).agg(
        images=("path", "size"),
        masks=("mask", lambda masks: (masks != "").sum()),
        shortest=("shortest", "min"),
        longest=("longest", "max"),
    )
    return f"Images that can be used, and their sides in pixels:\n\n{table.to_string()}"


def describe_gaps(manifest: pd.DataFrame) -> str:
    """The classes of blood cells without a test image; only a test folder may lack any."""
    tested = set(manifest[(manifest["set"] == "wbc") & (manifest["part"] == "test")]["class"])
    missing = [label for label in CLASSES["wbc"] if label not in tested]
    return f"\nNo test image of {', '.join(missing)}: nothing will be known of these classes.\n" if missing else ""


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
