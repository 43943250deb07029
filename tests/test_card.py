"""The model card: what it says is what was measured, and what was not measured is said to be so."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from leuko.core.files import write_json, write_table
from leuko.core.params.everything import Params
from leuko.core.params.reading import load_params
from leuko.data.groups import describe_groups
from leuko.data.manifest import COLUMNS, read_manifest
from leuko.evaluation.external import Answers, score_external
from leuko.evaluation.intervals import score_intervals
from leuko.evaluation.predictions import table_of
from leuko.evaluation.scores import HEADLINE, score
from leuko.report.card import model_card
from tests.conftest import write_settings

CLASSES = ("Blast", "Lymphocyte", "Plasma cell")
LABELS = np.repeat([0, 1, 2], [10, 20, 30])


def answers(wrong: int, seed: int = 0) -> np.ndarray:
    """Probabilities, of which so many have another class first."""
    predicted = LABELS.copy()
    predicted[np.random.default_rng(seed).choice(len(LABELS), wrong, replace=False)] += 1
    return 0.1 + 0.7 * np.eye(3)[predicted % 3]


@pytest.fixture
def finished(tmp_path) -> Path:
    """What a run leaves behind: base and WBC+ on three classes; half of the labels were used."""
    scores = {}
    names = [CLASSES[label] for label in LABELS]
    blank = {column: 0 if kind != "str" else "" for column, kind in COLUMNS.items()}
    test = pd.DataFrame(blank | {"set": "wbc", "part": "test", "class": names, "width": 90, "height": 80})
    train = test.assign(part="train", subset=np.where(np.arange(len(LABELS)) % 2, 50, 100), width=70)
    write_table(tmp_path / "data/manifest.csv", pd.concat([train, test]))
    for key, wrong in (("base", 12), ("plus", 3)):
        scores[key] = score(answers(wrong), LABELS, CLASSES) | {"temperature": 1.2, "ece_calibrated": 0.0321}
        write_table(tmp_path / f"plots/predictions/{key}.csv", table_of(test, answers(wrong), CLASSES))
    write_json(tmp_path / "metrics/comparison.json", {"arms": scores, "gains": {}, "left_out": {}, "groups": None})
    return tmp_path


def card(folder: Path, **changes) -> str:
    settings = {"classes": list(CLASSES), "split": 50, "transfer": {}, "data_root": "data/real", "model": "plus"}
    return model_card(folder, load_params(Params, write_settings(folder, **settings | changes)))


def test_figures_are_those_of_the_run(finished):
    text = card(finished)
    assert text.startswith("# Model card: WBC+\n")
    assert "**Not a medical device.**" in text
    assert "70 x 80 to 90 x 80 px" in text
    assert "| Plasma cell | 15 | 30 | 0 | 30 |" in text
    assert "| all | 30 | 60 | 0 | 60 |" in text
    comparison = json.loads((finished / "metrics/comparison.json").read_text())
    for name, of_class in comparison["arms"]["plus"]["classes"].items():
        shown = " | ".join(f"{100 * of_class[key]:.1f}" for key in ("precision", "recall", "f1"))
        assert f"| {name} | {shown} | {of_class['images']} |" in text
    low, high = score_intervals(answers(3).argmax(axis=1), LABELS, [""] * 60)["accuracy"]
    assert f"| 95.0 ({100 * low:.1f} to {100 * high:.1f}) |" in text
    assert "0.032 |" in text


def test_what_was_not_measured_is_said(finished):
    text = card(finished, model="control")  # which is not there
    assert text.startswith("# Model card: base\n")
    assert "It is not known which images come from one patient" in text
    assert "Not tried (the setting `external`)" in text
    assert "no patient" not in text
    assert "**The images are synthetic" in card(finished, data_root="data/demo")


def test_groups_and_other_laboratories_are_told(finished):
    path = finished / "metrics/comparison.json"
    comparison = json.loads(path.read_text())
    comparison["arms"]["plus"]["unseen"] = dict.fromkeys(HEADLINE, 0.625)
    manifest = read_manifest(finished / "data/manifest.csv")
    grouped = manifest.assign(group=[str(number % 30) for number in range(len(manifest))])
    comparison["groups"] = describe_groups(grouped, CLASSES) | {"unseen": 24}
    path.write_text(json.dumps(comparison))
    own, there = (Answers(answers(wrong), LABELS, [""] * 60) for wrong in (3, 30))
    elsewhere = score_external(own, there, 1.2, CLASSES) | {"foreign": {"beyond": 0.4, "is_foreign": True}}
    images = {label: int((number == LABELS).sum()) for number, label in enumerate(CLASSES)}
    write_json(
        finished / "metrics/external/bern.json", {"images": images, "arms": {"base": elsewhere, "plus": elsewhere}}
    )
    text = card(finished, external={"bern": "data/bern"})
    assert "balanced accuracy of 62.5 %" in text
    assert "bern, 60 cells" in text
    assert "| WBC+ | 50.0 |" in text
    fall = elsewhere["fall"]
    assert (
        f"{-100 * fall['balanced_accuracy']:+.1f} ({-100 * fall['high']:.1f} to {-100 * fall['low']:.1f}) | yes" in text
    )


def test_intervals_are_wider_over_groups_and_narrow_with_images():
    def width(repeats: int, groups: list[str]) -> float:
        predicted, labels = (np.tile(values, repeats) for values in (answers(20).argmax(axis=1), LABELS))
        low, high = score_intervals(predicted, labels, groups)["balanced_accuracy"]
        assert 0 <= low < high <= 1
        return high - low

    alone = width(4, [""] * 240)
    assert width(1, [""] * 60) == pytest.approx(2 * alone, rel=0.15)  # a quarter of the images
    assert width(4, [str(number % 60) for number in range(240)]) > 1.7 * alone  # groups of four equal images
    assert score_intervals(LABELS, LABELS, ["one"] * 60) == {}


@pytest.mark.slow
def test_intervals_hold_as_often_as_they_say():
    rng = np.random.default_rng(1)
    held = []
    for _ in range(60):
        low, high = score_intervals(np.where(rng.random(200) < 0.8, 0, 1), np.zeros(200, int), [""] * 200)["accuracy"]
        held.append(low <= 0.8 <= high)
    assert np.mean(held) > 0.85
