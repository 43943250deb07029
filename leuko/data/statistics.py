"""What a picture looks like as a whole, in a few numbers that are computed in an instant.

They tell laboratories, stains, cameras, tissue and noise apart, not cells: colours at the border and in the middle,
contrast at several scales, and how colours go together. Whether pictures are like those of a training is asked of
these numbers, as `leuko.models.foreign` does.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

SIDE = 64
"""Side of the copy that is looked at, in pixels."""
N_STATISTICS = 35
PERCENTILES = (5, 25, 50, 75, 95)
BORDER = 6
"""Width of the border, in pixels of the copy."""
BLOCKS = (1, 2, 4, 8, 16)
"""Contrast is what is left of means over blocks of so many pixels when the mean over the next larger ones is taken
away."""
LEAST = 1e-3
"""Added to contrasts, so that noise of nearly flat pictures counts little."""

_LOGARITHMS = np.log(np.arange(256, dtype=np.float32) / 255 + 0.02)


def picture_statistics(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Describe a picture.

    Args:
        pixels: shape (SIDE, SIDE, 3), 0 to 255.

    Returns:
        Shape (N_STATISTICS,): of the logarithms of red, green and blue the percentiles, mean and deviation at the
        border and mean in the middle; the logarithms of the contrasts of green and of red against blue; and the
        correlations of red with green, red with blue and green with blue.
    """
    density = _LOGARITHMS[pixels]
    inside = np.zeros((SIDE, SIDE), bool)
    inside[BORDER:-BORDER, BORDER:-BORDER] = True
    border, middle = density[~inside], density[20:-20, 20:-20].reshape(-1, 3)
    flat = density.reshape(-1, 3)
    centred = flat - flat.mean(axis=0)
    covariance = centred.T @ centred / len(flat)
    deviation = np.sqrt(np.diag(covariance)) + LEAST
    correlation = covariance / np.outer(deviation, deviation)
    found = [
        *np.percentile(flat, PERCENTILES, axis=0),
        border.mean(axis=0),
        border.std(axis=0),
        middle.mean(axis=0),
        _contrasts(density[..., 1]),
        _contrasts(density[..., 0] - density[..., 2]),
        correlation[np.triu_indices(3, 1)],
    ]
    return np.concatenate(found).astype(np.float32)


def _contrasts(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The logarithms of the mean contrast at each scale; `values` has shape (SIDE, SIDE)."""
    means = [values.reshape(SIDE // n, n, SIDE // n, n).mean(axis=(1, 3)) for n in BLOCKS]
    differences = [np.abs(fine - coarse.repeat(2, 0).repeat(2, 1)).mean() for fine, coarse in itertools.pairwise(means)]
    contrasts: NDArray[np.float32] = np.log(np.array(differences, np.float32) + LEAST)
    return contrasts
