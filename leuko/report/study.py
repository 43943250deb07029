"""The report of the study: every share of the labels, with several seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from leuko.arms import Arm, GainOf, ablations, arms, gains, in_full
from leuko.core.errors import LeukoError
from leuko.core.files import read_json
from leuko.core.params.everything import Params
from leuko.core.params.reading import load_params
from leuko.report import published
from leuko.report.blocks import Block, Cell, Figure, Listing, Report, Row, Section, Table
from leuko.report.drawing import efficiency_panel, gains_figure
from leuko.report.page import write_report
from leuko.report.runs import HISTORIES, Run, Runs, fullest, having
from leuko.report.sections import (
    SCORES,
    ablation_terms,
    calibration_figure,
    class_table,
    confusion_figure,
    f1_figure,
    gain_cell,
    gain_of,
    gain_title,
    left_out_note,
    pretraining_panels,
    published_tables,
    terms,
    training_panel,
    versions_table,
    warning,
)
from leuko.report.study_laboratories import laboratories_section

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
        splits = read_json(study / "summary.json")["splits"]
        scores = pd.read_csv(study / "table.csv")
    except FileNotFoundError as error:
        raise LeukoError(f"{error.filename} is missing; make study writes it") from error
    runs = {split: [Run(study, split, seed) for seed in part["seeds"]] for split, part in splits.items()}
    some_run = fullest(runs)
    params = load_params(Params, some_run.folder / "params.yaml")
    every, classes = arms(params.transfer), params.classes
    trained = [arm for arm in every if all(arm.key in part["arms"] for part in splits.values())]
    present = in_full(trained)
    by_key = {arm.key: arm for arm in present}
    compared = _compared(splits, present)
    keys = {arm.key for arm in trained}
    left_out = {
        key: reason
        for of_split in runs.values()
        for run in of_split
        for key, reason in run.left_out.items()
        if key not in keys
    }
    verdicts = {gain: verdict(splits, gain, by_key) for gain in compared}
    return Report(
        next(iter(verdicts.values()), "No two of the arms that are there are compared."),
        [
            *(f"{gain.question} {sentence}" for gain, sentence in list(verdicts.items())[1:]),
            "In brackets: the difference in points of balanced accuracy, mean over the seeds, and its 95 % interval, "
            "which allows for the chance in training and for that in the test images. A difference counts as "
            "significant if its p-value, corrected for the number of comparisons (Holm 1979), is below 0.05.",
        ],
        [
            Section("reading", "How to read it", [terms(present, classes), *left_out_note(every, left_out)]),
            Section("labels", "How many labels it takes", _label_blocks(splits, scores, by_key, classes)),
            *_ablations_section(splits, trained),
            *laboratories_section(splits, trained, {name: some_run.abroad(name) for name in params.external}),
            Section("classes", "Class by class", _class_blocks(runs, present, classes)),
            Section(
                "calibration",
                "Calibration",
                [_calibration(split, of_split, present, classes) for split, of_split in runs.items()],
            ),
            Section("training", "Training", [_training_figure(runs, present)]),
            Section(
                "provenance",
                "Settings and versions",
                [
                    Row([versions_table()]),
                    "Settings of one run. The others differ in split and seed, below 100 % of the labels in the subset "
                    "that was drawn, and in the families of arms where some seeds have fewer.",
                    Listing((some_run.folder / "params.yaml").read_text(encoding="utf-8")),
                ],
            ),
        ],
        warning(params.data_root),
    )


def _compared(splits: Mapping[str, Any], present: Sequence[Arm]) -> list[GainOf]:
    """The comparisons that every split has, which takes a seed with both arms."""
    return [gain for gain in gains(present) if all(gain.name in part["gains"] for part in splits.values())]


def verdict(splits: Mapping[str, Any], gain: GainOf, by_key: Mapping[str, Arm]) -> str:
    """Say in one sentence for which shares of the labels a comparison found a difference.

    Args:
        splits: as the summary has them.
        gain: the comparison.
        by_key: the arms.
    """
    better: list[str] = []
    worse: list[str] = []
    alike: list[str] = []
    for split, part in splits.items():
        value, low, high, significant = gain_of(part["gains"][gain.name], "balanced_accuracy")
        found = (better if value > 0 else worse) if significant else alike
        found.append(f"{split} % ({value:+z.1f}, {low:z.1f} to {high:z.1f})")
    first, second = by_key[gain.better].phrase, by_key[gain.than].phrase
    findings = {"is better than": better, "is worse than": worse, "is not significantly different from": alike}
    told = [f"{verb} {second} with {_listed(found)} of the labels" for verb, found in findings.items() if found]
    sentence = f"{first} {'; it '.join(told)}."
    return sentence[0].upper() + sentence[1:]


def _listed(items: Sequence[str]) -> str:
    """Items with commas between them, and an "and" before the last."""
    *first, last = items
    return f"{', '.join(first)} and {last}" if first else last


def _label_blocks(
    splits: Mapping[str, Any], scores: pd.DataFrame, by_key: Mapping[str, Arm], classes: Sequence[str]
) -> list[Block]:
    """Scores and gains by the share of the labels."""
    present = list(by_key.values())
    compared = _compared(splits, present)
    blocks: list[Block] = [_efficiency_figure(scores, present, published.comparable(present, classes))]
    blocks += [_gains_figure(splits, compared, by_key)] if compared else []
    for key in (*HEADLINE, "loss"):
        tables = [_scores_table(splits, key, present)]
        tables += [_gains_table(splits, key, compared, by_key)] if compared else []
        blocks.append(Row(tables))
    blocks += [Row([table]) for table in published_tables(present, classes)]
    return blocks


def _ablations_section(splits: Mapping[str, Any], trained: Sequence[Arm]) -> list[Section]:
    """What becomes of an arm when one thing is left out or another; nothing if that was not asked."""
    compared = [gain for gain in ablations(trained) if all(gain.name in part["gains"] for part in splits.values())]
    if not compared:
        return []
    by_key = {arm.key: arm for arm in trained}
    of_them = [by_key[gain.better] for gain in compared]
    tables = [
        replace(table, name=f"ablations {table.name}")
        for key in ("balanced_accuracy", "accuracy")
        for table in (_scores_table(splits, key, of_them), _gains_table(splits, key, compared, by_key))
    ]
    return [Section("ablations", "Ablations", [*ablation_terms(of_them), *(Row([table]) for table in tables)])]


def _efficiency_figure(scores: pd.DataFrame, present: Sequence[Arm], known: Sequence[Arm]) -> Figure:
    """Scores against the share of the labels, and what the published study found of the arms that it had."""
    theirs = {"balanced_accuracy": published.BALANCED_ACCURACY, "accuracy": published.ACCURACY}
    caption = (
        "Scores on the test images by the share of the labels: mean over the seeds, and a band of one standard "
        "deviation to both sides."
    )
    if known:
        caption += " Hollow and without a line: the published study, one run each on its own data."
    return Figure(
        "efficiency",
        caption,
        [
            efficiency_panel(
                SCORES[key][0].removesuffix(", %"),
                {
                    arm: {
                        split: of_arm[of_arm["split"] == split][key].to_numpy(np.float64)
                        for split in sorted(set(of_arm["split"]))
                    }
                    for arm in present
                    for of_arm in [scores[scores["model"] == arm.key]]
                },
                {arm: theirs[key][arm.key] for arm in known if key in theirs},
            )
            for key in HEADLINE
        ],
    )


def _gains_figure(splits: Mapping[str, Any], compared: Sequence[GainOf], by_key: Mapping[str, Arm]) -> Figure:
    """Gains of balanced accuracy, split by split."""
    return gains_figure(
        "Gains of balanced accuracy with 95 % intervals over seeds and images, by the share of the labels. Hollow: not "
        "significant after correction.",
        {
            f"{split} % of the labels": {
                gain_title(gain, by_key): gain_of(part["gains"][gain.name], "balanced_accuracy") for gain in compared
            }
            for split, part in splits.items()
        },
    )


def _scores_table(splits: Mapping[str, Any], key: str, present: Sequence[Arm]) -> Table:
    """Mean and standard deviation of a score over the seeds."""
    label, form = SCORES[key]
    rows = {
        arm.title: [
            Cell(part["arms"][arm.key][kind][key], form) for part in splits.values() for kind in ("mean", "std")
        ]
        for arm in present
    }
    groups = [(f"{split} % of labels", 2) for split in splits]
    caption = f"{label}: mean and standard deviation."
    return Table(f"scores {key}", caption, ["mean", "SD"] * len(splits), rows, groups)


def _gains_table(splits: Mapping[str, Any], key: str, compared: Sequence[GainOf], by_key: Mapping[str, Arm]) -> Table:
    """Gains of a score with corrected p-values."""
    rows = {
        gain_title(gain, by_key): [
            cell
            for part in splits.values()
            for found in [part["gains"][gain.name]]
            for cell in (gain_cell(found, key), Cell(found["interval"][key]["p_holm"], "p"))
        ]
        for gain in compared
    }
    label = SCORES[key][0].replace(", %", ", points")
    groups = [(f"{split} % of labels", 2) for split in splits]
    return Table(f"gains {key}", f"{label}: gains, and corrected p-values.", ["gain", "p"] * len(splits), rows, groups)


def _class_blocks(runs: Runs, present: Sequence[Arm], classes: Sequence[str]) -> list[Block]:
    """F1 of every class and confusion matrices, split by split."""
    means = {
        split: {
            arm: {
                label: _mean([run.scores[arm.key]["classes"][label]["f1"] for run in having(arm, of_split)])
                for label in classes
            }
            for arm in present
        }
        for split, of_split in runs.items()
    }
    panels = {f"{split} % of the labels": f1 for split, f1 in means.items()}
    tables = [
        class_table(
            f"classes {split}",
            f"With {split} % of the labels: F1 of every class, mean over the seeds.",
            {arm.title: of_classes for arm, of_classes in f1.items()},
        )
        for split, f1 in means.items()
    ]
    return [
        f1_figure(panels, "F1 of every class, mean over the seeds."),
        Row(tables),
        *(
            confusion_figure(
                f"confusion-{split}",
                f"With {split} % of the labels: test images by class, of all seeds together.",
                {arm: pd.concat([run.predictions(arm) for run in having(arm, of_split)]) for arm in present},
                classes,
            )
            for split, of_split in runs.items()
        ),
    ]


def _mean(values: Sequence[float | None]) -> float | None:
    """The mean over the seeds; none for a class that has no test images."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _calibration(split: str, runs: Sequence[Run], present: Sequence[Arm], classes: Sequence[str]) -> Figure:
    """Reliability diagrams of one split, all seeds together."""
    return calibration_figure(
        f"calibration-{split}",
        f"With {split} % of the labels: how often a model is right, by how sure it is.",
        {
            arm: [(run.predictions(arm), run.scores[arm.key]["temperature"]) for run in having(arm, runs)]
            for arm in present
        },
        classes,
    )


def _training_figure(runs: Runs, present: Sequence[Arm]) -> Figure:
    """The curves of the blood cells, split by split, and those of the pre-trainings, which all runs share."""
    some_run = fullest(runs)
    return Figure(
        "training",
        "Training, a line for every seed. A mark is at the epoch whose weights were kept.",
        [
            *(
                training_panel(
                    f"{split} % of the labels, validation",
                    "val_balanced_accuracy",
                    "balanced accuracy",
                    {
                        arm: [run.history(arm.history) for run in having(arm, of_split)]
                        for arm in present
                        if arm.history
                    },
                )
                for split, of_split in runs.items()
            ),
            *pretraining_panels({name: some_run.history(HISTORIES / f"{name}.csv") for name in ("prcc", "cam16")}),
        ],
    )
