"""Measuring side by side: each contender in a process of its own, all of them taking turns."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from types import MappingProxyType
from typing import Any, NamedTuple
from unittest.mock import patch

Work = Callable[[], None]


class Contender(NamedTuple):
    """What is measured.

    Attributes:
        prepare: a function of a module; makes the work, in the contender's own process, untimed.
        arguments: of `prepare`.
        environment: further variables of that process.
    """

    prepare: Callable[..., Work]
    arguments: tuple[Any, ...] = ()
    environment: Mapping[str, str] = MappingProxyType({})


def race(contenders: Mapping[str, Contender], rounds: int) -> dict[str, list[float]]:
    """Let contenders take turns, after one turn each that is not counted.

    Each has a process of its own, since how memory is kept is a matter of the process. While one works the others
    wait, so a slow minute of the machine strikes all of them.

    Args:
        contenders: by name.
        rounds: how many turns each has.

    Returns:
        By name, the seconds of every turn.
    """
    context = multiprocessing.get_context("spawn")
    pipes: dict[str, Connection] = {}
    for name, contender in contenders.items():
        pipes[name], theirs = context.Pipe()
        process = context.Process(target=_take_turns, args=(theirs, contender[:2]), daemon=True)
        with patch.dict(os.environ, contender.environment):
            process.start()
        theirs.close()  # so that reading here ends when the process dies
        pipes[name].recv()
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, pipe in pipes.items():
            pipe.send(True)
            seconds[name].append(pipe.recv())
    for pipe in pipes.values():
        pipe.send(False)
    return seconds


def _take_turns(pipe: Connection, preparation: tuple[Callable[..., Work], tuple[Any, ...]]) -> None:
    prepare, arguments = preparation
    work = prepare(*arguments)
    work()
    pipe.send("ready")
    while pipe.recv():
        start = time.perf_counter()
        work()
        pipe.send(time.perf_counter() - start)


def median_ratio(slower: Sequence[float], faster: Sequence[float]) -> float:
    """The median over the rounds of how many times as long one took as the other."""
    return statistics.median(long / short for long, short in zip(slower, faster, strict=True))


def show(heads: Sequence[str], rows: Sequence[Sequence[str | float]]) -> None:
    """Print a table in Markdown; numbers have three significant digits."""
    lines = [[f"{cell:.3g}" if isinstance(cell, float) else cell for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(heads, *lines, strict=True)]
    for line in (heads, ["-" * width for width in widths], *lines):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |")
    print(flush=True)


def is_quick(description: str) -> bool:
    """Read the one option of every program: whether to run at a tiny size, only to see that it runs."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="a tiny size, in seconds; the figures mean nothing")
    return bool(parser.parse_args().quick)
