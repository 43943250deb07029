"""Dividing images at random so that groups stay whole and every class gets its share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

N_STARTS = 50
"""Random orders that are tried, of which the best division is kept."""


def number_groups(groups: Sequence[str]) -> NDArray[np.int64]:
    """The groups' numbers, shape (image,), from zero; every image of no known group, which is empty, is one alone."""
    names = [(group, "" if group else number) for number, group in enumerate(groups)]
    first = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([first[name] for name in names], np.int64)


def choose_groups(
    labels: Sequence[str], groups: Sequence[str], share: float, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Choose whole groups that together hold about a share of the images of every class.

    scikit-learn's StratifiedGroupKFold makes parts of equal size only. As there, a group goes where the counts of the
    classes come closest to those wanted; here the groups come in many random orders, each result is improved by moving
    single groups while that helps, and the best is kept. A division that leaves every class images on both sides beats
    any that does not.

    Args:
        labels: the images' classes.
        groups: the images' groups; images of no known group, which is empty, stand alone.
        share: of the images that shall be chosen, between 0 and 1.
        rng: decides the orders.

    Returns:
        Shape (image,): whether an image is chosen. Where no division that was tried gives every class images on both
        sides, a class may lack them on one.
    """
    group_of, class_of = number_groups(groups), pd.factorize(np.array(labels, dtype=object))[0]
    counts = np.zeros((group_of.max() + 1, class_of.max() + 1))
    np.add.at(counts, (group_of, class_of), 1)
    total = counts.sum(axis=0)

    def cost(held: NDArray[np.float64]) -> float:
        """The squared deviations from the share, over the classes; a class that is on one side only costs more."""
        lacking = ((held == 0) | (held == total)).sum()
        return float(lacking * len(total) + np.square(held / total - share).sum())

    as_near_as_images_allow = float(np.square(0.5 / total).sum())
    best, lowest = np.zeros(len(counts), bool), np.inf
    for _ in range(N_STARTS):
        is_chosen, held = np.zeros(len(counts), bool), np.zeros_like(total)
        here, at_last = cost(held), np.inf
        while here < at_last:
            at_last = here
            for group in rng.permutation(len(counts)):
                moved = held - counts[group] if is_chosen[group] else held + counts[group]
                if (there := cost(moved)) < here:
                    held, here = moved, there
                    is_chosen[group] ^= True
        if here < lowest:
            best, lowest = is_chosen, here
        if lowest <= as_near_as_images_allow:
            break
    chosen: NDArray[np.bool_] = best[group_of]
    return chosen


def order_by_group(groups: Sequence[str], rng: np.random.Generator) -> NDArray[np.int64]:
    """A random order of images in which the images of a group follow one another.

    Whatever takes images from its beginning takes whole groups, except for the last one.

    Args:
        groups: the images' groups; images of no known group, which is empty, stand alone.
        rng: decides the order of the groups and that within them.

    Returns:
        The images' numbers, shape (image,).
    """
    group_of = number_groups(groups)
    shuffled = rng.permutation(len(group_of))
    rank = rng.permutation(len(np.unique(group_of)))[group_of]
    order: NDArray[np.int64] = shuffled[np.argsort(rank[shuffled], kind="stable")]
    return order
