"""The arms of the comparison, and the gains between them: the one table that all that lists arms reads.

An arm is one way to train a classifier on the same labels, scored on the same test images. There are three families:

| family | arms | stages |
|---|---|---|
| published | `base`, `control`, `plus`: the study's networks | one each |
| transfer | one per entry of the setting `transfer`: an encoder from its starting point | `pretrain@`, `finetune@` |
| features | `<entry>-probe`, `morphology`, `<entry>+morphology`: a classifier on frozen features | `probe` |
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from leuko.core.params.transfer import Start

Family = Literal["published", "transfer", "features"]

PREDICTIONS = Path("plots/predictions")


@dataclass(frozen=True)
class Look:
    """How an arm's line is drawn: a colour, a marker and dashes, so that colour alone never tells."""

    color: str
    marker: str
    dashes: str
    hollow: bool = False

    @property
    def face(self) -> str:
        """The colour inside the marker."""
        return "white" if self.hollow else self.color


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
        history: the file of its training's history; none if nothing is trained step by step.
        encoder: of the features family, the entry whose frozen encoder gives features; none for descriptors alone.
        descriptors: of the same, whether it takes descriptors.
        ablates: the arm that it is but for one thing; a table of their own compares the two, and figures leave it out.
    """

    key: str
    title: str
    phrase: str
    meaning: str
    family: Family
    model: Path
    look: Look
    history: Path | None = None
    encoder: str = ""
    descriptors: bool = False
    ablates: str = ""

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

_LOOKS = {
    "scratch": Look("#56B4E9", "v", "--"),
    "tissue": Look("#CC79A7", "D", "-"),
    "blood": Look("#B2182B", "P", "-"),
}
_FURTHER_LOOKS = (
    Look("#E69F00", "X", "-."),
    Look("#5E3C99", "<", "--"),
    Look("#1B9E77", ">", ":"),
    Look("#A6761D", "p", "-."),
)


def arms(transfer: Mapping[str, Start]) -> tuple[Arm, ...]:
    """The arms in the order of the report.

    Args:
        transfer: the setting `transfer`, by name.

    Returns:
        The published family; a fine-tuned encoder for each entry; a frozen one for each that was pre-trained, and for
        the first that was not, to compare with; descriptors, alone and beside encoders that were pre-trained on blood.
    """
    further = itertools.cycle(_FURTHER_LOOKS)
    full = {name: start for name, start in transfer.items() if not start.ablates}
    looks = {name: _LOOKS.get(name) or next(further) for name in full}
    looks |= {name: looks[start.ablates] for name, start in transfer.items() if start.ablates}
    untrained = next((name for name, start in full.items() if not start.learned), None)
    return (
        *PUBLISHED,
        *(_fine_tuned(name, start, looks[name]) for name, start in transfer.items() if start.is_fine_tuned),
        *(
            _frozen(name, start, looks[name])
            for name, start in transfer.items()
            if (start.learned and start.is_probed) or name == untrained
        ),
        MORPHOLOGY,
        *(_joined(name, looks[name]) for name, start in full.items() if start.images == "blood"),
    )


def in_full(present: Sequence[Arm]) -> list[Arm]:
    """The arms that are no ablations of others."""
    return [arm for arm in present if not arm.ablates]


def _fine_tuned(name: str, start: Start, look: Look) -> Arm:
    """The arm of an encoder that is fine-tuned."""
    return Arm(
        name,
        name,
        name,
        f"The {_described(start)}, fine-tuned on the labels{_differing(start.finetune)}.",
        "transfer",
        Path(f"models/transfer/{name}.safetensors"),
        look,
        Path(f"plots/history/transfer/{name}.csv"),
        ablates=start.ablates,
    )


def _differing(changes: Mapping[str, object]) -> str:
    """Settings of its own in words."""
    return f" with {', '.join(f'{key}: {value}' for key, value in changes.items())}" if changes else ""


def _described(start: Start) -> str:
    """An encoder in words."""
    network = "small residual encoder" if start.network == "pooled" else f"encoder {start.network}"
    weights = {"none": "from random weights", "imagenet": "from torchvision's weights"}
    words = f"{network} {weights.get(start.weights, f'from {start.weights}')}"
    if start.images != "none":
        images = {"blood": "all blood cells to train on, without their labels", "tissue": "nuclei of the tissue images"}
        words += f", pre-trained on {images[start.images]}, by {_TASKS[start.task]}"
    return words + (", learning to predict descriptors beside the classes" if start.multitask else "")


_TASKS = {
    "descriptors": "predicting what was measured of them",
    "contrastive": "telling two views of an image from those of others (SimCLR)",
    "reconstruction": "painting the image from its features",
}


def _frozen(name: str, start: Start, look: Look) -> Arm:
    """The arm of a classifier on an encoder's features."""
    return Arm(
        f"{name}-probe",
        f"{name}, frozen",
        f"frozen {name}",
        f"A classifier{_differing(start.probe)} on the features of the encoder of {name}, which stays as it was before "
        "it saw labels.",
        "features",
        Path(f"models/probes/{name}-probe.safetensors"),
        Look(look.color, look.marker, ":", hollow=True),
        encoder=name,
        ablates=start.ablates and f"{start.ablates}-probe",
    )


def _joined(name: str, look: Look) -> Arm:
    """The arm of a classifier on an encoder's features and descriptors."""
    return Arm(
        f"{name}+morphology",
        f"{name} + morphology",
        f"{name} with morphology",
        f"A classifier on the features of the frozen encoder of {name} and on the descriptors, side by side.",
        "features",
        Path(f"models/probes/{name}+morphology.safetensors"),
        Look("#000000" if name == "blood" else look.color, "*", "-"),
        encoder=name,
        descriptors=True,
    )


MORPHOLOGY = Arm(
    "morphology",
    "morphology",
    "morphology",
    "A classifier on about a hundred named descriptors of nucleus and cell, without a network.",
    "features",
    Path("models/probes/morphology.safetensors"),
    Look("#009E73", "h", "--"),
    descriptors=True,
)


def gains(present: Sequence[Arm]) -> tuple[GainOf, ...]:
    """The comparisons between the arms that are there, in the order of the report; all are corrected together."""
    keys = {arm.key for arm in present}
    return tuple(gain for gain in _GAINS if {gain.better, gain.than} <= keys)


def ablations(present: Sequence[Arm]) -> tuple[GainOf, ...]:
    """The comparisons of ablations with the arms that they are but for one thing; these are corrected together."""
    keys = {arm.key for arm in present}
    return tuple(
        GainOf(f"ablation_{arm.key}", arm.key, arm.ablates, f"What changes from {arm.ablates} to {arm.key}?")
        for arm in present
        if arm.ablates in keys
    )


_GAINS = (
    GainOf("gain", "plus", "base", "Is WBC+ better than base?"),
    GainOf("gain_pretraining", "plus", "control", "Is it the pre-training?"),
    GainOf("gain_size", "control", "base", "Is it size?"),
    GainOf("gain_encoder", "scratch", "base", "Is the residual encoder better than base?"),
    GainOf("gain_tissue", "tissue", "scratch", "Is pre-training on tissue worth something?"),
    GainOf("gain_blood", "blood", "scratch", "Is pre-training on unlabelled blood cells worth something?"),
    GainOf("gain_images", "blood", "tissue", "Are blood cells worth more than tissue?"),
    GainOf("gain_tissue_frozen", "tissue-probe", "scratch-probe", "Is tissue, where the encoder stays frozen?"),
    GainOf("gain_blood_frozen", "blood-probe", "scratch-probe", "Are blood cells, where the encoder stays frozen?"),
    GainOf("gain_images_frozen", "blood-probe", "tissue-probe", "Blood cells more than tissue, with it frozen?"),
    GainOf("gain_measuring", "morphology", "scratch", "Is measuring better than learning from scratch?"),
    GainOf("gain_both", "blood+morphology", "morphology", "Does the encoder add to measuring?"),
    GainOf("gain_multitask", "multitask", "scratch", "Is it worth learning the descriptors beside the classes?"),
)
