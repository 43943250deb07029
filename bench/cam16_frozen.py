"""Training the tissue classifier on a frozen ResNet-18, the whole run, against a straightforward one."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from bench import straightforward
from bench.images import write_course
from bench.measure import Contender, Work, is_quick, median_ratio, race, show
from bench.ours import cpu, published
from leuko.models.tissue import Cam16Net
from leuko.packs.augmentation import Pose
from leuko.packs.writing import write_pack
from leuko.training.device import to_device
from leuko.training.inputs import FeatureCache, FrozenEncoder
from leuko.training.loop import fit
from leuko.training.parts import images_of
from leuko.training.tasks import Classification, Part


def theirs(files: Sequence[Path], side: int) -> Work:
    """One straightforward epoch of training."""
    trainer = straightforward.Trainer(straightforward.Tissue(), 100_000)
    loader = DataLoader(straightforward.Photographs(files, [side], 2), published().cam16.batch_size, shuffle=True)

    def epoch() -> None:
        for inputs, labels in loader:
            trainer.step(inputs, labels)

    return epoch


def ours(files: Sequence[Path], side: int) -> Work:
    """The whole run: packing, encoding, and every epoch with its validation, on the same images."""
    device = cpu()
    folder = Path(tempfile.mkdtemp(dir=files[0].parents[5]))

    def run() -> None:
        model = Cam16Net(freeze=True)
        to_device(model, device).train()

        def features(pixels: Tensor) -> tuple[Tensor]:
            return (model.backbone_features(pixels),)

        names = [file.name for file in files]
        rows = pd.DataFrame({"class": "", "subset": 0, "path": names, "source": "", "group": ""})
        write_pack(folder, rows, files, [[Pose()]] * len(files), {"cam16": side}, "packing")
        images = images_of(folder, "cam16", np.arange(len(files)), device)
        part = Part(
            FeatureCache(FrozenEncoder(features, images), n_orientations=1), torch.arange(len(files)) % 2, len(files)
        )
        task = Classification(nn.Sequential(model.bottleneck, model.head), part, part)
        fit(task, published().cam16, seed=0, title="CAM16")

    return run


def main() -> None:
    """Measure."""
    quick = is_quick(__doc__ or "")
    n_images, side, large = (8, 32, 64) if quick else (96, 224, 384)
    epochs = published().cam16.epochs
    with tempfile.TemporaryDirectory() as folder:
        write_course(Path(folder) / "course", side=large, cells=1, others=n_images // 2)
        files = sorted((Path(folder) / "course/CAM16_100cls_10mask/train/data").rglob("*.jpg"))[:n_images]
        contenders = {"theirs": Contender(theirs, (files, side)), "ours": Contender(ours, (files, side))}
        seconds = race(contenders, 1 if quick else 3)
    run = [epochs * epoch for epoch in seconds["theirs"]]
    times = [sorted(part)[len(part) // 2] for part in (seconds["ours"], run)]
    show(
        [f"frozen CAM16, {epochs} epochs of {n_images} images", "ours, s", "straightforward, s", "ratio"],
        [
            [
                "whole run (straightforward: one epoch's time, for all of them)",
                *times,
                median_ratio(run, seconds["ours"]),
            ]
        ],
    )


if __name__ == "__main__":
    main()
