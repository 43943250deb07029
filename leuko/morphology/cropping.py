"""Crops with the nucleus at the centre, all cells of a set at one scale.

A typical nucleus gets the same size in the crops of every set, whatever camera and objective took it, while large and
small cells of a set stay large and small.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from leuko.morphology.segmentation import segment

Pixels = NDArray[np.uint8]

FIELD = 2.8
"""Side of a crop, in sides of a square as large as the set's median nucleus: room for the largest monocytes."""
LOCATED_SIDE = 64
"""The shorter side, in pixels, of the copy in which the nucleus is looked for."""
SAME_CAMERA = 1.2
"""Images whose sides differ by no more than this factor are taken to have one scale."""
LEAST_NUCLEI = 10
"""Fewer have no median worth the name."""


@dataclass(frozen=True)
class Located:
    """Where the nucleus of an image is.

    Attributes:
        centre: (x, y) of its centroid in pixels from the upper left corner; of the image if nothing was found.
        nucleus_area: in pixels of the image; 0 if nothing was found.
        found: whether there is a nucleus.
    """

    centre: tuple[float, float]
    nucleus_area: float
    found: bool


def locate(rgb: Pixels) -> Located:
    """Find the nucleus of the white blood cell nearest to the centre of an image.

    Args:
        rgb: shape (height, width, 3), 0 to 255.

    Returns:
        Where it is.
    """
    height, width = rgb.shape[:2]
    small = small_copy(Image.fromarray(rgb))
    size = small.shape[1::-1]
    nucleus = segment(small).nucleus
    if not nucleus.any():
        return Located((width / 2, height / 2), 0.0, found=False)
    y, x = np.nonzero(nucleus)
    centre = (float(x.mean() + 0.5) * width / size[0], float(y.mean() + 0.5) * height / size[1])
    return Located(centre, len(x) * width * height / (size[0] * size[1]), found=True)


def small_copy(image: Image.Image) -> Pixels:
    """The copy of an RGB image in which nuclei are looked for: its shorter side has LOCATED_SIDE pixels."""
    factor = LOCATED_SIDE / min(image.size)
    size = (round(image.width * factor), round(image.height * factor))
    return np.asarray(image.resize(size, Image.Resampling.BOX if factor < 1 else None))


@dataclass(frozen=True)
class Scale:
    """How large a typical nucleus is in the images of a set.

    A set may hold images of several cameras. What tells them apart is the images' size, so there is a median for each
    size that occurs; it is taken from the nuclei, never from the size itself.

    Attributes:
        sizes: of the images: the square root of their area, in pixels, ascending.
        nuclei: for each the square root of the median area of the nuclei, in pixels.
    """

    sizes: tuple[float, ...]
    nuclei: tuple[float, ...]

    @classmethod
    def of(cls, shapes: Sequence[tuple[int, int]], located: Sequence[Located]) -> Scale:
        """Decide the scale of a set by its training images.

        Args:
            shapes: width and height of every image.
            located: where their nuclei are.

        Returns:
            The scale. If no image has a nucleus, crops show whole images.
        """
        size = np.array([np.sqrt(width * height) for width, height in shapes])
        area = np.array([nucleus.nucleus_area for nucleus in located])
        if not area.any():
            area = (size / FIELD) ** 2
        size, area = size[area > 0], area[area > 0]
        order = np.argsort(size, kind="stable")
        starts = np.flatnonzero(np.diff(np.log(size[order])) > np.log(SAME_CAMERA)) + 1
        groups = np.split(order, starts)
        groups = [group for group in groups if len(group) >= LEAST_NUCLEI] or [order]
        return cls(
            tuple(float(np.median(size[group])) for group in groups),
            tuple(float(np.sqrt(np.median(area[group]))) for group in groups),
        )

    def to_json(self) -> dict[str, list[float]]:
        """The scale as files have it."""
        return {"sizes": list(self.sizes), "nuclei": list(self.nuclei)}

    @classmethod
    def from_json(cls, content: Mapping[str, Sequence[float]]) -> Scale:
        """Read what `to_json` writes.

        Raises:
            ValueError: if it is no scale.
        """
        sizes, nuclei = (tuple(map(float, content[name])) for name in ("sizes", "nuclei"))
        if not 1 <= len(sizes) == len(nuclei) or not all(0 < side < np.inf for side in (*sizes, *nuclei)):
            raise ValueError(f"nuclei of {nuclei} pixels in images of {sizes}")
        return cls(sizes, nuclei)

    def nucleus(self, width: int, height: int) -> float:
        """The side, in pixels, of a square as large as a typical nucleus in an image of this size."""
        distance = np.abs(np.log(np.array(self.sizes) / np.sqrt(width * height)))
        return self.nuclei[int(distance.argmin())]


def crop(rgb: Pixels, centre: tuple[float, float], nucleus: float, side: int) -> Pixels:
    """Cut out a square of FIELD typical nuclei and resize it with antialiasing; beyond the border is a mirror.

    Args:
        rgb: shape (height, width, 3), 0 to 255.
        centre: (x, y) in pixels, as `locate` gives it.
        nucleus: side of a square as large as a typical nucleus, in pixels, as a set's `Scale` gives it.
        side: of the result, in pixels.

    Returns:
        Shape (side, side, 3).
    """
    height, width = rgb.shape[:2]
    half = FIELD * nucleus / 2
    x, y = centre
    margin = max(0, int(np.ceil(max(half - x, half - y, x + half - width, y + half - height))))
    padded = np.pad(rgb, ((margin, margin), (margin, margin), (0, 0)), mode="reflect") if margin else rgb
    box = (x - half + margin, y - half + margin, x + half + margin, y + half + margin)
    return np.asarray(Image.fromarray(padded).resize((side, side), Image.Resampling.BICUBIC, box=box))
