"""Shortcuts: what tells the classes apart without the cell, so that a network could learn it in the cell's place.

A class whose images come from another day, camera or program differs from the others in its background or in the form
of its files. Scores do not show that: the test has the same shortcut. So a logistic regression is asked to tell the
classes by what surrounds the cell alone, and one by facts about the files alone; what they can is more than chance only
if there is a shortcut (Geirhos et al. 2020, Nature Machine Intelligence 2:665).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from leuko.data.division import number_groups
from leuko.data.groups import FEW
from leuko.evaluation.comparison import widened
from leuko.evaluation.external import Answers, resample

LEVEL = 0.95
N_EXAMPLES = 6
PERCENTILES = (5, 50, 95)
CHANNELS = ("red", "green", "blue")
STATISTICS = (*(f"{percentile} % percentile" for percentile in PERCENTILES), "mean", "deviation")
AROUND = tuple(f"{name} of {channel} in {place}" for place in ("the corners", "the border") for name in STATISTICS
               for channel in CHANNELS)  # fmt: skip
"""What is measured around the cell."""
CHUNK = 256
REGULARIZATION = 0.1

Values = NDArray[np.float64]


def surroundings(images: NDArray[np.uint8]) -> Values:
    """Describe what surrounds the cells of images, of which a disc that reaches all four sides is left out.

    The disc is the same for all, whatever the cell's size, so that nothing of the cell is told by what is left.

    Args:
        images: whole ones, shape (image, side, side, 3), 0 to 255.

    Returns:
        Shape (image, len(AROUND)): percentiles, mean and deviation of the logarithm of each channel in the corners
        around the disc and in the border of one pixel.
    """
    side = images.shape[1]
    away = np.arange(side) + 0.5 - side / 2
    corners = np.hypot(away[:, None], away) > side / 2
    border = np.pad(np.zeros((side - 2, side - 2), bool), 1, constant_values=True) & corners
    chunks = [images[start : start + CHUNK] for start in range(0, len(images), CHUNK)]
    found = []
    for chunk in chunks:
        density = np.log(chunk.astype(np.float64) / 255 + 0.02)
        for_places = []
        for place in (corners, border):
            values = density[:, place]
            percentiles = np.percentile(values, PERCENTILES, axis=1)
            for_places += [*percentiles, values.mean(axis=1), values.std(axis=1)]
        found.append(np.concatenate(for_places, axis=1))
    return np.concatenate(found) if found else np.zeros((0, len(AROUND)))


def file_facts(rows: pd.DataFrame) -> pd.DataFrame:
    """Describe files by what has nothing to do with the cell.

    Args:
        rows: of the manifest.

    Returns:
        A row for each: the logarithms of width and height; and of format, sample type and the form of the name, in
        which letters and digits stand for all letters and digits, whether it is this one.
    """
    names = rows["path"].map(lambda path: Path(path).name)
    kinds = pd.DataFrame(
        {
            "ending": names.map(lambda name: Path(name).suffix),
            "samples": rows["scale"],
            "form of the name": names.map(lambda name: re.sub(r"[^\W\d_]+", "a", re.sub(r"\d+", "0", Path(name).stem))),
        }
    )
    kinds = pd.get_dummies(kinds, prefix_sep=" ", dtype=np.float64)
    return kinds.assign(width=np.log(rows["width"]), height=np.log(rows["height"]))


def find_shortcut(
    train: Values, train_labels: Sequence[str], test: Values, rows: pd.DataFrame, names: Sequence[str]
) -> dict[str, Any]:
    """How well a logistic regression tells the classes by values that say nothing of the cell.

    Args:
        train: of training images, shape (image, value).
        train_labels: their classes, at least two.
        test: the same values of the test images.
        rows: their `path`, `class` and `group`.
        names: of the values.

    Returns:
        `balanced_accuracy` with the ends `low` and `high` of its 95 % interval, `chance`, and whether it is
        `above_chance`, as the whole interval is; `recalls` by class; `tells`: by class the value whose coefficient is
        the largest; `examples`: the test images that are told most surely, with their `path`, `class` and
        `probability`. The interval resamples whole groups where there are at least five.
    """
    from sklearn.linear_model import LogisticRegression

    mean, std = train.mean(axis=0), train.std(axis=0)
    std = np.where(std > 1e-9, std, 1)
    model = LogisticRegression(C=REGULARIZATION, class_weight="balanced", max_iter=2_000)
    model.fit((train - mean) / std, list(train_labels))
    classes = list(model.classes_)
    probabilities = model.predict_proba((test - mean) / std)
    known = rows["class"].isin(classes).to_numpy()
    labels = np.array([classes.index(label) if label in classes else -1 for label in rows["class"]])
    groups = list(rows["group"]) if rows[rows["group"] != ""]["group"].nunique() >= FEW else [""] * len(rows)
    occurring = np.unique(labels)
    rng = np.random.default_rng(0)
    observed, drawn = resample(Answers(probabilities, labels, groups), occurring, rng)
    if any(groups):
        drawn = widened(drawn, np.array(observed), number_groups(groups))
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).clip(0, 1)
    chance = 1 / len(occurring)
    right = probabilities.argmax(axis=1) == labels
    sure = np.where(right & known, probabilities.max(axis=1), 0)
    surest = [place for place in np.argsort(-sure, kind="stable")[:N_EXAMPLES] if sure[place]]
    coefficients = model.coef_ if len(classes) > 2 else np.vstack([-model.coef_, model.coef_])
    return {
        "balanced_accuracy": observed,
        "low": float(low),
        "high": float(high),
        "chance": chance,
        "above_chance": bool(low > chance),
        "recalls": {
            label: float(right[labels == number].mean()) for number, label in enumerate(classes) if number in occurring
        },
        "tells": {label: names[int(np.abs(row).argmax())] for label, row in zip(classes, coefficients, strict=True)},
        "examples": [
            {"path": rows["path"].iloc[place], "class": rows["class"].iloc[place], "probability": float(sure[place])}
            for place in surest
        ],
    }
