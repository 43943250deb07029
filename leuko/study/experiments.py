"""The workspace's repository: the state that runs start from, and the experiments that they end as."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from leuko.core.errors import LeukoError
from leuko.study.cells import RESULTS, SOURCES, Cell, Origin, keep, origin_of_run

STATE = "refs/study/state"
"""A commit of the tracked files, with the changes that are not committed."""

PREPARATION = "study-preparation"
"""The experiment that makes what all cells share; it has no results."""

PREPARED = "refs/study/prepared"
"""Its commit."""


def git(*arguments: str, folder: Path = Path(), given: str | None = None) -> str:
    """Run Git.

    Args:
        arguments: what follows `git`.
        folder: where.
        given: what it reads from its standard input.

    Returns:
        What it says.

    Raises:
        LeukoError: if it fails.
    """
    done = subprocess.run(["git", *arguments], cwd=folder, input=given, capture_output=True, text=True)
    if done.returncode:
        raise LeukoError(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()


def check_git() -> None:
    """Make sure that there is something that can be cloned.

    Raises:
        LeukoError: if there is no repository here, or nothing is committed.
    """
    if not Path(".git").exists():
        raise LeukoError(
            "A study needs a Git repository, and this is none. Type git init && git add . && git commit -m start"
        )
    if subprocess.run(["git", "rev-parse", "--verify", "--quiet", "HEAD"], capture_output=True).returncode:
        raise LeukoError("A study needs a commit, and there is none yet. Type git add . && git commit -m start")


def state_of_workspace() -> tuple[str, str]:
    """Keep a commit of the tracked files as they are now; the files, and what is staged, stay as they are.

    Returns:
        The commit that the workspace is on, and that of its files.

    Raises:
        LeukoError: if there is no repository, or nothing is committed.
    """
    check_git()
    commit = git("rev-parse", "HEAD")
    git("status")  # in a folder that was copied, Git would take all files for changed, and find no change
    state = git("stash", "create") or commit  # a commit of the changes, which are left alone
    git("update-ref", STATE, state)
    return commit, state


def prepared_origin() -> Origin:
    """What cells are made with, as the preparation had it."""
    with _files_of(PREPARED, ["params.yaml", *SOURCES]) as folder:
        return origin_of_run(folder)


def harvest(cell: Cell, origin: Origin) -> list[str]:
    """Keep the results of a cell's experiment, if there is one that was made with what it should be.

    Args:
        cell: the cell.
        origin: what it should be made with.

    Returns:
        Why there is nothing to keep; nothing if there was.
    """
    commits = git(
        "for-each-ref", "--sort=-committerdate", "--format=%(objectname)", f"refs/exps/*/*/{cell.experiment}"
    ).split()
    reasons: list[str] = []
    for commit in commits:
        try:
            with _files_of(commit, [*RESULTS, *SOURCES]) as folder:
                differences = origin_of_run(folder).differences(origin.of(cell))
                if not differences:
                    keep(folder, cell, commit)
                    return []
        except LeukoError as error:  # of an older pipeline, without some of them
            differences = [str(error)]
        reasons += differences
    return reasons or [f"no experiment {cell.experiment}"]


@contextmanager
def _files_of(commit: str, paths: Sequence[str]) -> Iterator[Path]:
    """Take files out of a commit, into a folder that goes when the block ends.

    Raises:
        LeukoError: if the commit lacks some of them.
    """
    with TemporaryDirectory() as name:
        packed = subprocess.run(["git", "archive", commit, *paths], capture_output=True)
        if packed.returncode:
            raise LeukoError(packed.stderr.decode(errors="replace").strip())
        with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
            # As an attribute, since Python before 3.11.4 knows no such argument.
            archive.extraction_filter = getattr(tarfile, "data_filter", None)
            archive.extractall(name)
        yield Path(name)
