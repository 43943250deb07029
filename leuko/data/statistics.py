"""What a picture looks like as a whole, in a few numbers that are computed in an instant.

They tell laboratories, stains, cameras, tissue and noise apart, not cells: colours at the border and in the middle,
contrast at several scales, and how colours go together. Whether pictures are like those of a training is asked of
these numbers, as `leuko.models.foreign` does.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SIDE = 64
"""Side of the copy that is looked at, in pixels."""
N_STATISTICS = 35
PERCENTILES = (5, 25, 50, 75, 95)
BORDER, MIDDLE = 6, 20
"""Distances from the edges of the copy, in pixels: how wide the border is, and where the middle begins."""
N_SCALES = 4
"""Contrast is what is left of means over blocks of 1, 2, 4 and 8 pixels a side when the means over blocks twice as
large are taken away."""
LEAST = 1e-3
"""Added to contrasts, so that noise of nearly flat pictures counts little."""

_LOGARITHMS = np.log(np.arange(256, dtype=np.float32) / 255 + 0.02)


def picture_statistics(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Describe pictures.

    Args:
        pictures: shape (picture, SIDE, SIDE, 3), 0 to 255.

    Returns:
        Shape (picture, N_STATISTICS): of the logarithms of red, green and blue the percentiles, mean and deviation at
        the border and mean in the middle; the logarithms of the contrasts of green and of red against blue; and the
        correlations of red with green, red with blue and green with blue.
    """
    n = len(pictures)
    # All that does not depend on where pixels lie is computed from how many have each of the 256 levels.
    whole = _histograms(pictures)
    border = whole - _histograms(pictures[:, BORDER:-BORDER, BORDER:-BORDER])
    of_border, of_middle = _mean(border), _mean(_histograms(pictures[:, MIDDLE:-MIDDLE, MIDDLE:-MIDDLE]))
    deviation_of_border = np.sqrt(np.maximum(_mean(border, _LOGARITHMS.astype(np.float64) ** 2) - of_border**2, 0))

    density = _LOGARITHMS[np.moveaxis(pictures, 3, 0)]  # shape (channel, picture, SIDE, SIDE)
    centred = np.moveaxis(density.reshape(3, n, -1), 0, 1) - _mean(whole).astype(np.float32)[..., None]
    covariance = centred @ centred.swapaxes(1, 2) / SIDE**2
    deviation = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2)) + LEAST
    correlation = covariance / (deviation[:, :, None] * deviation[:, None])
    rows, columns = np.triu_indices(3, 1)
    found = [
        _percentiles(whole).swapaxes(1, 2).reshape(n, -1),
        of_border,
        deviation_of_border,
        of_middle,
        _contrasts(density[1]),
        _contrasts(density[0] - density[2]),
        correlation[:, rows, columns],
    ]
    return np.concatenate(found, axis=1).astype(np.float32)


def _histograms(pictures: NDArray[np.uint8]) -> NDArray[np.intp]:
    """How many pixels have each level: shape (picture, height, width, 3) to (picture, 3, 256)."""
    n = len(pictures)
    places = pictures.reshape(n, -1, 3) + 256 * np.arange(3 * n).reshape(n, 1, 3)
    return np.bincount(places.ravel(), minlength=n * 768).reshape(n, 3, 256)


def _mean(counts: NDArray[np.intp], values: NDArray[np.floating] = _LOGARITHMS) -> NDArray[np.float64]:
    """The mean of the values that levels stand for: shape (picture, 3, 256) to (picture, 3)."""
    means: NDArray[np.float64] = counts @ values.astype(np.float64) / counts.sum(axis=2)
    return means


def _percentiles(counts: NDArray[np.intp]) -> NDArray[np.float64]:
    """The percentiles, linear between neighbours: shape (picture, 3, 256) to (picture, 3, percentile)."""
    reached = counts.cumsum(axis=2)[..., None]
    places = np.array(PERCENTILES) / 100 * (SIDE**2 - 1)
    low, high = (_LOGARITHMS[(reached <= place).sum(axis=2)] for place in (np.floor(places), np.floor(places) + 1))
    percentiles: NDArray[np.float64] = low + (high - low) * (places % 1)
    return percentiles


def _contrasts(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The logarithms of the mean contrast at each scale: shape (picture, SIDE, SIDE) to (picture, N_SCALES)."""
    differences = []
    for _ in range(N_SCALES):
        quarters = np.stack([values[:, y::2, x::2] for y in (0, 1) for x in (0, 1)], axis=1)
        values = quarters.mean(axis=1)
        differences.append(np.abs(quarters - values[:, None]).mean(axis=(1, 2, 3)))
    contrasts: NDArray[np.float32] = np.log(np.stack(differences, axis=1) + LEAST)
    return contrasts
