"""The model card: what the trained models are, how good they are and where that ends, from what the pipeline measured.

The sections are those of Mitchell et al. (2019), Model Cards for Model Reporting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from leuko.arms import Arm, arms
from leuko.core.files import read_json
from leuko.core.params.everything import Params
from leuko.data.groups import in_words
from leuko.data.manifest import read_manifest
from leuko.evaluation.intervals import score_intervals
from leuko.evaluation.predictions import read_predictions
from leuko.models.foreign import RATE
from leuko.report.sections import warning

PARTS = ("train", "val", "test")


def model_card(root: Path, params: Params) -> str:
    """Write the card.

    Args:
        root: the folder in which the pipeline ran.
        params: its settings.

    Returns:
        Markdown.
    """
    comparison = read_json(root / "metrics/comparison.json")
    trained = [arm for arm in arms(params.transfer) if arm.key in comparison["arms"]]
    reported = next((arm for arm in trained if arm.key == params.model), trained[0])
    present = [arm for arm in trained if arm == reported or not arm.ablates]
    manifest = read_manifest(root / "data/manifest.csv")
    cells = manifest[manifest["set"] == "wbc"]
    sections = {
        "What it is": _what_it_is(present, reported, params),
        "What it is for": [
            "Research and teaching: to measure what pre-training is worth, and to try classifiers of blood cells.",
            "**Not a medical device.** Not for diagnosis, nor for any decision about a patient.",
        ],
        "Data": _data(cells, params),
        "How good": _scores(root, present, reported, comparison),
        "Groups": _groups(comparison, reported),
        "Other laboratories": _laboratories(root, params, present),
        "Limits": _limits(params),
    }
    title = f"# Model card: {reported.title}\n"
    demo = warning(params.data_root)
    body = [f"## {name}\n\n" + "\n\n".join(blocks) + "\n" for name, blocks in sections.items()]
    return "\n".join([title, *([f"**{demo}**\n"] if demo else []), *body])


def _what_it_is(present: Sequence[Arm], reported: Arm, params: Params) -> list[str]:
    """The models and their files."""
    rows = [[arm.title, arm.meaning, f"`{arm.model.as_posix()}`"] for arm in present]
    return [
        f"Classifiers of images of one white blood cell each. Classes: {'; '.join(params.classes)}. Trained on "
        f"{params.split} % of the labels with seed {params.seed}; this card is about {reported.phrase}, the setting "
        "`model`, and has the others beside it.",
        _table(["model", "what it is", "file"], rows),
        "The files are safetensors; to open one executes nothing. Each has its settings, its temperature and what it "
        "knows of its training images inside.",
    ]


def _data(cells: pd.DataFrame, params: Params) -> list[str]:
    """The images."""
    labelled = cells[(cells["part"] == "train") & (cells["subset"] <= params.split)]
    counts = {"training labels": labelled, **{part: cells[cells["part"] == part] for part in PARTS}}
    rows = [
        [label, *(str(int((of_part["class"] == label).sum())) for of_part in counts.values())]
        for label in params.classes
    ]
    rows.append(["all", *(str(len(of_part)) for of_part in counts.values())])
    heads = ["class", f"labels used ({params.split} %)", "train", "val", "test"]
    sides = f"{cells['width'].min()} x {cells['height'].min()} to {cells['width'].max()} x {cells['height'].max()} px"
    return [
        f"Blood cells by class and part, {sides}. Validation images choose epochs and temperatures; nothing but the "
        "evaluation reads test images.",
        _table(heads, rows),
    ]


def _scores(root: Path, present: Sequence[Arm], reported: Arm, comparison: Mapping[str, Any]) -> list[str]:
    """Scores of every model on the test images, and of the reported one class by class."""
    rows = []
    for arm in present:
        scores, table = comparison["arms"][arm.key], read_predictions(root / arm.predictions)
        numbers = {label: number for number, label in enumerate(sorted(set(table["actual"]) | set(table["predicted"])))}
        predicted, actual = (np.array([numbers[label] for label in table[name]]) for name in ("predicted", "actual"))
        ends = score_intervals(predicted, actual, list(table["group"]))
        shown = [
            f"{_percent(scores[name])} ({_span(ends[name])})" if ends else _percent(scores[name])
            for name in ("balanced_accuracy", "accuracy")
        ]
        rows.append([arm.title, *shown, _percent(scores["macro_f1"]), f"{scores['ece_calibrated']:.3f}"])
    heads = ["model", "balanced accuracy, %", "accuracy, %", "macro F1, %", "calibration error"]
    classes = [
        [label, *(_percent(of_class[name]) for name in ("precision", "recall", "f1")), str(of_class["images"])]
        for label, of_class in comparison["arms"][reported.key]["classes"].items()
    ]
    by_group = bool(comparison["groups"])
    return [
        "On the test images, with 95 % intervals (bootstrap over "
        f"{'whole groups, of which it takes two' if by_group else 'images, as no groups are known'}). They allow for "
        "the choice of test images, not for the chance in training. The calibration error is that of the calibrated "
        "probabilities, which `leuko predict` gives.",
        _table(heads, rows),
        f"Class by class, {reported.title}:",
        _table(["class", "precision, %", "recall, %", "F1, %", "test images"], classes),
    ]


def _groups(comparison: Mapping[str, Any], reported: Arm) -> list[str]:
    """What is known of patients, smears or days."""
    found = comparison["groups"]
    if not found:
        return [
            "It is not known which images come from one patient, smear or day (the setting `ingest.group`). If some of "
            "these are on both sides of the division, scores are too good."
        ]
    sentences = in_words(found)
    if unseen := comparison["arms"][reported.key].get("unseen"):
        sentences.append(
            f"On test images of groups that are not in training, {reported.phrase} reaches a balanced accuracy of "
            f"{_percent(unseen['balanced_accuracy'])} %."
        )
    return sentences or ["No group is on both sides of the division."]


def _laboratories(root: Path, params: Params, present: Sequence[Arm]) -> list[str]:
    """Scores elsewhere."""
    if not params.external:
        return ["Not tried (the setting `external`). Expect scores to fall, often far."]
    blocks = []
    for name in params.external:
        found = read_json(root / f"metrics/external/{name}.json")
        rows = []
        for arm in present:
            scores = found["arms"][arm.key]
            fall = scores["fall"]
            change = f"{-100 * fall['balanced_accuracy']:+.1f}" if fall else ""
            if fall and fall["low"] is not None:
                change += f" ({_span((-fall['high'], -fall['low']))})"
            free = scores["free"]
            is_foreign = scores.get("foreign", {}).get("is_foreign")
            noticed = {True: "yes", False: "no", None: ""}[is_foreign]
            rows.append([arm.title, _percent(free["accuracy"]), _percent(free["balanced_accuracy"]), change, noticed])
        heads = ["model", "accuracy, %", "balanced accuracy, %", "change against the own test", "noticed as foreign"]
        blocks += [f"{name}, {sum(found['images'].values())} cells:", _table(heads, rows)]
    return blocks


def _limits(params: Params) -> list[str]:
    """What the figures above do not say."""
    return [
        f"- The models know {len(params.classes)} classes and call everything one of them: other cells, two cells in "
        "one image, artefacts.\n"
        "- Scores hold for images like those of the test: same laboratory, stain and camera.\n"
        f"- `leuko predict` marks images unlike those of the training; of images like them {100 * RATE:g} % are marked "
        "by mistake, and not everything foreign is noticed.\n"
        "- Rare classes rest on few images; see the tables.\n"
        "- Another seed gives other scores; the study compares several."
    ]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    return "\n".join(f"| {' | '.join(row)} |" for row in [heads, ["---"] * len(heads), *rows])


def _percent(share: float | None) -> str:
    """A share in percent; empty where it is not known."""
    return "" if share is None else f"{100 * share:.1f}"


def _span(ends: tuple[float, float]) -> str:
    """The ends of an interval, in percent."""
    return f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f}"
