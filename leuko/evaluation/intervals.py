"""How far the scores of one model may be from what it would reach on endlessly many such images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from leuko.data.division import number_groups

LEVEL = 0.95
N_RESAMPLES = 2_000


def score_intervals(
    predicted: NDArray[np.int64], labels: NDArray[np.int64], groups: Sequence[str]
) -> dict[str, tuple[float, float]]:
    """Resample images, or whole groups where they are known (Field & Welsh 2007), and see how the scores move.

    Args:
        predicted: the classes' numbers that a model gave, shape (image,).
        labels: the actual ones.
        groups: of the images; empty where unknown.

    Returns:
        The ends of the percentile interval at 95 % of `accuracy` and `balanced_accuracy`, the latter over the classes
        that occur; a resample may lack a rare class. Empty if all images are of one group.
    """
    rng = np.random.default_rng(0)
    units = number_groups(groups)
    n_units = int(units.max()) + 1
    if n_units < 2:
        return {}
    images = rng.multinomial(n_units, np.full(n_units, 1 / n_units), N_RESAMPLES)[:, units]
    is_class = labels[:, None] == np.unique(labels)
    right = predicted == labels
    counts = images @ is_class
    recalls = np.where(counts > 0, (images @ (is_class & right[:, None])) / np.maximum(counts, 1), np.nan)
    resampled = {"accuracy": images @ right / images.sum(axis=1), "balanced_accuracy": np.nanmean(recalls, axis=1)}
    ends = {name: np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) for name, values in resampled.items()}
    return {name: (float(low), float(high)) for name, (low, high) in ends.items()}
