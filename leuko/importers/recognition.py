"""What a folder in another layout than Leuko's seems to be, and which kind of import reads it."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from leuko.core.classes import match_class
from leuko.core.params.grouping import compile_rule
from leuko.data.images import EXTENSIONS
from leuko.data.layout import CAM16_FOLDER, PRCC_FOLDER, SUBSET_FOLDERS, WBC_TEST_FOLDER
from leuko.data.tree import Problems, Tree, printable
from leuko.importers.base import ARCHIVES, part_of
from leuko.importers.kinds import KINDS

COURSE = (*SUBSET_FOLDERS, WBC_TEST_FOLDER, CAM16_FOLDER, PRCC_FOLDER)
MANY = 200_000
"""Files of a folder that are looked at."""
SHOWN = 30
PBC_NAME = re.compile(r"(BA|EO|ERB|IG|MMY|MY|PMY|LY|MO|SNE|BNE|NEUTROPHIL|PLATELET)_\d+", re.IGNORECASE)
MATEK_NAME = re.compile(r"(BAS|EBO|EOS|KSC|LYA|LYT|MMZ|MOB|MON|MYB|MYO|NGB|NGS|PMB|PMO)_\d{4}")

Files = Sequence[Path]


def _most(files: Files, fits: Callable[[Path], object]) -> bool:
    """Whether most images are of a kind."""
    images = [path for path in files if path.suffix.casefold() in EXTENSIONS]
    return bool(images) and 2 * sum(bool(fits(path)) for path in images) > len(images)


def _any(files: Files, pattern: str) -> bool:
    """Whether some path fits a pattern."""
    return any(re.search(pattern, path.as_posix(), re.IGNORECASE) for path in files)


SIGNS: tuple[tuple[str, Callable[[Files], bool]], ...] = (
    ("pcam", lambda files: _any(files, r"camelyonpatch_level_2_split_\w+\.h5$")),
    ("medmnist", lambda files: _any(files, r"(^|/)\w*mnist\w*\.npz$")),
    ("bccd", lambda files: _any(files, r"(^|/)Annotations/[^/]+\.xml$")),
    ("lisc", lambda files: _any(files, r"(^|/)Ground_Truth/.*_expert\.\w+$")),
    ("matek", lambda files: _any(files, r"(^|/)annotations\.dat$") or _most(files, lambda p: MATEK_NAME.match(p.name))),
    ("mll23", lambda files: _most(files, lambda path: len(path.parts) > 2 and path.parts[-2] == path.parts[-3])),
    ("raabin", lambda files: _most(files, lambda path: compile_rule("raabin").search(path.as_posix()))),
    ("pbc", lambda files: _most(files, lambda path: PBC_NAME.match(path.name))),
    ("csv", lambda files: _any(files, r"\.(csv|tsv)$") and not _most(files, _class_folder)),
    ("folders", lambda files: _most(files, _class_folder)),
    ("tiles", lambda files: _most(files, lambda path: True)),
)
"""By what a kind is told, the surest first."""


def _class_folder(path: Path) -> str:
    """The innermost folder that may be a class; empty if there is none."""
    words = ("data", "mask", "masks", "image", "images", "img")
    return next(
        (name for name in reversed(path.parts[:-1]) if not part_of(name) and name.casefold() not in words),
        "",
    )


def in_another_layout(root: Path, classes: Sequence[str]) -> str:
    """Say what a folder holds that is not in the course layout, and what to type.

    Args:
        root: the folder.
        classes: of blood cells.

    Returns:
        Empty if it is in the course layout, as far as its folders tell, or is no folder.
    """
    if not root.is_dir() or any((root / name).is_dir() for name in COURSE):
        return ""
    tree = Tree(root, Problems())
    files = [path for path, _ in zip(tree.below(Path()), range(MANY), strict=False)]
    images = [path for path in files if path.suffix.casefold() in EXTENSIONS]
    lines = [f"{printable(str(root))} is not in the course layout (WBC_100/train/data/<class>/..., see DATA_CARD.md)."]
    if inner := sorted({Path(*path.parts[: _place(path)]) for path in files if _place(path)}):
        return "\n".join([*lines, f"What is lies below: {', '.join(str(root / path) for path in inner)}. Give that."])
    lines.append(f"It holds {len(images)} images{_by_folder(images, classes)}")
    if archives := [path for path in files if path.suffix.casefold() in ARCHIVES]:
        lines += ["", f"There are archives ({archives[0]}): unpack them first."]
    kind = next((name for name, fits in SIGNS if fits(files)), "")
    if kind:
        source = next((path for path in files if path.suffix == ".npz"), Path()) if kind == "medmnist" else Path()
        if kind == "csv":
            source = next(path for path in files if path.suffix.casefold() in (".csv", ".tsv"))
        lines += [
            "",
            f"It looks like what `leuko import {kind}` reads: {KINDS[kind].reads}. To try that, and write nothing yet:",
            f"    leuko import {kind} {shlex.quote(str(root / source))} --out data/imported --dry-run",
        ]
    return "\n".join(lines)


def _place(path: Path) -> int:
    """How many folders lie above one of the course layout's, in a path that holds one; 0 if it holds none."""
    return next((place for place, name in enumerate(path.parts[:-1]) if name in COURSE), 0)


def _by_folder(images: Files, classes: Sequence[str]) -> str:
    """The folders that may be classes, what they are taken for, and how many images each has."""
    counts = Counter(name for path in images if (name := _class_folder(path)))
    if not counts:
        return "."
    lines = []
    for name, number in sorted(counts.items())[:SHOWN]:
        match = match_class(name, classes, {})
        guess = (
            f"  ({match.label}?)" if match.label not in (None, name) else f"  ({match.question})" * bool(match.question)
        )
        lines.append(f"    {printable(name):<24} {number:>7}{guess}")
    more = [f"    ... and {len(counts) - SHOWN} more"] if len(counts) > SHOWN else []
    return "\n".join([", by folder:", *lines, *more])
