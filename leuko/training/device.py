"""The machine: what computes, with how many threads and processes, where chance comes from."""

from __future__ import annotations

import torch
from torch import nn

from leuko.core.errors import LeukoError
from leuko.core.memory import keep_freed_memory
from leuko.core.params.compute import Compute
from leuko.models.fast import speed_up
from leuko.training import distributed


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
    keep_freed_memory()
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
    return distributed.join(device)


def takes_bfloat16(device: torch.device, compute: Compute) -> bool:
    """Whether networks are trained in bfloat16: as the settings say or, by `auto`, where the device is made for it.

    Args:
        device: where they are trained.
        compute: how to compute.

    Returns:
        By `auto`, true on a GPU, and on a CPU whose instructions include bfloat16's, if it may use all that it has.
    """
    if compute.precision != "auto":
        return compute.precision == "bfloat16"
    if device.type == "cpu":
        known = torch.cpu.get_capabilities()
        return compute.processor == "native" and any(known.get(name, False) for name in ("avx512_bf16", "amx_bf16"))
    return device.type == "cuda"


def autocast(device: torch.device, bfloat16: bool) -> torch.autocast:
    """Let matrix units work on bfloat16, if that is wanted."""
    return torch.autocast(device.type, torch.bfloat16, enabled=bfloat16)


def to_device(model: nn.Module, device: torch.device) -> nn.Module:
    """Move a network to a device and make it compute fast there.

    Its weights are stored channels last, as convolutions want them; on a CPU some layers are replaced by faster ones.

    Args:
        model: the network, changed in place.
        device: the device.

    Returns:
        The network.
    """
    if device.type == "cpu":
        speed_up(model)
    # PyTorch's stubs lack this way of calling `to`.
    return model.to(device).to(memory_format=torch.channels_last)
