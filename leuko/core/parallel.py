"""All cores for work on many images."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import cache
from multiprocessing import get_context
from typing import TypeVar

from tqdm import tqdm

from leuko.core.memory import keep_freed_memory

Item = TypeVar("Item")
Result = TypeVar("Result")

ITEMS_PER_PROCESS = 32
"""A process takes as long to start as so many images take to measure."""


def n_cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def map_images(
    function: Callable[[Item], Result], items: Sequence[Item], title: str, unit: str = "image"
) -> list[Result]:
    """Apply a function to every item on all cores, with a progress bar.

    Threads serve well here: Pillow and hashlib release Python's lock while they decode, resize and hash.

    Args:
        function: what to do with an item.
        items: the items.
        title: what the progress bar says.
        unit: what the progress bar counts.

    Returns:
        The results in the order of the items. The first error ends the work and is raised.
    """
    keep_freed_memory()
    with ThreadPoolExecutor(n_cores()) as pool:
        try:
            results = pool.map(function, items)
            return list(tqdm(results, title, len(items), unit=unit, leave=True, disable=None))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def imap_in_processes(
    function: Callable[[Item], Result], items: Sequence[Item], title: str, unit: str = "image"
) -> Iterator[Result]:
    """Apply a function to every item on all cores, with a progress bar, and give the results as they come.

    For work that holds Python's lock, such as many small steps of NumPy.

    Args:
        function: what to do with an item; it and the items are pickled.
        items: the items.
        title: what the progress bar says.
        unit: what the progress bar counts.

    Yields:
        The results in the order of the items. The first error ends the work and is raised.
    """
    results: Iterator[Result]
    if min(n_cores(), len(items) // ITEMS_PER_PROCESS) <= 1:
        results = map(function, items)
    else:
        at_a_time = max(ITEMS_PER_PROCESS // 4, len(items) // (16 * n_cores()))
        results = _processes().map(function, items, chunksize=at_a_time)
    yield from tqdm(results, title, len(items), unit=unit, leave=True, disable=None)


@cache
def _processes() -> Executor:
    """The processes, which start once: they take longer for that than for many an image."""
    return ProcessPoolExecutor(n_cores(), get_context("spawn"))  # not forked, which is unsafe beside threads


def imap_bounded(
    function: Callable[[Item], Result], items: Iterable[Item], in_flight: int, *, processes: bool
) -> Iterator[Result]:
    """Apply a function to items on all cores, never far ahead of whoever takes the results.

    Args:
        function: what to do with an item; for processes it and the items are pickled.
        items: however many there are.
        in_flight: at most so many are worked on or wait to be taken.
        processes: for work that holds Python's lock; else threads do it.

    Yields:
        The results in the order of the items. The first error ends the work and is raised.
    """
    pool: Executor = (
        ProcessPoolExecutor(n_cores(), get_context("spawn")) if processes else ThreadPoolExecutor(n_cores())
    )
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) == in_flight:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
