"""What evening out the stain costs at home and gains in another laboratory: networks and classifiers on descriptors.

    python -m trials.stain ROOT PATTERN [STAIN ...]

takes the blood cells of a folder in the course layout apart by a regular expression that fits the names of one
laboratory's files, and trains on four fifths of the other's, with all labels; `params.yaml` says how. For each setting
of `stain` and two of `stain_jitter`, an encoder from random weights is fine-tuned; another one is pre-trained on the
same cells by predicting descriptors, then looked at frozen, and fine-tuned; and the descriptors are classified. Each is
tried on the own test, the last fifth, and as it is on the other laboratory, over the classes of which both have 15
cells.
"""

from __future__ import annotations

import copy
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray

from leuko.core.params.everything import Params
from leuko.core.params.reading import load_params
from leuko.core.params.stain import Stain
from leuko.evaluation.probe import fit_probe
from leuko.models.encoders import Encoder, TransferNet, build_encoder
from leuko.pretraining.augmentation import RandomViews
from leuko.pretraining.tasks import pretraining_task, standardize
from leuko.training.device import set_up, to_device
from leuko.training.inputs import Images
from leuko.training.loop import fit
from leuko.training.tasks import Classification, Part
from trials.two_laboratories import (
    Labels,
    Laboratory,
    Values,
    counted_classes,
    encode_all,
    measure,
    parts,
    score,
    shares,
    told,
)

JITTERS = (0.0, 0.3)
CPU = torch.device("cpu")

Scores = tuple[float, float]
Halves = tuple[Labels, Labels]
"""The cells that are learned from, and those of the own test."""


def main() -> None:
    """Print a line for each."""
    root, pattern = Path(sys.argv[1]), re.compile(sys.argv[2])
    kinds: list[Stain] = [kind for kind in get_args(Stain) if kind in sys.argv[3:]] or list(get_args(Stain))
    params = load_params(Params)
    set_up("cpu", params.compute, params.seed)
    print("| stain | jitter | arm | own test | away |\n|---|---|---|---|---|")
    for kind in kinds:
        home, away = measure(root, pattern, params.classes, params.measure.side, kind)
        for jitter in JITTERS:
            for arm, own, there in arms(params, home, away, jitter):
                print(f"| {kind} | {jitter} | {arm} | {told([own])} | {told([there])} |", flush=True)


def arms(params: Params, home: Laboratory, away: Laboratory, jitter: float) -> Iterator[tuple[str, Scores, Scores]]:
    """Train every arm: its name, and its accuracy and balanced accuracy on the own test and away."""
    test, train = parts(home)
    there = np.isin(away.labels, counted_classes(home, away))
    probe = params.probe.model_copy(update={"stain_jitter": jitter})
    labels, n_classes = home.labels[train], len(params.classes)

    def probed(blocks: list[tuple[Values, Values]], encoder: Encoder | None = None) -> tuple[Scores, Scores]:
        known = [here[train] for here, _ in blocks]
        classifier = fit_probe(known, np.arange(len(train)), labels, n_classes, probe, encoder=encoder)
        here, abroad = (np.concatenate(some, axis=1) for some in zip(*blocks, strict=True))
        own = score(classifier, here[test], home.labels[test])
        return own, score(classifier, abroad[there], away.labels[there])

    def tuned(encoder: Encoder) -> tuple[Scores, Scores]:
        network = finetuned(params, encoder, home, (train, test), jitter)
        own = shares(answers(network, home.cells[test]), home.labels[test])
        return own, shares(answers(network, away.cells[there]), away.labels[there])

    descriptors = home.descriptors, away.descriptors
    yield "morphology", *probed([descriptors])
    yield "scratch", *tuned(fresh(params, params.seed))
    blood = pretrained(params, fresh(params, params.pretrain.seed), home, (train, test), jitter)
    yield "blood", *tuned(copy.deepcopy(blood))  # a classifier on its features freezes it
    features = encode_all(blood, home.cells), encode_all(blood, away.cells)
    yield "blood, frozen", *probed([features], blood)
    yield "blood + morphology", *probed([features, descriptors], blood)


def fresh(params: Params, seed: int) -> Encoder:
    """An encoder with random weights."""
    torch.manual_seed(seed)
    encoder = build_encoder("pooled", width=params.pretrain.width, side=params.measure.side)
    to_device(encoder, CPU)
    return encoder


def pretrained(params: Params, encoder: Encoder, home: Laboratory, of: Halves, jitter: float) -> Encoder:
    """The encoder after it has learned to predict descriptors of the cells that are learned from."""
    values = standardize(*(torch.from_numpy(home.descriptors[rows]) for rows in of))
    train, test = (
        Part(Images(home.cells, rows, CPU), targets, len(rows)) for rows, targets in zip(of, values, strict=True)
    )
    recipe = params.pretrain
    views = RandomViews(recipe.zoom, recipe.jitter, jitter)
    side = home.cells.shape[1]
    task = pretraining_task("descriptors", encoder, train, test, side=side, views=views, compute=params.compute)
    fit(task, recipe, seed=recipe.seed, title="pre-training")
    return encoder.eval()


def finetuned(params: Params, encoder: Encoder, home: Laboratory, of: Halves, jitter: float) -> TransferNet:
    """An encoder and a linear layer after fine-tuning; the last epoch is kept, so that the own test decides nothing."""
    torch.manual_seed(params.seed)
    network, recipe = TransferNet(encoder, len(params.classes)), params.finetune
    to_device(network, CPU)
    train, test = (Part(Images(home.cells, rows, CPU), torch.from_numpy(home.labels[rows]), len(rows)) for rows in of)
    views = RandomViews(recipe.zoom, recipe.jitter, jitter)
    task = Classification(network, train, test, recipe=recipe, augmentation=views, compute=params.compute)
    fit(task, recipe.model_copy(update={"select": "last"}), seed=params.seed, title="fine-tuning")
    return network.eval()


@torch.no_grad()
def answers(network: TransferNet, cells: NDArray[np.uint8]) -> Labels:
    """The class that a network gives each crop."""
    chunks = torch.from_numpy(cells).permute(0, 3, 1, 2).split(64)
    said: Labels = torch.cat([network.classify(chunk.float() / 255).argmax(1) for chunk in chunks]).numpy()
    return said


if __name__ == "__main__":
    main()
