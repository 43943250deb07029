"""The arms of the comparison, and the gains between them: the one table that all that lists arms reads.

An arm is one way to train a classifier on the same labels, scored on the same test images. There are two families:

| family | arms | stages |
|---|---|---|
| published | `base`, `control`, `plus`: the study's networks | one each |
| transfer | one per entry of the setting `transfer`: one encoder, different starting points | `finetune@` |
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from leuko.core.params.transfer import Start

Family = Literal["published", "transfer"]

PREDICTIONS = Path("plots/predictions")


@dataclass(frozen=True)
class Look:
    """How an arm's line is drawn: a colour, a marker and dashes, so that colour alone never tells."""

    color: str
    marker: str
    dashes: str


@dataclass(frozen=True)
class Arm:
    """One way to train a classifier.

    Attributes:
        key: its name in files, settings and columns.
        title: its name in tables and figures.
        phrase: what sentences call it.
        meaning: what it is, in a sentence or two, for readers.
        family: which stages make it.
        model: the file of its trained network.
        look: how its line is drawn.
        history: the file of its training's history.
    """

    key: str
    title: str
    phrase: str
    meaning: str
    family: Family
    model: Path
    look: Look
    history: Path

    @property
    def predictions(self) -> Path:
        """The table of its predictions on the test images."""
        return PREDICTIONS / f"{self.key}.csv"


@dataclass(frozen=True)
class GainOf:
    """A comparison of two arms: `better` minus `than`, and the question that it answers."""

    name: str
    better: str
    than: str
    question: str


PUBLISHED = (
    Arm(
        "base",
        "base",
        "base",
        "A small network that learns from the labelled blood cells alone.",
        "published",
        Path("models/wbc.safetensors"),
        Look("#0072B2", "o", "-."),
        Path("plots/history/wbc.csv"),
    ),
    Arm(
        "control",
        "control",
        "the control",
        "WBC+ with the two frozen networks untrained: as large as WBC+, as ignorant as base.",
        "published",
        Path("models/control.safetensors"),
        Look("#767676", "s", ":"),
        Path("plots/history/control.csv"),
    ),
    Arm(
        "plus",
        "WBC+",
        "WBC+",
        "Base with two frozen networks beside it that were pre-trained on other medical images: an autoencoder of "
        "kidney tumour tissue (pRCC) and a lymph node classifier (CAM16).",
        "published",
        Path("models/wbc_plus.safetensors"),
        Look("#D55E00", "^", "-"),
        Path("plots/history/wbc_plus.csv"),
    ),
)

_LOOKS = (
    Look("#009E73", "v", "--"),
    Look("#CC79A7", "D", "-"),
    Look("#56B4E9", "P", ":"),
    Look("#E69F00", "X", "-."),
    Look("#000000", "*", "--"),
)

_MEANINGS = {"scratch": "A residual encoder with global average pooling, trained from random weights."}
"""What the arms of the default settings are; others are described by their settings."""


def arms(transfer: Mapping[str, Start]) -> tuple[Arm, ...]:
    """The arms in the order of the report.

    Args:
        transfer: the setting `transfer`, by name.

    Returns:
        The published family, then an arm for each entry of `transfer`.
    """
    return (*PUBLISHED, *map(_transfer_arm, transfer, transfer.values(), itertools.cycle(_LOOKS)))


def _transfer_arm(name: str, start: Start, look: Look) -> Arm:
    """The arm of an encoder that starts from somewhere."""
    described = f"The encoder {start.network}, fine-tuned from these weights: {start.weights}."
    return Arm(
        name,
        name,
        name,
        _MEANINGS.get(name, described),
        "transfer",
        Path(f"models/transfer/{name}.safetensors"),
        look,
        Path(f"plots/history/transfer/{name}.csv"),
    )


def gains(present: Sequence[Arm]) -> tuple[GainOf, ...]:
    """The comparisons between the arms that are there, in the order of the report; all are corrected together."""
    keys = {arm.key for arm in present}
    return tuple(gain for gain in _GAINS if {gain.better, gain.than} <= keys)


_GAINS = (
    GainOf("gain", "plus", "base", "Is WBC+ better than base?"),
    GainOf("gain_pretraining", "plus", "control", "Is it the pre-training?"),
    GainOf("gain_size", "control", "base", "Is it size?"),
    GainOf("gain_encoder", "scratch", "base", "Is the residual encoder better than base?"),
)
