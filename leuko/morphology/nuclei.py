"""Nuclei of tissue stained with haematoxylin and eosin, found by colour and measured like those of blood cells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from leuko.morphology.cropping import Located, crop
from leuko.morphology.descriptors import MEASURED_SIDE
from leuko.morphology.measuring import Cell, measure
from leuko.morphology.segmentation import (
    Mask,
    Pixels,
    Segmentation,
    border_distance,
    brightness,
    divide,
    optical_density,
)

LEAST_AREA = 30
"""In pixels; smaller parts have no shape."""
ODD_AREA = 3.0
"""A nucleus is neither so many times as large as the tile's median, nor as small."""
REACH = 4
"""In pixels; the centres of two nuclei are farther apart."""
LIGHT = 0.95
"""Tissue leaves little of a tile empty; this share of it is darker than what is taken for the light."""
SURROUNDINGS = 11
"""Width in pixels of a crop of what is taken for the cytoplasm of a nucleus: borders of cells cannot be seen here."""

Labels = NDArray[np.int32]


def find_nuclei(rgb: Pixels) -> Labels:
    """Find the nuclei of a tile of tissue.

    Haematoxylin, which stains nuclei, takes away red light; eosin, which stains the rest, does not. So the nuclei are
    where red is above Otsu's threshold (1979) of density, divided where they touch.

    Args:
        rgb: shape (height, width, 3), 0 to 255.

    Returns:
        The number of each pixel's nucleus, from 1; 0 elsewhere, and in what touches the border or has an odd size.
    """
    from skimage.filters import threshold_otsu
    from skimage.morphology import remove_small_holes
    from skimage.segmentation import clear_border

    density = optical_density(rgb, brightness(rgb.reshape(-1, 3), LIGHT))
    red = ndimage.gaussian_filter(density[0], 1.2)
    dark: Mask = remove_small_holes(red > threshold_otsu(red, 128), max_size=LEAST_AREA)  # pale within the chromatin
    dark = ndimage.binary_opening(dark, iterations=2)
    parts = divide(dark, ndimage.gaussian_filter(border_distance(dark), 1.0), REACH)
    areas = np.bincount(parts.ravel())
    areas[0] = 0
    nuclei = areas >= LEAST_AREA
    if nuclei.any():
        typical = np.median(areas[nuclei])
        nuclei &= (areas < typical * ODD_AREA) & (areas > typical / ODD_AREA)
    labels: Labels = clear_border(np.where(nuclei[parts], parts, 0))
    return labels


def draw_nuclei(labels: Labels, most: int, rng: np.random.Generator) -> list[tuple[int, Located]]:
    """Draw some nuclei of a tile.

    Args:
        labels: as `find_nuclei` gives them.
        most: how many to draw; all if there are fewer.
        rng: what decides.

    Returns:
        The numbers of the nuclei and where they are, in ascending order.
    """
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    numbers = np.flatnonzero(areas)
    drawn = np.sort(rng.choice(numbers, min(most, len(numbers)), replace=False))
    centres = np.array(ndimage.center_of_mass(labels > 0, labels, drawn)).reshape(-1, 2) + 0.5
    return [
        (int(number), Located((float(x), float(y)), float(areas[number]), found=True))
        for number, (y, x) in zip(drawn, centres, strict=True)
    ]


def measure_nuclei(
    rgb: Pixels, labels: Labels, drawn: list[tuple[int, Located]], nucleus: float, side: int
) -> list[Cell]:
    """Cut out nuclei and measure them.

    Args:
        rgb: the tile, shape (height, width, 3), 0 to 255.
        labels: its nuclei.
        drawn: which of them.
        nucleus: side of a square as large as a typical nucleus, in pixels, as a set's `Scale` gives it.
        side: of the crops to keep, in pixels.

    Returns:
        A cell for each: its cytoplasm is what surrounds it closely and belongs to no other nucleus.
    """
    light = brightness(rgb.reshape(-1, 3), LIGHT)
    cells = []
    for number, located in drawn:
        measured = crop(rgb, located.centre, nucleus, MEASURED_SIDE)
        pixels = measured if side == MEASURED_SIDE else crop(rgb, located.centre, nucleus, side)
        # The outlines travel as two channels of a picture, so that they are cut out like the pixels.
        marks = 255 * np.stack(
            [labels == number, (labels > 0) & (labels != number), labels < 0], axis=2, dtype=np.uint8
        )
        own, other, _ = crop(marks, located.centre, nucleus, MEASURED_SIDE).transpose(2, 0, 1) > 127
        density = optical_density(measured, light)
        cell = (ndimage.distance_transform_edt(~own) <= SURROUNDINGS) & ~other
        threshold = float(density[:2].sum(axis=0)[own].min())
        cells.append(Cell(pixels, measure(Segmentation(density, own, cell, threshold)), located.centre, found=True))
    return cells
