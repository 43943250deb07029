"""Which descriptors decide between two classes: permutation importance (Breiman 2001, section 10)."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Classify = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""From features of shape (image, feature) to logits of shape (image, class)."""

N_PERMUTATIONS = 3


def closest_pairs(logits: NDArray[np.float32], labels: NDArray[np.int64], n_pairs: int) -> list[tuple[int, int]]:
    """The pairs of classes that a classifier tells apart least surely.

    Args:
        logits: shape (image, class).
        labels: shape (image,), the classes' numbers.
        n_pairs: at most so many.

    Returns:
        Pairs of which both classes have images, the least sure first: by the mean distance between the logit of an
        image's class and that of the other.
    """
    pairs = list(itertools.combinations(sorted(set(labels.tolist())), 2))
    return sorted(pairs, key=lambda pair: _margins(logits, labels, *pair).mean())[:n_pairs]


def permutation_importance(
    classify: Classify,
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    first: int,
    second: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """What each feature is worth for telling two classes apart.

    Args:
        classify: the classifier.
        features: shape (image, feature).
        labels: shape (image,), the classes' numbers.
        first: a class.
        second: another one.
        rng: shuffles a feature among the images of both.

    Returns:
        Shape (feature,): how far the logit of an image's class comes nearer to that of the other, in the mean over
        images and permutations, when a feature is shuffled. Of features that say the same, each alone is worth little.
    """
    kept = np.isin(labels, (first, second))
    features, labels = features[kept], labels[kept]
    before = _margins(classify(features), labels, first, second).mean()
    worth = np.zeros(features.shape[1])
    for feature in range(features.shape[1]):
        shuffled = np.concatenate([features] * N_PERMUTATIONS)
        shuffled[:, feature] = np.concatenate([rng.permutation(features[:, feature]) for _ in range(N_PERMUTATIONS)])
        worth[feature] = before - _margins(classify(shuffled), np.tile(labels, N_PERMUTATIONS), first, second).mean()
    return worth


def _margins(logits: NDArray[np.float32], labels: NDArray[np.int64], first: int, second: int) -> NDArray[np.float64]:
    """By how much the logit of an image's class is above that of the other, for the images of two classes."""
    kept = np.isin(labels, (first, second))
    difference = (logits[kept, first] - logits[kept, second]).astype(np.float64)
    margins: NDArray[np.float64] = np.where(labels[kept] == first, difference, -difference)
    return margins
