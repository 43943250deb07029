"""How many damaged JPEG files are found, and how many whole ones are taken for damaged.

    python -m trials.damaged_jpegs FOLDER

Copies of images drawn from the folder are damaged in the part that holds the pixels, in three ways: 512 bytes become
zeros, one byte becomes another, or the marker of the end stands early. Then every image of the folder is read as it is.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from leuko.core.parallel import map_images
from leuko.data.images import UnreadableImageError, describe_image, probe_image

EXTENSIONS = (".jpg", ".jpeg")


def zeros(content: bytearray, place: int, rng: np.random.Generator) -> None:
    """512 bytes become zeros."""
    content[place : place + 512] = bytes(len(content[place : place + 512]))


def another_byte(content: bytearray, place: int, rng: np.random.Generator) -> None:
    """A byte becomes another."""
    content[place] = (content[place] + int(rng.integers(1, 256))) % 256


def early_end(content: bytearray, place: int, rng: np.random.Generator) -> None:
    """The marker of the end stands early."""
    content[place : place + 2] = b"\xff\xd9"


WAYS: tuple[Callable[[bytearray, int, np.random.Generator], None], ...] = (zeros, another_byte, early_end)


def pixels_start(content: bytearray) -> int:
    """Where the part that holds the pixels begins: after the first scan's header."""
    place = 2
    while content[place + 1] != 0xDA:
        place += 2 + int.from_bytes(content[place + 2 : place + 4])
    return place + 2 + int.from_bytes(content[place + 2 : place + 4])


def is_refused(content: bytes) -> bool:
    """Whether a file is refused."""
    try:
        describe_image(content)
    except UnreadableImageError:
        return True
    return False


def difference(whole: Path, content: bytes) -> float:
    """The share of pixels that damage changes by more than 16 of 255, as Pillow shows them."""
    first = np.asarray(Image.open(whole).convert("RGB")).astype(int)
    second = np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)
    return float((np.abs(first - second).max(axis=2) > 16).mean())


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(prog="python -m trials.damaged_jpegs", description=__doc__)
    parser.add_argument("folder", type=Path, help="whose JPEG images are damaged, in copies")
    parser.add_argument("--images", type=int, default=200, help="how many are damaged in each way")
    arguments = parser.parse_args()
    files = sorted(p for p in arguments.folder.rglob("*") if p.suffix.casefold() in EXTENSIONS)
    rng = np.random.default_rng(0)
    numbers = rng.choice(len(files), arguments.images, replace=len(files) < arguments.images)
    chosen = [files[number] for number in numbers]
    print(f"| {arguments.images} files each | found | pixels that the others lose, at most |\n|---|---|---|")
    for way in WAYS:
        n_found, lost = 0, 0.0
        for path in chosen:
            content = bytearray(path.read_bytes())
            way(content, int(rng.integers(pixels_start(content), len(content) - 2)), rng)
            if is_refused(bytes(content)):
                n_found += 1
            else:
                lost = max(lost, difference(path, bytes(content)))
        print(f"| {way.__doc__} | {n_found} | {100 * lost:.1f} % |")

    def is_taken_for_damaged(path: Path) -> bool:
        try:
            probe_image(path)
        except UnreadableImageError:
            return True
        return False

    wrong = map_images(is_taken_for_damaged, files, "reading whole files")
    print(f"\n{sum(wrong)} of {len(files)} whole files are taken for damaged.")


if __name__ == "__main__":
    main()
