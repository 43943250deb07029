"""Nucleus and cell of a white blood cell, found by colour: nothing is learned, no label and no mask is needed.

The dye of a smear takes light away, most of all in the nucleus. Density, the logarithm of what is missing, is what adds
up with the amount of dye (law of Beer and Lambert), so all thresholds are thresholds of density.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]

DARK = 8
"""Added to all values before the logarithm, so that noise of nearly black pixels counts little."""
MAX_DENSITY = 2.5
NUCLEUS_DENSITY = 0.6
"""Least density of a nucleus, red and green together; red blood cells have about .5, nuclei of pale stains 1.3."""
NUCLEUS_SHARE = 0.6
"""Least density of a nucleus relative to its dense parts; granules and dark cytoplasm have about .4."""
NUCLEUS_AREA = 0.003
"""Least part of the image that is taken for a nucleus; platelets are smaller."""
SPECK = 20
"""Pale spots within a nucleus belong to it, and dark ones outside do not, up to so many pixels."""
CELL_DENSITY = 0.12
"""Least green density of a cell."""
CENTRE = 0.2
"""How far from the image's centre a nucleus is expected, in image sides."""

_LOGARITHMS = np.log(np.arange(256, dtype=np.float32) + DARK)


@dataclass(frozen=True)
class Segmentation:
    """Where nucleus and cell are; both masks are empty if there is no nucleus.

    Attributes:
        density: of red, green and blue, shape (3, height, width).
        nucleus: shape (height, width).
        cell: with the nucleus, shape (height, width).
        threshold: the density, red and green together, from which on a pixel of the cell belongs to the nucleus.
    """

    density: Floats
    nucleus: Mask
    cell: Mask
    threshold: float

    @property
    def found(self) -> bool:
        """Whether there is a white blood cell."""
        return bool(self.nucleus.any())


def optical_density(rgb: Pixels, background: Floats) -> Floats:
    """Density of the dye: minus the natural logarithm of the share of light that comes through.

    Args:
        rgb: shape (height, width, 3), 0 to 255.
        background: shape (3,), the colour where nothing absorbs.

    Returns:
        Shape (3, height, width), at most MAX_DENSITY; 0 is as bright as the background.
    """
    density: Floats = np.log(background + DARK)[:, None, None] - _LOGARITHMS[rgb.transpose(2, 0, 1)]
    return np.minimum(density, np.float32(MAX_DENSITY), out=density)


def segment(rgb: Pixels) -> Segmentation:
    """Find nucleus and cell of the white blood cell nearest to the centre.

    The dark is told from the bright by Otsu's threshold (1979) of red and green density, in which red blood cells are
    pale; its most central part tells where the nucleus is. What is denser than the background around it, divided where
    cells touch, is the cell, and its densest part the nucleus.

    Args:
        rgb: shape (height, width, 3), 0 to 255; a cell should be 20 to 80 pixels wide.

    Returns:
        The outlines, and the density relative to the background outside the cell.
    """
    from skimage.filters import threshold_otsu
    from skimage.morphology import remove_small_holes, remove_small_objects

    density = optical_density(rgb, brightness(rgb.reshape(-1, 3), 0.9))
    red, green = ndimage.gaussian_filter(density[:2], (0, 1, 1))
    dye = red + green
    threshold = max(float(threshold_otsu(dye, 128)), NUCLEUS_DENSITY)
    seed = _central_part(ndimage.binary_opening(dye > threshold))
    if not seed.any():
        return Segmentation(density, seed, seed, 0.0)
    cell = _cell_around(seed, ndimage.binary_opening(green > CELL_DENSITY))
    dark = dye[cell & (dye > threshold)]
    threshold = max(threshold, NUCLEUS_SHARE * float(np.percentile(dark, 90)))
    nucleus = remove_small_holes(ndimage.binary_opening(cell & (dye > threshold)), max_size=SPECK)
    nucleus = remove_small_objects(nucleus, max_size=SPECK)
    if not nucleus.any():
        return Segmentation(density, nucleus, nucleus, 0.0)
    return Segmentation(optical_density(rgb, light_outside(rgb, cell)), nucleus, cell, threshold)


def light_outside(rgb: Pixels, cell: Mask) -> Floats:
    """The colour where nothing absorbs, shape (3,); if the cell fills the image, that of the brightest of it."""
    outside = rgb[~cell]
    return brightness(outside, 0.85) if len(outside) > cell.size / 20 else brightness(rgb.reshape(-1, 3), 0.9)


def brightness(colours: Pixels, share: float) -> Floats:
    """What this share of colours of shape (n, 3) stays below, channel by channel."""
    rank = int(share * (len(colours) - 1))
    return np.partition(np.ascontiguousarray(colours.T), rank, axis=1)[:, rank].astype(np.float32)


def _central_part(mask: Mask) -> Mask:
    """The connected part of a mask that has most of its area near the centre; empty if all parts are tiny."""
    height, width = mask.shape
    labels, _ = ndimage.label(mask)
    areas = np.bincount(labels.ravel())
    near_y, near_x = (
        np.exp(-(((np.arange(side) - (side - 1) / 2) / (CENTRE * min(height, width))) ** 2)) for side in (height, width)
    )
    near = np.bincount(labels.ravel(), np.outer(near_y, near_x).ravel())
    near[areas < NUCLEUS_AREA * mask.size] = 0
    near[0] = 0
    part: Mask = labels == near.argmax() if near.any() else np.zeros_like(mask)
    return part


def _cell_around(seed: Mask, dense: Mask) -> Mask:
    """The cell that a nucleus lies in, divided from those that touch it at the narrowest place.

    Args:
        seed: the nucleus, or the largest part of it.
        dense: all cells.

    Returns:
        The cell, without what is thinner than a third of its depth.
    """
    dense = ndimage.binary_fill_holes(dense | seed)
    depth = ndimage.gaussian_filter(border_distance(dense), 1.5)
    depth_of_cell = depth[seed].max()
    parts = divide(dense, depth, round(depth_of_cell / 4))
    n_parts = parts.max()
    seed_in = np.bincount(parts[seed], minlength=n_parts + 1)
    area = np.bincount(parts.ravel())
    own = (seed_in > seed_in.sum() / 4) | (seed_in > area / 2)
    own[0] = False
    reach = 0.35 * depth_of_cell
    core = border_distance(own[parts]) > reach
    cell: Mask = (ndimage.distance_transform_edt(~core) <= reach) | seed if core.any() else seed
    return cell


def divide(mask: Mask, depth: NDArray[np.float64], reach: int) -> NDArray[np.int32]:
    """Divide what touches at its narrowest places: a watershed of the depth (Beucher and Lantuéjoul 1979).

    Args:
        mask: shape (height, width).
        depth: distance to the border, smoothed, of the same shape.
        reach: in pixels; a part is where nothing within this distance is deeper.

    Returns:
        The number of each pixel's part, from 1; 0 outside the mask.
    """
    from skimage.segmentation import watershed

    peaks = mask & (depth == ndimage.maximum_filter(depth, 2 * reach + 1))
    markers, _ = ndimage.label(peaks, np.ones((3, 3)))
    parts: NDArray[np.int32] = watershed(-depth, markers, mask=mask)
    return parts


def border_distance(mask: Mask) -> NDArray[np.float64]:
    """Distance in pixels to the nearest pixel outside; a mask goes on beyond the image's border."""
    padded = np.pad(mask, 1, mode="edge")
    depth: NDArray[np.float64] = ndimage.distance_transform_edt(padded)[1:-1, 1:-1]
    return depth
