"""Descriptors as they would be had the same cells been stained more strongly, more weakly or in another hue."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from leuko.morphology.descriptors import CHANNELS, DESCRIPTORS, DIFFERENCES, Descriptor

COLUMNS = {descriptor.name: column for column, descriptor in enumerate(DESCRIPTORS)}


def restain(descriptors: NDArray[np.float32], jitter: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Multiply the density of each channel by a factor of its own, another for every cell.

    More dye of a kind multiplies the density of a channel (law of Beer and Lambert), and densities, their percentiles
    and their detail with it; sizes, shapes and patterns stay as they are. Deviations of differences between channels,
    and detail of several channels, are multiplied by the channels' mean factor, which is an approximation.

    Args:
        descriptors: shape (cell, len(DESCRIPTORS)).
        jitter: standard deviation of the factors' natural logarithm.
        rng: draws the factors.

    Returns:
        Shape (cell, len(DESCRIPTORS)).
    """
    factors = np.exp(jitter * rng.normal(size=(len(descriptors), len(CHANNELS))))
    shares = _shares()
    restained = descriptors * np.where(shares.any(axis=1), factors @ shares.T, 1)
    for region in ("nucleus", "cytoplasm"):
        for one, other in DIFFERENCES:
            first, second, difference = (
                COLUMNS[f"{region}_{name}_mean"] for name in (one, other, f"{one}_minus_{other}")
            )
            restained[:, difference] = restained[:, first] - restained[:, second]
    return restained.astype(np.float32)


@cache
def _shares() -> NDArray[np.float64]:
    """How much each channel's factor counts in that of a descriptor: shape (descriptor, channel)."""
    shares = np.zeros((len(DESCRIPTORS), len(CHANNELS)))
    for row, descriptor in zip(shares, DESCRIPTORS, strict=True):
        if descriptor.unit == "density":
            row[[CHANNELS.index(channel) for channel in _channels(descriptor)]] = 1
    shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1)
    return shares


def _channels(descriptor: Descriptor) -> tuple[str, ...]:
    """The channels that a density is measured in."""
    named = tuple(channel for channel in CHANNELS if channel in descriptor.name.split("_"))
    if named:
        return named
    if descriptor.name == "nucleus_threshold":
        return "red", "green"
    return ("red", "blue") if "hue" in descriptor.name else ("green",)
