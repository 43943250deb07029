"""Groups: which images come from one patient, smear, slide or day, so that they must not be torn apart.

Two images of one smear share stain, light and often the patient, so a network that has seen one knows much about the
other. Scores on images whose group was also in training say little about new patients, and such images are no
independent tries: where groups are known, divisions keep them whole and intervals resample them as wholes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

FEW = 5
"""A class of fewer groups was seen in too few patients, smears or days to speak for others."""


def unseen(rows: pd.DataFrame, training: pd.DataFrame) -> pd.Series[bool]:
    """Which images are of a known group that has no image in training.

    Args:
        rows: of the manifest or a pack, with their `group`.
        training: the training images' rows.
    """
    return (rows["group"] != "") & ~rows["group"].isin(set(training["group"]))


def describe_groups(manifest: pd.DataFrame, classes: Sequence[str]) -> dict[str, Any] | None:
    """Report what the groups of the blood cells mean for the scores.

    Args:
        manifest: with the column `group`.
        classes: the classes of blood cells.

    Returns:
        None if no group is known; else `parts`: how many groups each has; `without`: images whose group is not known;
        `seen`: for `all` test images and for each class of `classes` how many there are, how many of them (`seen`) are
        of groups that are in training too, and their `share`; `few`: the classes of fewer than five groups, with their
        number; `coincide`: the classes that coincide with groups, with these, see `_coinciding`; and `torn`: how many
        groups are in both validation and test.
    """
    cells = manifest[manifest["set"] == "wbc"]
    grouped = cells[cells["group"] != ""]
    if grouped.empty:
        return None
    training, test = (cells[cells["part"] == part] for part in ("train", "test"))
    is_seen = (test["group"] != "") & ~unseen(test, training)
    n_groups = grouped.groupby("class")["group"].nunique()
    return {
        "parts": {part: int(grouped[grouped["part"] == part]["group"].nunique()) for part in ("train", "val", "test")},
        "without": len(cells) - len(grouped),
        "seen": {
            "all": _share(is_seen),
            "classes": {
                label: _share(is_seen[test["class"] == label]) for label in classes if (test["class"] == label).any()
            },
        },
        "few": {label: int(n_groups[label]) for label in classes if label in n_groups and n_groups[label] < FEW},
        "coincide": _coinciding(grouped, classes),
        "torn": len(set(grouped[grouped["part"] == "val"]["group"]) & set(test["group"])),
    }


def _share(is_seen: pd.Series[bool]) -> dict[str, Any]:
    """How many images there are, and how many and what share of them were seen."""
    return {"images": len(is_seen), "seen": int(is_seen.sum()), "share": float(is_seen.mean()) if len(is_seen) else 0.0}


def _coinciding(cells: pd.DataFrame, classes: Sequence[str]) -> dict[str, list[str]]:
    """The classes that coincide with groups, so that what tells the group tells the class.

    A class does if at least nine tenths of its images are in groups of no other class, which chance would make of less
    than half of them: in a group of n images drawn from all, the others are of a class of share p with probability
    p^(n - 1).

    Args:
        cells: the images whose group is known.
        classes: the classes.

    Returns:
        By class the groups that hold nothing else.
    """
    sizes = cells.groupby("group")["class"].transform("size")
    is_pure = cells.groupby("group")["class"].transform("nunique") == 1
    found = {}
    for label in classes:
        members = cells["class"] == label
        by_chance = np.power(members.mean(), sizes[members].to_numpy() - 1)
        if members.any() and is_pure[members].mean() >= 0.9 and by_chance.mean() < 0.5:
            found[label] = sorted(set(cells[members & is_pure]["group"]))
    return found


def in_words(findings: Mapping[str, Any] | None, *, named: bool = False) -> list[str]:
    """What `describe_groups` found, in sentences; none where there is nothing to warn of.

    Args:
        findings: what was found.
        named: whether to name groups, as what others may read should not.
    """
    if findings is None:
        return []
    sentences = []
    seen = findings["seen"]
    if seen["all"]["seen"]:
        worst = ", ".join(
            f"{label} {100 * of_class['share']:.0f} %"
            for label, of_class in seen["classes"].items()
            if of_class["seen"]
        )
        sentences.append(
            f"{seen['all']['seen']} of {seen['all']['images']} test images ({100 * seen['all']['share']:.0f} %) are of "
            f"groups (patients, smears or days) that are also in training: {worst}. Scores on them say little about "
            "new groups; look at the scores on images of unseen groups."
        )
    sentences += [
        f"{label} comes from {number} group{'s' * (number > 1)} only: too few to know how it looks elsewhere."
        for label, number in findings["few"].items()
    ]
    sentences += [
        f"{label} coincides with groups of its own ({_listed(groups) if named else len(groups)}), which hold no other "
        "class: a network can tell it by what marks these groups, such as their stain, instead of by the cell."
        for label, groups in findings["coincide"].items()
    ]
    if findings["torn"]:
        sentences.append(
            f"{findings['torn']} group{'s are' if findings['torn'] > 1 else ' is'} in validation and in the test, so "
            "what was chosen on validation flatters the test."
        )
    if findings["without"]:
        n_without = findings["without"]
        sentences.append(f"{n_without} blood cell image{'s have' if n_without > 1 else ' has'} no known group.")
    return sentences


def _listed(names: Sequence[str], shown: int = 5) -> str:
    """Some names, and how many more there are."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
