"""The scores of a classifier, defined in one place; labels have a fixed order, so that a class may be absent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import cohen_kappa_score, precision_recall_fscore_support, roc_auc_score

from leuko.evaluation.calibration import expected_calibration_error

HEADLINE = ("accuracy", "balanced_accuracy", "macro_f1", "loss")


def log_losses(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """The negative log-likelihood of every image, in nats: finite even where the probability is zero.

    Args:
        probabilities: shape (image, class), rows adding up to 1.
        labels: shape (image,), the classes' numbers.

    Returns:
        Shape (image,), 0 to 88.
    """
    likelihoods = probabilities[np.arange(len(labels)), labels]
    losses: NDArray[np.float64] = -np.log(np.maximum(likelihoods, np.finfo(np.float32).tiny))
    return losses


def score(probabilities: NDArray[np.float64], labels: NDArray[np.int64], classes: Sequence[str]) -> dict[str, Any]:
    """Score predictions.

    Args:
        probabilities: shape (image, class), rows adding up to 1.
        labels: shape (image,), the classes' numbers.
        classes: their names, in the order of the numbers.

    Returns:
        `accuracy`, `balanced_accuracy` and `macro_f1` (means over the classes that occur among the labels), `loss`
        (mean negative log-likelihood), `ece` (expected calibration error), `auroc` (each class against the rest, mean
        over the classes that occur), `kappa` (Cohen 1960), and `classes`: for each its `precision`, `recall`, `f1` and
        `images`; of a class without images nothing is known, and its scores are none. AUROC and kappa say nothing about
        images of one class only, and are none there.
    """
    predicted = probabilities.argmax(axis=1)
    numbers = np.arange(len(classes))
    precision, recall, f1, support = precision_recall_fscore_support(labels, predicted, labels=numbers, zero_division=0)
    occurs = support > 0
    mixed = occurs.sum() > 1
    is_class = labels[:, None] == numbers
    return {
        "accuracy": float((predicted == labels).mean()),
        "balanced_accuracy": float(recall[occurs].mean()),
        "macro_f1": float(f1[occurs].mean()),
        "loss": float(log_losses(probabilities, labels).mean()),
        "ece": expected_calibration_error(probabilities, labels),
        "auroc": float(roc_auc_score(is_class[:, occurs], probabilities[:, occurs])) if mixed else None,
        "kappa": float(cohen_kappa_score(labels, predicted, labels=numbers)) if mixed else None,
        "classes": {
            name: {
                "precision": float(precision[number]) if occurs[number] else None,
                "recall": float(recall[number]) if occurs[number] else None,
                "f1": float(f1[number]) if occurs[number] else None,
                "images": int(support[number]),
            }
            for number, name in enumerate(classes)
        },
    }
