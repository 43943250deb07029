"""Writing a data root: where each image goes, hard links or copies, and the tables that say where it came from."""

from __future__ import annotations

import hashlib
import os
import shutil
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd
from PIL import Image

from leuko.core.errors import LeukoError
from leuko.core.files import atomic_folder, check_folder_place, read_json, write_json, write_table
from leuko.core.parallel import map_images
from leuko.data.layout import CAM16_FOLDER, PRCC_FOLDER, WBC_TEST_FOLDER
from leuko.importers.base import Content, Item

GROUPS, ORIGINS, RECORD = "groups.csv", "import.csv", "import.json"
"""The tables of groups and origins, and the record of what was imported and how."""
COLUMNS = {GROUPS: ("path", "group"), ORIGINS: ("path", "origin", "sha256")}
"""What the tables must have."""


@dataclass(frozen=True, slots=True)
class Placed:
    """An image with its place in the data root.

    Attributes:
        item: the image.
        label: its class; empty for tissue without labels.
        part: its part; likewise.
        path: where it goes, relative to the data root.
        mask: where its mask goes; none if it has none, or is in a part whose masks nothing reads.
    """

    item: Item
    label: str
    part: str
    path: PurePosixPath
    mask: PurePosixPath | None


def place(of_set: str, rows: Sequence[tuple[Item, str, str]]) -> list[Placed]:
    """Give every image its place; names that a folder would have twice are numbered.

    Args:
        of_set: `wbc`, `cam16` or `prcc`.
        rows: the images, each with its class and its part; these are empty for `prcc`.

    Returns:
        The images with their places, in the order given.
    """
    taken: set[tuple[PurePosixPath, str]] = set()
    placed = []
    for item, label, part in rows:
        data, masks = _folders(of_set, part)
        folder = data / label
        name = PurePosixPath(item.name)
        stems = (name.stem if count == 1 else f"{name.stem}-{count}" for count in range(1, len(rows) + 1))
        stem = next(stem for stem in stems if (folder, _plain(stem)) not in taken)
        taken.add((folder, _plain(stem)))
        mask = None
        if item.mask and masks:
            mask = masks / label / f"{stem}{item.mask.suffix if isinstance(item.mask, Path) else '.png'}"
        placed.append(Placed(item, label, part, folder / f"{stem}{name.suffix}", mask))
    return placed


def _folders(of_set: str, part: str) -> tuple[PurePosixPath, PurePosixPath | None]:
    """The folders of a part's images and masks; only those of training images are read, so only they are written."""
    if of_set == "prcc":
        return PurePosixPath(PRCC_FOLDER), None
    if (of_set, part) == ("wbc", "test"):
        return PurePosixPath(WBC_TEST_FOLDER, "data"), None
    whole = PurePosixPath("WBC_100" if of_set == "wbc" else CAM16_FOLDER, part)
    return whole / "data", whole / "mask" if part == "train" else None


def _plain(name: str) -> str:
    """A name without regard to case and to Unicode's ways of spelling."""
    return unicodedata.normalize("NFC", name).casefold()


def write_images(root: Path, placed: Sequence[Placed], *, copy: bool) -> pd.DataFrame:
    """Write images and masks below a root.

    Args:
        root: the data root.
        placed: what goes where.
        copy: whether to copy even where hard links are possible.

    Returns:
        The columns `path`, `origin` and `sha256`, a row per image; masks follow their images.
    """

    def write(entry: Placed) -> list[tuple[str, str, str]]:
        rows = [(entry.path.as_posix(), entry.item.origin, _write(entry.item.content, root / entry.path, copy))]
        if entry.mask and entry.item.mask:
            rows.append((entry.mask.as_posix(), entry.item.origin, _write(entry.item.mask, root / entry.mask, copy)))
        return rows

    for folder in sorted({path.parent for entry in placed for path in (entry.path, entry.mask) if path}):
        (root / folder).mkdir(parents=True, exist_ok=True)
    rows = [row for rows in map_images(write, placed, "writing images") for row in rows]
    return pd.DataFrame(rows, columns=["path", "origin", "sha256"])


def _write(content: Content, path: Path, copy: bool) -> str:
    """Link, copy or draw one file; its SHA-256."""
    if isinstance(content, Path):
        source = content.resolve()
        try:
            if copy:
                shutil.copyfile(source, path)
            else:
                os.link(source, path)
        except OSError:  # another disk, a file system without hard links, or too many of them
            if copy:
                raise
            shutil.copyfile(source, path)
    else:
        Image.fromarray(content()).save(path, "PNG")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_target(out: Path, sources: Sequence[Path], *, add: bool) -> None:
    """Refuse a folder that cannot be written to without harm.

    Args:
        out: the folder.
        sources: what is to be imported.
        add: whether it may hold something already.

    Raises:
        LeukoError: if it is a file, is not empty, lies within a source, or nothing can be written there; or if what is
            to be continued there is no record of imports.
    """
    if out.is_dir() and any(out.iterdir()):
        if not add:
            raise LeukoError(f"--out {out}: the folder is not empty; name a new one, or add a set to it with --add")
        _before(out)
    else:
        check_folder_place(out, "--out")
    for source in sources:
        if out.resolve().is_relative_to(source.resolve()):
            raise LeukoError(f"--out {out}: lies within {source}, which an import must not change; name another folder")


def check_room(out: Path, placed: Sequence[Placed]) -> None:
    """Refuse to add a set that a data root has already.

    Raises:
        LeukoError: naming its folders.
    """
    folders = sorted({entry.path.parts[0] for entry in placed})
    if there := [folder for folder in folders if (out / folder).exists()]:
        raise LeukoError(f"--out {out}: has {', '.join(there)} already; --add adds only sets that are not there yet")


def write_whole(out: Path, fill: Callable[[Path], None]) -> None:
    """Write a data root, or a set that it lacks, whole or not at all.

    Args:
        out: the data root; what it holds stays, but for the tables and the record, which `fill` continues.
        fill: writes the set into an empty folder.
    """
    out = out.resolve()
    if not out.exists() or not any(out.iterdir()):
        with atomic_folder(out) as temporary:
            fill(temporary)
        return
    ready = out / ".import"
    moved: list[Path] = []
    try:
        with atomic_folder(ready) as temporary:
            fill(temporary)
        for entry in sorted(ready.iterdir(), key=lambda entry: (entry.is_file(), entry.name)):
            entry.replace(out / entry.name)
            moved.append(out / entry.name)
    except BaseException:
        for path in moved:
            shutil.rmtree(path, ignore_errors=True)
        raise
    finally:
        shutil.rmtree(ready, ignore_errors=True)


def write_records(folder: Path, out: Path, record: dict[str, Any], origins: pd.DataFrame, groups: pd.DataFrame) -> None:
    """Write the tables and the record of an import; where the data root has them, what they hold comes first.

    Args:
        folder: where to write them.
        out: the data root.
        record: of this import.
        origins: the columns `path`, `origin` and `sha256`.
        groups: the columns `path` and `group`; no table is made of none.
    """
    imports, tables = _before(out)
    for name, table in ((ORIGINS, origins), (GROUPS, groups)):
        whole = pd.concat([tables[name], table]) if name in tables else table
        if len(whole):
            write_table(folder / name, whole)
    write_json(folder / RECORD, {"imports": [*imports, record]})


def _before(out: Path) -> tuple[list[Any], dict[str, pd.DataFrame]]:
    """What a data root has of earlier imports: the records, and the tables by name as far as there are any.

    Raises:
        LeukoError: if a file of such a name holds something else.
    """
    try:
        imports = read_json(out / RECORD)["imports"] if (out / RECORD).is_file() else []
        is_record = isinstance(imports, list)
    except (ValueError, TypeError, KeyError, RecursionError):
        is_record = False
    if not is_record:
        raise LeukoError(f"{out / RECORD}: not the record of an import, which is to be continued; move it elsewhere")
    tables = {}
    for name in (ORIGINS, GROUPS):
        if (out / name).is_file():
            try:
                tables[name] = pd.read_csv(out / name, dtype=str, keep_default_na=False)
            except ValueError as error:  # among them pandas' own, and those of text that is not UTF-8
                raise LeukoError(f"{out / name}: not a table that can be continued ({error})") from error
            if not set(COLUMNS[name]) <= set(tables[name].columns):
                columns = ", ".join(COLUMNS[name])
                raise LeukoError(f"{out / name}: not a table of {columns}, which is to be continued; move it elsewhere")
    return imports, tables
