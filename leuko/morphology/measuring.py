"""Measuring a cell: numbers for what a haematologist looks at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull

from leuko.morphology.cropping import Scale, crop, locate
from leuko.morphology.descriptors import (
    CHANNELS,
    DEPTHS,
    DESCRIPTORS,
    DIFFERENCES,
    MEASURED_SIDE,
    PERCENTILES,
    RINGS,
    SCALES,
    TYPICAL_NUCLEUS,
)
from leuko.morphology.segmentation import Floats, Mask, Pixels, Segmentation, segment

LEAST_PIXELS = 6
"""Smaller regions have no colour, texture or shape to speak of: these are 0."""
LEVELS = 1000
"""Steps of density in which neighbouring pixels are compared, so that rounding makes no patterns of its own."""

MARGIN = 4
"""Pixels round a cell that are kept for it: what a light blur and a pixel's neighbours reach."""

Values = dict[str, float]


@dataclass(frozen=True)
class Cell:
    """A white blood cell as the packs hold it.

    Attributes:
        pixels: the nucleus-centred crop, shape (side, side, 3), 0 to 255.
        descriptors: shape (len(DESCRIPTORS),).
        centre: (x, y) of the nucleus in pixels of the image.
        found: whether there is a cell; if not, the crop shows the image's centre and all descriptors are 0.
    """

    pixels: Pixels
    descriptors: Floats
    centre: tuple[float, float]
    found: bool


def measure_image(rgb: Pixels, scale: Scale, side: int) -> Cell:
    """Find the cell in an image, cut it out and measure it.

    Args:
        rgb: shape (height, width, 3), 0 to 255.
        scale: of the set that the image belongs to.
        side: of the crop to keep, in pixels; measured is always at MEASURED_SIDE.

    Returns:
        The cell.
    """
    located = locate(rgb)
    nucleus = scale.nucleus(rgb.shape[1], rgb.shape[0])
    measured = crop(rgb, located.centre, nucleus, MEASURED_SIDE)
    pixels = measured if side == MEASURED_SIDE else crop(rgb, located.centre, nucleus, side)
    found = segment(measured)
    return Cell(pixels, measure(found), located.centre, found.found)


def measure(cell: Segmentation) -> Floats:
    """Measure a cell.

    Args:
        cell: the outlines in a crop of MEASURED_SIDE pixels.

    Returns:
        The descriptors in the order of DESCRIPTORS, all finite; all 0 if no cell was found.

    Raises:
        ValueError: if the crop has another size.
    """
    if cell.nucleus.shape != (MEASURED_SIDE, MEASURED_SIDE):
        raise ValueError(f"descriptors are defined at {MEASURED_SIDE} pixels a side, not {cell.nucleus.shape}")
    if not cell.found:
        return np.zeros(len(DESCRIPTORS), np.float32)
    cell = _trimmed(cell)
    cytoplasm = cell.cell & ~cell.nucleus
    values = _sizes(cell) | _lobes(cell.nucleus) | _rings(cell)
    for name, region in (("nucleus", cell.nucleus), ("cell", cell.cell)):
        values |= {f"{name}_{key}": value for key, value in _shape(region).items()}
    patterns = _patterns(cell.density[1])
    for name, region in (("nucleus", cell.nucleus), ("cytoplasm", cytoplasm)):
        if np.count_nonzero(region) >= LEAST_PIXELS:
            inside = _colours(cell.density[:, region]) | _textures(_details(cell.density, region), patterns[region])
            values |= {f"{name}_{key}": value for key, value in inside.items()}
    return np.array([values.get(descriptor.name, 0.0) for descriptor in DESCRIPTORS], np.float32)


def _trimmed(cell: Segmentation) -> Segmentation:
    """The part of a crop that has the cell in it, with the margin that neighbours of its pixels need."""
    extent = ndimage.find_objects(cell.cell.astype(np.int8))[0]
    rows, columns = (slice(max(0, side.start - MARGIN), side.stop + MARGIN) for side in extent)
    density = np.ascontiguousarray(cell.density[:, rows, columns])
    return Segmentation(density, cell.nucleus[rows, columns], cell.cell[rows, columns], cell.threshold)


def _sizes(cell: Segmentation) -> Values:
    """How large nucleus and cell are, and how they lie."""
    nucleus, whole = np.count_nonzero(cell.nucleus), np.count_nonzero(cell.cell)
    distance = np.argwhere(cell.nucleus).mean(axis=0) - np.argwhere(cell.cell).mean(axis=0)
    return {
        "nucleus_area": nucleus / TYPICAL_NUCLEUS**2,
        "cell_area": whole / TYPICAL_NUCLEUS**2,
        "nucleus_to_cell": nucleus / whole,
        "nucleus_threshold": cell.threshold,
        "displacement": float(np.hypot(*distance)) / np.sqrt(whole),
    }


def _shape(region: Mask) -> Values:
    """The outline of a region, independent of its size."""
    from skimage.measure import perimeter

    points = np.argwhere(region)
    if len(points) < LEAST_PIXELS:
        return {}
    side = np.sqrt(len(points))
    # Corners of the first and the last pixel of every row: the hull of the area, not of the pixels' centres.
    rows = np.flatnonzero(region.any(axis=1))
    first, last = region[rows].argmax(axis=1), region.shape[1] - region[rows, ::-1].argmax(axis=1)
    hull = ConvexHull(np.concatenate([np.stack([rows + y, x], axis=1) for y in (0, 1) for x in (first, last)]))
    short, long = np.linalg.eigvalsh(np.cov(points.T)) + 1 / 12  # a pixel is a square, not a point
    return {
        "convexity": len(points) / hull.volume,
        "hull_perimeter": hull.area / side,
        "perimeter": float(perimeter(region)) / side,
        "roundness": float(np.sqrt(short / long)),
        "spread": float(np.sqrt(short + long)) / side,
    }


def _lobes(nucleus: Mask) -> Values:
    """What is left of the nucleus when its border moves inwards."""
    depth = ndimage.distance_transform_edt(nucleus)
    inside = depth[nucleus]
    side = np.sqrt(len(inside))
    values = {"nucleus_depth": inside.max() / side, "nucleus_mean_depth": inside.mean() / side}
    for pixels in DEPTHS:
        left = depth > pixels
        values[f"lobes_{pixels}"] = min(ndimage.label(left)[1], 6)
        values[f"lobes_{pixels}_area"] = np.count_nonzero(left) / len(inside)
    return values


def _rings(cell: Segmentation) -> Values:
    """Density by distance from the border of the cell."""
    depth = ndimage.distance_transform_edt(cell.cell)
    values: Values = {}
    for ring, (least, most) in RINGS.items():
        there = (depth > least) & (depth <= most)
        if np.count_nonzero(there) >= LEAST_PIXELS:
            means = cell.density[:, there].mean(axis=1)
            values |= {f"ring_{ring}_{channel}": mean for channel, mean in zip(CHANNELS, means, strict=True)}
    return values


def _colours(density: Floats) -> Values:
    """Colour of a region, from densities of shape (3, n)."""
    views = dict(zip(CHANNELS, density, strict=True))
    differences = {f"{one}_minus_{other}": views[one] - views[other] for one, other in DIFFERENCES}
    stacked = np.stack([*density, *differences.values()])
    values: Values = {}
    for name, mean, std in zip((*CHANNELS, *differences), stacked.mean(axis=1), stacked.std(axis=1), strict=True):
        values |= {f"{name}_mean": mean, f"{name}_std": std}
    for percentile, row in zip(PERCENTILES, np.percentile(density, PERCENTILES, axis=1), strict=True):
        values |= {f"{channel}_p{percentile}": value for channel, value in zip(CHANNELS, row, strict=True)}
    return values


def _details(density: Floats, region: Mask) -> Floats:
    """What a blur takes away within a region: shape (2, scale, n), of green and of red minus blue.

    The blur is a mean over the region alone, so that a border is no detail.
    """
    green, hue = density[1], density[0] - density[2]
    inside = region.astype(np.float32)
    views = np.stack([green * inside, hue * inside, inside])
    blurred = np.stack([ndimage.gaussian_filter(views, (0, blur, blur))[:, region] for blur in SCALES.values()], axis=1)
    # Red minus blue carries the camera's colour noise, pixel by pixel; a light blur takes it out.
    sharp = np.stack([green[region], ndimage.gaussian_filter(hue, 0.5)[region]])
    details: Floats = sharp[:, None] - blurred[:2] / blurred[2]
    return details


def _patterns(density: Floats) -> NDArray[np.int64]:
    """Uniform, rotation-invariant local binary patterns (Ojala et al. 2002), 0 to 9, shape (height, width)."""
    from skimage.feature import local_binary_pattern

    levels = np.rint(LEVELS * ndimage.gaussian_filter(density, 0.6)).astype(np.int64)
    patterns: NDArray[np.int64] = local_binary_pattern(levels, P=8, R=1, method="uniform").astype(np.int64)
    return patterns


def _textures(details: Floats, patterns: NDArray[np.int64]) -> Values:
    """Texture of a region, from details of shape (2, scale, n) and patterns of shape (n,)."""
    sizes = np.abs(details).mean(axis=2)
    squares = np.square(details[0])
    dark, bright = (np.sqrt(np.mean(squares * side, axis=1)) for side in (details[0] > 0, details[0] < 0))
    values = {}
    for number, scale in enumerate(SCALES):
        values[f"{scale}_detail"], values[f"{scale}_hue_detail"] = sizes[:, number]
        values[f"{scale}_granules"] = dark[number] - bright[number]
    shares = np.bincount(patterns, minlength=10) / len(patterns)
    return values | {f"pattern_{run}": share for run, share in enumerate(shares)}
