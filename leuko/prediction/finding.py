"""Which images are meant: files, folders with all that is in them, and lists."""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from leuko.core.errors import LeukoError
from leuko.core.files import holds
from leuko.data.images import EXTENSIONS

READABLE = (*EXTENSIONS, ".jpe", ".jfif", ".webp", ".gif")
"""The extensions of what is taken from folders; a file that is named itself is tried whatever its name."""


def find_images(words: Sequence[str]) -> list[Path]:
    """Find the images that a command line means.

    Args:
        words: paths of files and folders; `-` for a list of such on standard input, one on each line or, as `find
            -print0` writes it, with zero bytes between them.

    Returns:
        Files, each once, in the order of the words and, within a folder, of their names. What is not there, or is a
        folder that cannot be looked into, is among them, to be reported as other files that cannot be read.

    Raises:
        LeukoError: if a word is empty, or a list is wanted and there is no standard input.
    """
    found: dict[Path, Path] = {}
    for word in dict.fromkeys(words):
        if not word:
            raise LeukoError("An empty name stands for no image; is a variable of the shell not set?")
        for path in _listed() if word == "-" else [Path(word)]:
            for image in _inside(path) if holds(path.is_dir) else [path]:
                found.setdefault(image.absolute(), image)
    return list(found.values())


def _listed() -> list[Path]:
    """The paths in the list on standard input.

    Raises:
        LeukoError: if there is no standard input.
    """
    if sys.stdin is None:
        raise LeukoError("- stands for a list on standard input, and there is none")
    content = sys.stdin.buffer.read().removeprefix(codecs.BOM_UTF8)
    separator = b"\0" if b"\0" in content else b"\n"
    lines = (line.removesuffix(b"\r") for line in content.split(separator))
    return [Path(os.fsdecode(line)) for line in lines if line.strip()]


def _inside(folder: Path) -> Iterator[Path]:
    """The images in a folder and all folders below it, but for hidden ones; links to folders are not followed.

    A folder that cannot be looked into stands for itself.
    """
    waiting = [folder]
    while waiting:
        path = waiting.pop()
        if holds(path.is_dir):
            try:
                entries = sorted(path.iterdir(), reverse=True)
            except OSError:
                yield path
                continue
            waiting += (
                entry
                for entry in entries
                if not entry.name.startswith(".") and not (entry.is_symlink() and holds(entry.is_dir))
            )
        elif path.suffix.lower() in READABLE:
            yield path
