"""All cores for work on many images."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tqdm import tqdm

from leuko.core.memory import keep_freed_memory

Item = TypeVar("Item")
Result = TypeVar("Result")


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
