"""A run of the pipeline as a process of its own, which ends when the one that started it does.

That one may be the study, or a worker of a Dask cluster. It holds a pipe to the process's input: when it is gone,
however it went, the pipe ends, and so does the run, for another worker to take up. `run_job` is sent to workers with
all that it needs of this module, so that the folder they start in does not matter.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

CORES = "LEUKO_CORES"
"""The variable of a worker's environment with the cores that its jobs keep to, such as `0,1`."""

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Job:
    """A run.

    Attributes:
        workspace: the folder of the project, which all machines must see under this name.
        experiment: the name of the DVC experiment.
        changes: of settings, as `key=value`; later ones win.
        stages: the last stages.
        commit: of the workspace.
        state: the commit with the workspace's files.
        cache: the folder of the workspace's DVC cache.
        log: the file for all that it says, which is added to.
        threads: the study's variables that say how many threads libraries use, as digits may depend on them.
    """

    workspace: str
    experiment: str
    changes: list[str]
    stages: list[str]
    commit: str
    state: str
    cache: str
    log: str
    threads: dict[str, str]


def run_job(job: Job) -> tuple[bool, float]:
    """Run a job in a process of its own, and wait for its end.

    On a worker that was given a share of the cores, it keeps to that.

    Returns:
        Whether it succeeded, and how many seconds it took.

    Raises:
        FileNotFoundError: if this machine does not see the workspace.
    """
    if not Path(job.workspace).is_dir():
        raise FileNotFoundError(f"{socket.gethostname()} has no such folder")
    start = time.monotonic()
    # Dask sets variables of its workers that the study's own runs would not have.
    environment = {name: value for name, value in os.environ.items() if name not in THREADS} | job.threads
    log = Path(job.workspace) / job.log
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "leuko.study.job"],
            cwd=job.workspace,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C goes to the study, which ends it
        )
    assert process.stdin
    if cores := os.environ.get(CORES):
        os.sched_setaffinity(process.pid, map(int, cores.split(",")))
    try:
        process.stdin.write(json.dumps(asdict(job)).encode() + b"\n")
        process.stdin.flush()
        return process.wait() == 0, time.monotonic() - start
    finally:
        process.stdin.close()
        process.wait()


def main() -> None:
    """Run the job that standard input names.

    Raises:
        LeukoError: if it fails.
    """
    # Here, as workers that know nothing of this project have the other function only.
    import yaml

    from leuko.core.errors import LeukoError
    from leuko.study.clone import FOLDER, free_clone, locked

    signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts in the background ignores it
    job = Job(**json.loads(sys.stdin.readline()))
    threading.Thread(target=_interrupt_at_end_of_input, daemon=True).start()
    # If only this process is killed, its run goes on with the lock, and the next one for it waits.
    with locked(FOLDER / f"{job.experiment}.lock", wait=True) as lock, free_clone(lock) as clone:
        resume = FOLDER / "resume" / job.experiment
        clone.update(job.commit, job.state, job.cache, resume)
        succeeded = clone.run(job.experiment, job.changes, job.stages)
        clone.hand_over()
        if not succeeded:
            settings = yaml.safe_load((clone.folder / "params.yaml").read_text(encoding="utf-8"))
            laboratories = {f"external.{name}": path for name, path in settings["external"].items()}
            lacks = [
                f" It has no {path}; give {key} an absolute path."
                for key, path in ({"data_root": settings["data_root"]} | laboratories).items()
                if not Path(path).is_absolute() and not (clone.folder / path).exists()
            ]
            raise LeukoError(f"The run failed in {clone.folder}.{''.join(lacks)}")
        shutil.rmtree(resume)


def _interrupt_at_end_of_input() -> None:
    """Interrupt this process when the one that started it is gone, or closes the pipe."""
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    from leuko.core.errors import run

    run(main)
