"""Walking a data root, and collecting all that is wrong with it."""

from __future__ import annotations

import errno
import re
import stat
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from leuko.core.errors import LeukoError
from leuko.data.images import EXTENSIONS
from leuko.data.leftovers import is_leftover, stands_for

MAX_LINES = 30
"""A longer report ends with its kinds and counts once more, as its beginning has left the screen by then."""

CACHED = re.compile(r"[0-9a-f]{2}/[0-9a-f]{30}$")
"""What DVC names the files of its cache, wherever that lies."""

LOST_LINKS = "Links to nowhere or in circles; replace them by what they should lead to"
STRAY_LINKS = "Links that lead out of the data root, where changes go unnoticed; replace them by what they lead to"
LOCKED = "Files and folders that cannot be read; give permission"


@dataclass
class Problems:
    """Everything found wrong, collected so that one report can name it all.

    A kind of problem is a sentence that says what is wrong and how to fix it; under it stand the paths.
    """

    found: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def add(self, kind: str, path: Path | str) -> None:
        """Note a problem; the same one a second time changes nothing.

        Args:
            kind: what is wrong, and how to fix it.
            path: where.
        """
        self.found[kind].add(path.as_posix() if isinstance(path, Path) else path)

    def raise_if_any(self, root: Path) -> None:
        """Report all that was found, grouped and counted.

        Raises:
            LeukoError: if anything was found.
        """
        if not self.found:
            return
        total = sum(len(paths) for paths in self.found.values())
        lines = [f"{total} problem{'s' * (total > 1)} in {printable(str(root))}; nothing was written.", ""]
        kinds = [f"{kind} ({len(paths)})" for kind, paths in sorted(self.found.items())]
        for kind, (_, paths) in zip(kinds, sorted(self.found.items()), strict=True):
            lines.append(f"{kind}:")
            lines.extend(f"    {printable(path)}" for path in sorted(paths))
        if len(lines) > MAX_LINES:
            lines += ["", f"In all {total} problems:", *(f"    {kind}" for kind in kinds)]
        raise LeukoError("\n".join(lines))


def printable(name: str) -> str:
    """A name with what breaks a line, and what is not UTF-8, written as an escape."""
    return "".join(repr(char)[1:-1] if _breaks_tables(char) else char for char in name)


def _breaks_tables(char: str) -> bool:
    """Whether a character is a control character, a line's end, or half of one (so are bytes that are not UTF-8)."""
    return unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp")


class Tree:
    """The folders and files below a data root, relative to it. What is neither is noted and passed over.

    The data root itself may be a link, and links within it may lead anywhere within it. A link that leads out of it is
    refused, since DVC would not notice changes behind it; only single files may be links into DVC's cache, which is
    how DVC itself lays them out where it is told to (`cache.type symlink`).

    Args:
        root: the data root.
        problems: where to note what is wrong.
    """

    def __init__(self, root: Path, problems: Problems) -> None:
        self.root, self.problems = root, problems
        self._home = root.resolve()

    def has_folder(self, folder: Path, *, required: bool = False) -> bool:
        """Whether a folder is there and can be used.

        Args:
            folder: the folder.
            required: whether its absence is a problem.
        """
        for place in [*reversed(folder.parents), folder]:
            kind = self._kind(place)
            if kind == "nothing" and required:
                self.problems.add("Folders that are missing; make them", folder)
            if kind == "file":
                self.problems.add("Files where the layout has a folder; rename or remove them", place)
            if kind != "folder":
                return False
        return True

    def entries(self, folder: Path) -> tuple[list[Path], list[Path]]:
        """The folders and the files in a folder, by name, without what operating systems leave behind."""
        try:
            names = sorted(path.name for path in (self.root / folder).iterdir())
        except OSError as error:
            self.problems.add(LOCKED, f"{folder.as_posix()}: {error.strerror}")
            return [], []
        found: dict[str, list[Path]] = {"folder": [], "file": []}
        for name in names:
            if is_leftover(name):
                continue
            if real := stands_for(name):
                kind = "Placeholders of files that are elsewhere, in a cloud or a download that did not end; fetch them"
                self.problems.add(kind, f"{(folder / name).as_posix()}: of {real}")
            elif "\\" in name:
                kind = "Names with backslashes, as of an archive unpacked wrongly; unpack it with another program"
                self.problems.add(kind, folder / name)
            elif any(map(_breaks_tables, name)):
                kind = "Names with control characters, or not in UTF-8, which no table can hold; rename them"
                self.problems.add(kind, folder / name)
            else:
                found.setdefault(self._kind(folder / name), []).append(folder / name)
        return found["folder"], found["file"]

    def below(self, folder: Path) -> Iterator[Path]:
        """All files in and below a folder."""
        waiting = [(folder, self._place(folder))]
        while waiting:
            folder, place = waiting.pop()
            folders, files = self.entries(folder)
            self.note_alike([*folders, *files])
            yield from files
            above = {place, *place.parents}
            for inner in folders:
                if inner.suffix.casefold() in EXTENSIONS:
                    self.problems.add("Folders named like images; rename or remove them", inner)
                if self._place(inner) in above:
                    self.problems.add(LOST_LINKS, inner)
                else:
                    waiting.append((inner, self._place(inner)))

    def note_alike(self, paths: Iterable[Path]) -> None:
        """Note the names in one folder that another file system would take for one."""
        alike = defaultdict(list)
        for path in paths:
            alike[unicodedata.normalize("NFC", path.name).casefold()].append(path)
        for group in alike.values():
            for path in group if len(group) > 1 else ():
                kind = "Names alike but for case or Unicode's ways of spelling, which copying may merge; rename them"
                self.problems.add(kind, path)

    def _place(self, path: Path) -> Path:
        """Where a path really leads."""
        return (self.root / path).resolve()

    def _kind(self, path: Path) -> str:
        """Whether a path is a `folder`, a `file`, `nothing`, or `refused`, which is noted."""
        try:
            is_link = stat.S_ISLNK((self.root / path).lstat().st_mode)
        except FileNotFoundError:
            return "nothing"
        except OSError as error:
            self.problems.add(LOCKED, f"{path.as_posix()}: {error.strerror}")
            return "refused"
        try:
            mode = (self.root / path).stat().st_mode
        except OSError as error:
            lost = error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
            self.problems.add(LOST_LINKS if lost else LOCKED, path)
            return "refused"
        place = self._place(path) if is_link and path != Path() else self._home
        is_cached = stat.S_ISREG(mode) and CACHED.search(place.as_posix())
        if not place.is_relative_to(self._home) and not is_cached:
            self.problems.add(STRAY_LINKS, path)
            return "refused"
        if stat.S_ISDIR(mode) or stat.S_ISREG(mode):
            return "folder" if stat.S_ISDIR(mode) else "file"
        self.problems.add("Pipes, sockets and devices; remove them", path)
        return "refused"
