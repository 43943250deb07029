"""Run a study with workers that are killed, and see whether it ends as one cell after the other does.

Three workers on this machine, one of them killed in the middle of a cell; then two workers started by hand in clones of
their own, against a scheduler on the loopback address, one of them killed in the middle of a cell.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.pipelines import Pipeline, add_options, kill, print_table

GRID = ("--splits", "10", "100", "--seeds", "3", "--no-report", "--set", "compute.threads=1")
"""With a number of threads, as digits depend on it; `auto` would be a worker's share of the cores."""

RESULTS = ("study/summary.json", "study/table.csv")
SCHEDULER = "tcp://127.0.0.1:8796"
PATIENCE = 1800  # seconds


def main() -> None:
    """Run the studies and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        print_table(trials(Path(name), small=options.small), "study", "took, s", "what came of it")


def trials(folder: Path, *, small: bool) -> list[tuple[str, str, str]]:
    """Run the study one cell after the other, with three workers, and on two hosts.

    Returns:
        A row for each.
    """
    alone = Pipeline(folder / "alone", small=small)
    _end(alone, alone.start("leuko", "study", "--seeds", "0", "--no-report"))  # makes what all cells share
    three, first, second = (alone.copy(folder / name) for name in ("three", "first", "second"))
    rows = []

    def compare(what: str, pipeline: Pipeline, study: Callable[[], None]) -> None:
        start = time.monotonic()
        study()
        took = time.monotonic() - start
        same = all((pipeline.folder / name).read_bytes() == (alone.folder / name).read_bytes() for name in RESULTS)
        rows.append((what, f"{took:.0f}", "same summary and table" if same else "OTHER summary or table"))
        print(*rows[-1], flush=True)

    def with_three() -> None:
        study = three.start("leuko", "study", *GRID, "--workers", "3")
        _kill_a_worker(three, "split10-seed0")
        _end(three, study)

    def on_two_hosts() -> None:
        study = first.start("leuko", "study", *GRID, "--scheduler", SCHEDULER)
        worker = _kill_a_worker(first, "split10-seed0")
        print(f"Killed the worker of {'second' if worker == workers[1].pid else 'first'}.", flush=True)
        _end(first, study)

    def again() -> None:
        shutil.rmtree(first.folder / "study/logs")
        _end(first, first.start("leuko", "study", *GRID, "--scheduler", SCHEDULER))
        if any("Running stage" in log.read_text(encoding="utf-8") for log in (first.folder / "study/logs").iterdir()):
            raise SystemExit("the second run of the study ran stages")

    compare("one cell after the other", alone, lambda: _end(alone, alone.start("leuko", "study", *GRID)))
    compare("three workers, one killed in a cell", three, with_three)
    port = SCHEDULER.rpartition(":")[2]
    scheduler = first.start("dask", "scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard")
    options = (SCHEDULER, "--nthreads", "1", "--no-nanny", "--no-dashboard")
    workers = [host.start("dask", "worker", *options) for host in (first, second)]
    try:
        compare("two clones as hosts, the worker of one killed in a cell", first, on_two_hosts)
        compare("the same again, with the other worker: no stage runs", first, again)
    finally:
        for process in (*workers, scheduler):
            kill(process)
    return rows


def _end(pipeline: Pipeline, process: subprocess.Popen[bytes]) -> None:
    """Wait for a command that has to succeed."""
    if process.wait(PATIENCE):
        raise SystemExit(pipeline.log.read_text(encoding="utf-8", errors="replace")[-5000:])


def _kill_a_worker(pipeline: Pipeline, cell: str) -> int:
    """Kill the worker that trains a cell, as soon as it has come to its fine-tuned networks; its process."""
    log = pipeline.folder / f"study/logs/{cell}.log"
    end = time.monotonic() + PATIENCE
    while not (log.exists() and "Running stage 'finetune" in log.read_text(encoding="utf-8", errors="replace")):
        if time.monotonic() > end:
            raise SystemExit(f"{cell} did not start")
        time.sleep(0.5)
    (job,) = [process for process in Path("/proc").glob("[0-9]*") if _holds(process, log)]
    worker = int((job / "stat").read_text().rpartition(")")[2].split()[1])
    os.kill(worker, signal.SIGKILL)
    return worker


def _holds(process: Path, log: Path) -> bool:
    """Whether a process is the job that writes a log, which its own stages write to as well."""
    try:
        return b"leuko.study.job" in (process / "cmdline").read_bytes() and (process / "fd/1").readlink() == log
    except OSError:  # it has ended
        return False


if __name__ == "__main__":
    main()
