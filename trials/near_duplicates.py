"""How many copies of real images ingest finds, and how often it takes two images for one.

    python -m trials.near_duplicates /path/to/images

The folder is in the course layout. Some images are copied in many ways, in memory, and looked for among all images.
"""

from __future__ import annotations

import argparse
import io
import itertools
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from leuko.core.parallel import map_images
from leuko.core.params.everything import Params
from leuko.core.params.reading import load_params
from leuko.data.duplicates import as_pixels, same_pictures
from leuko.data.images import describe_image, probe_image, read_rgb, resize
from leuko.data.layout import discover

Change = Callable[[Image.Image], Image.Image]


def as_jpeg(quality: int, image: Image.Image) -> bytes:
    """An image as JPEG."""
    content = io.BytesIO()
    image.save(content, "JPEG", quality=quality)
    return content.getvalue()


def scaled(factor: float, image: Image.Image) -> Image.Image:
    """An image in another size."""
    return image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.BICUBIC)


def oriented(way: Image.Transpose, image: Image.Image) -> Image.Image:
    """An image mirrored or turned."""
    return image.transpose(way)


def small_and_mirrored(image: Image.Image) -> Image.Image:
    """An image changed in two ways."""
    return oriented(Image.Transpose.FLIP_LEFT_RIGHT, scaled(0.5, image))


CHANGES: dict[str, tuple[Change, int]] = {
    **{f"JPEG, quality {quality}": (lambda image: image, quality) for quality in (50, 60, 70, 80, 90)},
    **{f"size x {factor}": (partial(scaled, factor), 90) for factor in (0.5, 0.75, 1.25, 1.5)},
    **{way.name.lower().replace("_", " "): (partial(oriented, way), 90) for way in Image.Transpose},
    "half the size, mirrored, quality 50": (small_and_mirrored, 50),
}
"""Ways to copy: what is done to the image, and the quality of the JPEG file that it becomes."""


def difference(first: Path, second: Path) -> float:
    """The mean difference of two images' pixels at 128 x 128, 0 to 255, in the best of eight ways to lay them."""
    a, b = (resize(read_rgb(path), 128).astype(float) for path in (first, second))
    ways = (way for turns in range(4) for way in (np.rot90(b, turns), np.rot90(b, turns)[:, ::-1]))
    return min(float(np.abs(a - way).mean()) for way in ways)


def pairs(pictures: NDArray[np.int64]) -> set[tuple[int, int]]:
    """The pairs of images that are taken for one picture."""
    order = np.argsort(pictures, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(pictures[order])) + 1)
    return {pair for group in groups for pair in itertools.combinations(group.tolist(), 2)}


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(prog="python -m trials.near_duplicates", description=__doc__)
    parser.add_argument("root", type=Path, help="a folder in the course layout")
    parser.add_argument("--copied", type=int, default=200, help="how many images are copied")
    arguments = parser.parse_args()
    settings = load_params(Params)
    images, _ = discover(arguments.root, settings.classes, settings.synonyms)
    files = [arguments.root / image.path for image in images]
    started = time.process_time()
    thumbnails = [probe.thumbnail() for probe in map_images(probe_image, files, "reading")]
    read = time.process_time()
    known = pairs(same_pictures(as_pixels(thumbnails)))
    compared = time.process_time()
    n_pairs = len(files) * (len(files) - 1) // 2
    print(f"{len(files)} images; {1000 * (read - started) / len(files):.2f} ms of a core to read one")
    print(f"{n_pairs} pairs compared in {compared - started - (read - started):.1f} s of a core")
    print(f"taken for one picture: {len(known)} pairs ({100 * len(known) / n_pairs:.6f} %)")
    for first, second in sorted(known):
        names = " = ".join(images[number].path.as_posix() for number in (first, second))
        print(f"    {names}: pixels differ by {difference(files[first], files[second]):.1f} of 255")

    chosen = np.random.default_rng(0).choice(len(files), arguments.copied, replace=False)
    originals = [read_rgb(files[number]) for number in chosen]
    print("\n| copies | found | images beside the original taken for the copy |\n|---|---|---|")
    for name, (change, quality) in CHANGES.items():
        copies = [describe_image(as_jpeg(quality, change(image))).thumbnail() for image in originals]
        found = pairs(same_pictures(as_pixels([*thumbnails, *copies])))
        of_copies = {(first, second - len(files)) for first, second in found if first < len(files) <= second}
        right = {(int(number), copy) for copy, number in enumerate(chosen)}
        wrong = {
            (first, copy) for first, copy in of_copies - right if tuple(sorted((first, chosen[copy]))) not in known
        }
        print(f"| {name} | {100 * len(right & of_copies) / len(right):.1f} % | {len(wrong)} |")


if __name__ == "__main__":
    main()
