"""What every arm of a run is worth in another laboratory: as it is, and with a few labelled cells of it.

    python -m trials.adapted NAME

in a project whose pipeline was run with the laboratory NAME in `external`. Each arm is scored on the own test and in
the laboratory as it is, from the run's tables of predictions. It is also scored aligned, which takes no label, and
adapted as `leuko adapt` does with 5 and with 10 labelled cells a class, drawn ten times, always on cells that were not
drawn. For networks these are of a classifier on their features, fitted to the images that they were trained on: what
the encoder gives, averaged over the eight orientations, or, of the published family, what the last layers take of the
image as it is. Only classes with 15 cells in the laboratory are counted there. Accuracy, balanced accuracy in brackets;
of draws the median with the lowest and highest.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from leuko.arms import arms
from leuko.core.params.everything import Params
from leuko.core.params.reading import load_params
from leuko.core.params.transfer import Probe
from leuko.data.manifest import read_manifest
from leuko.evaluation.adaptation import align
from leuko.evaluation.predictions import read_predictions
from leuko.evaluation.probe import fit_probe
from leuko.models.base import WbcNet
from leuko.models.build import load_classifier
from leuko.models.classifier import Classifier
from leuko.models.encoders import TransferNet
from leuko.models.feature_classifier import FeatureClassifier
from leuko.models.plus import WbcPlusNet
from leuko.models.store import left_out
from leuko.packs.reading import read_images, read_rows, read_values
from leuko.training.device import set_up
from leuko.training.parts import inputs_of, select_cells, select_rows
from trials.two_laboratories import LEAST, SHOTS, Labels, Values, adapted, encode_all, score, shares, told

PACKS = Path("data/packs")
BATCH = 64


def main() -> None:
    """Print a table."""
    (name,) = sys.argv[1:]
    params = load_params(Params)
    set_up("cpu", params.compute, params.seed)
    packs = PACKS / "external" / name
    labels = numbers(read_rows(packs / "cells/test")["class"], params)
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
        model = load_classifier(arm.model)[0]
        classifier, settings = on_features(model, params)
        cells = np.concatenate(features(model, packs, "test", np.arange(len(labels))), axis=1)
        aligned = align(classifier, cells, settings)
        row.append(told([score(aligned, cells[is_counted], labels[is_counted])]))
        row += [told(adapted(classifier, cells, labels, counted, shots, settings)) for shots in SHOTS]
        print(f"| {arm.title} | {' | '.join(row)} |", flush=True)


def on_features(model: Classifier, params: Params) -> tuple[FeatureClassifier, Probe]:
    """A classifier on features as it is, or one on those of a network, and the settings with which it was fitted."""
    if isinstance(model, FeatureClassifier):
        return model, params.probe
    if isinstance(model, TransferNet):
        rows, table = select_cells(PACKS / "cells/train", read_manifest(Path("data/manifest.csv")), params.split)
    else:
        rows, table = select_rows(PACKS / "wbc/train", params.split)
    # A network's features are of the cell as it is: there are no copies in other stains.
    settings = params.probe.model_copy(update={"stain_jitter": 0.0})
    known, labels = features(model, PACKS, "train", rows), numbers(table["class"], params)
    return fit_probe(known, np.arange(len(rows)), labels, len(params.classes), settings), settings


def features(model: Classifier, packs: Path, part: str, rows: Labels) -> list[Values]:
    """What is known of the cells of a pack, block by block, each of shape (cell, feature)."""
    if not isinstance(model, FeatureClassifier | TransferNet):
        return taken_by_last_layers(model, packs, part, rows)
    pack = packs / "cells" / part
    blocks = [encode_all(model.encoder, read_images(pack, "cell")[rows])] if model.encoder else []
    return blocks + ([read_values(pack, "descriptors")[rows]] if "descriptors" in model.inputs else [])


@torch.no_grad()
def taken_by_last_layers(model: Classifier, packs: Path, part: str, rows: Labels) -> list[Values]:
    """The features of a network of the published family, branch by branch."""
    taken: list[list[Tensor]] = [[] for _ in last_layers(model)]
    hooks = [
        layer.register_forward_pre_hook(lambda _, arrays, kept=kept: kept.append(arrays[0].float()))
        for layer, kept in zip(last_layers(model), taken, strict=True)
    ]
    inputs = inputs_of(packs, part, model.inputs, rows, torch.device("cpu"))
    for chunk in torch.arange(len(rows)).split(BATCH):
        model.classify(*inputs(chunk, None))
    for hook in hooks:
        hook.remove()
    return [torch.cat(kept).numpy() for kept in taken]


def last_layers(model: Classifier) -> list[nn.Module]:
    """What turns the features of each branch of a network of the published family into values of classes."""
    if isinstance(model, WbcNet):
        return [model.head]
    assert isinstance(model, WbcPlusNet)
    return [model.base.head, model.prcc_head.linear, model.cam16_head]


def numbers(labels: pd.Series, params: Params) -> Labels:
    """The numbers of classes."""
    return np.array([params.classes.index(label) for label in labels])


if __name__ == "__main__":
    main()
