"""What tables at the data root, and rules, say about images.

An image's group is told by the table `groups.csv` at the data root (columns `path`, `group`), which importers write, by
another such table, or by a pattern on the image's path. What a person decided about suspect labels is told by a table
with the columns `path` and `label`, such as `data/suspects.csv` filled in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

import pandas as pd

from leuko.core.classes import match_class
from leuko.core.files import holds
from leuko.core.params.grouping import compile_rule
from leuko.data.tree import Problems

TABLE = "groups.csv"
"""The table of groups that is taken up wherever it lies at the data root."""
REMOVE = "remove"
"""In place of a class: the image is left out."""


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
    known = _groups_told(root, TABLE, paths, problems) if (root / TABLE).is_file() else {}
    if rule.casefold().endswith(".csv"):
        known = _groups_told(root, rule, paths, problems) | known
        return {path: known.get(path, "") for path in paths}
    if rule == "none":
        return {path: known.get(path, "") for path in paths}
    pattern = compile_rule(rule)
    found = {path: match["group"] for path in paths if (match := pattern.search(path)) and match["group"]}
    if paths and not found and not known:
        problems.add(
            "Rules for groups (ingest.group) that fit no image's path; correct the rule, or set it to none", rule
        )
    return {path: known.get(path, found.get(path, "")) for path in paths}


def _groups_told(root: Path, name: str, paths: Sequence[str], problems: Problems) -> dict[str, str]:
    """What a table says of groups, which has to be of some image."""
    told = read_table(root, name, "group", problems)
    if told and not told.keys() & set(paths):
        problems.add("Tables of groups that name none of the images; correct or remove them", name)
    return told


def read_relabelled(
    root: Path, name: str, paths: Iterable[str], classes: Sequence[str], synonyms: Mapping[str, str], problems: Problems
) -> dict[str, str]:
    """Read which images get another label.

    Args:
        root: the data root.
        name: the table, relative to the data root; `none` for none. Rows with an empty label change nothing.
        paths: of the blood cell images.
        classes: of the blood cells.
        synonyms: further names of classes.
        problems: where to note a table that cannot be used.

    Returns:
        The new class by path, or REMOVE.
    """
    if name == "none":
        return {}
    told = {path: label for path, label in read_table(root, name, "label", problems).items() if label}
    known, found = set(paths), {}
    for path, label in told.items():
        if path not in known:
            problems.add("Rows of ingest.relabel that name no image of a blood cell; correct them", f"{name}: {path}")
        match = REMOVE if label.casefold() == REMOVE else match_class(label, classes, synonyms).label
        if match is None:
            problems.add(
                f"Labels in ingest.relabel that are no class; give one of {', '.join(classes)}, or {REMOVE}",
                f"{name}: {path}: {label}",
            )
        else:
            found[path] = match
    return found


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
    if Path(name).is_absolute() or ".." in Path(name).parts:
        problems.add("Tables outside the data root, where their changes go unnoticed; move them below it", name)
        return {}
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
    # ./a//b.png is a/b.png: find and other programs write paths so.
    paths = [PurePosixPath(path).as_posix() if path else "" for path in table["path"]]
    table = pd.DataFrame({"path": paths, column: table[column].str.strip()}).drop_duplicates()
    for path in sorted(set(table[table["path"].duplicated()]["path"])):
        problems.add(f"Images with more than one {column} in a table; leave one row of each", f"{name}: {path}")
    for path in table["path"]:
        if not path or Path(path).is_absolute() or ".." in Path(path).parts or not holds((root / path).is_file):
            problems.add(
                "Rows of a table that name no file of the data root; correct or remove them", f"{name}: {path}"
            )
    return dict(zip(table["path"], table[column], strict=True))
