"""The arms of the comparison, and the gains between them: the one table that all that lists arms reads.

An arm is one way to train a classifier on the same labels, scored on the same test images. There are three families:

| family | arms | stages |
|---|---|---|
| published | `base`, `control`, `plus`: the study's networks | one each |
| transfer | one per entry of the setting `transfer`: one encoder, different starts | `pretrain@`, `finetune@` |
| features | `<entry>-probe`, `morphology`, `<entry>+morphology`: a classifier on frozen features | `probe` |
"""

from __future__ import annotations

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
        tissue: whether it needs the tissue sets.
    """

    key: str
    title: str
    phrase: str
    meaning: str
    family: Family
    model: Path
    look: Look
    history: Path | None = None
    tissue: bool = False

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
        tissue=True,
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
        tissue=True,
    ),
)

_LOOKS = {
    "scratch": Look("#56B4E9", "v", "--"),
    "tissue": Look("#CC79A7", "D", "-"),
    "blood": Look("#B2182B", "P", "-"),
}
_FURTHER_LOOKS = (
    Look("#F0A500", "X", "-"),
    Look("#5E3C99", "<", "--"),
    Look("#1B9E77", ">", ":"),
    Look("#A6761D", "p", "-."),
)

MEANINGS = {
    "scratch": "An encoder of nucleus-centred crops from random weights, fine-tuned on the labels.",
    "tissue": "The same encoder, pre-trained on nuclei of the tissue images, fine-tuned on the labels.",
    "blood": "The same encoder, pre-trained on all blood training images without their labels, then fine-tuned.",
    "multitask": "The same encoder from random weights, which learns classes and descriptors together.",
}
"""What the arms of the default settings are; others are described by their settings."""


def arms(transfer: Mapping[str, Start]) -> tuple[Arm, ...]:
    """The arms in the order of the report.

    Args:
        transfer: the setting `transfer`, by name.

    Returns:
        The published family, then for each entry its fine-tuned network and its frozen one, then the descriptors.
    """
    fine_tuned, frozen, joined = [], [], []
    further = iter(_FURTHER_LOOKS * (1 + len(transfer)))
    for name, entry in transfer.items():
        look = _LOOKS.get(name) or next(further)
        tissue = entry.images == "tissue"
        meaning = MEANINGS.get(name) or f"The encoder {name} ({_described(entry)}), fine-tuned on the labels."
        fine_tuned.append(
            Arm(
                name,
                name,
                name,
                meaning,
                "transfer",
                Path(f"models/transfer/{name}.safetensors"),
                look,
                Path(f"plots/history/transfer/{name}.csv"),
                tissue,
            )
        )
        frozen.append(
            Arm(
                f"{name}-probe",
                f"{name}, frozen",
                f"{name}, frozen",
                f"A classifier on the features of the encoder {name}, which stays as it was before the labels.",
                "features",
                Path(f"models/probes/{name}-probe.safetensors"),
                Look(look.color, look.marker, ":"),
                tissue=tissue,
            )
        )
        if name == "blood":
            joined.append(
                Arm(
                    f"{name}+morphology",
                    f"{name} + morphology",
                    f"{name} with morphology",
                    f"A classifier on the features of the encoder {name} and the descriptors, side by side.",
                    "features",
                    Path(f"models/probes/{name}+morphology.safetensors"),
                    Look("#000000", "*", "-"),
                )
            )
    morphology = Arm(
        "morphology",
        "morphology",
        "morphology",
        "A classifier on about a hundred named measurements of nucleus and cell, no network.",
        "features",
        Path("models/probes/morphology.safetensors"),
        Look("#009E73", "h", "--"),
    )
    return (*PUBLISHED, *fine_tuned, *frozen, morphology, *joined)


def gains(present: Sequence[Arm]) -> tuple[GainOf, ...]:
    """The comparisons between the arms that are there, in the order of the report; all are corrected together."""
    keys = {arm.key for arm in present}
    return tuple(gain for gain in _GAINS if {gain.better, gain.than} <= keys)


_GAINS = (
    GainOf("gain", "plus", "base", "Is WBC+ better than base?"),
    GainOf("gain_pretraining", "plus", "control", "Is it the pre-training?"),
    GainOf("gain_size", "control", "base", "Is it size?"),
    GainOf("gain_tissue", "tissue", "scratch", "Is pre-training on tissue worth something?"),
    GainOf("gain_blood", "blood", "scratch", "Is pre-training on unlabelled blood cells worth something?"),
    GainOf("gain_images", "blood", "tissue", "Are blood cells worth more than tissue?"),
    GainOf("gain_tissue_frozen", "tissue-probe", "scratch-probe", "And with the encoder frozen, tissue?"),
    GainOf("gain_blood_frozen", "blood-probe", "scratch-probe", "And with the encoder frozen, blood cells?"),
    GainOf("gain_images_frozen", "blood-probe", "tissue-probe", "And with the encoder frozen, blood over tissue?"),
    GainOf("gain_measuring", "morphology", "scratch", "Is measuring better than learning from scratch?"),
    GainOf("gain_both", "blood+morphology", "morphology", "Does the encoder add to measuring?"),
    GainOf("gain_multitask", "multitask", "scratch", "Is learning the descriptors beside the classes worth something?"),
)


def _described(entry: Start) -> str:
    """An entry's settings, for readers."""
    return ", ".join(f"{key} {value}" for key, value in entry.model_dump().items())
