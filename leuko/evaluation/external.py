"""Scores on the cells of another laboratory, and how far they fall from those on the own test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leuko.data.division import number_groups
from leuko.evaluation.calibration import apply_temperature, expected_calibration_error
from leuko.evaluation.scores import score

SURE = 0.9
"""A model that gives its answer a larger probability calls itself sure."""
N_RESAMPLES = 2_000
LEVEL = 0.95


@dataclass(frozen=True)
class Answers:
    """What a model said of the images of a test.

    Attributes:
        probabilities: shape (image, class).
        labels: shape (image,), the classes' numbers.
        groups: of the images; empty where unknown.
    """

    probabilities: NDArray[np.float64]
    labels: NDArray[np.int64]
    groups: Sequence[str]


def score_external(own: Answers, there: Answers, temperature: float, classes: Sequence[str]) -> dict[str, Any]:
    """Score a model on another laboratory's cells.

    Args:
        own: its answers in the own test.
        there: its answers there.
        temperature: fitted on the own validation images.
        classes: the classes' names.

    Returns:
        `free`: scores when it may choose among all classes; `present`: accuracy and balanced accuracy when it chooses
        among those that are there; `ece_calibrated`: the calibration error with the temperature; `sure`: the share of
        images that it is sure of, and `sure_right`: the share of these that it classifies correctly, none without any;
        `fall`: own balanced accuracy minus that there, over the classes that are there and by free choice, with the
        ends `low` and `high` of its 95 % interval. It resamples both tests, whole groups where they are known; of one
        group alone there is no interval, and the ends are none.
    """
    occurring = np.unique(there.labels)
    tempered = apply_temperature(there.probabilities, temperature)
    predicted = there.probabilities.argmax(axis=1)
    right = predicted == there.labels
    sure = tempered.max(axis=1) > SURE
    among = np.zeros_like(there.probabilities)
    among[:, occurring] = there.probabilities[:, occurring]
    # Where all of these are zero, they are equally likely.
    among[among.sum(axis=1) == 0] = np.isin(np.arange(len(classes)), occurring)
    chosen = score(among / among.sum(axis=1, keepdims=True), there.labels, classes)
    return {
        "free": score(there.probabilities, there.labels, classes),
        "present": {name: chosen[name] for name in ("accuracy", "balanced_accuracy")},
        "ece_calibrated": expected_calibration_error(tempered, there.labels),
        "sure": float(sure.mean()),
        "sure_right": float(right[sure].mean()) if sure.any() else None,
        "fall": _fall(own, there, occurring),
    }


def _fall(own: Answers, there: Answers, classes: NDArray[np.int64]) -> dict[str, float | None] | None:
    """The difference of balanced accuracies over these classes with its interval; none if the own test lacks one."""
    if not np.isin(classes, own.labels).all():
        return None
    rng = np.random.default_rng(0)
    (here, heres), (away, aways) = (resample(answers, classes, rng) for answers in (own, there))
    if any(len(set(number_groups(answers.groups))) < 2 for answers in (own, there)):
        return {"balanced_accuracy": here - away, "low": None, "high": None}
    low, high = np.quantile(heres - aways, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return {"balanced_accuracy": here - away, "low": float(low), "high": float(high)}


def resample(
    answers: Answers, classes: NDArray[np.int64], rng: np.random.Generator
) -> tuple[float, NDArray[np.float64]]:
    """Balanced accuracy over some classes, and the same of resampled groups.

    Args:
        answers: of a model.
        classes: the numbers of the classes.
        rng: draws the groups.

    Returns:
        The balanced accuracy, and those of the resamples, shape (resample,).
    """
    units = number_groups(answers.groups)
    n_units = int(units.max()) + 1
    drawn = np.vstack([np.ones(n_units), rng.multinomial(n_units, np.full(n_units, 1 / n_units), N_RESAMPLES)])
    images = drawn[:, units]
    is_class = answers.labels[:, None] == classes
    right = answers.probabilities.argmax(axis=1) == answers.labels
    counts = images @ is_class
    recalls = np.where(counts > 0, (images @ (is_class & right[:, None])) / np.maximum(counts, 1), np.nan)
    balanced: NDArray[np.float64] = np.nanmean(recalls, axis=1)  # a resample may lack a rare class
    return float(balanced[0]), balanced[1:]
