"""A training step of the base network, at several sizes: images per second against a straightforward one."""

from __future__ import annotations

import numpy as np
import torch

from bench import straightforward
from bench.measure import Contender, Work, is_quick, median_ratio, race, show
from bench.ours import Trainer, cpu
from leuko.models.base import WbcNet
from leuko.training.inputs import Images
from leuko.training.tasks import Part

BATCH = 16


def theirs(side: int) -> Work:
    """One straightforward step on images that are already there."""
    trainer = straightforward.Trainer(straightforward.Base(), 100_000)
    images, labels = torch.rand(BATCH, 3, side, side), torch.randint(0, 5, (BATCH,))
    return lambda: trainer.step([images], labels)


def ours(side: int) -> Work:
    """One of our steps, fetching the images included."""
    device = cpu()
    pixels = np.random.default_rng(0).integers(0, 256, (BATCH, side, side, 3), dtype=np.uint8)
    part = Part(Images(pixels, np.arange(BATCH), device), torch.randint(0, 5, (BATCH,)), BATCH)
    return Trainer(WbcNet(5), part).epoch


def main() -> None:
    """Measure."""
    quick = is_quick(__doc__ or "")
    rows: list[list[str | float]] = []
    for side in (32,) if quick else (64, 128, 256):
        seconds = race({"ours": Contender(ours, (side,)), "theirs": Contender(theirs, (side,))}, 1 if quick else 7)
        speeds = [BATCH / sorted(seconds[name])[len(seconds[name]) // 2] for name in ("ours", "theirs")]
        rows.append([f"{side} x {side}", *speeds, median_ratio(seconds["theirs"], seconds["ours"])])
    show(["base training step", "ours, images/s", "straightforward, images/s", "ratio"], rows)


if __name__ == "__main__":
    main()
