"""The report of a single run of the pipeline."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import torch

from leuko.core.params import Params
from leuko.data.manifest import read_manifest
from leuko.evaluation.comparison import GAINS
from leuko.models.build import load_model
from leuko.report import published
from leuko.report.blocks import Block, Card, Cell, Figure, Gallery, Listing, Report, Row, Section, Table
from leuko.report.drawing import gains_figure
from leuko.report.pictures import examples, picture_of
from leuko.report.sections import (
    TERMS,
    calibration_figure,
    classes_figure,
    classes_table,
    confusion_figure,
    data_table,
    gain_of,
    gain_title,
    gains_table,
    in_words,
    pretraining_panel,
    published_table,
    scores_table,
    training_panel,
    versions_table,
    warning,
)

MODELS = {"base": "wbc", "control": "control", "plus": "wbc_plus"}
"""The names of the models' files and histories."""
HEADLINE = {"balanced_accuracy": "Balanced accuracy", "accuracy": "Accuracy", "macro_f1": "Macro F1"}


def single_report(root: Path, params: Params, device: torch.device) -> Report:
    """Put together the report of what the pipeline left in a folder.

    Args:
        root: the repository, or a copy of it.
        params: its settings.
        device: where the networks that are looked into compute.

    Returns:
        The report; without `report.pictures`, no image of any cell or tissue is in it.
    """
    comparison = json.loads((root / "metrics/comparison.json").read_text())
    scores = {name: comparison[name] for name in MODELS}
    predictions = {name: pd.read_csv(root / f"plots/predictions/{name}.csv") for name in MODELS}
    answers = {name: [(table, scores[name]["temperature"])] for name, table in predictions.items()}
    gains = gains_figure(
        "Gains on the same test images with 95 % intervals. Hollow: the interval holds zero.",
        {
            gain_title(name): {label: gain_of(comparison[name], key) for key, label in HEADLINE.items()}
            for name in GAINS
        },
    )
    sections = [
        Section("reading", "How to read it", [TERMS]),
        Section(
            "scores",
            "Test scores",
            [
                gains,
                Row([scores_table(scores, len(predictions["base"])), gains_table(comparison)]),
                Row([published_table(), _pretraining_table(root)]),
            ],
        ),
        Section(
            "classes",
            "Class by class",
            [
                classes_figure(scores),
                Row([classes_table(scores)]),
                confusion_figure("confusion", "Test images by class.", predictions),
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
        Section(
            "calibration",
            "Calibration",
            [calibration_figure("calibration", "How often a model is right, by how sure it is.", answers)],
        ),
        Section("training", "Training", [_training_figure(root)]),
    ]
    if params.report.pictures:
        sections.append(Section("pictures", "Pictures", _pictures(root, params.evaluate.examples, predictions, device)))
    sections += [
        Section("data", "Data", [Row([data_table(read_manifest(root / "data/manifest.csv"))])]),
        Section(
            "provenance",
            "Settings and versions",
            [
                Row([versions_table(), _hashes_table(root)]),
                Listing((root / "params.yaml").read_text(encoding="utf-8")),
            ],
        ),
    ]
    return Report(
        f"With {params.split} % of the labels: {in_words('gain', comparison['gain'])} Is it the pre-training? "
        f"{in_words('gain_pretraining', comparison['gain_pretraining'])}",
        [
            f"Is it size? {in_words('gain_size', comparison['gain_size'])}",
            "This is one run with one seed. Its intervals allow for the chance that chose the test images, not for "
            "the chance in training: another seed may move a gain further than they tell.",
        ],
        sections,
        warning(params.data_root),
    )


def _pretraining_table(root: Path) -> Table:
    """What the two pre-trained networks reach on test images of their own, beside what the published ones did."""
    prcc, cam16 = (json.loads((root / f"metrics/{name}.json").read_text()) for name in ("prcc", "cam16"))
    rows = {
        "CAM16 classifier: accuracy, %": [
            Cell(cam16["accuracy"], "percent"),
            Cell(published.CAM16["accuracy"], "percent"),
        ],
        "CAM16 classifier: loss": [Cell(cam16["loss"], "score"), Cell(published.CAM16["loss"], "score")],
        "pRCC autoencoder: 1 − SSIM": [Cell(prcc["one_minus_ssim"], "score"), Cell(None)],
        "the same at data range 255": [
            Cell(prcc["one_minus_ssim_data_range_255"], "small"),
            Cell(published.PRCC_DATA_RANGE_255, "small"),
        ],
    }
    caption = (
        "The pre-trained networks on test images of their own. The published study computed SSIM as if pixels, which "
        "end at 1, reached 255; at that range even a flat grey image seems faithful."
    )
    return Table("pretraining", caption, ["here", "published, own data"], rows)


def _training_figure(root: Path) -> Figure:
    """The curves of all five trainings."""
    histories = {path.stem: pd.read_csv(path) for path in sorted((root / "plots/history").glob("*.csv"))}
    blood = {name: [histories[file]] for name, file in MODELS.items()}
    return Figure(
        "training",
        "Training. A mark is at the epoch whose weights were kept: the best on the validation images.",
        [
            training_panel("Blood cells, validation", "val_balanced_accuracy", "balanced accuracy", blood),
            training_panel("Blood cells, validation", "val_loss", "loss", blood),
            training_panel("Blood cells, training", "train_loss", "loss", blood),
            pretraining_panel("pRCC autoencoder", "1 − SSIM", histories["prcc"]),
            pretraining_panel("CAM16 classifier", "loss", histories["cam16"]),
        ],
    )


def _pictures(root: Path, n_shown: int, predictions: Mapping[str, pd.DataFrame], device: torch.device) -> list[Block]:
    """The pictures that earlier stages drew, and the test images on which base and WBC+ disagree."""
    models = {name: load_model(root / f"models/{MODELS[name]}.safetensors")[0] for name in ("base", "plus")}
    answers = {name: predictions[name].to_dict("records") for name in models}
    pack = root / "data/packs/wbc/test"
    return [
        "Where two models disagree: the cell, then what each answer rests on. A place fades as far as the answer holds "
        "when it is covered; the line surrounds all that counts at least half as much as the place that counts most "
        "(occlusion sensitivity, Zeiler & Fergus 2014). It tells where a model looks, not whether it should.",
        *(
            examples(answers, models, pack, device, right=right, wrong=wrong, n_shown=n_shown)
            for right, wrong in (("plus", "base"), ("base", "plus"))
        ),
        Gallery(
            "What the networks were given and made of it",
            [
                Card(
                    [picture_of(root / "plots/reconstructions.png", "Kidney tissue")],
                    ["pRCC autoencoder: images and their reconstructions"],
                ),
                Card(
                    [picture_of(root / "plots/masked.png", "Masked images")],
                    ["Images, masks, and the masked copies added to training"],
                ),
            ],
        ),
    ]


def _hashes_table(root: Path) -> Table:
    """Which data and models the report is about."""
    files = ["data/manifest.csv", *(f"models/{name}.safetensors" for name in ("prcc", "cam16", *MODELS.values()))]
    rows = {name: [Cell(hashlib.sha256((root / name).read_bytes()).hexdigest())] for name in files}
    return Table("hashes", "Content (SHA-256).", ["hash"], rows)
