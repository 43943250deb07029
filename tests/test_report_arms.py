"""The report of other classes, many arms and no tissue."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from leuko.arms import PUBLISHED, GainOf, arms, gains
from leuko.core.params.everything import Params
from leuko.core.params.reading import load_params
from leuko.data.manifest import COLUMNS
from leuko.evaluation.comparison import compare, correct_together
from leuko.evaluation.scores import score
from leuko.report.page import render, write_report
from leuko.report.single import single_report
from leuko.report.trust import power_blocks
from tests.conftest import write_settings
from tests.reports import assert_self_contained, predictions_of, write

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")


EIGHT = ("Band", "Blast", "Monoblast", "Monocytoid", "NA", "Atypical $x$ lymphocyte", "Plasma <cell>", "Smudge_cell")
TRANSFER = {
    "scratch": {"network": "pooled", "weights": "none"},
    "imagenet": {"network": "resnet18", "weights": "imagenet"},
    "ours": {"network": "pooled", "weights": "encoder.safetensors"},
    "twice": {"network": "resnet18", "weights": "none"},
}


@pytest.fixture
def without_tissue(tmp_path) -> Path:
    """What a run of eight classes, one without test images, leaves behind with neither tissue nor masks."""
    rng = np.random.default_rng(0)
    names = list(EIGHT)
    labels = np.arange(42) % 7
    params = load_params(Params, write_settings(tmp_path, classes=names, transfer=TRANSFER, data_root="data/real"))
    every = arms(params.transfer)
    present = [arm for arm in every if arm.key not in ("plus", "morphology")]
    history = {"epoch": [1, 2], "lr": 0.1, "best": [0, 1]}
    history |= {name: [0.5, 0.4] for name in ("train_loss", "val_loss", "val_balanced_accuracy")}
    probabilities, scores = {}, {}
    for arm in present:
        logits = 2 * np.eye(8)[labels] + rng.normal(size=(42, 8))
        probabilities[arm.key] = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        scores[arm.key] = score(probabilities[arm.key], labels, names) | {"temperature": 1.1, "ece_calibrated": 0.1}
        scores[arm.key]["classes"]["Smudge_cell"] |= dict.fromkeys(("precision", "recall", "f1"))
        write(tmp_path / arm.predictions, predictions_of(probabilities[arm.key], labels, names))
        write(tmp_path / arm.model, "weights")
        if arm.history:
            write(tmp_path / arm.history, pd.DataFrame(history))
    compared = {
        gain.name: compare(probabilities[gain.better][None], probabilities[gain.than][None], labels)
        for gain in gains(present)
    }
    correct_together(compared.values())
    reasons = {"plus": "there are no tissue images", "morphology": "this test has none"}
    write(
        tmp_path / "metrics/comparison.json",
        {"arms": scores, "gains": compared, "left_out": reasons, "groups": None, "focus": {}},
    )
    write(tmp_path / "metrics/external/own.json", {"foreign": {}})
    write(tmp_path / "metrics/audit.json", {"shortcuts": {}, "labels": {"asked": 42, "suspect": 0}})
    write(tmp_path / "data/suspects.csv", pd.DataFrame(columns=["path", "given", "suggested"]))
    for name in ("prcc", "cam16"):
        write(tmp_path / f"metrics/{name}.json", {})
        write(tmp_path / f"plots/history/{name}.csv", pd.DataFrame(history).iloc[:0])
    blank = {column: 0 if kind != "str" else "" for column, kind in COLUMNS.items()}
    manifest = blank | {"set": "wbc", "part": "test", "class": [names[label] for label in labels]}
    write(tmp_path / "data/manifest.csv", pd.DataFrame(manifest))
    return tmp_path


def test_any_classes_and_arms_without_tissue(without_tissue, tmp_path):
    report = single_report(without_tissue, load_params(Params, without_tissue / "params.yaml"), CPU)
    write_report(report, tmp_path / "out")
    text = (tmp_path / "out/report.html").read_text()
    assert_self_contained(text)
    assert "Plasma &lt;cell&gt;" in text
    assert "WBC+ (there are no tissue images)" in text
    assert "ublished study" not in text  # it had none of these classes
    assert "pRCC" not in text[: text.index("<pre>")]
    assert "Pictures" not in {section.title for section in report.sections}
    assert "Is the residual encoder better than base?" in report.answer
    table = pd.read_csv(tmp_path / "out/tables.csv", keep_default_na=False)
    assert len(table[table["table"] == "f1"]) == 9 * (len(EIGHT) - 1)  # nine arms; one class has no test images
    assert "NA" in set(table["column"])
    assert not table.duplicated(["table", "row", "column"]).any()


def test_with_no_comparison_scores_are_the_answer(without_tissue):
    comparison = json.loads((without_tissue / "metrics/comparison.json").read_text())
    comparison |= {"arms": {"base": comparison["arms"]["base"]}, "gains": {}}
    write(without_tissue / "metrics/comparison.json", comparison)
    report = single_report(without_tissue, load_params(Params, without_tissue / "params.yaml"), CPU)
    expected = f"{100 * comparison['arms']['base']['balanced_accuracy']:.1f} % for base."
    assert report.answer == f"With 100 % of the labels: balanced accuracy {expected}"
    assert_self_contained(render(report))


def test_arms_that_score_alike_have_no_difference_that_could_have_shown():
    by_key = {arm.key: arm for arm in PUBLISHED}
    comparison = compare(np.eye(2)[None, [0, 1, 1]], np.eye(2)[None, [0, 1, 1]], np.array([0, 1, 0]))
    *_, shown = power_blocks([GainOf("gain", "plus", "control", "?")], by_key, {"gain": comparison})
    (cells,) = shown.tables[0].rows.values()
    assert {cell.text for cell in cells} == {"–"}
