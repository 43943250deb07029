"""What a classifier of one laboratory is worth in another, as it is and with a few labelled cells of the other.

    python -m trials.two_laboratories ROOT PATTERN [NAME=ENCODER ...]

takes the blood cells of a folder in the course layout apart by a regular expression that fits the names of one
laboratory's files. Each laboratory is measured by itself. A fifth of the home laboratory's cells is its own test, the
others are learned from. Away from home, cells are classified as they are; aligned, which takes no label; and after
adapting with 5 and with 10 labelled cells a class, drawn ten times, always tested on cells that were not drawn. Only
classes with 15 cells away from home are counted there; `stain` is that of `params.yaml`. Without encoders (model
files), descriptors are taken; with them, the frozen encoders, alone and beside descriptors.
"""

from __future__ import annotations

import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from leuko.core.classes import SUBSETS
from leuko.core.params.everything import Params
from leuko.core.params.reading import load_params
from leuko.core.params.stain import Stain
from leuko.core.params.transfer import Probe
from leuko.data.laboratory import survey_unlabelled
from leuko.data.scale import from_column
from leuko.evaluation.adaptation import adapt, align
from leuko.evaluation.probe import fit_probe
from leuko.models.build import load_encoder
from leuko.models.encoders import Encoder
from leuko.models.feature_classifier import FeatureClassifier, encode
from leuko.models.foreign import fit_domain
from leuko.morphology.packing import find_scale, pack_cells
from leuko.morphology.staining import Staining
from leuko.packs.reading import read_images, read_values

N_DRAWS = 10
SHOTS = (5, 10)
LEAST = 15
"""Classes of fewer cells away from home are not counted there."""
TEST_SHARE = 5
"""Every fifth cell of home, in random order, is of the own test."""

Labels = NDArray[np.int64]
Values = NDArray[np.float32]


Blocks = tuple[list[Values], list[Values], Encoder | None]
"""What is known of the cells of home and away, block by block, and the encoder of the first block, if one gave it."""


@dataclass(frozen=True)
class Laboratory:
    """Cells of one laboratory: labels, descriptors and crops of shape (cell, side, side, 3)."""

    labels: Labels
    descriptors: Values
    cells: NDArray[np.uint8]


def main() -> None:
    """Print a table for each direction."""
    torch.set_num_threads(1)
    root, pattern = Path(sys.argv[1]), re.compile(sys.argv[2])
    encoders = {name: load_encoder(Path(path))[0] for name, path in (pair.split("=", 1) for pair in sys.argv[3:])}
    params = load_params(Params)
    laboratories = measure(root, pattern, params.classes, params.measure.side, params.stain)
    for home, away in (laboratories, (laboratories[1], laboratories[0])):
        print(f"\nhome: {len(home.labels)} cells; away: {counts(away.labels, params.classes)}")
        foreign(home, away)
        print("\n| features | own test | as it is | aligned | 5 labels | 10 labels |\n|---|---|---|---|---|---|")
        for name, blocks in blocks_of(encoders, (home, away)).items():
            print(f"| {name} | {' | '.join(row(home, away, blocks, params.probe))} |", flush=True)


def measure(
    root: Path, pattern: re.Pattern[str], classes: tuple[str, ...], side: int, stain: Stain = "none"
) -> tuple[Laboratory, Laboratory]:
    """The laboratory whose files the pattern does not fit, then the other; each is a set of its own."""
    everything = survey_unlabelled(root / f"WBC_{SUBSETS[-1]}", min_side=16, max_value="auto")
    everything = everything[["data" in Path(path).parts for path in everything["path"]]]
    fits = np.array([bool(pattern.search(Path(path).name)) for path in everything["path"]])
    found = []
    for rows in (everything[~fits].reset_index(drop=True), everything[fits].reset_index(drop=True)):
        files = [root / f"WBC_{SUBSETS[-1]}" / path for path in rows["path"]]
        depths = from_column(rows["scale"])
        staining = Staining(stain).settled(files, depths)
        with tempfile.TemporaryDirectory() as folder:
            pack = Path(folder) / "cells"
            scale = find_scale(rows, files, depths, staining)
            pack_cells(pack, rows, files, depths, scale, side, "measuring cells", staining)
            values = np.array(read_values(pack, "descriptors")), np.array(read_images(pack, "cell"))
        found.append(Laboratory(np.array([classes.index(file.parent.name) for file in files]), *values))
    return found[0], found[1]


def blocks_of(encoders: dict[str, Encoder], pair: tuple[Laboratory, Laboratory]) -> dict[str, Blocks]:
    """What is known of the cells of both laboratories, by name of the features."""
    first, second = pair
    found: dict[str, Blocks] = {}
    if not encoders:
        found["morphology"] = [first.descriptors], [second.descriptors], None
    for name, encoder in encoders.items():
        here, there = (encode_all(encoder, laboratory.cells) for laboratory in pair)
        found[name] = [here], [there], encoder
        found[f"{name} + morphology"] = [here, first.descriptors], [there, second.descriptors], encoder
    return found


@torch.no_grad()
def encode_all(encoder: Encoder, cells: NDArray[np.uint8]) -> Values:
    """Features of crops."""
    chunks = torch.from_numpy(cells).permute(0, 3, 1, 2).split(64)
    features: Values = torch.cat([encode(encoder, chunk.float() / 255) for chunk in chunks]).numpy()
    return features


def row(home: Laboratory, away: Laboratory, blocks: Blocks, settings: Probe) -> list[str]:
    """One line of the table: accuracies, balanced over the classes in brackets."""
    here, there, encoder = blocks
    n_classes = int(max(home.labels.max(), away.labels.max())) + 1
    test, train = parts(home)
    known = [block[train] for block in here]
    classifier = fit_probe(known, np.arange(len(train)), home.labels[train], n_classes, settings, encoder=encoder)
    own, cells = np.concatenate(here, axis=1), np.concatenate(there, axis=1)
    counted = counted_classes(home, away)
    is_counted = np.isin(away.labels, counted)
    shown = [
        told([score(classifier, own[test], home.labels[test])]),
        told([score(classifier, cells[is_counted], away.labels[is_counted])]),
        told([score(align(classifier, cells, settings), cells[is_counted], away.labels[is_counted])]),
    ]
    return shown + [told(adapted(classifier, cells, away.labels, counted, shots, settings)) for shots in SHOTS]


def adapted(
    classifier: FeatureClassifier, cells: Values, labels: Labels, counted: Labels, shots: int, settings: Probe
) -> list[tuple[float, float]]:
    """The scores of ten adapted classifiers, each on the cells that were not drawn to adapt it.

    Args:
        classifier: of home.
        cells: features of the cells away from home, shape (cell, feature).
        labels: their classes.
        counted: the classes that are drawn and scored.
        shots: how many cells of each class are drawn.
        settings: with which the classifier was fitted.
    """
    scores = []
    for draw in range(N_DRAWS):
        rng = np.random.default_rng([draw, shots])
        drawn = np.concatenate([rng.choice(np.flatnonzero(labels == label), shots, replace=False) for label in counted])
        rest = np.setdiff1d(np.flatnonzero(np.isin(labels, counted)), drawn)
        found = adapt(classifier, cells[drawn], labels[drawn], cells[rest], settings)
        scores.append(score(found.classifier, cells[rest], labels[rest]))
    return scores


def parts(home: Laboratory) -> tuple[Labels, Labels]:
    """The cells of the own test, and those that are learned from."""
    order = np.random.default_rng(0).permutation(len(home.labels))
    return order[::TEST_SHARE], np.delete(order, np.s_[::TEST_SHARE])


def counted_classes(home: Laboratory, away: Laboratory) -> Labels:
    """The classes that both laboratories have enough cells of."""
    numbers = [
        np.bincount(laboratory.labels, minlength=max(home.labels.max(), away.labels.max()) + 1)
        for laboratory in (home, away)
    ]
    return np.flatnonzero(np.min(numbers, axis=0) >= LEAST)


@torch.no_grad()
def score(classifier: FeatureClassifier, cells: Values, labels: Labels) -> tuple[float, float]:
    """Accuracy, and the mean of the classes' recalls."""
    return shares(classifier.classify_features(torch.from_numpy(cells)).argmax(1).numpy(), labels)


def shares(said: Labels, labels: Labels) -> tuple[float, float]:
    """Accuracy, and the mean of the classes' recalls."""
    right = said == labels
    return float(right.mean()), float(np.mean([right[labels == label].mean() for label in np.unique(labels)]))


def told(scores: list[tuple[float, float]]) -> str:
    """The median over draws with the lowest and highest, and the same of balanced accuracy in brackets."""

    def shown(values: NDArray[np.float64]) -> str:
        middle = f"{np.median(values):.3f}"
        return middle if len(values) == 1 else f"{middle} [{values.min():.3f}, {values.max():.3f}]"

    accuracies, balanced = np.array(scores).T
    return f"{shown(accuracies)} ({shown(balanced)})"


def foreign(home: Laboratory, away: Laboratory) -> None:
    """How many cells of the own test and of the other laboratory lie beyond what a model of home knows."""
    test, train = parts(home)
    domain = fit_domain(home.descriptors[train], home.descriptors[:0])
    own, other = (domain.beyond(values).mean() for values in (home.descriptors[test], away.descriptors))
    print(f"beyond the threshold: own test {own:.1%}, away {other:.1%}")


def counts(labels: Labels, classes: tuple[str, ...]) -> str:
    """How many cells of each class there are."""
    return ", ".join(f"{(labels == number).sum()} {label}" for number, label in enumerate(classes))


if __name__ == "__main__":
    main()
