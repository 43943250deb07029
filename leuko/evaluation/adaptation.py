"""Bringing a classifier on features to another laboratory, with a few labelled cells of it or with none.

Stain and camera shift every descriptor of a laboratory's cells and stretch its spread. Measured in spreads from the
laboratory's own median (interquartile range, which a few odd cells do not move), descriptors can be compared; that
takes cells, but no labels. With some labels, the cells of both laboratories are learned from together, each laboratory
having the same weight in every class that both have.

What the old cells were called is not in a model file; but the classifier is asked about the very cells that it was
fitted to, and answers as they were labelled wherever it learned them.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax

from leuko.core.params.transfer import Probe
from leuko.evaluation.calibration import fit_temperature
from leuko.evaluation.probe import fit_kernel_ridge
from leuko.evaluation.scores import log_losses
from leuko.models.feature_classifier import LARGEST, FeatureClassifier

LEAST_UNLABELLED = 30
"""Fewer cells have no median and spread worth the name."""
FOLDS = 5
MAX_OLD = 2_000
"""More of the old cells are thinned out evenly, since they are fitted again in every fold."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Adapted:
    """A classifier for another laboratory.

    Attributes:
        classifier: in evaluation mode.
        temperature: fitted to labelled cells that were left out; that of the own laboratory without any.
        aligned: whether descriptors are measured from the laboratory's own median.
        accuracy: share of the labelled cells, left out in turn, that are classified correctly, by whether descriptors
            are measured so; empty without labels.
    """

    classifier: FeatureClassifier
    temperature: float
    aligned: bool
    accuracy: dict[bool, float]


def align(classifier: FeatureClassifier, cells: NDArray[np.float32], settings: Probe) -> FeatureClassifier:
    """Bring a classifier to another laboratory without labels.

    Args:
        classifier: of the own laboratory.
        cells: features of the other's cells, shape (cell, feature); dozens of them, of all classes.
        settings: with which the classifier was fitted.

    Returns:
        A classifier for the other laboratory, in evaluation mode.
    """
    old = _cells(classifier, settings)
    targets = _answers(classifier, old)
    median, spread = _robust(cells.astype(np.float64))
    points = _measured_anew(classifier, old)
    weights = fit_kernel_ridge(
        points, targets, _balance(targets), _n_classes(classifier), _gamma(classifier), settings.regularization
    )
    return _remade(classifier, median, spread, points, weights)


def adapt(
    classifier: FeatureClassifier,
    labelled: NDArray[np.float32],
    labels: NDArray[np.int64],
    others: NDArray[np.float32],
    settings: Probe,
) -> Adapted:
    """Bring a classifier to another laboratory with a few labelled cells.

    Args:
        classifier: of the own laboratory.
        labelled: features of the other's labelled cells, shape (cell, feature).
        labels: the numbers of their classes, at least two of them different.
        others: features of its further cells, shape (cell, feature); there may be none.
        settings: with which the classifier was fitted.

    Returns:
        The classifier for the other laboratory. Features are measured from its own median only if that makes the
        labelled cells, left out by turns, likelier.
    """
    old_cells = _cells(classifier, settings)
    old_targets = _answers(classifier, old_cells)
    kept = np.unique(np.linspace(0, len(old_targets) - 1, MAX_OLD).astype(np.int64))
    median, spread = _robust(np.concatenate([labelled, others]).astype(np.float64))
    own_scale = (_double(classifier.mean), _double(classifier.std))
    share = _double(classifier.share)
    fold_of = _folds(labels)
    n_classes, gamma = _n_classes(classifier), _gamma(classifier)
    fits, logits = {}, {}
    for aligned, (centre, width), whole in (
        (False, own_scale, old_cells),
        (True, (median, spread), _measured_anew(classifier, old_cells)),
    ):
        old, new = whole[kept], _points(labelled, centre, width, share)

        def fit(chosen: NDArray[np.bool_], old: Array = old, new: Array = new) -> tuple[Array, Array]:
            points = np.concatenate([old, new[chosen]])
            targets = np.concatenate([old_targets[kept], labels[chosen]])
            laboratory = np.repeat([0, 1], [len(old), chosen.sum()])
            importance = np.concatenate([_balance(targets[laboratory == number]) for number in (0, 1)])
            importance[laboratory == 1] *= (laboratory == 0).sum() / (laboratory == 1).sum()
            return points, fit_kernel_ridge(points, targets, importance, n_classes, gamma, settings.regularization)

        said = np.zeros((len(labels), n_classes))
        for fold in np.unique(fold_of):
            points, weights = fit(fold_of != fold)
            said[fold_of == fold] = _kernel(new[fold_of == fold], points, gamma) @ weights
        logits[aligned] = said
        fits[aligned] = (centre, width, *fit(np.ones(len(labels), bool)))
    accuracy = {aligned: float((said.argmax(axis=1) == labels).mean()) for aligned, said in logits.items()}
    temperature = {aligned: fit_temperature(said, labels) for aligned, said in logits.items()}
    loss = {
        aligned: float(log_losses(softmax(said / temperature[aligned], axis=1), labels).mean())
        for aligned, said in logits.items()
    }
    better = loss[True] < loss[False]
    return Adapted(_remade(classifier, *fits[better]), temperature[better], better, accuracy)


def _cells(classifier: FeatureClassifier, settings: Probe) -> Array:
    """The cells that the classifier was fitted to, as kernels compare them, without copies in other stains."""
    centres = _double(classifier.centres)
    copied = settings.stain_jitter > 0 and "descriptors" in classifier.inputs
    return centres[: len(centres) // 2] if copied else centres


def _answers(classifier: FeatureClassifier, cells: Array) -> NDArray[np.int64]:
    """What the classifier calls the cells that it was fitted to."""
    kernels = _kernel(cells, _double(classifier.centres), _gamma(classifier))
    answers: NDArray[np.int64] = (kernels @ _double(classifier.weights)).argmax(axis=1)
    return answers


def _measured_anew(classifier: FeatureClassifier, cells: Array) -> Array:
    """The cells that the classifier was fitted to, in spreads from their median."""
    share = _double(classifier.share)
    values = cells / share
    return _points(values, *_robust(values), share)


def _points(values: NDArray[np.floating], centre: Array, width: Array, share: Array) -> Array:
    """Features as they are to what kernels compare."""
    points: Array = ((values - centre) / width).clip(-LARGEST, LARGEST) * share
    return points


def _robust(values: Array) -> tuple[Array, Array]:
    """Median and spread of each feature; the spread of a normal distribution is its standard deviation."""
    low, median, high = np.percentile(values, [25, 50, 75], axis=0)
    spread = (high - low) / 1.349
    return median, np.where(spread > 1e-6 * np.abs(values).max(axis=0), spread, 1)


def _balance(targets: NDArray[np.int64]) -> Array:
    """Weights of cells by which every class counts the same; their mean is 1."""
    counts = np.bincount(targets)
    weights: Array = len(targets) / ((counts > 0).sum() * counts[targets])
    return weights


def _folds(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """The fold in which each cell is left out, the cells of a class by turns, and never all cells at once."""
    folds = np.zeros(len(labels), np.int64)
    folds[np.argsort(labels, kind="stable")] = np.arange(len(labels)) % FOLDS
    return folds


def _kernel(points: Array, centres: Array, gamma: float) -> Array:
    """Gaussian kernels, shape (point, centre)."""
    squared = np.square(points).sum(axis=1)[:, None] + np.square(centres).sum(axis=1) - 2 * points @ centres.T
    kernels: Array = np.exp(-gamma * squared)
    return kernels


def _remade(
    classifier: FeatureClassifier, mean: Array, std: Array, centres: Array, weights: Array
) -> FeatureClassifier:
    """The same classifier with other arrays."""
    n_encoded = classifier.encoder.n_features if classifier.encoder else 0
    encoder = copy.deepcopy(classifier.encoder)
    made = FeatureClassifier(encoder, centres.shape[1] - n_encoded, len(centres), weights.shape[1])
    share, gamma = classifier.share, classifier.gamma
    arrays = {"mean": mean, "std": std, "share": share, "centres": centres, "weights": weights, "gamma": gamma}
    for name, values in arrays.items():
        getattr(made, name).copy_(torch.as_tensor(values))
    return made.eval()


def _n_classes(classifier: FeatureClassifier) -> int:
    return classifier.weights.shape[1]


def _gamma(classifier: FeatureClassifier) -> float:
    return float(classifier.gamma)


def _double(tensor: torch.Tensor) -> Array:
    array: Array = tensor.detach().cpu().double().numpy()
    return array
