"""The clones of the workspace in which runs take place.

`dvc exp run`, even with `--temp`, puts the workspace's changes aside for a moment and writes the experiment's settings
into its `params.yaml`; killed in that moment, it leaves them so. Runs therefore have clones of their own, in
`.dvc/tmp/study`, with the workspace's DVC cache: what was trained once is not trained again, the user's files stay as
they are, and the user can go on working, with DVC too. A machine has as many clones as it ever ran at the same time.
They stay there from run to run, so that DVC knows the hashes of the data; what interrupted trainings have reached is
kept beside them, run by run, for whichever clone takes the run up again. All of it can be removed at any time.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TextIO

import yaml

from leuko.study.experiments import PREPARATION, PREPARED, git

FOLDER = Path(".dvc/tmp/study")

STATE = "refs/study/state"
"""The workspace's tracked files, with the changes that are not committed."""

GRACE = 20  # seconds that a run gets to end by itself


@contextmanager
def locked(path: Path, *, wait: bool) -> Iterator[TextIO]:
    """Hold a lock that the system frees when all processes that inherited it are gone.

    Args:
        path: the file of the lock; whoever has it writes their process into it.
        wait: whether to wait for it.

    Yields:
        The open file.

    Raises:
        BlockingIOError: if somebody else has it, and this does not wait.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        sign(handle, os.getpid())
        yield handle


def sign(handle: TextIO, process: int) -> None:
    """Write into the file of a lock who has it."""
    handle.truncate(0)
    handle.write(str(process))
    handle.flush()


def forget_lost_folders(lock: Path, cache: Path) -> None:
    """Take the stages out of a dvc.lock whose folders the cache does not have, as in a new clone of a repository.

    `dvc exp run` looks such folders up when the run-cache has a later stage, and fails; `dvc repro` does not.

    Args:
        lock: the file; nothing happens if there is none.
        cache: DVC's cache.
    """
    if not lock.exists():
        return
    content = yaml.safe_load(lock.read_text(encoding="utf-8"))
    hashes = {
        name: [str(out.get("md5", "")) for out in stage.get("outs", [])] for name, stage in content["stages"].items()
    }
    lost = [
        name
        for name, of_stage in hashes.items()
        if any(md5.endswith(".dir") and not (cache / "files/md5" / md5[:2] / md5[2:]).exists() for md5 in of_stage)
    ]
    if lost:
        content["stages"] = {name: stage for name, stage in content["stages"].items() if name not in lost}
        lock.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


class Clone:
    """A clone that nobody else uses.

    Args:
        folder: where it is.
        handles: open files of locks, which its runs inherit; they sign the last one.
    """

    def __init__(self, folder: Path, handles: Sequence[TextIO]) -> None:
        self.folder, self.handles = folder, handles

    def update(self, commit: str, state: str, cache: str, resume: Path) -> None:
        """Make the clone, or bring it up to date; DVC's outputs stay, and are checked by their hashes.

        Args:
            commit: of the workspace, on which experiments are based.
            state: the commit with the workspace's files.
            cache: the folder of the workspace's DVC cache.
            resume: the folder for what interrupted trainings have reached.
        """
        git("init", "--quiet", str(self.folder))
        # Nobody runs here now; locks that are left over are those of a run that was killed.
        for leftover in [*self.folder.glob(".git/**/*.lock"), *self.folder.glob(".dvc/tmp/*lock*")]:
            leftover.unlink()
        self.hand_over()
        git("push", "--quiet", "--force", str(self.folder), f"{state}:{STATE}")
        experiments = git("for-each-ref", "--format=delete %(refname)", "refs/exps", folder=self.folder)
        git("update-ref", "--stdin", folder=self.folder, given=f"{experiments}\n" if experiments else "")
        git("checkout", "--quiet", "--force", "--detach", commit, folder=self.folder)
        git("clean", "--quiet", "-d", "--force", folder=self.folder)
        git("restore", f"--source={STATE}", "--staged", "--worktree", ".", ":(exclude)study", folder=self.folder)
        (self.folder / ".git/info/exclude").write_text("/.resume\n")  # .gitignore may know it as a folder only
        resume.mkdir(parents=True, exist_ok=True)
        link = self.folder / ".resume"
        link.unlink(missing_ok=True)
        link.symlink_to(resume.resolve())
        self._share(cache)
        forget_lost_folders(self.folder / "dvc.lock", Path(cache))

    def _share(self, cache: str) -> None:
        """Let the clone use the workspace's cache, and what else is set for this workspace alone."""
        own = Path(".dvc/config.local")
        settings = own.read_text(encoding="utf-8") if own.exists() else ""
        shared = self.folder / ".dvc/tmp/shared"
        known = f"{cache}\n{settings}"
        if shared.exists() and shared.read_text(encoding="utf-8") == known:  # DVC takes a second to write a setting
            return
        (self.folder / ".dvc/config.local").write_text(settings, encoding="utf-8")
        command = [sys.executable, "-m", "dvc", "config", "--local", "cache.dir", cache]
        subprocess.run(command, cwd=self.folder, check=True)
        shared.parent.mkdir(exist_ok=True)
        shared.write_text(known, encoding="utf-8")

    def run(self, experiment: str, changes: Sequence[str], stages: Sequence[str]) -> bool:
        """Run the pipeline up to some stages, as an experiment.

        Args:
            experiment: its name.
            changes: of settings, as `key=value`; later ones win.
            stages: the last stages.

        Returns:
            Whether it succeeded.
        """
        options = [part for change in changes for part in ("--set-param", change)]
        return (
            self._call(["exp", "run", "--name", experiment, *options, *stages])
            # DVC leaves stages with plain outputs in Git out of its run-cache, and would run them again after every
            # change of settings there and back. Committed by force, they come in.
            and self._call(["commit", "--force", "--with-deps", *stages])
        )

    def _call(self, arguments: Sequence[str]) -> bool:
        """Call DVC in the clone; whatever ends this process ends the call."""
        # Stages say `python`, which shall be this one.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        process = subprocess.Popen(
            [sys.executable, "-m", "dvc", *arguments],
            cwd=self.folder,
            env=os.environ | {"PATH": path},
            stdin=subprocess.DEVNULL,
            pass_fds=[handle.fileno() for handle in self.handles],
            start_new_session=True,  # so that all of its processes can be ended together
        )
        sign(self.handles[-1], process.pid)
        try:
            return process.wait() == 0
        finally:
            if process.poll() is None:
                _end(process)

    def hand_over(self) -> None:
        """Bring the clone's experiments into the workspace's repository, where `dvc exp` knows them by their names."""
        refs = git("for-each-ref", "--format=%(refname)", "refs/exps/*/*/study-*", folder=self.folder).split()
        wanted = [f"+{ref}:{PREPARED if ref.endswith(PREPARATION) else ref}" for ref in refs]
        if wanted:
            # Several clones may do so at the same time, which two who tidy up would mind.
            git("-c", "gc.auto=0", "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", str(self.folder), *wanted)


def wait_until_free() -> None:
    """Wait for the runs in this machine's clones to end."""
    for path in FOLDER.glob(f"{socket.gethostname()}-*.lock"):
        with locked(path, wait=True):
            pass


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a run and all that it started: kindly, then by force."""
    os.killpg(process.pid, signal.SIGINT)
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def free_clone(inherited: TextIO) -> Iterator[Clone]:
    """Take the first of this machine's clones that nobody uses.

    Args:
        inherited: the open file of a lock that runs inherit too.

    Yields:
        The clone.
    """
    with ExitStack() as stack:
        for number in itertools.count():
            name = f"{socket.gethostname()}-{number}"
            try:
                handle = stack.enter_context(locked(FOLDER / f"{name}.lock", wait=False))
            except BlockingIOError:
                continue
            break
        yield Clone(FOLDER / name, [inherited, handle])
