"""Images per second on a GPU, against the bandwidth bound, and what the published trainings would take there."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch import nn

from bench.measure import Work, is_quick, show
from bench.ours import published
from leuko.models.autoencoder import PrccAutoencoder
from leuko.models.base import WbcNet
from leuko.models.plus import WbcPlusNet
from leuko.models.tissue import Cam16Net
from leuko.training.device import autocast, set_up, to_device

BATCH = 16
N_TRAIN = 8447 + 842
"""Images of WBC-100, masked copies included."""
EPOCHS = {"base": 10, "WBC+": 14}
MOVED = {"base": 215e6}
"""Bytes that a training step moves per image, where every operation reads and writes its maps in bfloat16."""


def main() -> None:
    """Measure, if there is a GPU."""
    quick = is_quick(__doc__ or "")
    if not torch.cuda.is_available():
        print("No GPU here: nothing to measure.\n")
        return
    device = set_up("cuda", published().compute, 0)
    bandwidth = _bandwidth(device)
    print(f"{torch.cuda.get_device_name()}, copying at {bandwidth / 1e9:.0f} GB/s\n")
    plus = WbcPlusNet(PrccAutoencoder().encoder, Cam16Net(freeze=True), 5)
    images = torch.rand(BATCH, 3, 256, 256, device=device).contiguous(memory_format=torch.channels_last)
    large = torch.rand(BATCH, 3, 512, 512, device=device).contiguous(memory_format=torch.channels_last)
    latents = torch.rand(BATCH, 128, 64, 64, device=device).half().contiguous(memory_format=torch.channels_last)
    features = torch.rand(BATCH, 5, device=device).half()
    rows: list[list[str | float]] = []
    for name, model, inputs in (
        ("base", WbcNet(5), (images,)),
        ("WBC+", plus, (images, latents, features)),
        ("autoencoder", PrccAutoencoder(), (large,)),
    ):
        step = _step(to_device(model, device).train(), inputs)
        speed = BATCH / _seconds(step, 3 if quick else 100)
        bound = bandwidth / MOVED[name] if name in MOVED else ""
        training = EPOCHS[name] * N_TRAIN / speed if name in EPOCHS else ""
        rows.append([name, speed, bound, training])
    show(["training step", "images/s", "bandwidth bound, images/s", "the published training, s"], rows)


def _step(model: nn.Module, inputs: tuple[torch.Tensor, ...]) -> Work:
    """A training step towards nothing in particular, which costs what one towards a label costs."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=1e-4, fused=True)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with autocast(inputs[0].device, bfloat16=True):
            outputs = model(*inputs)
        outputs.float().square().mean().backward()
        optimizer.step()

    return step


def _seconds(work: Callable[[], object], times: int) -> float:
    """The median time of one of many calls, the device being waited for once in ten."""
    seconds = []
    for _ in range(times // 10 + 2):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(10):
            work()
        torch.cuda.synchronize()
        seconds.append((time.perf_counter() - start) / 10)
    return statistics.median(seconds[1:])


def _bandwidth(device: torch.device) -> float:
    """Bytes per second that a copy reads and writes."""
    source = torch.empty(2**28, device=device)
    target = torch.empty_like(source)
    return 2 * source.nbytes / _seconds(lambda: target.copy_(source), 100)


if __name__ == "__main__":
    main()
