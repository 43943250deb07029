"""Training steps in bfloat16 against single precision, on a CPU that has instructions for it."""

from __future__ import annotations

import numpy as np
import torch

from bench.measure import Contender, Work, is_quick, median_ratio, race, show
from bench.ours import Trainer, cpu, published
from leuko.models.base import WbcNet
from leuko.models.encoders import PooledEncoder, TransferNet
from leuko.training.device import takes_bfloat16
from leuko.training.inputs import Images
from leuko.training.tasks import Part

STEPS = 8
PRECISIONS = ("float32", "bfloat16")


def step(network: str, side: int, batch: int, precision: str) -> Work:
    """Some training steps of a network, fetching the images included."""
    device = cpu()
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (STEPS * batch, side, side, 3), dtype=np.uint8)
    labels = torch.as_tensor(rng.integers(0, 5, len(pixels)))
    part = Part(Images(pixels, np.arange(len(pixels)), device), labels, batch)
    model = WbcNet(5) if network == "base" else TransferNet(PooledEncoder(width=24), 5)
    return Trainer(model, part, published().compute.model_copy(update={"precision": precision})).epoch


def main() -> None:
    """Measure, if the CPU has the instructions."""
    quick = is_quick(__doc__ or "")
    if not takes_bfloat16(torch.device("cpu"), published().compute):
        print("This CPU has no instructions for bfloat16: nothing to measure.\n")
        return
    rows: list[list[str | float]] = []
    for network, side, batch in (("base", 64, 16), ("base", 128, 16), ("pooled encoder", 64, 32)):
        contenders = {precision: Contender(step, (network, side, batch, precision)) for precision in PRECISIONS}
        seconds = race(contenders, 1 if quick else 7)
        speeds = [STEPS * batch / sorted(seconds[name])[len(seconds[name]) // 2] for name in PRECISIONS]
        rows.append([f"{network}, {side} x {side}", *speeds, median_ratio(seconds["float32"], seconds["bfloat16"])])
    show(["training step", "float32, images/s", "bfloat16, images/s", "ratio"], rows)


if __name__ == "__main__":
    main()
