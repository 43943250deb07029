"""Synthetic photographs in any number and size: the demo's, enlarged, overlaid, with grain."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from leuko.demo import draw_demo


def write_course(root: Path, *, side: int, cells: int, others: int) -> None:
    """Write a data set in the course layout, no image twice.

    Args:
        root: where to.
        side: of the images, in pixels.
        cells: the least number of blood cells to train on.
        others: how many versions of every other image of the smallest demo data set there are.
    """
    rng = np.random.default_rng(0)
    grain = rng.normal(0, 4, (side, side, 3)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        demo = Path(folder)
        draw_demo(demo, seed=0, fraction=0.03)
        # Ingest draws the subsets itself.
        files = [path for path in demo.rglob("*.jpg") if path.relative_to(demo).parts[0] not in SUBSETS]
        pictures = {path: _enlarged(path, side) for path in files}
        n_cells = len(list(demo.glob("WBC_100/train/data/*/*.jpg")))
        for path, picture in pictures.items():
            place = root / path.relative_to(demo)
            place.parent.mkdir(parents=True, exist_ok=True)
            is_mask = "mask" in place.parts
            is_cell = place.is_relative_to(root / "WBC_100/train")
            others_like_it = [other for name, other in pictures.items() if name.parent == path.parent]
            # Of the smallest demo data set every other image has a mask, of the course's one in ten.
            for copy in range(0, -(-cells // n_cells) if is_cell else others, 5 if is_mask else 1):
                if not is_mask:
                    picture = _photograph(pictures[path], others_like_it[rng.integers(len(others_like_it))], grain, rng)
                Image.fromarray(picture).save(place.with_stem(f"{place.stem}_{copy:05}"), quality=90)


SUBSETS = ("WBC_1", "WBC_10", "WBC_50")


def _enlarged(path: Path, side: int) -> NDArray[np.uint8]:
    """An image or mask at the wanted size."""
    return np.asarray(Image.open(path).resize((side, side), Image.Resampling.BICUBIC))


def _photograph(
    image: NDArray[np.uint8], other: NDArray[np.uint8], grain: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.uint8]:
    """An image with another one shining through, so that none is like it, as hard to decode as a camera's."""
    side, share = len(image), rng.uniform(0.2, 0.5)
    through, noise = (np.roll(part, rng.integers(side, size=2), (0, 1)) for part in (other, grain))
    return (image * (1 - share) + through * share + noise).clip(0, 255).astype(np.uint8)
