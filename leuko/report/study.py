"""The report of the study: every share of the labels, with several seeds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from leuko.core.classes import CLASSES
from leuko.core.errors import LeukoError
from leuko.evaluation.comparison import GAINS, NAMES
from leuko.report import published
from leuko.report.blocks import Block, Cell, Figure, Listing, Report, Row, Section, Table
from leuko.report.drawing import TITLES, efficiency_panel, f1_panel, gains_figure
from leuko.report.page import write_report
from leuko.report.sections import (
    SCORES,
    TERMS,
    calibration_figure,
    confusion_figure,
    gain_cell,
    gain_of,
    gain_title,
    pretraining_panel,
    published_table,
    training_panel,
    versions_table,
    warning,
)

HISTORIES = {"base": "wbc", "control": "control", "plus": "wbc_plus"}
HEADLINE = ("balanced_accuracy", "accuracy", "macro_f1")


def build_report(study: Path, out: Path) -> None:
    """Write the report of a study: `report.html`, `tables.csv` and `figures/`.

    Args:
        study: the folder with `summary.json`, `table.csv` and `cells/`.
        out: the folder to write to.

    Raises:
        LeukoError: if the study is not there.
    """
    write_report(study_report(study), out)


def study_report(study: Path) -> Report:
    """Put together the report of a study; it holds no image of any cell or tissue.

    Args:
        study: the folder with `summary.json`, `table.csv` and `cells/`.

    Returns:
        The report.

    Raises:
        LeukoError: if the study is not there.
    """
    try:
        splits = json.loads((study / "summary.json").read_text())["splits"]
        scores = pd.read_csv(study / "table.csv")
    except FileNotFoundError as error:
        raise LeukoError(f"{error.filename} is missing; make study writes it") from error
    runs = {split: [Run(study, split, seed) for seed in part["seeds"]] for split, part in splits.items()}
    some_run = next(iter(runs.values()))[0]
    return Report(
        verdict(splits, "gain"),
        [
            f"Is it the pre-training? {verdict(splits, 'gain_pretraining')}",
            f"Is it size? {verdict(splits, 'gain_size')}",
            "In brackets: the difference in points of balanced accuracy, mean over the seeds, and its 95 % interval, "
            "which allows for the chance in training and for that in the test images. A difference counts as "
            "significant if its p-value, corrected for the number of shares (Holm 1979), is below 0.05.",
        ],
        [
            Section("reading", "How to read it", [TERMS]),
            Section(
                "labels",
                "How many labels it takes",
                [
                    _efficiency_figure(scores),
                    _gains_figure(splits),
                    *(Row([_scores_table(splits, key), _gains_table(splits, key)]) for key in (*HEADLINE, "loss")),
                    Row([published_table()]),
                ],
            ),
            Section("classes", "Class by class", _class_blocks(runs)),
            Section("calibration", "Calibration", [_calibration(split, of_split) for split, of_split in runs.items()]),
            Section("training", "Training", [_training_figure(runs)]),
            Section(
                "provenance",
                "Settings and versions",
                [
                    Row([versions_table()]),
                    "Settings of the first run. The others differ in split and seed, and with 1 % of the labels in the "
                    "subset that was drawn.",
                    Listing((some_run.folder / "params.yaml").read_text(encoding="utf-8")),
                ],
            ),
        ],
        warning(yaml.safe_load((some_run.folder / "params.yaml").read_text(encoding="utf-8"))["data_root"]),
    )


def verdict(splits: Mapping[str, Any], name: str) -> str:
    """Say in one sentence for which shares of the labels a comparison found a difference.

    Args:
        splits: as the summary has them.
        name: of the comparison.
    """
    findings: dict[str, list[str]] = {
        "is better than": [],
        "is worse than": [],
        "is not significantly different from": [],
    }
    better, worse, alike = findings.values()
    for split, part in splits.items():
        gain = gain_of(part["gains"][name], "balanced_accuracy")
        found = (better if gain.value > 0 else worse) if gain.significant else alike
        found.append(f"{split} % ({gain.value:+z.1f}, {gain.low:z.1f} to {gain.high:z.1f})")
    first, second = (NAMES[model] for model in GAINS[name])
    findings = {"is better than": better, "is worse than": worse, "is not significantly different from": alike}
    told = [f"{verb} {second} with {_listed(found)} of the labels" for verb, found in findings.items() if found]
    sentence = f"{first} {'; it '.join(told)}."
    return sentence[0].upper() + sentence[1:]


def _listed(items: Sequence[str]) -> str:
    """Items with commas between them, and an "and" before the last."""
    *first, last = items
    return f"{', '.join(first)} and {last}" if first else last


class Run:
    """One run of a study: one share of the labels, one seed.

    Args:
        study: the study's folder.
        split: percentage of the labels.
        seed: of the run.
    """

    def __init__(self, study: Path, split: str, seed: int) -> None:
        self.folder = study / f"cells/split{split}-seed{seed}"
        self.scores: dict[str, Any] = json.loads((self.folder / "comparison.json").read_text())
        self.predictions = {model: pd.read_csv(self.folder / f"{model}.csv") for model in TITLES}

    def history(self, name: str) -> pd.DataFrame:
        """What a training went through, epoch by epoch."""
        return pd.read_csv(self.folder / f"history/{name}.csv")


Runs = Mapping[str, Sequence[Run]]
"""By percentage of the labels, a run for every seed."""


def _efficiency_figure(scores: pd.DataFrame) -> Figure:
    """Scores against the share of the labels."""
    known = {"balanced_accuracy": published.BALANCED_ACCURACY, "accuracy": published.ACCURACY}
    return Figure(
        "efficiency",
        "Scores on the test images by the share of the labels: mean over the seeds, and a band of one standard "
        "deviation to both sides. Hollow: the published study, one run each on its own data.",
        [
            efficiency_panel(
                SCORES[key][0].removesuffix(", %"),
                {
                    model: {
                        split: scores[(scores["model"] == model) & (scores["split"] == split)][key].to_numpy(np.float64)
                        for split in sorted(set(scores["split"]))
                    }
                    for model in TITLES
                },
                known.get(key, {}),
            )
            for key in HEADLINE
        ],
    )


def _gains_figure(splits: Mapping[str, Any]) -> Figure:
    """Gains of balanced accuracy, split by split."""
    return gains_figure(
        "Gains of balanced accuracy with 95 % intervals over seeds and images, by the share of the labels. Hollow: not "
        "significant after correction.",
        {
            gain_title(name): {
                f"{split} %": gain_of(part["gains"][name], "balanced_accuracy") for split, part in splits.items()
            }
            for name in GAINS
        },
    )


def _scores_table(splits: Mapping[str, Any], key: str) -> Table:
    """Mean and standard deviation of a score over the seeds."""
    label, form = SCORES[key]
    rows = {
        f"{split} % of labels": [
            Cell(part["models"][model][kind][key], form) for model in TITLES for kind in ("mean", "std")
        ]
        for split, part in splits.items()
    }
    groups = [(title, 2) for title in TITLES.values()]
    return Table(f"scores {key}", f"{label}: mean and standard deviation.", ["mean", "SD"] * 3, rows, groups)


def _gains_table(splits: Mapping[str, Any], key: str) -> Table:
    """Gains of a score with corrected p-values."""
    rows = {
        f"{split} % of labels": [
            cell
            for gain in (part["gains"][name] for name in GAINS)
            for cell in (gain_cell(gain, key), Cell(gain["interval"][key]["p_holm"], "p"))
        ]
        for split, part in splits.items()
    }
    label = SCORES[key][0].replace(", %", ", points")
    groups = [(gain_title(name), 2) for name in GAINS]
    return Table(f"gains {key}", f"{label}: gains, and corrected p-values.", ["gain", "p"] * 3, rows, groups)


def _class_blocks(runs: Runs) -> list[Block]:
    """F1 of every class and confusion matrices, split by split."""
    means = {
        split: {
            model: {
                label: float(np.mean([run.scores[model]["classes"][label]["f1"] for run in of_split]))
                for label in CLASSES["wbc"]
            }
            for model in TITLES
        }
        for split, of_split in runs.items()
    }
    panels = [f1_panel(f"{split} % of the labels", f1, 0) for split, f1 in means.items()]
    rows = {
        label: [Cell(of_split[model][label], "score") for of_split in means.values() for model in TITLES]
        for label in CLASSES["wbc"]
    }
    groups = [(f"{split} % of labels", len(TITLES)) for split in means]
    table = Table("classes", "F1 of every class, mean over the seeds.", [*TITLES.values()] * len(means), rows, groups)
    return [
        Figure(
            "f1",
            "F1 of every class, mean over the seeds. Hollow: the published study on its own data, with all labels.",
            [*panels, f1_panel("Published, all labels", published.F1, 0, hollow=True)],
        ),
        Row([table]),
        *(
            confusion_figure(
                f"confusion-{split}",
                f"With {split} % of the labels: test images by class, of all seeds together.",
                {model: pd.concat([run.predictions[model] for run in of_split]) for model in TITLES},
            )
            for split, of_split in runs.items()
        ),
    ]


def _calibration(split: str, runs: Sequence[Run]) -> Figure:
    """Reliability diagrams of one split, all seeds together."""
    return calibration_figure(
        f"calibration-{split}",
        f"With {split} % of the labels: how often a model is right, by how sure it is.",
        {model: [(run.predictions[model], run.scores[model]["temperature"]) for run in runs] for model in TITLES},
    )


def _training_figure(runs: Runs) -> Figure:
    """The curves of the blood cell models, split by split, and those of the pre-trainings, which all runs share."""
    some_run = next(iter(runs.values()))[0]
    return Figure(
        "training",
        "Training, a line for every seed. A mark is at the epoch whose weights were kept: the best on the validation "
        "images.",
        [
            *(
                training_panel(
                    f"{split} % of the labels, validation",
                    "val_balanced_accuracy",
                    "balanced accuracy",
                    {model: [run.history(name) for run in of_split] for model, name in HISTORIES.items()},
                )
                for split, of_split in runs.items()
            ),
            pretraining_panel("pRCC autoencoder", "1 − SSIM", some_run.history("prcc")),
            pretraining_panel("CAM16 classifier", "loss", some_run.history("cam16")),
        ],
    )
