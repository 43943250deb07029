"""What every arm of a run is worth in another laboratory: as it is, and with a few labelled cells of it.

    python -m trials.adapted NAME

in a project whose pipeline was run with the laboratory NAME in `external`. Each arm is scored on the own test and in
the laboratory as it is, from the run's tables of predictions. Classifiers on features are also scored aligned, which
takes no label, and adapted as `leuko adapt` does with 5 and with 10 labelled cells a class, drawn ten times, always
on cells that were not drawn. For a fine-tuned network these are of a classifier on its features, fitted to the cells
that it was trained on. Only classes with 15 cells in the laboratory are counted there. Accuracy, balanced accuracy in
brackets; of draws the median with the lowest and highest.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from leuko.arms import arms
from leuko.core.params.everything import Params
from leuko.core.params.reading import load_params
from leuko.core.params.transfer import Probe
from leuko.data.manifest import read_manifest
from leuko.evaluation.adaptation import adapt, align
from leuko.evaluation.predictions import read_predictions
from leuko.evaluation.probe import fit_probe
from leuko.models.build import load_classifier
from leuko.models.classifier import Classifier
from leuko.models.encoders import Encoder, TransferNet
from leuko.models.feature_classifier import FeatureClassifier, encode
from leuko.models.store import left_out
from leuko.packs.reading import read_images, read_rows, read_values
from leuko.training.device import set_up
from leuko.training.parts import select_cells

N_DRAWS = 10
SHOTS = (5, 10)
LEAST = 15
"""Classes of fewer cells in the laboratory are not counted there."""

PACKS = Path("data/packs")

Labels = NDArray[np.int64]
Scores = tuple[float, float]
"""Accuracy, and the mean of the classes' recalls."""


def main() -> None:
    """Print a table."""
    (name,) = sys.argv[1:]
    params = load_params(Params)
    set_up("cpu", params.compute, params.seed)
    there = PACKS / "external" / name / "cells/test"
    labels = numbers(read_rows(there), params)
    counted = np.flatnonzero(np.bincount(labels) >= LEAST)
    is_counted = np.isin(labels, counted)
    print("| arm | own test | as it is | aligned | 5 labels | 10 labels |\n|---|---|---|---|---|---|")
    for arm in arms(params.transfer):
        if left_out(arm.model):
            continue
        own = read_predictions(arm.predictions)
        abroad = read_predictions(Path("plots/external") / name / arm.predictions.name)[is_counted]
        row = [
            told([share_right(list(table["predicted"] == table["actual"]), table["actual"])]) for table in (own, abroad)
        ]
        classifier = on_features(load_classifier(arm.model)[0], params)
        if classifier:
            cells = features(classifier, there)
            aligned = align(classifier, cells, params.probe)
            row.append(told([score(aligned, cells[is_counted], labels[is_counted])]))
            row += [told(adapted(classifier, params.probe, cells, labels, counted, shots)) for shots in SHOTS]
        print(f"| {arm.title} | {' | '.join(row + ['–'] * (5 - len(row)))} |", flush=True)


def on_features(model: Classifier, params: Params) -> FeatureClassifier | None:
    """A classifier on features as it is, and one on those of a fine-tuned network; none for other networks."""
    if isinstance(model, FeatureClassifier):
        return model
    if not isinstance(model, TransferNet):
        return None
    rows, table = select_cells(PACKS / "cells/train", read_manifest(Path("data/manifest.csv")), params.split)
    known = encode_all(model.encoder, read_images(PACKS / "cells/train", "cell")[rows])
    labels = numbers(table, params)
    every = np.arange(len(rows))
    return fit_probe([known], every, labels, len(params.classes), params.probe, encoder=model.encoder)


def features(classifier: FeatureClassifier, pack: Path) -> NDArray[np.float32]:
    """What a classifier takes of the cells of a pack, shape (cell, feature)."""
    blocks = [encode_all(classifier.encoder, read_images(pack, "cell"))] if classifier.encoder else []
    blocks += [read_values(pack, "descriptors")] if "descriptors" in classifier.inputs else []
    return np.concatenate(blocks, axis=1)


@torch.no_grad()
def encode_all(encoder: Encoder, cells: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Features of crops."""
    chunks = torch.from_numpy(np.array(cells)).permute(0, 3, 1, 2).split(64)
    found: NDArray[np.float32] = torch.cat([encode(encoder, chunk.float() / 255) for chunk in chunks]).numpy()
    return found


def adapted(
    classifier: FeatureClassifier,
    settings: Probe,
    cells: NDArray[np.float32],
    labels: Labels,
    counted: Labels,
    shots: int,
) -> list[Scores]:
    """The scores of ten adapted classifiers on the cells that were not drawn to adapt them."""
    scores = []
    for draw in range(N_DRAWS):
        rng = np.random.default_rng([draw, shots])
        drawn = np.concatenate([rng.choice(np.flatnonzero(labels == label), shots, replace=False) for label in counted])
        rest = np.setdiff1d(np.flatnonzero(np.isin(labels, counted)), drawn)
        found = adapt(classifier, cells[drawn], labels[drawn], cells[rest], settings)
        scores.append(score(found.classifier, cells[rest], labels[rest]))
    return scores


@torch.no_grad()
def score(classifier: FeatureClassifier, cells: NDArray[np.float32], labels: Labels) -> Scores:
    """How well cells are classified by their features."""
    said = classifier.classify_features(torch.from_numpy(cells)).argmax(1).numpy()
    return share_right(list(said == labels), pd.Series(labels))


def share_right(right: list[bool], labels: pd.Series) -> Scores:
    """Accuracy and balanced accuracy, of which images are classified correctly, and of their classes."""
    known = pd.Series(right, index=labels.index, dtype=float)
    return float(known.mean()), float(known.groupby(labels).mean().mean())


def numbers(table: pd.DataFrame, params: Params) -> Labels:
    """The numbers of the rows' classes."""
    return np.array([params.classes.index(label) for label in table["class"]])


def told(scores: list[Scores]) -> str:
    """The median over draws with the lowest and highest, and the same of balanced accuracy in brackets."""

    def shown(values: NDArray[np.float64]) -> str:
        middle = f"{np.median(values):.3f}"
        return middle if len(values) == 1 else f"{middle} [{values.min():.3f}, {values.max():.3f}]"

    accuracies, balanced = np.array(scores).T
    return f"{shown(accuracies)} ({shown(balanced)})"


if __name__ == "__main__":
    main()
