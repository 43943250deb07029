"""Suspect labels: images whose given class confidently disagrees with what the other images teach.

This is confident learning (Northcutt, Jiang & Chuang 2021, Journal of Artificial Intelligence Research 70:1373) with
out-of-fold probabilities of a classifier on descriptors: an image counts as one of another class if its probability of
that class is at least as large as it is on average for images that bear its name.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import softmax

from leuko.core.params.transfer import Probe
from leuko.evaluation.calibration import fit_temperature
from leuko.evaluation.probe import fit_probe
from leuko.training.predict import predict_features

FOLDS = 5
WORTH_SAYING = 0.01
"""A smaller share of suspect labels is what errors of the classifier make of good ones, and no reason to warn."""


def out_of_fold(
    descriptors: NDArray[np.float32], labels: NDArray[np.int64], groups: Sequence[str], n_classes: int, settings: Probe
) -> NDArray[np.float64]:
    """What a classifier says of images that it did not learn from, nor from others of their groups.

    Args:
        descriptors: shape (image, descriptor).
        labels: shape (image,).
        groups: of the images; empty where unknown.
        n_classes: how many classes there are.
        settings: of the classifier; labels are not propagated, and no stain but the own is learned.

    Returns:
        Probabilities, calibrated, shape (image, class).
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    if len(set(groups)) >= FOLDS:
        units = np.array([group or f"\0{place}" for place, group in enumerate(groups)])
        folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0).split(descriptors, labels, units)
    else:
        folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(descriptors, labels)
    settings = settings.model_copy(update={"stain_jitter": 0.0})
    logits = np.zeros((len(labels), n_classes))
    for inner, outer in folds:
        model = fit_probe([descriptors[inner]], np.arange(len(inner)), labels[inner], n_classes, settings)
        logits[outer] = predict_features(model, [descriptors[outer]])
    return softmax(logits / fit_temperature(logits, labels), axis=1)


def find_suspects(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> pd.DataFrame:
    """The images that confident learning counts as of another class than they are labelled.

    Args:
        probabilities: out of fold, shape (image, class).
        labels: as given, shape (image,).

    Returns:
        The most suspect first: `image`, its number; `given` and `suggested`, the numbers of the classes; and their
        probabilities, `p_given` and `p_suggested`.
    """
    n_classes = probabilities.shape[1]
    given = probabilities[np.arange(len(labels)), labels]
    usual = np.array(
        [given[labels == label].mean() if (labels == label).any() else np.inf for label in range(n_classes)]
    )
    confident = np.where(probabilities >= usual, probabilities, -1)
    suggested = confident.argmax(axis=1)
    images = np.flatnonzero(
        (confident.max(axis=1) >= 0) & (suggested != labels) & (probabilities.argmax(1) == suggested)
    )
    found = pd.DataFrame(
        {
            "image": images,
            "given": labels[images],
            "suggested": suggested[images],
            "p_given": given[images],
            "p_suggested": probabilities[images, suggested[images]],
        }
    )
    order = (found["p_given"] - found["p_suggested"]).argsort(kind="stable")
    return found.iloc[order].reset_index(drop=True)
