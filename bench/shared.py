"""A training step of the base network beside processes that keep cores busy: how the threads wait for each other."""

from __future__ import annotations

import multiprocessing
import statistics

import torch

from bench.measure import Contender, Work, is_quick, race, show
from bench.train_step import BATCH, ours
from leuko.core.processor import SPIN_COUNT

N_STEPS = 10


def steps(side: int, threads: int) -> Work:
    """Several steps on so many threads."""
    step = ours(side)
    torch.set_num_threads(threads)

    def work() -> None:
        for _ in range(N_STEPS):
            step()

    return work


def spin() -> None:
    """Keep a core busy."""
    while True:
        pass


def main() -> None:
    """Measure."""
    quick = is_quick(__doc__ or "")
    side, rounds = (32, 1) if quick else (64, 5)
    contenders = {
        "two threads, GNU OpenMP's default": Contender(steps, (side, 2), {"GOMP_SPINCOUNT": "300000"}),
        "two threads that wait briefly": Contender(steps, (side, 2), {"GOMP_SPINCOUNT": SPIN_COUNT}),
        "one thread": Contender(steps, (side, 1)),
    }
    columns = []
    busy = [multiprocessing.Process(target=spin, daemon=True) for _ in range(2)]
    for process in (None, *busy):
        if process:
            process.start()
        seconds = race(contenders, rounds)
        columns.append([1000 * statistics.median(seconds[name]) / N_STEPS for name in contenders])
    for process in busy:
        process.kill()
    rows = [[name, *times] for name, times in zip(contenders, zip(*columns, strict=True), strict=True)]
    show([f"ms a step, {BATCH} images of {side} px, beside", "nothing", "one busy process", "two"], rows)


if __name__ == "__main__":
    main()
