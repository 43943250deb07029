"""The parts that the reports of a run and of the study share: tables and figures made of scores and predictions."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix

from leuko.core.classes import CLASSES, SUBSETS
from leuko.core.image_grid import INK
from leuko.evaluation.calibration import apply_temperature
from leuko.evaluation.comparison import GAINS, NAMES, words
from leuko.report import published
from leuko.report.blocks import Cell, Figure, Panel, Table, Terms
from leuko.report.drawing import (
    LOOKS,
    TITLES,
    Gain,
    Look,
    confusion_panel,
    curves_panel,
    f1_panel,
    reliability_panel,
)

SCORES = {
    "accuracy": ("Accuracy, %", "percent"),
    "balanced_accuracy": ("Balanced accuracy, %", "percent"),
    "macro_f1": ("Macro F1, %", "percent"),
    "loss": ("Loss", "score"),
    "ece": ("Calibration error", "score"),
    "ece_calibrated": ("Calibration error with temperature", "score"),
    "temperature": ("Temperature", "score"),
    "auroc": ("AUROC", "score"),
    "kappa": ("Cohen’s kappa", "score"),
}
"""What a score is called, and how it is shown."""
LOSSES = {"training": ("train_loss", Look(INK, "o", ":")), "validation": ("val_loss", Look(INK, "o", "-"))}
DIFFERENCE_FORMS = {"percent": "points", "score": "difference"}

ALPHA = 0.05
LIBRARIES = ("torch", "numpy", "pandas", "scikit-learn", "scipy", "statsmodels", "pytorch-msssim")
DEMO_WARNING = (
    "The images are synthetic: a program drew them to show that the pipeline runs. The numbers below say nothing about "
    "real blood cells."
)

TERMS = Terms(
    {
        "base": "A small network that learns from the labelled blood cells alone.",
        "WBC+": "The same network with two others beside it that were trained before, on other medical images, and "
        "stay as they are: an autoencoder of kidney tumour tissue (pRCC), and a lymph node classifier (CAM16).",
        "control": "WBC+ with those two untrained: as large as WBC+, as ignorant as base. So WBC+ − control is what "
        "pre-training is worth, and control − base what sheer size is.",
        "Balanced accuracy": "The mean of the classes’ recalls. It leads here because the classes are unbalanced: who "
        "calls every cell a neutrophil is often right, yet reaches 20 %. Macro F1 is the mean of the classes’ F1.",
        "Interval": "In 95 of 100 such comparisons it holds the true value. If it holds zero, the images cannot tell "
        "whether there is a gain at all, which is not the same as none.",
        "Loss": "The mean negative log-likelihood of the actual class: lower is better.",
        "Calibration error": "How far a model’s probabilities are from how often it is right. A temperature, fitted on "
        "the validation images, makes a model more or less sure without changing its answers.",
        "AUROC, kappa": "How well probabilities put one class before the others, and agreement beyond chance: 1 is "
        "perfect.",
    }
)
"""How to read a report."""


def in_words(name: str, comparison: Mapping[str, Any]) -> str:
    """Say in one sentence what one of the three comparisons found."""
    first, second = (NAMES[model] for model in GAINS[name])
    return words({key: part for key, part in comparison.items() if key != "mcnemar"}, first, second)


def warning(data_root: str) -> str:
    """What must be known first; nothing, unless the images are the demo's."""
    return DEMO_WARNING if Path(data_root).parts[-2:] == ("data", "demo") else ""


def gain_title(name: str) -> str:
    """What one of the three comparisons takes from what."""
    first, second = GAINS[name]
    return f"{TITLES[first]} − {TITLES[second]}"


def scores_table(scores: Mapping[str, Mapping[str, Any]], n_images: int) -> Table:
    """All scores of the models.

    Args:
        scores: by model, what comparison.json says of it.
        n_images: of the test set.
    """
    rows = {label: [Cell(of_model[key], form) for of_model in scores.values()] for key, (label, form) in SCORES.items()}
    caption = f"Scores on the same {n_images} test images."
    return Table("scores", caption, [TITLES[name] for name in scores], rows)


def gains_table(comparison: Mapping[str, Any]) -> Table:
    """The gains with their intervals, and McNemar's test of equal accuracy.

    Args:
        comparison: as comparison.json has it.
    """
    columns = [gain_title(name) for name in GAINS]
    rows: dict[str, list[Cell]] = {}
    for key in comparison["gain"]["interval"]:
        rows[SCORES[key][0].replace(", %", ", points")] = [gain_cell(comparison[name], key) for name in GAINS]
    tests = [comparison[name]["mcnemar"] for name in GAINS]
    rows["Images only the first tells right"] = [Cell(test["only_first"]) for test in tests]
    rows["Images only the second tells right"] = [Cell(test["only_second"]) for test in tests]
    rows["p of McNemar’s exact test"] = [Cell(test["p"], "p") for test in tests]
    return Table("gains", "Gains, with 95 % intervals (paired bootstrap of the images).", columns, rows)


def gain_of(comparison: Mapping[str, Any], key: str) -> Gain:
    """A gain in percentage points; of several tests, the corrected p-value tells whether it is significant."""
    ends = comparison["interval"][key]
    low, high = 100 * ends["low"], 100 * ends["high"]
    significant = ends["p_holm"] < ALPHA if "p_holm" in ends else low > 0 or high < 0
    return Gain(100 * comparison[key], low, high, significant)


def gain_cell(comparison: Mapping[str, Any], key: str) -> Cell:
    """A gain and its interval as an entry of a table."""
    ends = comparison["interval"][key]
    return Cell(comparison[key], DIFFERENCE_FORMS[SCORES[key][1]], ends["low"], ends["high"])


def published_table() -> Table:
    """What the published study found, by share of the labels."""
    shown = (
        ("accuracy, %", published.ACCURACY, "percent"),
        ("balanced accuracy, %", published.BALANCED_ACCURACY, "percent"),
        ("loss", published.LOSS, "score"),
    )
    rows = {
        f"{split} % of labels": [
            Cell(values[name][split], form) for _, values, form in shown for name in ("base", "plus")
        ]
        for split in SUBSETS
    }
    again = published.RERUN_ACCURACY
    caption = (
        "The published study, on its own data: other images, and other test images in every run. Nothing in it can be "
        "compared image by image with the tables above. With 1 % of the labels, a second run of the same code reached "
        f"an accuracy of {100 * again['base']:.1f} % (base) and {100 * again['plus']:.1f} % (WBC+)."
    )
    columns = ["base", "WBC+"] * len(shown)
    return Table("published", caption, columns, rows, groups=[(label, 2) for label, _, _ in shown])


def classes_table(scores: Mapping[str, Mapping[str, Any]]) -> Table:
    """Precision, recall and F1 of every class, and the published F1 with all labels."""
    keys = {"precision": "Precision", "recall": "Recall", "f1": "F1"}
    rows = {
        label: [Cell(next(iter(scores.values()))["classes"][label]["images"])]
        + [Cell(of_model["classes"][label][key], "score") for key in keys for of_model in scores.values()]
        + [Cell(published.F1[name][label], "score") for name in ("base", "plus")]
        for label in CLASSES["wbc"]
    }
    names = [TITLES[name] for name in scores]
    return Table(
        "classes",
        "Class by class on the test images; at the right, the published study’s F1 on its own data, with all labels.",
        ["images", *names * 3, "base", "WBC+"],
        rows,
        groups=[("", 1), *((title, len(names)) for title in keys.values()), ("F1, published", 2)],
    )


def classes_figure(scores: Mapping[str, Mapping[str, Any]]) -> Figure:
    """F1 of every class, here and in the published study."""
    here = {
        name: {label: part["f1"] for label, part in of_model["classes"].items()} for name, of_model in scores.items()
    }
    lowest = min(value for of_study in (here, published.F1) for f1 in of_study.values() for value in f1.values())
    lowest = max(0.0, np.floor(10 * lowest) / 10 - 0.05)
    return Figure(
        "f1",
        "F1 of every class. Hollow: the published study on its own data, with all labels.",
        [f1_panel("Here", here, lowest), f1_panel("Published", published.F1, lowest, hollow=True)],
    )


def confusion_figure(name: str, caption: str, predictions: Mapping[str, pd.DataFrame]) -> Figure:
    """The confusion matrices of the models.

    Args:
        name: of the figure.
        caption: what it is about.
        predictions: by model, the table that `evaluate` writes, or those of several seeds together.
    """
    labels = list(CLASSES["wbc"])
    panels = [
        confusion_panel(TITLES[model], confusion_matrix(table["actual"], table["predicted"], labels=labels), labels)
        for model, table in predictions.items()
    ]
    return Figure(name, f"{caption} The shade is the share of the actual class (the row).", panels)


def calibration_figure(name: str, caption: str, answers: Mapping[str, Sequence[tuple[pd.DataFrame, float]]]) -> Figure:
    """Reliability diagrams of the models, with and without their temperature.

    Args:
        name: of the figure.
        caption: what it is about.
        answers: by model, for every seed the table that `evaluate` writes, and the temperature.
    """
    panels = []
    for model, of_seeds in answers.items():
        before, after, right = [], [], []
        for table, temperature in of_seeds:
            probabilities = table[list(CLASSES["wbc"])].to_numpy(np.float64)
            before.append(probabilities.max(axis=1))
            after.append(apply_temperature(probabilities, temperature).max(axis=1))
            right.append((table["predicted"] == table["actual"]).to_numpy())
        panels.append(reliability_panel(model, *map(np.concatenate, (before, after, right))))
    return Figure(
        name,
        f"{caption} On the diagonal a model is as sure as it may be, below it too sure. The larger a mark, the more "
        "test images; temperatures were fitted on the validation images.",
        panels,
    )


def training_panel(title: str, column: str, label: str, histories: Mapping[str, Sequence[pd.DataFrame]]) -> Panel:
    """One column of the histories of the blood cell models.

    Args:
        title: of the panel.
        column: of the histories.
        label: of the axis.
        histories: by model, one for every seed.
    """
    curves = {
        TITLES[model]: (LOOKS[model], [(table[column], int(table["best"].argmax())) for table in of_seeds])
        for model, of_seeds in histories.items()
    }
    return curves_panel(title, curves, label)


def pretraining_panel(title: str, label: str, history: pd.DataFrame) -> Panel:
    """Training and validation loss of a pre-trained network."""
    kept = int(history["best"].argmax())
    curves = {name: (look, [(history[column], kept)]) for name, (column, look) in LOSSES.items()}
    return curves_panel(title, curves, label)


def versions_table() -> Table:
    """What computed the report, and in a single run everything."""
    rows = {"Python": [Cell(platform.python_version())]} | {name: [Cell(version(name))] for name in LIBRARIES}
    return Table("versions", "Versions.", ["version"], rows)


def data_table(manifest: pd.DataFrame) -> Table:
    """How many images there are, by set, class and part."""
    wbc = manifest[manifest["set"] == "wbc"]
    rows: dict[str, list[Cell]] = {}

    def count(label: str, part: pd.DataFrame) -> None:
        train = part[part["part"] == "train"]
        of_blood = label in ("WBC", *CLASSES["wbc"])
        shares = [Cell(int((train["subset"] <= split).sum()) if of_blood else None) for split in SUBSETS[:-1]]
        held_out = [Cell(int((part["part"] == name).sum())) for name in ("val", "test")]
        rows[label] = [*shares, Cell(len(train)), Cell(int((train["mask"] != "").sum())), *held_out]

    for label in CLASSES["wbc"]:
        count(label, wbc[wbc["class"] == label])
    count("WBC", wbc)
    for label in CLASSES["cam16"]:
        count(f"CAM16, {label}", manifest[(manifest["set"] == "cam16") & (manifest["class"] == label)])
    count("pRCC", manifest[manifest["set"] == "prcc"])
    columns = [*(f"{split} %" for split in SUBSETS[:-1]), "all", "with mask", "validation", "test"]
    return Table(
        "data",
        "Images: blood cells (WBC) by class, and the two sets for pre-training.",
        columns,
        rows,
        groups=[("training", len(SUBSETS) + 1), ("held out", 2)],
    )
