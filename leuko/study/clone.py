"""The clone of the workspace in which cells run.

`dvc exp run`, even with `--temp`, puts the workspace's changes aside for a moment and writes the experiment's settings
into its `params.yaml`; killed in that moment, it leaves them so. Cells therefore run in a clone of their own, in
`.dvc/tmp/study`, with the workspace's DVC cache: what was trained once is not trained again, the user's files stay as
they are, and the user can go on working, with DVC too. The clone stays there from cell to cell, so that DVC knows the
hashes of the data and a training that was killed can resume. It can be removed at any time.
"""

from __future__ import annotations

import fcntl
import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, TextIO

from leuko.core.errors import LeukoError
from leuko.core.params.everything import Params
from leuko.core.params.reading import load_params
from leuko.study.cells import RESULTS, SOURCES, Cell, Origin, keep, origin_of_run

FOLDER = Path(".dvc/tmp/study")
LOCK = Path(".dvc/tmp/study.lock")
LOGS = Path("study/logs")

STATE = "refs/study/state"
"""In the clone: the workspace's tracked files, with the changes that are not committed."""

PREPARATION = "study-preparation"
"""The experiment that makes what all cells share; it has no results."""

SHARED = ("train_prcc", "train_cam16", "pretrain")
"""The last of the stages that all cells share."""

GRACE = 20  # seconds that a run gets to end by itself


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


def tail(log: Path) -> str:
    """The last lines of a log."""
    lines = log.read_text(encoding="utf-8", errors="replace").rstrip().splitlines()
    return "\n".join(f"    {line}" for line in lines[-12:])


@contextmanager
def lock() -> Iterator[TextIO]:
    """Allow one study at a time in this workspace.

    The run of a cell inherits the lock: if its study is killed, the lock holds until the run ends, too.

    Raises:
        LeukoError: if another study has it.
    """
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    with LOCK.open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            handle.seek(0)
            raise LeukoError(
                f"A study is running here, or the last cell of one that was killed (process {handle.read()}). "
                "Wait for it to end; its result will be taken over."
            ) from error
        _sign(handle, os.getpid())
        yield handle


def _sign(handle: TextIO, process: int) -> None:
    """Write into the lock file who has it."""
    handle.truncate(0)
    handle.write(str(process))
    handle.flush()


class Clone:
    """The workspace as it is when the study starts; what is edited later has no effect on the study."""

    def __init__(self, handle: TextIO) -> None:
        """Make the clone, or bring it up to date.

        Args:
            handle: of the lock.
        """
        self.handle = handle
        check_git()
        git("init", "--quiet", str(FOLDER))
        # Nobody runs here now; locks that are left over are those of a run that was killed.
        for leftover in [*FOLDER.glob(".git/**/*.lock"), *FOLDER.glob(".dvc/tmp/*lock*")]:
            leftover.unlink()
        take_over()
        self.commit = git("rev-parse", "HEAD")
        changed = git("stash", "create")  # a commit of the changes, which are left alone
        git("push", "--quiet", "--force", str(FOLDER), f"{changed or self.commit}:{STATE}")
        self._reset()
        self._share_cache()

    def _reset(self) -> None:
        """Make the clone's files those of the workspace; DVC's outputs stay, and are checked by their hashes."""
        experiments = git("for-each-ref", "--format=delete %(refname)", "refs/exps", folder=FOLDER)
        git("update-ref", "--stdin", folder=FOLDER, given=f"{experiments}\n" if experiments else "")
        git("checkout", "--quiet", "--force", "--detach", self.commit, folder=FOLDER)
        git("clean", "--quiet", "-d", "--force", folder=FOLDER)
        git("restore", f"--source={STATE}", "--staged", "--worktree", ".", ":(exclude)study", folder=FOLDER)

    def _share_cache(self) -> None:
        """Let the clone use the workspace's cache, and what else is set for this workspace alone."""
        own, local = Path(".dvc/config.local"), FOLDER / ".dvc/config.local"
        local.unlink(missing_ok=True)
        if own.exists():
            shutil.copyfile(own, local)
        dvc = [sys.executable, "-m", "dvc"]
        cache = subprocess.run([*dvc, "cache", "dir"], check=True, capture_output=True, text=True).stdout.strip()
        subprocess.run([*dvc, "config", "--local", "cache.dir", cache], cwd=FOLDER, check=True)

    def prepare(self, changes: Sequence[str]) -> Origin:
        """Check settings and data, and train what all cells share; done before, it takes seconds.

        Args:
            changes: of settings, as `key=value`.

        Returns:
            What cells will be made with.

        Raises:
            LeukoError: if settings or data are not as they should be, or a training fails.
        """
        log = LOGS / "preparation.log"
        succeeded = self.run(PREPARATION, changes, SHARED, log)
        params = load_params(Params, FOLDER / "params.yaml")
        if not succeeded:
            hint = "" if Path(params.data_root).is_absolute() else " Does data_root want an absolute path?"
            raise LeukoError(f"What all cells share could not be made.{hint} {log} ends:\n{tail(log)}")
        return origin_of_run(FOLDER)

    def run(self, experiment: str, changes: Sequence[str], stages: Sequence[str], log: Path) -> bool:
        """Run the pipeline up to some stages, as an experiment.

        Args:
            experiment: its name.
            changes: of settings, as `key=value`.
            stages: the last stages.
            log: the file for all that it says.

        Returns:
            Whether it succeeded.
        """
        self._reset()
        options = [part for change in changes for part in ("--set-param", change)]
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            return (
                self._call(["exp", "run", "--name", experiment, *options, *stages], output)
                # DVC leaves stages with plain outputs in Git out of its run-cache, and would run them again after every
                # change of settings there and back. Committed by force, they come in.
                and self._call(["commit", "--force", "--with-deps", *stages], output)
            )

    def _call(self, arguments: Sequence[str], output: BinaryIO) -> bool:
        """Call DVC in the clone; whatever ends the study ends the call."""
        # Stages say `python`, which shall be this one.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        process = subprocess.Popen(
            [sys.executable, "-m", "dvc", *arguments],
            cwd=FOLDER,
            env=os.environ | {"PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=[self.handle.fileno()],
            start_new_session=True,  # so that all of its processes can be ended together
        )
        _sign(self.handle, process.pid)
        try:
            return process.wait() == 0
        finally:
            if process.poll() is None:
                _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a run and all that it started: kindly, then by force."""
    os.killpg(process.pid, signal.SIGINT)
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def take_over() -> None:
    """Bring the clone's experiments into the workspace's repository, where `dvc exp` knows them by their names."""
    refs = git("for-each-ref", "--format=%(refname)", "refs/exps/*/*/study-split*", folder=FOLDER).split()
    if refs:
        git("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", str(FOLDER), *[f"+{ref}:{ref}" for ref in refs])


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
        with TemporaryDirectory() as name:
            files = subprocess.run(["git", "archive", commit, *RESULTS, *SOURCES], capture_output=True)
            if files.returncode:
                reasons.append(files.stderr.decode(errors="replace").strip())
                continue
            with tarfile.open(fileobj=io.BytesIO(files.stdout)) as archive:
                # As an attribute, since Python before 3.11.4 knows no such argument.
                archive.extraction_filter = getattr(tarfile, "data_filter", None)
                archive.extractall(name)
            differences = origin_of_run(Path(name)).differences(origin.of(cell))
            if not differences:
                keep(Path(name), cell, commit)
                return []
            reasons += differences
    return reasons or [f"no experiment {cell.experiment}"]
