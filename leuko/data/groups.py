"""Groups: which images come from one patient, smear, slide or day, so that they must not be torn apart.

Two images of one smear share stain, light and often the patient, so a network that has seen one knows much about the
other. Scores on images whose group was also in training say little about new patients, and such images are no
independent tries: where groups are known, divisions keep them whole and intervals resample them as wholes.

A group is told by the table `groups.csv` at the data root (columns `path`, `group`), which importers write, by another
such table, or by a pattern on the image's path.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from leuko.core.params.grouping import compile_rule
from leuko.data.layout import Problems

TABLE = "groups.csv"
"""The table of groups that is taken up wherever it lies at the data root."""

FEW = 5
"""A class of fewer groups was seen in too few patients, smears or days to speak for others."""


def read_groups(root: Path, rule: str, paths: Sequence[str], problems: Problems) -> dict[str, str]:
    """Find the group of every image.

    Args:
        root: the data root.
        rule: `none`; the name of a preset; the path of a CSV file below the data root; or a regular expression with a
            part named `group`, searched for in the image's path. The rule is asked about the images that `groups.csv`
            at the data root, if there is one, does not name.
        paths: the images, relative to the data root, with `/` between folders.
        problems: where to note a table or pattern that cannot be used.

    Returns:
        The groups by path; empty text where an image's group is not known.
    """
    known = read_table(root, TABLE, "group", problems) if (root / TABLE).is_file() else {}
    if rule.casefold().endswith(".csv"):
        known = read_table(root, rule, "group", problems) | known
        return {path: known.get(path, "") for path in paths}
    if rule == "none":
        return {path: known.get(path, "") for path in paths}
    pattern = compile_rule(rule)
    found = {path: match["group"] or "" for path in paths if (match := pattern.search(path))}
    if paths and not found and not known:
        problems.add(
            "Rules for groups (ingest.group) that fit no image's path; correct the rule, or set it to none", rule
        )
    return {path: known.get(path, found.get(path, "")) for path in paths}


def read_table(root: Path, name: str, column: str, problems: Problems) -> dict[str, str]:
    """Read a table that says something about images, with columns `path` and another.

    Args:
        root: the data root.
        name: the table's path, relative to the data root.
        column: the other column.
        problems: where to note what is wrong with the table.

    Returns:
        What it says, by path; nothing if it cannot be used.
    """
    try:
        table = pd.read_csv(root / name, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:  # pandas' parser errors and bad UTF-8 are ValueErrors
        problems.add("Tables that cannot be read; correct or remove them", f"{name}: {error}")
        return {}
    if missing := {"path", column} - set(table.columns):
        problems.add(
            f"Tables without the columns path and {column}; name them so", f"{name}: no {', '.join(sorted(missing))}"
        )
        return {}
    table = table[["path", column]].drop_duplicates()
    for path in sorted(set(table[table["path"].duplicated()]["path"])):
        problems.add(f"Images with more than one {column} in a table; leave one row of each", f"{name}: {path}")
    for path in table["path"]:
        if not path or Path(path).is_absolute() or ".." in Path(path).parts or not (root / path).is_file():
            problems.add(
                "Rows of a table that name no file of the data root; correct or remove them", f"{name}: {path}"
            )
    return dict(zip(table["path"], table[column], strict=True))


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


def in_words(findings: Mapping[str, Any] | None) -> list[str]:
    """What `describe_groups` found, in sentences; none where there is nothing to warn of."""
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
        f"{label} coincides with groups of its own ({_listed(groups)}), which hold no other class: a network can tell "
        "it by what marks these groups, such as their stain, instead of by the cell."
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
