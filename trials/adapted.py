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

from leuko.arms import arms
from leuko.core.params.everything import Params
from leuko.core.params.reading import load_params
from leuko.data.manifest import read_manifest
from leuko.evaluation.adaptation import align
from leuko.evaluation.predictions import read_predictions
from leuko.evaluation.probe import fit_probe
from leuko.models.build import load_classifier
from leuko.models.classifier import Classifier
from leuko.models.encoders import TransferNet
from leuko.models.feature_classifier import FeatureClassifier
from leuko.models.store import left_out
from leuko.packs.reading import read_images, read_rows, read_values
from leuko.training.device import set_up
from leuko.training.parts import select_cells
from trials.two_laboratories import LEAST, SHOTS, Labels, Values, adapted, encode_all, score, shares, told

PACKS = Path("data/packs")


def main() -> None:
    """Print a table."""
    (name,) = sys.argv[1:]
    params = load_params(Params)
    set_up("cpu", params.compute, params.seed)
    there = PACKS / "external" / name / "cells/test"
    labels = numbers(read_rows(there)["class"], params)
    counted = np.flatnonzero(np.bincount(labels) >= LEAST)
    is_counted = np.isin(labels, counted)
    print("| arm | own test | as it is | aligned | 5 labels | 10 labels |\n|---|---|---|---|---|---|")
    for arm in arms(params.transfer):
        if left_out(arm.model):
            continue
        own = read_predictions(arm.predictions)
        abroad = read_predictions(Path("plots/external") / name / arm.predictions.name)[is_counted]
        row = [
            told([shares(*(numbers(table[of], params) for of in ("predicted", "actual")))]) for table in (own, abroad)
        ]
        classifier = on_features(load_classifier(arm.model)[0], params)
        if classifier:
            cells = features(classifier, there)
            aligned = align(classifier, cells, params.probe)
            row.append(told([score(aligned, cells[is_counted], labels[is_counted])]))
            row += [told(adapted(classifier, cells, labels, counted, shots, params.probe)) for shots in SHOTS]
        print(f"| {arm.title} | {' | '.join(row + ['–'] * (5 - len(row)))} |", flush=True)


def on_features(model: Classifier, params: Params) -> FeatureClassifier | None:
    """A classifier on features as it is, and one on those of a fine-tuned network; none for other networks."""
    if isinstance(model, FeatureClassifier):
        return model
    if not isinstance(model, TransferNet):
        return None
    pack = PACKS / "cells/train"
    rows, table = select_cells(pack, read_manifest(Path("data/manifest.csv")), params.split)
    known, labels = encode_all(model.encoder, read_images(pack, "cell")[rows]), numbers(table["class"], params)
    return fit_probe([known], np.arange(len(rows)), labels, len(params.classes), params.probe, encoder=model.encoder)


def features(classifier: FeatureClassifier, pack: Path) -> Values:
    """What a classifier takes of the cells of a pack, shape (cell, feature)."""
    blocks = [encode_all(classifier.encoder, read_images(pack, "cell"))] if classifier.encoder else []
    blocks += [read_values(pack, "descriptors")] if "descriptors" in classifier.inputs else []
    return np.concatenate(blocks, axis=1)


def numbers(labels: pd.Series, params: Params) -> Labels:
    """The numbers of classes."""
    return np.array([params.classes.index(label) for label in labels])


if __name__ == "__main__":
    main()
