"""Finding pictures that a data set has twice: by the index, and by a look at every pair.

Reading the images is not part of it. One image in twenty is a copy of another one: rotated, mirrored, with other grain.
Beside these, fingerprints are near each other in three of a million pairs; of public images of blood cells, in one.
"""

from __future__ import annotations

import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.images import SUBSETS
from bench.measure import is_quick, show
from leuko.core.memory import keep_freed_memory
from leuko.core.parallel import map_images
from leuko.data.duplicates import NEAR, SAME, as_pixels, correlations, fingerprints, same_pictures, standardise
from leuko.data.images import Pixels, probe_image
from leuko.demo import draw_demo

COPIES = 20
"""One image in so many is a copy."""
BLOCK = 512


def demo_thumbnails(fraction: float) -> Pixels:
    """The thumbnails of the demo's images."""
    with tempfile.TemporaryDirectory() as folder:
        draw_demo(Path(folder), seed=0, fraction=fraction)
        files = [path for path in sorted(Path(folder).rglob("*.jpg")) if not {"mask", *SUBSETS} & set(path.parts)]
        return as_pixels([probe.thumbnail() for probe in map_images(probe_image, files, "reading")])


def mixed(pictures: Pixels, count: int) -> Pixels:
    """Pictures with another one shining through, so that only copies are alike, and copies of these.

    Args:
        pictures: shape (picture, side, side, 3).
        count: how many are wanted.

    Returns:
        Shape (count, side, side, 3).
    """
    rng = np.random.default_rng(0)
    images = np.empty((count, *pictures.shape[1:]), np.uint8)
    for number in range(count):
        if (number + 1) % COPIES:
            front, back = pictures[rng.integers(len(pictures), size=2)]
            share = rng.uniform(0.3, 0.5)
            image = front * (1 - share) + np.roll(back, rng.integers(len(back), size=2), (0, 1)) * share
        else:
            turned = np.rot90(images[rng.integers(number)], int(rng.integers(4)))
            image = turned[:, :: rng.choice((-1, 1))]
        images[number] = (image + rng.normal(0, 2, image.shape)).clip(0, 255)
    return images


def all_pairs(thumbnails: Pixels) -> NDArray[np.int64]:
    """What `same_pictures` finds, by comparing the fingerprints of every image with those of every other one."""
    images = standardise(thumbnails)
    prints = fingerprints(images)
    squared = np.square(prints).sum(axis=1)
    picture = np.arange(len(images))
    for start in range(0, len(images), BLOCK):
        distances = squared[start : start + BLOCK, None] + squared - 2 * prints[start : start + BLOCK] @ prints.T
        first, second = np.nonzero(distances < NEAR**2)
        first += start
        same = (first < second) & (correlations(images[first], images[second]) >= SAME)
        for one, other in zip(first[same], second[same], strict=True):
            picture[picture == picture[other]] = picture[one]
    return picture


def main() -> None:
    """Measure."""
    quick = is_quick(__doc__ or "")
    keep_freed_memory()
    few, many = (300, 600) if quick else (10_000, 100_000)
    thumbnails = mixed(demo_thumbnails(0.03 if quick else 0.3), many)
    rows: list[list[str | float]] = []
    for count in (few, many):
        start = time.perf_counter()
        found = same_pictures(thumbnails[:count])
        took = time.perf_counter() - start
        copies = count - len(np.unique(found))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        rows.append([f"{count}", took, "", f"{copies}", "", f"{peak:.1f}"])
        if count == few:
            start = time.perf_counter()
            expected = all_pairs(thumbnails[:count])
            rows[-1][2] = time.perf_counter() - start
            rows[-1][4] = "yes" if (pd.factorize(found)[0] == pd.factorize(expected)[0]).all() else "NO"
    show(["images", "index, s", "all pairs, s", "copies found", "the same findings", "peak memory, GB"], rows)


if __name__ == "__main__":
    main()
