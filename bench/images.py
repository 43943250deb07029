"""Synthetic photographs in any number and size: the demo's, enlarged, with grain, and copied."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from leuko.demo import draw_demo


def write_course(root: Path, *, side: int, cells: int, others: int) -> None:
    """Write a data set in the course layout.

    Args:
        root: where to.
        side: of the images, in pixels.
        cells: the least number of blood cells to train on.
        others: how many copies of every other image of the smallest demo data set there are.
    """
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        demo = Path(folder)
        draw_demo(demo, seed=0, fraction=0.03)
        # Ingest draws the subsets itself.
        files = [path for path in demo.rglob("*.jpg") if path.relative_to(demo).parts[0] not in SUBSETS]
        n_cells = len(list(demo.glob("WBC_100/train/data/*/*.jpg")))
        for path in files:
            place = root / path.relative_to(demo)
            place.parent.mkdir(parents=True, exist_ok=True)
            content = _photograph(path, side, rng)
            is_cell = place.is_relative_to(root / "WBC_100/train")
            # Of the smallest demo data set every other image has a mask, of the course's one in ten.
            step = 5 if "mask" in place.parts else 1
            for copy in range(0, -(-cells // n_cells) if is_cell else others, step):
                place.with_stem(f"{place.stem}_{copy:05}").write_bytes(content)


SUBSETS = ("WBC_1", "WBC_10", "WBC_50")


def _photograph(path: Path, side: int, rng: np.random.Generator) -> bytes:
    """An image or mask enlarged; images get grain, so that they are as hard to decode as a camera's."""
    image = Image.open(path).resize((side, side), Image.Resampling.BICUBIC)
    if image.mode == "RGB":
        grain = rng.normal(0, 4, (side, side, 3))
        image = Image.fromarray((np.asarray(image) + grain).clip(0, 255).astype(np.uint8))
    content = io.BytesIO()
    image.save(content, "JPEG", quality=90)
    return content.getvalue()
