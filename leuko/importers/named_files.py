"""Finding the files that a table names, in the folders that were given and nowhere else."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from leuko.core.files import holds
from leuko.data.tree import Problems
from leuko.importers.base import Found, look_through

OUTSIDE = "Paths in a table that lead out of the folders given; name their folder as a further SOURCE"
MISSING = "Files in a table that are not in the folders given; correct them, or name their folder as a further SOURCE"
SEVERAL = "Names in a table that several folders have; write their paths"


def find_files(names: Sequence[str], folders: Sequence[Path], problems: Problems) -> dict[str, Path]:
    """Find the files that a table names.

    A path may be relative to one of the folders, or absolute and in one of them; backslashes count as slashes. Where
    nothing is there, the folders that all of the paths begin with are taken off, one after the other, so that a table
    serves that was made on another machine. A bare name may lie in any folder below, but in one only.

    Args:
        names: the paths as the table has them.
        folders: where they may lie; a link that leads out of them leads nowhere.
        problems: where to note those that are not there, not unique, or elsewhere.

    Returns:
        The files by name, without those with problems.
    """
    paths = {name: PurePosixPath(re.sub("^[A-Za-z]:(?=/)", "", name.replace("\\", "/"))) for name in names}
    if paths and all(len(path.parts) == 1 for path in paths.values()):
        return _find_bare(paths, folders, problems)
    homes = [folder.resolve() for folder in folders]
    for n_off in range(_n_shared(list(paths.values())) + 1):
        ends = {name: PurePosixPath(*path.parts[n_off:]) for name, path in paths.items()}
        if any(_places(end, folders, homes) for end in ends.values()):
            paths = ends
            break
    files = {}
    for name, path in paths.items():
        places = _places(path, folders, homes)
        if len(places) == 1:
            files[name] = places[0]
        else:
            is_elsewhere = any(os.path.lexists(folder / path) for folder in folders)
            problems.add(SEVERAL if places else OUTSIDE if is_elsewhere else MISSING, name)
    return files


def _n_shared(paths: Sequence[PurePosixPath]) -> int:
    """How many folders all of the paths begin with."""
    first, *others = (path.parent.parts for path in paths or [PurePosixPath()])
    return next(
        (place for place, part in enumerate(first) if any(parts[place : place + 1] != (part,) for parts in others)),
        len(first),
    )


def _places(path: PurePosixPath, folders: Sequence[Path], homes: Sequence[Path]) -> list[Path]:
    """The files that a path leads to, seen from each of the folders, as far as they really lie in one of them."""
    seen = [Path(os.path.normpath(folder / path)) for folder in folders]
    there = {place.resolve(): place for place in seen if holds(place.is_file)}
    return [place for real, place in there.items() if any(map(real.is_relative_to, homes))]


def _find_bare(names: Mapping[str, PurePosixPath], folders: Sequence[Path], problems: Problems) -> dict[str, Path]:
    """Find files by their names alone; where a table leaves out the extension, without that."""
    by_name: dict[str, dict[Path, Path]] = defaultdict(dict)  # by where they really lie, as folders may be given twice
    for folder in folders:
        for path in look_through(folder, Found()):
            for name in (path.name, path.stem):
                by_name[name].setdefault((folder / path).resolve(), folder / path)
    files = {}
    for name, bare in names.items():
        places = by_name[bare.name]
        if len(places) == 1:
            (files[name],) = places.values()
        else:
            problems.add(SEVERAL if places else MISSING, name)
    return files
