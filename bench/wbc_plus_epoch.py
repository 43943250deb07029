"""An epoch of WBC+ over the same images every time, from files to weights, against a straightforward one."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader

from bench import straightforward
from bench.images import write_course
from bench.measure import Contender, Work, is_quick, median_ratio, race, show
from bench.ours import Trainer, cpu, published
from leuko.models.autoencoder import PrccAutoencoder
from leuko.models.plus import WbcPlusNet
from leuko.models.tissue import Cam16Net
from leuko.packs.augmentation import Pose
from leuko.packs.writing import write_pack
from leuko.training.device import to_device
from leuko.training.inputs import Concat, FeatureCache, FrozenEncoder
from leuko.training.parts import images_of
from leuko.training.tasks import Part

BATCH = 16


def sizes(quick: bool) -> dict[str, int]:
    """The published sides of the images."""
    return {"wbc": 64, "prcc": 128, "cam16": 64} if quick else {"wbc": 256, "prcc": 512, "cam16": 224}


def theirs(files: Sequence[Path], quick: bool) -> Work:
    """One straightforward epoch."""
    trainer = straightforward.Trainer(straightforward.Plus(), 100_000)
    photographs = straightforward.Photographs(files, tuple(sizes(quick).values()), 5)
    loader = DataLoader(photographs, BATCH, shuffle=True)

    def epoch() -> None:
        for inputs, labels in loader:
            trainer.step(inputs, labels)

    return epoch


def ours(files: Sequence[Path], quick: bool) -> Work:
    """One epoch of ours."""
    model = network()
    return Trainer(model, part_of(model, files, quick)).epoch


def once(files: Sequence[Path], quick: bool) -> Work:
    """What we do once, before the first epoch: packing and encoding."""
    model = network()

    def prepare() -> None:
        part_of(model, files, quick)

    return prepare


def network() -> WbcPlusNet:
    """WBC+ around networks that were never trained, as a stage sets it up."""
    model = WbcPlusNet(PrccAutoencoder().encoder, Cam16Net(freeze=True), 5).eval()
    to_device(model, cpu())
    return model


def part_of(model: WbcPlusNet, files: Sequence[Path], quick: bool) -> Part:
    """Decode and resize all images, and keep what the frozen networks make of them."""
    device = torch.device("cpu")
    folder = Path(tempfile.mkdtemp(dir=files[0].parents[5]))
    rows = pd.DataFrame({"class": "", "subset": 0, "path": [file.name for file in files], "source": "", "group": ""})
    write_pack(folder, rows, files, [[Pose()]] * len(files), sizes(quick), "packing")
    images = {name: images_of(folder, name, np.arange(len(files)), device) for name in sizes(quick)}
    bank = FeatureCache(FrozenEncoder(model.encode, images["prcc"], images["cam16"]), 1, folder)
    return Part(Concat(images["wbc"], bank), torch.arange(len(files)) % 5, len(files))


def main() -> None:
    """Measure."""
    quick = is_quick(__doc__ or "")
    n_images, side = (16, 64) if quick else (48, 575)
    epochs = published().wbc_plus.epochs
    with tempfile.TemporaryDirectory() as folder:
        write_course(Path(folder) / "course", side=side, cells=n_images, others=1)
        files = sorted((Path(folder) / "course/WBC_100/train/data").rglob("*.jpg"))[:n_images]
        seconds = race(
            {
                "theirs": Contender(theirs, (files, quick)),
                "ours": Contender(ours, (files, quick)),
                "once": Contender(once, (files, quick)),
            },
            1 if quick else 3,
        )
    shared = [epoch + once / epochs for epoch, once in zip(seconds["ours"], seconds["once"], strict=True)]
    rows: list[list[str | float]] = []
    for name, part in (("alone", seconds["ours"]), (f"with its share of packing and encoding, 1/{epochs}", shared)):
        speeds = [n_images / sorted(times)[len(times) // 2] for times in (part, seconds["theirs"])]
        rows.append([name, *speeds, median_ratio(seconds["theirs"], part)])
    show(["WBC+ epoch", "ours, images/s", "straightforward, images/s", "ratio"], rows)


if __name__ == "__main__":
    main()
