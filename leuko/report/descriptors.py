"""What decides between two classes, and what is odd about a cell: the descriptors of the arm without a network."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from leuko.arms import MORPHOLOGY
from leuko.evaluation.importance import closest_pairs, permutation_importance
from leuko.models.build import load_classifier
from leuko.models.feature_classifier import FeatureClassifier
from leuko.morphology.descriptors import DESCRIPTORS
from leuko.packs.reading import read_images, read_rows, read_values
from leuko.report.blocks import Block, Card, Cell, Gallery, Row, Table
from leuko.report.encoding import picture
from leuko.report.pictures import enlarged
from leuko.training.predict import predict_features

N_PAIRS = 3
N_DECIDING = 6
N_AT_AN_END = 3
N_ODD = 4
SEED = 0


def descriptor_blocks(root: Path, classes: Sequence[str], *, pictures: bool, n_shown: int) -> list[Block]:
    """Tell which descriptors decide, and show cells at both ends of the first of them, and cells wrongly classified.

    Args:
        root: of the project, in which the arm `morphology` is trained.
        classes: in the order of their labels.
        pictures: whether cells may be shown.
        n_shown: at most so many wrongly classified cells.

    Returns:
        Nothing if there are fewer than two classes among the test images.
    """
    model, _ = load_classifier(root / MORPHOLOGY.model)
    assert isinstance(model, FeatureClassifier)
    pack = root / "data/packs/cells/test"
    rows, descriptors = read_rows(pack), np.array(read_values(pack, "descriptors"))
    labels = np.array([classes.index(label) for label in rows["class"]])

    def classify(features: NDArray[np.float32]) -> NDArray[np.float32]:
        return predict_features(model, [features])

    logits = classify(descriptors)
    blocks: list[Block] = []
    for first, second in closest_pairs(logits, labels, N_PAIRS):
        rng = np.random.default_rng([SEED, first, second])
        worth = permutation_importance(classify, descriptors, labels, first, second, rng)
        deciding = [int(place) for place in np.argsort(-worth, kind="stable")[:N_DECIDING]]
        title = f"{classes[first]} or {classes[second]}"
        medians = partial(_median, descriptors, labels)
        table_rows = {
            DESCRIPTORS[place].name: [
                Cell(DESCRIPTORS[place].meaning),
                Cell(DESCRIPTORS[place].unit),
                Cell(medians(first, place), "score"),
                Cell(medians(second, place), "score"),
                Cell(worth[place], "score"),
            ]
            for place in deciding
        }
        blocks.append(
            Row(
                [
                    Table(
                        f"deciding {classes[first]} {classes[second]}",
                        f"{title}: the descriptors that decide most. Their worth is what the margin between the two "
                        "classes loses when a descriptor is shuffled among the test images.",
                        ["meaning", "unit", f"median, {classes[first]}", f"median, {classes[second]}", "worth"],
                        table_rows,
                    )
                ]
            )
        )
        if pictures:
            members = np.flatnonzero(np.isin(labels, (first, second)))
            blocks.append(_ends(pack, rows, descriptors, members, deciding[0], title))
    if pictures:
        train = root / "data/packs/cells/train"
        blocks += _odd_cells(pack, rows, descriptors, logits, classes, train, n_shown)
    return blocks


def _median(descriptors: NDArray[np.float32], labels: NDArray[np.int64], label: int, place: int) -> float:
    """The median of a descriptor over the cells of a class."""
    return float(np.median(descriptors[labels == label, place]))


def _ends(
    pack: Path,
    rows: pd.DataFrame,
    descriptors: NDArray[np.float32],
    members: NDArray[np.int64],
    place: int,
    title: str,
) -> Gallery:
    """The cells of two classes with the least and the most of a descriptor."""
    cells = read_images(pack, "cell")
    order = members[np.argsort(descriptors[members, place], kind="stable")]
    name = DESCRIPTORS[place].name
    cards = []
    for word, ends in (("least", order[:N_AT_AN_END]), ("most", order[::-1][:N_AT_AN_END])):
        shown = [
            picture(enlarged(np.array(cells[row])), f"A cell, {rows['class'][row]}", str(rows["class"][row]))
            for row in ends
        ]
        values = ", ".join(f"{descriptors[row, place]:.2f}" for row in ends)
        cards.append(Card(shown, [f"{word}: {values}"]))
    return Gallery(f"{title}: the test images with the least and the most {name} ({DESCRIPTORS[place].unit})", cards)


def _odd_cells(
    pack: Path,
    rows: pd.DataFrame,
    descriptors: NDArray[np.float32],
    logits: NDArray[np.float32],
    classes: Sequence[str],
    train: Path,
    n_shown: int,
) -> list[Block]:
    """Cells that the descriptors classify wrongly, with those that are least like their class."""
    predicted = np.array(classes)[logits.argmax(axis=1)]
    wrong = np.flatnonzero(predicted != rows["class"].to_numpy())
    if not len(wrong):
        return []
    known, of_train = np.array(read_values(train, "descriptors")), read_rows(train)["class"].to_numpy()
    cells = read_images(pack, "cell")
    cards = []
    for row in wrong[:n_shown]:
        actual = str(rows["class"][row])
        own = known[of_train == actual]
        spread = own.std(axis=0)
        away = np.where(spread > 0, (descriptors[row] - own.mean(axis=0)) / np.where(spread > 0, spread, 1), 0)
        oddest = np.argsort(-np.abs(away), kind="stable")[:N_ODD]
        lines = [f"{actual}: {Path(rows['path'][row]).name}, taken for {predicted[row]}"]
        lines += [f"{DESCRIPTORS[place].name}: {away[place]:+.1f} SD from its class" for place in oddest]
        cards.append(Card([picture(enlarged(np.array(cells[row])), f"A cell, {actual}")], lines))
    some = f", {len(cards)} of them shown" if len(cards) < len(wrong) else ""
    caption = (
        f"Wrongly classified by descriptors alone: {len(wrong)} of {len(rows)} test images{some}. Below each, what is "
        "least like the training images of its class, in their standard deviations"
    )
    return [Gallery(caption, cards)]
