"""How the cost grows with the number of images: packing, and an epoch of base."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from bench.images import write_course
from bench.measure import is_quick, show
from bench.ours import Trainer, cpu, published
from leuko.data.survey import survey_data
from leuko.models.base import WbcNet
from leuko.packs.augmentation import Pose
from leuko.packs.writing import write_pack
from leuko.training.parts import images_of
from leuko.training.tasks import Part

SIDE = 64


def main() -> None:
    """Measure."""
    quick = is_quick(__doc__ or "")
    device = cpu()
    rows: list[list[str | float]] = []
    for n_images in (20, 40) if quick else (500, 1000, 2000, 4000, 8000):  # the first one warms up
        with tempfile.TemporaryDirectory() as folder:
            course, pack = Path(folder) / "course", Path(folder) / "pack"
            write_course(course, side=4 * SIDE, cells=n_images, others=1)
            times = [time.perf_counter()]
            settings = published()
            options = settings.ingest.model_dump()
            manifest = survey_data(course, classes=settings.classes, synonyms={}, **options).manifest
            times.append(time.perf_counter())
            cells = manifest[(manifest["set"] == "wbc") & (manifest["part"] == "train")][:n_images]
            files = [course / path for path in cells["path"]]
            write_pack(pack, pd.DataFrame(cells), files, [[Pose()]] * n_images, {"wbc": SIDE}, "packing")
            times.append(time.perf_counter())
            images = images_of(pack, "wbc", np.arange(n_images), device)
            Trainer(WbcNet(5), Part(images, torch.arange(n_images) % 5, n_images)).epoch()
            times.append(time.perf_counter())
        rows.append([f"{n_images}", *(1000 * float(took) / n_images for took in np.diff(times))])
    show(["images", "ingest, ms an image", "packing, ms an image", f"base epoch at {SIDE} px, ms an image"], rows[1:])


if __name__ == "__main__":
    main()
