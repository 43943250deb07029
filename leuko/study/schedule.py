"""Which cell runs when: in the order of the grid, as many at a time as there are workers; one that fails, once more."""

from __future__ import annotations

import sys
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from tqdm import tqdm

from leuko.core.errors import LeukoError
from leuko.study.cells import Cell
from leuko.study.job import Job
from leuko.study.runners import Runner

ATTEMPTS = 2
NO_WORKERS = "There are no workers; the study waits for some to join. Ctrl-C ends it, and what is finished is kept."


class _Watch:
    """Says when there are no workers, once each time, as a study waits for them however long it takes."""

    def __init__(self) -> None:
        self._idle = False

    def look(self, n_workers: int) -> None:
        """Take notice of how many workers there are."""
        if self._idle != (n_workers == 0):
            self._idle = not self._idle
            tqdm.write(NO_WORKERS if self._idle else f"Workers: {n_workers}. The study goes on.")
            sys.stdout.flush()


def prepare(runner: Runner, job: Job) -> None:
    """Run what comes before all cells.

    Args:
        runner: what runs jobs.
        job: the preparation; done before, it takes seconds.

    Raises:
        LeukoError: if it fails: settings or data are not as they should be, or a training failed.
    """
    Path(job.log).unlink(missing_ok=True)
    runner.start(job)
    watch = _Watch()
    while (done := runner.next_done()) is None:
        watch.look(runner.n_workers())
    _, succeeded, _ = done
    if not succeeded:
        raise LeukoError(f"What all cells share could not be made. {job.log} ends:\n{tail(Path(job.log))}")


def run_cells(
    runner: Runner, cells: Sequence[Cell], total: int, job_of: Callable[[Cell], Job], keep: Callable[[Cell], list[str]]
) -> list[str]:
    """Run cells; one that fails does not keep the others from running, and comes once more after them.

    Args:
        runner: what runs jobs.
        cells: in the order in which they start.
        total: how many cells the study has, with those that are there.
        job_of: what runs a cell.
        keep: keeps the results of a cell that ran, and says why if it cannot.

    Returns:
        For every cell that failed, what it said last.
    """
    failures: list[str] = []
    attempts: Counter[Cell] = Counter()
    took: dict[Cell, float] = {}
    waiting, running = deque(cells), dict[str, Cell]()
    watch = _Watch()
    with tqdm(total=total, initial=total - len(cells), desc="study", unit="cell", disable=None) as bar:
        while waiting or running:
            n_workers = runner.n_workers()
            watch.look(n_workers)
            while waiting and len(running) < n_workers:
                cell = waiting.popleft()
                attempts[cell] += 1
                job = job_of(cell)
                if attempts[cell] == 1:
                    Path(job.log).unlink(missing_ok=True)
                running[job.experiment] = cell
                runner.start(job)
            if not running:
                time.sleep(1)
                continue
            done = runner.next_done()
            if done is None:
                continue
            job, succeeded, seconds = done
            cell = running.pop(job.experiment)
            reasons = keep(cell) if succeeded else [f"\n{tail(Path(job.log))}"]
            if not reasons:
                took[cell] = seconds
                said = f"done in {tqdm.format_interval(seconds)}"
            elif attempts[cell] < ATTEMPTS:
                waiting.append(cell)
                said = f"failed and is tried once more at the end, {job.log}"
            else:
                failures.append(f"{cell.name}, {job.log}: {', '.join(reasons)}")
                said = f"failed again, {job.log}"
            to_go = [*running.values(), *waiting]
            left = tqdm.format_interval(seconds_left(took, to_go, n_workers)) if took else "?"
            tqdm.write(f"{cell.name} {said}; {len(to_go)} of {total} to go, about {left}")
            sys.stdout.flush()
            bar.update(cell not in waiting)
    return failures


def seconds_left(took: dict[Cell, float], to_go: Iterable[Cell], n_workers: int) -> float:
    """Estimate how long a study will go on.

    Args:
        took: the seconds of the cells that are done, at least one.
        to_go: the other cells.
        n_workers: how many run at a time.

    Returns:
        The seconds, as if cells took as long as those of the same split and families, or as all where there are none.
    """
    alike = defaultdict(list)
    for cell, seconds in took.items():
        alike[cell.split, cell.families].append(seconds)
    all_seconds = list(took.values())
    expected = [alike.get((cell.split, cell.families), all_seconds) for cell in to_go]
    return sum(sum(seconds) / len(seconds) for seconds in expected) / max(1, n_workers)


def tail(log: Path) -> str:
    """The last lines of a log, if there is one: a worker may have died before."""
    if not log.exists():
        return "    nothing"
    lines = log.read_text(encoding="utf-8", errors="replace").rstrip().splitlines()
    return "\n".join(f"    {line}" for line in lines[-12:])
