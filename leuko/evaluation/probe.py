"""A classifier on frozen features: fitted to the labels there are or, where they are few, to what they spread to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from leuko.core.params.transfer import Probe
from leuko.evaluation.propagation import propagate_labels, remove_nuisance, whiten
from leuko.models.encoders import Encoder
from leuko.models.feature_classifier import LARGEST, FeatureClassifier
from leuko.morphology.restaining import restain

MAX_CENTRES = 10_000
"""More training images than these are thinned out evenly: the matrix of their kernels would take more than 0.8 GB."""

CERTAIN = 3.0
"""The logit that is regressed for an image's class, and minus that for the others; their softmax is .99 for two."""

Array = NDArray[np.float64]


def fit_probe(
    blocks: Sequence[NDArray[np.float32]],
    labelled: NDArray[np.int64],
    labels: NDArray[np.int64],
    n_classes: int,
    settings: Probe,
    *,
    encoder: Encoder | None = None,
    nuisance: NDArray[np.float64] | None = None,
) -> FeatureClassifier:
    """Fit kernel ridge regression with equal weight for every class.

    With a jitter of the stain, a second copy of every cell is learned from whose descriptors are those of another
    stain; what an encoder says of the cell stays as it is.

    Args:
        blocks: what is known of all training images, with labels or without: the encoder's features, or descriptors, or
            first the one and then the other, each of shape (image, feature).
        labelled: which images have labels.
        labels: their labels, in the same order.
        n_classes: how many classes there are.
        settings: of the classifier.
        encoder: that gave the first block; none for descriptors alone.
        nuisance: what tells training images apart and has nothing to do with their classes, such as the colour of the
            background, shape (image, value); if it is given, labels are spread over all images first, along neighbours
            that are alike apart from it, and an image counts for as much as its label is certain.

    Returns:
        The classifier, in evaluation mode.
    """
    features = np.concatenate(blocks, axis=1).astype(np.float64)
    n_descriptors = features.shape[1] - (encoder.n_features if encoder else 0)
    share = _equal_shares([block.shape[1] for block in blocks])
    mean, std, standardized = _standardized(features)
    points = _as_compared(standardized, share)
    if nuisance is None:
        chosen, targets, certainty = labelled, labels, np.ones(len(labels))
    else:
        *_, alike = _standardized(remove_nuisance(features, nuisance))
        space = whiten(alike * share, settings.dimensions)
        spread = propagate_labels(space, labelled, labels, n_classes, settings.neighbours)
        chosen, targets, certainty = np.arange(len(points)), spread.argmax(axis=1), spread.max(axis=1)
    copies = settings.stain_jitter > 0 and n_descriptors > 0
    most = MAX_CENTRES // 2 if copies else MAX_CENTRES
    if len(chosen) > most:
        kept = np.linspace(0, len(chosen) - 1, most).astype(np.int64)
        chosen, targets, certainty = chosen[kept], targets[kept], certainty[kept]
    centres = points[chosen]
    if copies:
        others = features[chosen]
        others[:, -n_descriptors:] = restain(blocks[-1][chosen], settings.stain_jitter, np.random.default_rng(0))
        restained = _as_compared(((others - mean) / std).clip(-LARGEST, LARGEST), share)
        centres = np.concatenate([centres, restained])
        targets, certainty = np.tile(targets, 2), np.tile(certainty, 2)
    gamma = settings.gamma / features.shape[1]
    counts = np.bincount(targets, minlength=n_classes)
    balance = len(targets) / ((counts > 0).sum() * counts[targets])
    weights = fit_kernel_ridge(centres, targets, certainty * balance, n_classes, gamma, settings.regularization)
    classifier = FeatureClassifier(encoder, n_descriptors, len(centres), n_classes)
    arrays = {"mean": mean, "std": std, "share": share, "centres": centres, "weights": weights, "gamma": gamma}
    for name, values in arrays.items():
        getattr(classifier, name).copy_(torch.as_tensor(values))
    return classifier.eval()


def _standardized(features: Array) -> tuple[Array, Array, Array]:
    """Each feature's mean and standard deviation, 1 if all images are the same, and the standardised features."""
    mean, std = features.mean(axis=0), features.std(axis=0)
    std = np.where(std > 1e-6 * np.abs(features).max(axis=0), std, 1)
    return mean, std, ((features - mean) / std).clip(-LARGEST, LARGEST)


def _as_compared(standardized: Array, share: Array) -> Array:
    """Features as the classifier will have them, so that its weights are for the very numbers that it computes."""
    return (standardized * share).astype(np.float32).astype(np.float64)


def _equal_shares(sizes: Sequence[int]) -> Array:
    """Weights of the features with which blocks of these sizes add up to the same variance each, 1 if there is one."""
    total = sum(sizes) / len(sizes)
    return np.concatenate([np.full(size, np.sqrt(total / size)) for size in sizes])


def fit_kernel_ridge(
    centres: Array, targets: NDArray[np.int64], importance: Array, n_classes: int, gamma: float, regularization: float
) -> Array:
    """Regress 1 for an image's class and -1 for the others on the kernels between images.

    Args:
        centres: the images' features, shape (image, feature).
        targets: their classes, shape (image,).
        importance: their weights, shape (image,).
        n_classes: how many classes there are.
        gamma: of the kernel.
        regularization: of the regression.

    Returns:
        Shape (image, class).
    """
    from sklearn.kernel_ridge import KernelRidge  # not before it is wanted: it takes long to import

    ridge = KernelRidge(alpha=regularization, kernel="rbf", gamma=gamma)
    with threadpool_limits(1, user_api="blas"):  # with more threads sums have other last digits
        ridge.fit(centres, CERTAIN * (2 * np.eye(n_classes)[targets] - 1), sample_weight=importance)
    weights: Array = ridge.dual_coef_
    return weights


def background_colors(cells: NDArray[np.uint8]) -> Array:
    """The colour of the background of crops, on a logarithmic scale.

    Args:
        cells: shape (image, side, side, 3), 0 to 255.

    Returns:
        Shape (image, 3): the logarithm of each channel's 85th percentile, as background is what is bright.
    """
    pixels = cells.reshape(len(cells), -1, 3)
    return np.log1p(np.stack([np.percentile(some, 85, axis=0) for some in pixels]))
