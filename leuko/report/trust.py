"""How far the figures of a report hold: the groups of the images, and what the test could have shown at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from leuko.arms import Arm, GainOf
from leuko.core.params.labels import ValidationLabels
from leuko.data.groups import in_words
from leuko.report.blocks import Block, Cell, Row, Table
from leuko.report.sections import SCORES, Scores, gain_title
from leuko.training.parts import matched


def groups_blocks(findings: Mapping[str, Any] | None, scores: Scores) -> list[Block]:
    """What is known of the patients, smears or days of the test images, and the scores on those new to training.

    Args:
        findings: what comparison.json has of `groups`.
        scores: by arm, what it has of them.
    """
    if findings is None:
        return [
            "It is not known which images come from one patient, smear or day (the setting ingest.group), so intervals "
            "take all images for independent, and nobody can say whether the test holds patients of the training."
        ]
    parts, seen = findings["parts"], findings["seen"]
    groups = (
        f"The cells come from {parts['train']} groups (patients, smears or days) in training, {parts['val']} in "
        f"validation and {parts['test']} in the test. Intervals resample whole groups."
    )
    shares = {
        label: [
            Cell(of_class["images"]),
            Cell(of_class["seen"]),
            Cell(of_class["share"], "percent"),
        ]
        for label, of_class in {"all": seen["all"], **seen["classes"]}.items()
    }
    blocks: list[Block] = [groups, *in_words(findings)]
    tables = [
        Table(
            "seen_groups",
            "Test images whose group is also in training.",
            ["test images", "of groups in training", "share, %"],
            shares,
        )
    ]
    if seen["all"]["seen"] and findings["unseen"]:
        rows = {
            arm.title: [
                Cell(of_arm[key] if column == "all" else of_arm["unseen"][key], SCORES[key][1])
                for key in ("balanced_accuracy", "accuracy")
                for column in ("all", "unseen")
            ]
            for arm, of_arm in scores.items()
        }
        tables.append(
            Table(
                "unseen_groups",
                f"Scores on all test images, and on the {findings['unseen']} of groups that training lacks.",
                ["all", "unseen groups"] * 2,
                rows,
                [("Balanced accuracy, %", 2), ("Accuracy, %", 2)],
            )
        )
    return [*blocks, Row(tables)]


def budget_blocks(
    manifest: pd.DataFrame,
    split: int,
    validation_labels: ValidationLabels,
    select: Mapping[str, str],
    present: Sequence[Arm],
) -> list[Block]:
    """How many labelled images each arm has used in all.

    Args:
        manifest: of the images.
        split: percentage of the training labels.
        validation_labels: how many of the validation labels are used.
        select: by key of an arm that is trained step by step, which epoch is kept: `best` or `last`.
        present: the arms.
    """
    cells = manifest[manifest["set"] == "wbc"]
    n_train = int(((cells["part"] == "train") & (cells["subset"] <= split)).sum())
    val = cells[cells["part"] == "val"]
    n_val = len(val) if validation_labels == "all" else int(matched(val, split).sum())
    chosen = {"best": "epoch and temperature", "last": "temperature"}
    rows = {
        arm.title: [
            Cell(n_train),
            Cell(n_val),
            Cell(chosen[select.get(arm.key, "last")]),
            Cell(n_train + n_val),
        ]
        for arm in present
    }
    table = Table(
        "budget",
        "Labelled blood cell images that each arm has used in all.",
        ["to train", "of validation", "which chose", "in all"],
        rows,
    )
    return [
        f"“{split} % of the labels” counts those to train on. Validation images have labels too: a temperature, which "
        "changes no answer, takes them, and a choice of the epoch, which changes answers, takes more from them.",
        Row([table]),
    ]


def power_blocks(
    compared: Sequence[GainOf], by_key: Mapping[str, Arm], comparisons: Mapping[str, Mapping[str, Any]]
) -> list[Block]:
    """Which gains this test could have shown; nothing without comparisons."""
    if not compared:
        return []
    keys = ("balanced_accuracy", "accuracy", "macro_f1")
    rows = {}
    for gain in compared:
        ends = [comparisons[gain.name]["interval"][key] for key in keys]
        rows[gain_title(gain, by_key)] = [
            Cell(value or None, "percent")
            for end in ends
            for value in ((end["high"] - end["low"]) / 2, end["detectable"])
        ]
    table = Table(
        "power",
        "What this test could have shown, in points: half the width of the 95 % interval, and the true difference that "
        "four of five such tests would find. Not known (–) where both arms score alike on every resample.",
        ["half-width", "detectable"] * len(keys),
        rows,
        [(SCORES[key][0].replace(", %", ""), 2) for key in keys],
    )
    return [
        "A gain that is not significant is not shown to be none: the test images may be too few for it. Each gain "
        "stands by itself here; corrected for all of them, the images show less.",
        Row([table]),
    ]
