"""The machine: what computes, with how many threads and processes, how memory is kept, where chance comes from."""

from __future__ import annotations

import ctypes
import platform

import torch
from torch import nn

from leuko import processes
from leuko.errors import LeukoError
from leuko.params import Compute


def set_up(device: str, compute: Compute, seed: int) -> torch.device:
    """Prepare this process for training or scoring.

    Started by torchrun, it joins the other processes; each has a GPU of its own where there are GPUs.

    Args:
        device: `auto` for the best there is, or `cpu`, `cuda`, `mps`.
        compute: how to compute.
        seed: of PyTorch's global generator, from which initial weights come.

    Returns:
        The device to compute on.

    Raises:
        LeukoError: if the device is not there.
    """
    _keep_freed_memory()
    if compute.threads != "auto":
        torch.set_num_threads(compute.threads)
    torch.manual_seed(seed)
    # Convolutions chosen by trial runs, or adding in any order, would make equal runs differ.
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        device = next(name for name, there in available.items() if there)
    if not available[device]:
        there = ", ".join(name for name, is_there in available.items() if is_there)
        raise LeukoError(f"device: {device} is not available on this machine; there is {there} (or auto)")
    return processes.join(device)


def half_precision(device: torch.device, precision: str) -> torch.autocast:
    """Let matrix units work on bfloat16 where that is wanted: by `auto`, on a GPU."""
    wanted = device.type == "cuda" if precision == "auto" else precision == "bfloat16"
    return torch.autocast(device.type, torch.bfloat16, enabled=wanted)


def placed(model: nn.Module, device: torch.device) -> nn.Module:
    """Move a network to a device, its weights laid out as convolutions compute fastest: channels last."""
    return model.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _keep_freed_memory() -> None:
    """Let the C library keep freed memory for the next step instead of handing it back to the system.

    A training step frees and allocates hundreds of megabytes. By default glibc returns such blocks at once, and the
    kernel clears every page anew: 40 % of the time of a step on a CPU. Elsewhere than on Linux with glibc, nothing
    is done.
    """
    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc":
        return
    m_trim_threshold, m_top_pad, m_mmap_max = -1, -2, -4
    libc = ctypes.CDLL(None)
    libc.mallopt(m_mmap_max, 0)
    libc.mallopt(m_trim_threshold, 2**31 - 1)
    libc.mallopt(m_top_pad, 2**28)
