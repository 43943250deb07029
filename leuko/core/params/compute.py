"""How to compute."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from leuko.core.params.group import Group


class Compute(Group):
    """How to compute, which shows in the last digits of all results.

    A long sum is divided among the `threads`, so their number decides its last digit; so do the instructions of the
    `processor`. `portable` keeps to AVX2, which x86-64 processors of all makes have; `native` takes the best there are.
    `auto` leaves the threads to PyTorch (one per core, or `OMP_NUM_THREADS`), and takes bfloat16 on a GPU and, for
    `native`, on a processor with instructions for it (AVX512-BF16, AMX). `compile` lets PyTorch fuse a network's
    layers, which takes about a minute first.
    """

    threads: Annotated[int, Field(ge=1, le=1024)] | Literal["auto"]
    processor: Literal["portable", "native"]
    precision: Literal["auto", "float32", "bfloat16"]
    compile: bool
