"""The report of a single run of the pipeline."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from leuko.arms import MORPHOLOGY, Arm, GainOf, ablations, arms, gains, in_full
from leuko.core.files import read_json
from leuko.core.params.everything import Params
from leuko.data.manifest import read_manifest
from leuko.evaluation.predictions import read_predictions
from leuko.models.build import load_classifier
from leuko.report import published
from leuko.report.audit import audit_blocks, focus_blocks
from leuko.report.blocks import Block, Card, Cell, Figure, Gallery, Listing, Report, Row, Section, Table, Terms
from leuko.report.descriptors import descriptor_blocks
from leuko.report.drawing import gains_figure
from leuko.report.laboratories import laboratories_blocks
from leuko.report.pictures import examples, picture_of
from leuko.report.sections import (
    ablation_terms,
    calibration_figure,
    classes_tables,
    confusion_figure,
    data_table,
    f1_figure,
    gain_of,
    gain_title,
    gains_table,
    in_words,
    left_out_note,
    pretraining_panels,
    published_tables,
    scores_table,
    terms,
    training_panel,
    versions_table,
    warning,
)
from leuko.report.trust import budget_blocks, groups_blocks, power_blocks

HEADLINE = {"balanced_accuracy": "Balanced accuracy", "accuracy": "Accuracy", "macro_f1": "Macro F1"}
ANSWERS = (("gain_tissue", "gain_blood", "gain_measuring"), ("gain", "gain_pretraining", "gain_encoder"))
"""The comparisons that answer what the page asks: the first of these groups of which there are any."""


def single_report(root: Path, params: Params, device: torch.device) -> Report:
    """Put together the report of what the pipeline left in a folder.

    Args:
        root: the repository, or a copy of it.
        params: its settings.
        device: where the networks that are looked into compute.

    Returns:
        The report; without `report.pictures`, no image of any cell or tissue is in it.
    """
    comparison = read_json(root / "metrics/comparison.json")
    classes, every = params.classes, arms(params.transfer)
    trained = [arm for arm in every if arm.key in comparison["arms"]]
    present = in_full(trained)
    scores = {arm: comparison["arms"][arm.key] for arm in present}
    predictions = {arm: read_predictions(root / arm.predictions) for arm in present}
    answers = {arm: [(table, scores[arm]["temperature"])] for arm, table in predictions.items()}
    manifest = read_manifest(root / "data/manifest.csv")
    pretraining = _pretraining_tables(root)
    sections = [
        Section("reading", "How to read it", [terms(present, classes), *left_out_note(every, comparison["left_out"])]),
        Section(
            "scores",
            "Test scores",
            [
                *_gain_blocks(gains(present), {arm.key: arm for arm in present}, comparison["gains"]),
                Row([scores_table(scores, len(predictions[present[0]]))]),
                *(Row([table]) for table in (*published_tables(present, classes), *pretraining)),
            ],
        ),
        Section(
            "classes",
            "Class by class",
            [
                f1_figure({"Here": _f1(scores)}, "F1 of every class."),
                Row(classes_tables(scores, classes)),
                confusion_figure("confusion", "Test images by class.", predictions, classes),
            ],
        ),
        Section(
            "labels",
            "How many labels it takes",
            [
                f"This run used {params.split} % of the labels, once. Curves over all shares, with several seeds each, "
                "are a matter of the study: the command “make study” runs it and writes a report of its own."
            ],
        ),
        *_ablations_section(trained, comparison),
        Section(
            "calibration",
            "Calibration",
            [calibration_figure("calibration", "How often a model is right, by how sure it is.", answers, classes)],
        ),
        Section(
            "trust",
            "How far this holds",
            [
                *groups_blocks(comparison["groups"], scores),
                *audit_blocks(root, pictures=params.report.pictures),
                *focus_blocks(comparison["focus"], present),
                *budget_blocks(manifest, params.split, params.validation_labels, _selects(present, params), present),
                *power_blocks(gains(present), {arm.key: arm for arm in present}, comparison["gains"]),
            ],
        ),
        Section("laboratories", "Other laboratories", laboratories_blocks(root, tuple(params.external), present)),
        *_descriptor_section(root, present, params),
        Section("training", "Training", [_training_figure(root, present)]),
    ]
    if params.report.pictures:
        pictures = [
            *_disagreements(root, params.evaluate.examples, predictions, device),
            *_galleries(
                root, reconstructed=bool(_scores_of(root, "prcc")), masked=bool((manifest["mask"] != "").any())
            ),
        ]
        sections += [Section("pictures", "Pictures", pictures)] if pictures else []
    sections += [
        Section("data", "Data", [Row([data_table(manifest, classes)])]),
        Section(
            "provenance",
            "Settings and versions",
            [
                Row([versions_table(), _hashes_table(root, trained)]),
                Listing((root / "params.yaml").read_text(encoding="utf-8")),
            ],
        ),
    ]
    return Report(
        f"With {params.split} % of the labels: {_answer(present, comparison)}",
        [
            "This is one run with one seed. Its intervals allow for the chance that chose the test images, not for "
            "the chance in training: another seed may move a gain further than they tell.",
        ],
        sections,
        warning(params.data_root),
    )


def _ablations_section(trained: Sequence[Arm], comparison: Mapping[str, Any]) -> list[Section]:
    """What becomes of an arm when one thing is left out or another; nothing if that was not asked."""
    compared = ablations(trained)
    if not compared:
        return []
    by_key = {arm.key: arm for arm in trained}
    table = replace(gains_table(compared, by_key, comparison["gains"]), name="ablations")
    return [
        Section("ablations", "Ablations", [*ablation_terms([by_key[gain.better] for gain in compared]), Row([table])])
    ]


def _descriptor_section(root: Path, present: Sequence[Arm], params: Params) -> list[Section]:
    """What the descriptors tell, if there is a classifier on them."""
    if MORPHOLOGY not in present:
        return []
    blocks = descriptor_blocks(root, params.classes, pictures=params.report.pictures, n_shown=params.evaluate.examples)
    return [Section("descriptors", "What decides", blocks)] if blocks else []


def _selects(present: Sequence[Arm], params: Params) -> dict[str, str]:
    """Which epoch of each training is kept, by key of the arm: `best` or `last`."""
    of_family = {"published": params.wbc_plus.select, "transfer": params.finetune.select}
    selects: dict[str, str] = {arm.key: of_family[arm.family] for arm in present if arm.family in of_family}
    return selects | {key: params.wbc.select for key in selects if key == "base"}


def _answer(present: Sequence[Arm], comparison: Mapping[str, Any]) -> str:
    """What the comparisons found that matter most or, if there are none, what each arm reaches."""
    by_key = {arm.key: arm for arm in present}
    compared = {gain.name: gain for gain in gains(present)}
    groups = ({name: compared[name] for name in names if name in compared} for names in ANSWERS)
    told = next(filter(None, groups), {})
    if not told:
        reached = {arm.phrase: 100 * comparison["arms"][arm.key]["balanced_accuracy"] for arm in present}
        return f"balanced accuracy {', '.join(f'{value:.1f} % for {phrase}' for phrase, value in reached.items())}."
    sentences = [
        ("" if name == "gain" else f"{gain.question} ") + in_words(gain, by_key, comparison["gains"][name])
        for name, gain in told.items()
    ]
    return " ".join(sentences)


def _gain_blocks(compared: Sequence[GainOf], by_key: Mapping[str, Arm], comparisons: Mapping[str, Any]) -> list[Block]:
    """What all comparisons found: in words, as a figure and as a table; nothing if there are none."""
    if not compared:
        return []
    figure = gains_figure(
        "Gains on the same test images with 95 % intervals. Hollow: not significant after correction.",
        {
            label: {gain_title(gain, by_key): gain_of(comparisons[gain.name], key) for gain in compared}
            for key, label in HEADLINE.items()
        },
    )
    answers = Terms({gain.question: in_words(gain, by_key, comparisons[gain.name]) for gain in compared})
    return [answers, figure, Row([gains_table(compared, by_key, comparisons)])]


def _f1(scores: Mapping[Arm, Mapping[str, Any]]) -> dict[Arm, dict[str, float | None]]:
    """F1 by arm and class."""
    return {arm: {label: part["f1"] for label, part in of_arm["classes"].items()} for arm, of_arm in scores.items()}


def _scores_of(root: Path, name: str) -> dict[str, float]:
    """What a pre-trained network reaches on test images of its own; nothing if it is left out."""
    return read_json(root / f"metrics/{name}.json")


def _pretraining_tables(root: Path) -> list[Table]:
    """What the pre-trained networks reach on test images of their own, beside what the published ones did."""
    rows = {}
    if cam16 := _scores_of(root, "cam16"):
        rows["CAM16 classifier: accuracy, %"] = [
            Cell(cam16["accuracy"], "percent"),
            Cell(published.CAM16["accuracy"], "percent"),
        ]
        rows["CAM16 classifier: loss"] = [Cell(cam16["loss"], "score"), Cell(published.CAM16["loss"], "score")]
    if prcc := _scores_of(root, "prcc"):
        rows["pRCC autoencoder: 1 − SSIM"] = [Cell(prcc["one_minus_ssim"], "score"), Cell(None)]
        rows["the same at data range 255"] = [
            Cell(prcc["one_minus_ssim_data_range_255"], "small"),
            Cell(published.PRCC_DATA_RANGE_255, "small"),
        ]
    caption = (
        "The pre-trained networks on test images of their own. The published study computed SSIM as if pixels, which "
        "end at 1, reached 255; at that range even a flat grey image seems faithful."
    )
    return [Table("pretraining", caption, ["here", "published, own data"], rows)] if rows else []


def _training_figure(root: Path, present: Sequence[Arm]) -> Figure:
    """The curves of all trainings."""
    blood = {arm: [pd.read_csv(root / arm.history)] for arm in present if arm.history}
    pretrained = {name: pd.read_csv(root / f"plots/history/{name}.csv") for name in ("prcc", "cam16")}
    return Figure(
        "training",
        "Training. A mark is at the epoch whose weights were kept.",
        [
            training_panel("Blood cells, validation", "val_balanced_accuracy", "balanced accuracy", blood),
            training_panel("Blood cells, validation", "val_loss", "loss", blood),
            training_panel("Blood cells, training", "train_loss", "loss", blood),
            *pretraining_panels(pretrained),
        ],
    )


def _disagreements(
    root: Path, n_shown: int, predictions: Mapping[Arm, pd.DataFrame], device: torch.device
) -> list[Block]:
    """The test images on which base and WBC+ disagree, if both are there."""
    by_key = {arm.key: arm for arm in predictions}
    if not {"base", "plus"} <= by_key.keys():
        return []
    pair = [by_key["base"], by_key["plus"]]
    models = {arm: load_classifier(root / arm.model)[0] for arm in pair}
    answers = {arm: predictions[arm].to_dict("records") for arm in pair}
    return [
        "Where two models disagree: the cell, then what each answer rests on. A place fades as far as the answer holds "
        "when it is covered; the line surrounds all that counts at least half as much as the place that counts most "
        "(occlusion sensitivity, Zeiler & Fergus 2014). It tells where a model looks, not whether it should.",
        *(
            examples(answers, models, root / "data/packs", device, right=right, wrong=wrong, n_shown=n_shown)
            for right, wrong in (pair[::-1], pair)
        ),
    ]


def _galleries(root: Path, *, reconstructed: bool, masked: bool) -> list[Block]:
    """The pictures that earlier stages drew, of what there was to draw."""
    pictures = [
        (reconstructed, "reconstructions", "Kidney tissue", "pRCC autoencoder: images and their reconstructions"),
        (masked, "masked", "Masked images", "Images, masks, and the masked copies added to training"),
    ]
    cards = [
        Card([picture_of(root / f"plots/{name}.png", alt)], [line]) for drawn, name, alt, line in pictures if drawn
    ]
    return [Gallery("What the networks were given and made of it", cards)] if cards else []


def _hashes_table(root: Path, present: Sequence[Arm]) -> Table:
    """Which data and models the report is about."""
    pretrained = [f"models/{name}.safetensors" for name in ("prcc", "cam16") if _scores_of(root, name)]
    files = ["data/manifest.csv", *pretrained, *(arm.model.as_posix() for arm in present)]
    rows = {name: [Cell(hashlib.sha256((root / name).read_bytes()).hexdigest())] for name in files}
    return Table("hashes", "Content (SHA-256).", ["hash"], rows)
