"""What every kind of importer hands over, and how a source is looked through: read only, and never left by a link."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from leuko.core.errors import LeukoError
from leuko.data.images import EXTENSIONS, Pixels
from leuko.data.tree import Problems, Tree

ARCHIVES = (".rar", ".zip", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz")

PARTS = {
    name: part
    for part, names in {
        "train": ("train", "training", "trn", "tr"),
        "val": ("val", "valid", "validation", "dev"),
        "test": ("test", "testing", "tst"),
    }.items()
    for name in names
}
"""What public data sets call the parts, in lower case."""

Content = Path | Callable[[], Pixels]
"""A file, or what makes an image: shape (height, width) or (height, width, 3), 0 to 255."""


@dataclass(frozen=True, slots=True)
class Item:
    """An image that a source holds.

    Attributes:
        origin: its place in the source, for messages and the record.
        name: of the file that it is to become.
        content: where it lies, or what makes it.
        label: its class, as the source calls it; empty where there are no labels.
        part: `train`, `val` or `test`; empty if the source does not say.
        group: the patient, smear or slide that it comes from; empty if the source does not say.
        mask: where its mask lies, or what makes that; none if there is none.
    """

    origin: str
    name: str
    content: Content
    label: str = ""
    part: str = ""
    group: str = ""
    mask: Content | None = None


@dataclass
class Found:
    """What an importer found.

    Attributes:
        items: the images.
        left_out: why something was passed over, and how many times.
        problems: what a person has to correct or decide.
    """

    items: list[Item] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    problems: Problems = field(default_factory=Problems)


@dataclass(frozen=True)
class Kind:
    """A kind of source.

    Attributes:
        name: on the command line.
        reads: what it reads, in a line.
        find: looks through the sources, with the options of the command line, and notes what is there.
        add_arguments: adds the options that only this kind has.
        of_set: the set that it fills: `wbc`, `cam16` or `prcc`.
        is_published: whether it is one public data set, of which cells known to be of no type that is asked for can be
            left out without a question.
    """

    name: str
    reads: str
    find: Callable[[Sequence[Path], Namespace, Found], None]
    add_arguments: Callable[[ArgumentParser], None] = lambda parser: None
    of_set: str = "wbc"
    is_published: bool = True


def check_sources(sources: Sequence[Path]) -> None:
    """Refuse sources that are not there or are archives.

    Raises:
        LeukoError: naming all of them.
    """
    lines = []
    for source in sources:
        if not source.exists():
            lines.append(f"{source}: there is no such file or folder")
        elif source.is_file() and source.suffix.casefold() in ARCHIVES:
            lines.append(f"{source}: an archive; unpack it first, and give what it unpacks to")
    if lines:
        raise LeukoError("\n".join(lines))


def one_folder(sources: Sequence[Path], kind: str) -> Path:
    """The source, where there must be one folder.

    Raises:
        LeukoError: if there is anything else.
    """
    if len(sources) != 1 or not sources[0].is_dir():
        given = ", ".join(map(str, sources))
        raise LeukoError(f"{kind} reads one folder; given was {given}")
    return sources[0]


def look_through(folder: Path, found: Found) -> list[Path]:
    """All files in and below a folder, sorted, relative to it.

    Hidden files and what operating systems leave behind are passed over; links that lead out of the folder, and names
    that no table can hold, are noted as problems.
    """
    return sorted(Tree(folder, found.problems).below(Path()), key=Path.as_posix)


def only_images(files: Sequence[Path], found: Found) -> list[Path]:
    """Those of the files that have an image's extension; the others are counted."""
    images = []
    for path in files:
        if path.suffix.casefold() in EXTENSIONS:
            images.append(path)
        else:
            found.left_out[f"files that are no images ({path.suffix.casefold() or 'no extension'})"] += 1
    return images


def part_of(name: str) -> str:
    """The part that a name means as a whole; empty if it means none."""
    return PARTS.get(name.strip().casefold(), "")
