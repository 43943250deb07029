"""Tables with a path and a label per image, and part, group and mask where they have them."""

from __future__ import annotations

import re
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path

from leuko.core.errors import LeukoError
from leuko.data.images import EXTENSIONS
from leuko.importers.base import Found, Item, Kind, part_of
from leuko.importers.delimited import Row, read_table
from leuko.importers.named_files import find_files

COLUMNS = {
    "path": ("path", "filepath", "imagepath", "imgpath", "file", "filename", "imagename", "imgname", "image", "img"),
    "label": ("label", "class", "celltype", "type", "category", "classname", "target"),
    "part": ("part", "split", "subset"),
    "group": ("group", "patient", "patientid", "slide", "slideid", "smear", "smearid", "case", "caseid", "wsi"),
    "mask": ("mask", "maskpath", "maskname"),
}
"""What columns are usually called, without regard to case and what is between words; the first that is there counts."""


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options for columns."""
    parser.add_argument(
        "--columns",
        nargs="+",
        default=[],
        metavar="WHAT=NAME",
        help=f"which column is what ({', '.join(COLUMNS)}) where the names do not tell, as in label=kind; "
        "part= takes none",
    )
    parser.add_argument(
        "--header", metavar="NAMES", help="names of the columns, with commas, where the table's first line has none"
    )


def find(sources: Sequence[Path], options: Namespace, found: Found) -> None:
    """Find the images that tables name."""
    tables = [source for source in sources if source.is_file()]
    folders = [source for source in sources if source.is_dir()]
    if not tables:
        raise LeukoError("csv reads a table; give its path, and the images' folder unless they lie below the table's")
    rows = read_tables(tables, options.header.split(",") if options.header else None)
    columns = choose_columns(list(rows[0]), options.columns, options.group)
    found.items += read_rows(rows, columns, folders or [table.parent for table in tables], found)


def read_tables(tables: Sequence[Path], header: Sequence[str] | None = None) -> list[Row]:
    """Read tables of the same columns one after the other.

    Where every one of several tables has the name of a part, as in `labels_train.csv`, this becomes the column `part`
    of those that have none.

    Raises:
        LeukoError: if their columns differ, or one cannot be read.
    """
    parts = [part_of(re.split(r"[\W_]+", table.stem)[-1]) for table in tables]
    rows: list[Row] = []
    for table, part in zip(tables, parts, strict=True):
        more = read_table(table, header)
        if rows and {*more[0], "part"} != {*rows[0], "part"}:
            raise LeukoError(f"{table}: other columns than those of {tables[0]}")
        rows += [{"part": part} | row for row in more] if len(tables) > 1 and all(parts) else more
    return rows


def choose_columns(names: Sequence[str], chosen: Sequence[str], group: str | None) -> dict[str, str]:
    """Tell which column is what.

    Args:
        names: of all columns.
        chosen: `what=name` as on the command line.
        group: the column of the groups, unless it is a pattern.

    Returns:
        The column of the paths, of the labels and, if there are such, of parts, groups and masks.

    Raises:
        LeukoError: if there is no column for paths or labels, or none of a name that was given.
    """
    short = {re.sub(r"[\W_]+", "", name.casefold()): name for name in reversed(names)}
    columns = {what: short[usual] for what, usuals in COLUMNS.items() for usual in reversed(usuals) if usual in short}
    if group and group in names:
        columns["group"] = group
    for choice in chosen:
        what, _, name = choice.partition("=")
        if what not in COLUMNS or "=" not in choice:
            raise LeukoError(f"--columns {choice}: say what=name, where what is one of {', '.join(COLUMNS)}")
        columns[what] = name
    columns = {what: name for what, name in columns.items() if name}
    lacking = [what for what in ("path", "label") if what not in columns]
    unknown = [name for name in columns.values() if name not in names]
    if lacking or unknown:
        wrong = (
            f"no column called {', '.join(unknown)}" if unknown else f"which column is the {' and the '.join(lacking)}?"
        )
        raise LeukoError(
            f"{wrong}\nThe columns are {', '.join(names)}; choose with --columns, as in path=NAME label=NAME"
        )
    return columns


def read_rows(rows: Sequence[Row], columns: Mapping[str, str], folders: Sequence[Path], found: Found) -> list[Item]:
    """Find the images that the rows name; equal rows count once.

    Args:
        rows: of tables.
        columns: which column is what.
        folders: where the images are; no row leads out of them.
        found: where to note what is wrong.

    Returns:
        The items, in the order of the rows.
    """
    unique = dict.fromkeys(tuple(row[name] for name in columns.values()) for row in rows)
    facts = [dict(zip(columns, values, strict=True)) for values in unique]
    images = find_files([fact["path"] for fact in facts], folders, found.problems)
    masks = find_files([fact["mask"] for fact in facts if fact.get("mask")], folders, found.problems)
    items: dict[Path, Item] = {}
    for fact in facts:
        path, part = images.get(fact["path"]), part_of(fact.get("part", ""))
        if path is None:
            continue
        if fact.get("part") and not part:
            kind = "Parts other than train, val and test; correct them, or take none with --columns part="
            found.problems.add(kind, f"{fact['path']}: {fact['part']}")
        if not fact["label"]:
            found.problems.add("Images without a label in the table; add it, or remove the row", fact["path"])
        if path.suffix.casefold() not in EXTENSIONS:
            kind = f"Files in a table that are no images ({', '.join(EXTENSIONS)}); convert them, or remove the row"
            found.problems.add(kind, fact["path"])
        item = Item(
            fact["path"], path.name, path, fact["label"], part, fact.get("group", ""), masks.get(fact.get("mask", ""))
        )
        if items.setdefault(path, item) != item:
            found.problems.add("Images in several rows that say different things of them; leave one", fact["path"])
    return list(items.values())


KIND = Kind("csv", "a table with a path and a label per image", find, add_arguments, is_published=False)
