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

from leuko.arms import Arm, GainOf, Look
from leuko.core.classes import SUBSETS, TISSUE_CLASSES
from leuko.core.image_grid import INK
from leuko.evaluation.calibration import apply_temperature
from leuko.evaluation.comparison import ALPHA, TESTS, is_overruled, words
from leuko.report import published
from leuko.report.blocks import Block, Cell, Figure, Panel, Table, Terms
from leuko.report.class_panels import confusion_panel, f1_panel
from leuko.report.drawing import Gain, curves_panel, reliability_panel

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
CLASS_SCORES = {"precision": "Precision", "recall": "Recall", "f1": "F1"}
LOSSES = {"training": ("train_loss", Look(INK, "o", ":")), "validation": ("val_loss", Look(INK, "o", "-"))}
DIFFERENCE_FORMS = {"percent": "points", "score": "difference"}

LIBRARIES = ("torch", "numpy", "pandas", "scikit-learn", "scipy", "statsmodels", "pytorch-msssim")
DEMO_WARNING = (
    "The images are synthetic: a program drew them to show that the pipeline runs. The numbers below say nothing about "
    "real blood cells."
)

Scores = Mapping[Arm, Mapping[str, Any]]
"""By arm, what comparison.json says of it."""


def terms(arms: Sequence[Arm], classes: Sequence[str]) -> Terms:
    """How to read a report: what the arms are, and what is measured."""
    chance = f"{100 / len(classes):.0f} %"
    return Terms(
        {arm.title: arm.meaning for arm in arms}
        | {
            "Balanced accuracy": "The mean of the classes’ recalls. It leads here because the classes are unbalanced: "
            f"whoever calls every cell by the commonest class is often right, yet reaches {chance}. Macro F1 is the "
            "mean of the classes’ F1. A class without test images counts in neither.",
            "Interval": "In 95 of 100 such comparisons it holds the true value. If it holds zero, the images cannot "
            "tell whether there is a gain at all, which is not the same as none.",
            "Corrected p-value": "Of many comparisons some look significant by chance. All that are made here are "
            "corrected together (Holm 1979); a difference counts as significant if its p-value then is below 0.05.",
            "Loss": "The mean negative log-likelihood of the actual class: lower is better.",
            "Calibration error": "How far a model’s probabilities are from how often it is right. A temperature, "
            "fitted on the validation images, makes a model more or less sure without changing its answers.",
            "AUROC, kappa": "How well probabilities put one class before the others, and agreement beyond chance: 1 is "
            "perfect.",
        }
    )


def ablation_terms(ablations: Sequence[Arm]) -> list[Block]:
    """How to read the tables of ablations, and what each of them is."""
    return [
        "An ablation is an arm but for one thing. Its difference tells what that thing is worth: below zero, the arm "
        "is worse without it. These comparisons are corrected together, apart from the others.",
        Terms({arm.title: f"{arm.meaning} Compared with {arm.ablates}." for arm in ablations}),
    ]


def left_out_note(arms: Sequence[Arm], reasons: Mapping[str, str]) -> list[str]:
    """One line on the arms that are left out and why; none if all are there."""
    found = [f"{arm.title} ({reasons[arm.key]})" for arm in arms if arm.key in reasons]
    return [f"Left out: {'; '.join(found)}."] if found else []


def in_words(gain: GainOf, arms: Mapping[str, Arm], comparison: Mapping[str, Any]) -> str:
    """Say what a comparison found, and whether that stands once all comparisons are corrected for.

    Args:
        gain: which comparison.
        arms: by key.
        comparison: what `compare` found.
    """
    found = {key: part for key, part in comparison.items() if key not in TESTS}
    sentence = words(found, arms[gain.better].phrase, arms[gain.than].phrase)
    if is_overruled(comparison["interval"]["balanced_accuracy"]):
        sentence += " Corrected for all comparisons, that is not significant."
    return sentence


def warning(data_root: str) -> str:
    """What must be known first; nothing, unless the images are the demo's."""
    return DEMO_WARNING if Path(data_root).parts[-2:] == ("data", "demo") else ""


def gain_title(gain: GainOf, arms: Mapping[str, Arm]) -> str:
    """What a comparison takes from what."""
    return f"{arms[gain.better].title} − {arms[gain.than].title}"


def scores_table(scores: Scores, n_images: int) -> Table:
    """All scores of the arms on `n_images` test images."""
    rows = {arm.title: [Cell(of_arm[key], form) for key, (_, form) in SCORES.items()] for arm, of_arm in scores.items()}
    caption = f"Scores on the same {n_images} test images."
    return Table("scores", caption, [label for label, _ in SCORES.values()], rows)


def gains_table(gains: Sequence[GainOf], arms: Mapping[str, Arm], comparisons: Mapping[str, Any]) -> Table:
    """The gains with their intervals, and a test of equal accuracy.

    Args:
        gains: the comparisons, of which there is at least one.
        arms: by key.
        comparisons: as comparison.json has them, by name.
    """
    some = comparisons[gains[0].name]
    keys = list(some["interval"])
    test = next(name for name in TESTS if name in some)
    named = TESTS[test].replace("'", "’")
    rows = {
        gain_title(gain, arms): [
            *(gain_cell(comparisons[gain.name], key) for key in keys),
            Cell(comparisons[gain.name]["interval"]["balanced_accuracy"]["p_holm"], "p"),
            *(Cell(comparisons[gain.name][test][key]) for key in ("only_first", "only_second")),
            Cell(comparisons[gain.name][test]["p"], "p"),
        ]
        for gain in gains
    }
    columns = [
        *(SCORES[key][0].replace(", %", ", points") for key in keys),
        "p of balanced accuracy, corrected",
        "Images only the first classifies correctly",
        "Images only the second classifies correctly",
        f"p of the {named}",
    ]
    resampled = f"of {some['groups']} whole groups" if "groups" in some else "of the images"
    return Table("gains", f"Gains, with 95 % intervals (paired bootstrap {resampled}).", columns, rows)


def gain_of(comparison: Mapping[str, Any], key: str) -> Gain:
    """A gain in percentage points; of several tests, the corrected p-value tells whether it is significant."""
    ends = comparison["interval"][key]
    return Gain(100 * comparison[key], 100 * ends["low"], 100 * ends["high"], ends["p_holm"] < ALPHA)


def gain_cell(comparison: Mapping[str, Any], key: str) -> Cell:
    """A gain and its interval as an entry of a table."""
    ends = comparison["interval"][key]
    return Cell(comparison[key], DIFFERENCE_FORMS[SCORES[key][1]], ends["low"], ends["high"])


def published_tables(arms: Sequence[Arm], classes: Sequence[str]) -> list[Table]:
    """What the published study found, by share of the labels; none if it had none of the arms or the classes."""
    known = published.comparable(arms, classes)
    if not known:
        return []
    shown = (
        ("accuracy, %", published.ACCURACY, "percent"),
        ("balanced accuracy, %", published.BALANCED_ACCURACY, "percent"),
        ("loss", published.LOSS, "score"),
    )
    rows = {
        f"{split} % of labels": [Cell(values[arm.key][split], form) for _, values, form in shown for arm in known]
        for split in SUBSETS
    }
    again = " and ".join(f"{100 * published.RERUN_ACCURACY[arm.key]:.1f} % ({arm.title})" for arm in known)
    caption = (
        "The published study, on its own data: other images, and other test images in every run. Nothing in it can be "
        "compared image by image with the other tables. With 1 % of the labels, a second run of the same code reached "
        f"an accuracy of {again}."
    )
    columns = [arm.title for arm in known] * len(shown)
    return [Table("published", caption, columns, rows, groups=[(label, len(known)) for label, _, _ in shown])]


def class_table(name: str, caption: str, scores: Mapping[str, Mapping[str, float | None]]) -> Table:
    """A score of every class; `scores` by row and class, none for a class without test images."""
    rows = {head: [Cell(value, "score") for value in of_classes.values()] for head, of_classes in scores.items()}
    return Table(name, caption, list(next(iter(scores.values()))), rows)


def classes_tables(scores: Scores, classes: Sequence[str]) -> list[Table]:
    """Precision, recall and F1 of every class, and the published F1 with all labels."""
    tables = []
    for key, label in CLASS_SCORES.items():
        rows = {arm.title: {name: part["classes"][name][key] for name in classes} for arm, part in scores.items()}
        caption = f"{label} of every class on the test images."
        if key == "f1" and (known := published.comparable(scores, classes)):
            rows |= {f"{arm.title}, published": published.f1_of(arm, classes) for arm in known}
            caption += " Below, the published study’s on its own data, with all labels."
        tables.append(class_table(key, caption, rows))
    return tables


def f1_figure(panels: Mapping[str, Mapping[Arm, Mapping[str, float | None]]], caption: str) -> Figure:
    """F1 of every class, and what the published study found.

    Args:
        panels: by title, arm and class; all of the same classes.
        caption: of the figure.
    """
    some = next(iter(panels.values()))
    classes = list(next(iter(some.values())))
    n_arms = max(map(len, panels.values()))
    theirs = {arm: published.f1_of(arm, classes) for arm in published.comparable(some, classes)}
    values = [
        value
        for f1 in (*panels.values(), theirs)
        for of_classes in f1.values()
        for value in of_classes.values()
        if value is not None
    ]
    lowest = max(0.0, np.floor(10 * min(values)) / 10 - 0.05)
    drawn = [f1_panel(title, f1, lowest, n_arms=n_arms) for title, f1 in panels.items()]
    if theirs:
        caption += " Hollow, under “Published”: the published study on its own data, with all labels."
        drawn.append(f1_panel("Published, all labels", theirs, lowest, n_arms=n_arms, hollow=True))
    return Figure("f1", caption, drawn)


def confusion_figure(
    name: str, caption: str, predictions: Mapping[Arm, pd.DataFrame], classes: Sequence[str]
) -> Figure:
    """The confusion matrices of the arms.

    Args:
        name: of the figure.
        caption: what it is about.
        predictions: by arm, the table that `evaluate` writes, or those of several seeds together.
        classes: in the order of their labels.
    """
    panels = [
        confusion_panel(arm.title, confusion_matrix(table["actual"], table["predicted"], labels=classes), classes)
        for arm, table in predictions.items()
    ]
    return Figure(name, f"{caption} The shade is the share of the actual class (the row).", panels)


def calibration_figure(
    name: str, caption: str, answers: Mapping[Arm, Sequence[tuple[pd.DataFrame, float]]], classes: Sequence[str]
) -> Figure:
    """Reliability diagrams of the arms, with and without their temperature.

    Args:
        name: of the figure.
        caption: what it is about.
        answers: by arm, for every seed the table that `evaluate` writes, and the temperature.
        classes: in the order of their labels.
    """
    panels = []
    for arm, of_seeds in answers.items():
        before, after, right = [], [], []
        for table, temperature in of_seeds:
            probabilities = table[list(classes)].to_numpy(np.float64)
            before.append(probabilities.max(axis=1))
            after.append(apply_temperature(probabilities, temperature).max(axis=1))
            right.append((table["predicted"] == table["actual"]).to_numpy())
        panels.append(reliability_panel(arm, *map(np.concatenate, (before, after, right))))
    return Figure(
        name,
        f"{caption} On the diagonal a model is as sure as it may be, below it too sure. The larger a mark, the more "
        "test images; temperatures were fitted on the validation images.",
        panels,
    )


def training_panel(title: str, column: str, label: str, histories: Mapping[Arm, Sequence[pd.DataFrame]]) -> Panel:
    """One column of the histories of blood cell classifiers; `histories` by arm, one for every seed."""
    curves = {
        arm.title: (arm.look, [(table[column], int(table["best"].argmax())) for table in of_seeds])
        for arm, of_seeds in histories.items()
    }
    return curves_panel(title, curves, label)


def pretraining_panels(histories: Mapping[str, pd.DataFrame]) -> list[Panel]:
    """Training and validation loss of the pre-trained networks `prcc` and `cam16`, of those that were trained."""
    panels = []
    for name, title, label in (("prcc", "pRCC autoencoder", "1 − SSIM"), ("cam16", "CAM16 classifier", "loss")):
        history = histories[name]
        if len(history):
            kept = int(history["best"].argmax())
            curves = {line: (look, [(history[column], kept)]) for line, (column, look) in LOSSES.items()}
            panels.append(curves_panel(title, curves, label))
    return panels


def versions_table() -> Table:
    """What computed the report, and in a single run everything."""
    rows = {"Python": [Cell(platform.python_version())]} | {name: [Cell(version(name))] for name in LIBRARIES}
    return Table("versions", "Versions.", ["version"], rows)


def data_table(manifest: pd.DataFrame, classes: Sequence[str]) -> Table:
    """How many images there are, by set, class and part."""
    columns = [*(f"{split} %" for split in SUBSETS[:-1]), "all", "with mask", "validation", "test"]
    groups = [("training", len(SUBSETS) + 1), ("held out", 2)]

    def count(part: pd.DataFrame, *, of_blood: bool = False) -> list[Cell]:
        train = part[part["part"] == "train"]
        shares = [Cell(int((train["subset"] <= split).sum()) if of_blood else None) for split in SUBSETS[:-1]]
        held_out = [Cell(int((part["part"] == name).sum())) for name in ("val", "test")]
        return [*shares, Cell(len(train)), Cell(int((train["mask"] != "").sum())), *held_out]

    wbc, cam16, prcc = (manifest[manifest["set"] == name] for name in ("wbc", "cam16", "prcc"))
    rows = {f"WBC, {label}": count(wbc[wbc["class"] == label], of_blood=True) for label in classes}
    rows["WBC"] = count(wbc, of_blood=True)
    if len(cam16):
        rows |= {f"CAM16, {label}": count(cam16[cam16["class"] == label]) for label in TISSUE_CLASSES}
    if len(prcc):
        rows["pRCC"] = count(prcc)
    return Table(
        "data", "Images: blood cells (WBC) by class, and what there is for pre-training.", columns, rows, groups
    )
