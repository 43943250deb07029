"""Which images are meant: files, folders with all that is in them, and lists."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from leuko.data.images import EXTENSIONS

READABLE = (*EXTENSIONS, ".jpe", ".jfif", ".webp", ".gif")
"""The extensions of what is taken from folders; a file that is named itself is tried whatever its name."""


def find_images(words: Sequence[str]) -> list[Path]:
    """Find the images that a command line means.

    Args:
        words: paths of files and folders; `-` for a list of such on standard input, one on each line or, as `find
            -print0` writes it, with zero bytes between them.

    Returns:
        Files, each once, in the order of the words and, within a folder, of their names. What is not there is among
        them, to be reported as other files that cannot be read.
    """
    found: dict[Path, None] = {}
    for word in words:
        for path in _listed(sys.stdin.buffer.read()) if word == "-" else [Path(word)]:
            found.update(dict.fromkeys(_inside(path) if path.is_dir() else [path]))
    return list(found)


def _listed(content: bytes) -> list[Path]:
    """The paths in a list."""
    separator = b"\0" if b"\0" in content else b"\n"
    lines = (line.removesuffix(b"\r") for line in content.split(separator))
    return [Path(os.fsdecode(line)) for line in lines if line.strip()]


def _inside(folder: Path) -> Iterator[Path]:
    """The images in a folder and all folders below it, but for hidden ones; links to folders are not followed."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            if not path.is_symlink():
                yield from _inside(path)
        elif path.suffix.lower() in READABLE:
            yield path
