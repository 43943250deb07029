"""The machine: which device computes, how memory is kept, where chance comes from."""

from __future__ import annotations

import ctypes
import os
import platform

import torch
from torch import nn

from leuko.errors import LeukoError


def set_up(device: str, seed: int) -> torch.device:
    """Prepare this process for training or scoring.

    Args:
        device: `auto` for the best there is, or `cpu`, `cuda`, `mps`.
        seed: of PyTorch's global generator, from which initial weights come.

    Returns:
        The device to compute on.

    Raises:
        LeukoError: if the device is not there, or several processes were started.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise LeukoError("launcher: starts several processes, but a training runs in one; use python")
    _keep_freed_memory()
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
    return torch.device(device)


def half_precision(device: torch.device) -> torch.autocast:
    """Where a GPU computes, its matrix units work on bfloat16; anywhere else nothing changes."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")


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
