"""The scores of a classifier, defined in one place; labels have a fixed order, so that a class may be absent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_fscore_support

HEADLINE = ("accuracy", "balanced_accuracy", "macro_f1", "loss")


def score(probabilities: NDArray[np.float64], labels: NDArray[np.int64], classes: Sequence[str]) -> dict[str, Any]:
    """Score predictions.

    Args:
        probabilities: shape (image, class), rows adding up to 1.
        labels: shape (image,), the classes' numbers.
        classes: their names, in the order of the numbers.

    Returns:
        `accuracy`, `balanced_accuracy` and `macro_f1` (means over the classes that occur among the labels), `loss`
        (mean negative log-likelihood), and `classes`: for each its `precision`, `recall`, `f1` and `images`.
    """
    predicted = probabilities.argmax(axis=1)
    numbers = list(range(len(classes)))
    precision, recall, f1, support = precision_recall_fscore_support(labels, predicted, labels=numbers, zero_division=0)
    occurs = support > 0
    likelihoods = probabilities[np.arange(len(labels)), labels]
    return {
        "accuracy": float((predicted == labels).mean()),
        "balanced_accuracy": float(recall[occurs].mean()),
        "macro_f1": float(f1[occurs].mean()),
        "loss": float(-np.log(np.maximum(likelihoods, np.finfo(np.float32).tiny)).mean()),
        "classes": {
            name: {
                "precision": float(precision[number]),
                "recall": float(recall[number]),
                "f1": float(f1[number]),
                "images": int(support[number]),
            }
            for number, name in enumerate(classes)
        },
    }


def gain(plus: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    """The differences of two models' scores on the same images, first minus second."""
    return {name: plus[name] - base[name] for name in HEADLINE} | {
        "classes": {
            name: {
                key: plus["classes"][name][key] - base["classes"][name][key] for key in ("precision", "recall", "f1")
            }
            for name in base["classes"]
        }
    }
