"""How freed memory is kept."""

from __future__ import annotations

import ctypes
import platform


def keep_freed_memory() -> None:
    """Let the C library keep freed memory for what comes next instead of handing it back to the system.

    A training step frees and allocates hundreds of megabytes, and an image a few. By default glibc returns such blocks
    at once, and the kernel clears every page anew: 40 % of the time of a step on a CPU. Threads share one heap, as only
    that one can grow without end. Elsewhere than on Linux with glibc, nothing is done.
    """
    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc":
        return
    m_trim_threshold, m_top_pad, m_mmap_max, m_arena_max = -1, -2, -4, -8
    libc = ctypes.CDLL(None)
    libc.mallopt(m_mmap_max, 0)
    libc.mallopt(m_trim_threshold, 2**31 - 1)
    libc.mallopt(m_top_pad, 2**28)
    libc.mallopt(m_arena_max, 1)
