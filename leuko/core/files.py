"""Whole or not at all: files appear under their names only when complete.

Everything is written without time stamps and in a fixed order, so that equal content gives equal bytes.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pandas as pd

from leuko.core.errors import LeukoError


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path` that takes its place when the block ends without an error.

    The data reach the disk before the name does, so a power loss leaves the old file or the new, never a part.

    Args:
        path: where the file shall be; missing folders are made.

    Yields:
        The path to write to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.temporary")
    try:
        yield temporary
        _sync_file(temporary)
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        error.filename = error.filename or str(path)  # a full disk does not say what it had no room for
        raise
    finally:
        temporary.unlink(missing_ok=True)


def check_file_place(path: Path, option: str) -> None:
    """Refuse a place where no file can be written, before the work whose result is to be there.

    Args:
        path: where the file shall be; missing folders above it are made, and a file that is there is replaced.
        option: of the command line, for the message.

    Raises:
        LeukoError: if there is a folder or a device, or nothing can be written beside it.
    """
    if path.is_dir():
        raise LeukoError(f"{option} {path}: that is a folder; name a file")
    if path.exists() and not path.is_file():
        raise LeukoError(f"{option} {path}: that is a device or pipe, which a file would replace; name a file")
    _check_home(path, option)


def check_folder_place(path: Path, option: str) -> None:
    """Refuse a place where no new folder can be made, before the work whose result is to be there.

    Args:
        path: where the folder shall be; missing folders above it are made.
        option: of the command line, for the message.

    Raises:
        LeukoError: if something is there but an empty folder, or nothing can be written beside it.
    """
    if path.is_dir():
        if any(path.iterdir()):
            raise LeukoError(f"{option} {path}: the folder is not empty; name a new one")
    elif os.path.lexists(path):
        raise LeukoError(f"{option} {path}: there is a file of that name; name a new folder")
    _check_home(path, option)


def _check_home(path: Path, option: str) -> None:
    """Refuse a place whose nearest folder that is there cannot be written to.

    Raises:
        LeukoError: if it cannot, or is none.
    """
    home = next(folder for folder in path.absolute().parents if os.path.lexists(folder))
    if not home.is_dir():
        raise LeukoError(f"{option} {path}: {home} is no folder; name another place")
    if not os.access(home, os.W_OK | os.X_OK):
        raise LeukoError(f"{option} {path}: nothing can be written into {home}; let it be, or name another place")


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Give an empty temporary folder beside `path` that takes its place when the block ends without an error.

    Its files reach the disk before its name does; those of many small files that were written without waiting for the
    disk do so together, which is many times faster than one by one.

    Args:
        path: where the folder shall be; missing folders above it are made, and one that is there is replaced.

    Yields:
        The folder to write into.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.temporary")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        for file in temporary.rglob("*"):
            if file.is_file():
                _sync_file(file)
        shutil.rmtree(path, ignore_errors=True)
        temporary.rename(path)
        _sync_folder(path.parent)
    except OSError as error:
        error.filename = error.filename or str(path)  # a full disk does not say what it had no room for
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def written_meanwhile(files: Sequence[BinaryIO]) -> Iterator[None]:
    """Let what a block writes into files reach the disk while the block goes on, so that nobody waits at its end.

    Args:
        files: open files.

    Raises:
        OSError: at the end of the block, if the disk did not take something.
    """
    done = threading.Event()

    def write() -> None:
        while not done.wait(0.2):
            for file in files:
                os.fsync(file.fileno())

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        try:
            yield
        finally:
            done.set()
        writing.result()


def _sync_file(path: Path) -> None:
    """Let what was written to a file reach the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Let a new name reach the disk too, where the system can do that."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes, whole or not at all."""
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, content: object) -> None:
    """Write JSON with an indent of two, in the order given; NaN and infinity are refused."""
    write_bytes(path, (json.dumps(content, indent=2, allow_nan=False) + "\n").encode())


def read_json(path: Path) -> dict[str, Any]:
    """Read an object that `write_json` wrote."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def holds(test: Callable[[], bool]) -> bool:
    """What a path's `is_dir` or `is_file` says; false where it cannot be looked at, for which both raise."""
    try:
        return test()
    except OSError:
        return False


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a CSV file without its index; floats have six significant digits."""
    write_bytes(path, table.to_csv(index=False, float_format="%.6g", lineterminator="\n").encode())
