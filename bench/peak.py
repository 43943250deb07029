"""What the machine can do at most, and how much of it the base network's forward and backward pass reaches."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial

import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from bench.measure import is_quick, show
from bench.ours import cpu
from leuko.models.base import WbcNet
from leuko.training.device import to_device

BATCH = 16


def main() -> None:
    """Measure."""
    quick = is_quick(__doc__ or "")
    side, size = (32, 128) if quick else (256, 2048)
    device = cpu()
    torch.manual_seed(0)
    left, right = torch.rand(2, size, size)
    source, target = torch.rand(2, size * size * 8)
    tasks: dict[str, Callable[[], object]] = {
        "matrix product": lambda: left @ right,
        "copy": lambda: target.copy_(source),
    }
    amounts = {"matrix product": 2 * size**3, "copy": 2 * source.nbytes}
    # The network's own layers, and wider ones, which compute faster.
    for channels, width in ((64, side // 2), (64, side // 4), (128, side // 4)):
        maps = torch.rand(BATCH, channels, width, width).contiguous(memory_format=torch.channels_last)
        weights = torch.rand(channels, channels, 3, 3).contiguous(memory_format=torch.channels_last)
        name = f"convolution, {channels} channels, {width} x {width}"
        tasks[name] = partial(F.conv2d, maps, weights, padding=1)
        amounts[name] = 2 * maps.numel() * channels * 9
    net = to_device(WbcNet(5).train(), device)
    images = torch.rand(BATCH, 3, side, side).contiguous(memory_format=torch.channels_last)

    def forward_backward() -> None:
        net.zero_grad(set_to_none=True)
        net(images).sum().backward()

    with FlopCounterMode(display=False) as counter:
        forward_backward()
    base = f"base, forward and backward, {side} x {side}"
    tasks[base], amounts[base] = forward_backward, counter.get_total_flops()
    speeds = {name: amounts[name] / took / 1e9 for name, took in _seconds(tasks, 1 if quick else 7).items()}
    peak = max(speed for name, speed in speeds.items() if name.startswith("convolution"))
    show(
        ["", "GFLOP/s or GB/s", "share of the convolutions' peak, %"],
        [[name, speed, "" if name == "copy" else 100 * speed / peak] for name, speed in speeds.items()],
    )


def _seconds(tasks: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The median time of each task, all of them taking turns; the first two turns are not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(rounds + 2):
        for name, task in tasks.items():
            start = time.perf_counter()
            task()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(of_task[2:]) for name, of_task in seconds.items()}


if __name__ == "__main__":
    main()
