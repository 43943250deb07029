import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    cohen_kappa_score,
    f1_score,
    log_loss,
    roc_auc_score,
)

from leuko.arms import arms
from leuko.core.errors import LeukoError
from leuko.core.params.everything import Params
from leuko.core.params.reading import load_params
from leuko.evaluation.calibration import HIGHEST, LOWEST, apply_temperature, expected_calibration_error, fit_temperature
from leuko.evaluation.scores import HEADLINE, score
from leuko.models.autoencoder import PrccAutoencoder
from leuko.models.base import WbcNet
from leuko.models.encoders import TransferNet, build_encoder
from leuko.models.plus import WbcPlusNet
from leuko.models.store import load_config, save_left_out, save_model
from leuko.models.tissue import Cam16Net
from tests.conftest import run_stage, write_settings
from tests.course import WBC

NAMES = ("a", "b", "c", "d", "e")


def answers(n_images, *, seed=0, skill=2.0, classes=range(5)):
    """Labels, and the logits of a classifier that gets them right more often than not."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(list(classes), n_images)
    return rng.normal(size=(n_images, 5)) + skill * np.eye(5)[labels], labels


def test_scores_are_those_of_scikit_learn():
    logits, labels = answers(200)
    probabilities = softmax(logits, axis=1)
    predicted = probabilities.argmax(axis=1)
    scores = score(probabilities, labels, NAMES)
    assert scores["accuracy"] == pytest.approx(accuracy_score(labels, predicted))
    assert scores["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert scores["macro_f1"] == pytest.approx(f1_score(labels, predicted, average="macro"))
    assert scores["loss"] == pytest.approx(log_loss(labels, probabilities))
    assert scores["auroc"] == pytest.approx(roc_auc_score(labels, probabilities, multi_class="ovr"))
    assert scores["kappa"] == pytest.approx(cohen_kappa_score(labels, predicted))


def test_kappa_of_a_hand_worked_table():
    # Right 20 + 15 of 50; by chance .5 * .6 + .5 * .4 = .5, so kappa is (.7 - .5) / (1 - .5).
    labels = np.repeat([0, 0, 1, 1], [20, 5, 10, 15])
    predicted = np.repeat([0, 1, 0, 1], [20, 5, 10, 15])
    assert score(np.eye(2)[predicted], labels, "ab")["kappa"] == pytest.approx(0.4)


def test_a_class_without_images_is_reported_and_left_out_of_the_means():
    logits, labels = answers(100, classes=(0, 1, 3, 4))
    probabilities = softmax(logits, axis=1)
    scores = score(probabilities, labels, NAMES)
    assert scores["classes"]["c"] == {"precision": None, "recall": None, "f1": None, "images": 0}
    present = [scores["classes"][name] for name in "abde"]
    assert scores["balanced_accuracy"] == pytest.approx(np.mean([part["recall"] for part in present]))
    assert scores["macro_f1"] == pytest.approx(np.mean([part["f1"] for part in present]))
    areas = [roc_auc_score(labels == number, probabilities[:, number]) for number in (0, 1, 3, 4)]
    assert scores["auroc"] == pytest.approx(np.mean(areas))


@given(st.integers(0, 2**32 - 1), st.integers(1, 20), st.sets(st.integers(0, 4), min_size=1))
def test_scores_of_any_answers_are_numbers_in_range(seed, n_images, classes):
    logits, labels = answers(n_images, seed=seed, classes=classes)
    scores = score(softmax(100 * logits, axis=1), labels, NAMES)
    json.dumps(scores, allow_nan=False)
    assert scores["loss"] >= 0
    assert all(0 <= scores[name] <= 1 for name in ("accuracy", "balanced_accuracy", "macro_f1", "ece"))
    several = len(set(labels)) > 1
    assert (scores["auroc"] is not None, scores["kappa"] is not None) == (several, several)


def test_calibration_error_of_hand_worked_answers():
    # Three times .9 sure and twice right, twice .7 sure and once right: 3/5 * |2/3 - .9| + 2/5 * |1/2 - .7|.
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.3, 0.7], [0.7, 0.3]])
    assert expected_calibration_error(probabilities, np.array([0, 1, 1, 1, 1])) == pytest.approx(0.22)


def test_a_probability_on_a_border_belongs_to_the_lower_bin():
    # .6 ends the ninth of 15 bins, so these are apart: (|1 - .6| + |0 - .65|) / 2; together they would cancel out.
    probabilities = np.array([[0.6, 0.4], [0.65, 0.35]])
    assert expected_calibration_error(probabilities, np.array([0, 1])) == pytest.approx(0.525)


def test_certain_and_right_is_perfectly_calibrated():
    labels = np.arange(5)
    assert expected_calibration_error(np.eye(5), labels) == 0
    assert expected_calibration_error(np.eye(5), np.roll(labels, 1)) == 1


@pytest.mark.parametrize("factor", [0.3, 1.0, 4.0])
def test_the_temperature_undoes_a_known_factor(factor):
    rng = np.random.default_rng(3)
    logits = 2 * rng.normal(size=(4_000, 5))
    labels = np.array([rng.choice(5, p=row) for row in softmax(logits, axis=1)])
    temperature = fit_temperature(factor * logits, labels)
    assert temperature == pytest.approx(factor, rel=0.05)
    probabilities = softmax(factor * logits, axis=1)
    calibrated = expected_calibration_error(apply_temperature(probabilities, temperature), labels)
    assert calibrated < 0.03
    if factor != 1:
        assert calibrated < expected_calibration_error(probabilities, labels) / 3


def test_perfect_answers_get_no_more_certainty_than_their_number_shows():
    # Nine images, two classes: the smoothed target is .95, which logits of 1 and 0 give when divided by 1 / log 19.
    labels = np.array([0, 1, 0, 1, 0, 1, 0, 1, 0])
    assert fit_temperature(np.eye(2)[labels], labels) == pytest.approx(1 / np.log(19), rel=1e-3)


@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.floats(-300, 300))
def test_any_logits_have_a_temperature(seed, n_images, scale):
    logits, labels = answers(n_images, seed=seed)
    temperature = fit_temperature(scale * logits, labels)
    assert LOWEST <= temperature <= HIGHEST


@given(st.integers(0, 2**32 - 1), st.floats(LOWEST, HIGHEST))
def test_tempering_probabilities_divides_their_logits(seed, temperature):
    logits, _ = answers(20, seed=seed)
    probabilities = softmax(logits, axis=1)
    tempered = apply_temperature(probabilities, temperature)
    np.testing.assert_allclose(tempered, softmax(logits / temperature, axis=1), atol=1e-12)
    np.testing.assert_array_equal(tempered.argmax(axis=1), probabilities.argmax(axis=1))


@pytest.fixture(scope="module")
def evaluated_once(project, tmp_path_factory):
    """A project with untrained models, WBC+ being a copy of the control, and no basophil in the test set: evaluated."""
    folder = tmp_path_factory.mktemp("evaluated")
    write_settings(folder)
    test = folder / "data/packs/wbc/test"
    shutil.copytree(project / "data/packs/wbc/test", test)
    rows = pd.read_csv(test / "rows.csv", keep_default_na=False)
    rows["class"] = rows["class"].replace("Basophil", "Neutrophil")
    rows.to_csv(test / "rows.csv", index=False)
    for part in ("train", "val"):
        shutil.copytree(project / "data/packs/wbc" / part, test.parent / part, ignore=shutil.ignore_patterns("*.npy"))
    torch.manual_seed(0)
    config = {"classes": WBC, "size": 32, "split": 100, "seed": 0, "temperature": 2.0}
    save_model(folder / "models/wbc.safetensors", WbcNet(5), {"network": "wbc", "model": "base", **config})
    plus = WbcPlusNet(PrccAutoencoder().encoder, Cam16Net(freeze=True), 5)
    for file, name in (("control", "control"), ("wbc_plus", "plus")):
        save_model(folder / f"models/{file}.safetensors", plus, {"network": "wbc_plus", "model": name, **config})
    shutil.copytree(project / "data/packs/cells", folder / "data/packs/cells")
    torch.manual_seed(0)
    encoder = {"encoder": "pooled", "width": 4, "side": 32}
    transfer = TransferNet(build_encoder("pooled", width=4, side=32), 5)
    save_model(
        folder / "models/transfer/scratch.safetensors",
        transfer,
        {"network": "transfer", "model": "scratch", **config, **encoder},
    )
    for arm in arms(load_params(Params, folder / "params.yaml").transfer):
        if not (folder / arm.model).exists():
            save_left_out(folder / arm.model, "this test has none")
    run_stage("evaluate", folder)
    return folder


@pytest.fixture
def evaluated(evaluated_once, tmp_path):
    """The same, to be changed."""
    shutil.copytree(evaluated_once, tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_evaluate_refuses_models_that_are_not_what_they_are_taken_for(evaluated_once, tmp_path):
    shutil.copytree(evaluated_once, tmp_path / "project")
    shutil.copyfile(evaluated_once / "models/control.safetensors", tmp_path / "project/models/wbc_plus.safetensors")
    before = (tmp_path / "project/metrics/comparison.json").read_bytes()
    with pytest.raises(LeukoError, match=r"wbc_plus\.safetensors is not what .* its model is 'control', not 'plus'"):
        run_stage("evaluate", tmp_path / "project")
    assert (tmp_path / "project/metrics/comparison.json").read_bytes() == before


def test_evaluate_compares_the_models_though_a_class_is_missing(evaluated_once):
    comparison = json.loads((evaluated_once / "metrics/comparison.json").read_text())
    scores, gains = comparison["arms"], comparison["gains"]
    assert list(scores) == ["base", "control", "plus", "scratch"]
    assert set(comparison["left_out"].values()) == {"this test has none"}
    for arm in scores.values():
        assert arm["classes"]["Basophil"] == {"precision": None, "recall": None, "f1": None, "images": 0}
        assert arm["temperature"] == 2
        assert 0 <= arm["ece_calibrated"] <= 1
    assert comparison["focus"].keys() == scores.keys()
    for of_arm in comparison["focus"].values():
        assert set(of_arm) <= {"Eosinophil", "Lymphocyte", "Monocyte", "Neutrophil"}
        assert all(0 <= one["inside"] <= 1 and 0 < one["area"] < 1 and one["images"] == 1 for one in of_arm.values())
    assert list(gains) == ["gain", "gain_pretraining", "gain_size", "gain_encoder"]
    for gain in gains.values():
        assert set(gain) == {*HEADLINE, "classes", "interval", "mcnemar"}
        assert all(part["p"] <= part["p_holm"] <= 1 for part in gain["interval"].values())
    for name in HEADLINE:
        difference = scores["plus"][name] - scores["base"][name]
        assert gains["gain"][name] == pytest.approx(difference, abs=1e-9)
    assert json.loads((evaluated_once / "metrics/metrics.json").read_text()) == {
        name: scores["plus"][name] for name in HEADLINE
    }


@pytest.mark.slow
def test_evaluate_goes_on_without_an_arm_that_is_left_out(evaluated):
    for name in ("control", "wbc_plus"):
        save_left_out(evaluated / f"models/{name}.safetensors", "there are no tissue images")
    run_stage("evaluate", evaluated)
    comparison = json.loads((evaluated / "metrics/comparison.json").read_text())
    assert list(comparison["arms"]) == ["base", "scratch"]
    assert {name for name, reason in comparison["left_out"].items() if "tissue" in reason} == {"control", "plus"}
    assert list(comparison["gains"]) == ["gain_encoder"]
    assert sorted(path.name for path in (evaluated / "plots/predictions").iterdir()) == [
        "base.csv",
        "model.csv",
        "scratch.csv",
    ]
    report = (evaluated / "metrics/comparison.md").read_text()
    assert "plus is left out: there are no tissue images." in report
    assert "metrics/metrics.json is about base, as plus is left out." in report


def test_evaluate_claims_no_gain_of_a_model_over_itself(evaluated_once):
    gain = json.loads((evaluated_once / "metrics/comparison.json").read_text())["gains"]["gain_pretraining"]
    assert all(gain[name] == 0 for name in HEADLINE)
    assert all(
        interval == {"low": 0, "high": 0, "p": 1, "detectable": 0, "p_holm": 1}
        for interval in gain["interval"].values()
    )
    assert gain["mcnemar"] == {"only_first": 0, "only_second": 0, "p": 1}
    report = (evaluated_once / "metrics/comparison.md").read_text()
    assert "No difference in balanced accuracy between WBC+ and the control." in report
    assert "no test images of Basophil" in report


@pytest.mark.slow
def test_evaluate_resamples_groups_and_scores_unseen_ones_apart(evaluated):
    """The test's images get groups by turns, of which one was in training."""
    test, train = (evaluated / f"data/packs/wbc/{part}/rows.csv" for part in ("test", "train"))
    rows = pd.read_csv(test, keep_default_na=False).assign(group=["seen", "new", "other", "new", "seen"])
    rows.to_csv(test, index=False)
    pd.read_csv(train, keep_default_na=False).assign(group="seen").to_csv(train, index=False)
    run_stage("evaluate", evaluated)
    comparison = json.loads((evaluated / "metrics/comparison.json").read_text())
    assert comparison["groups"]["unseen"] == 3
    assert comparison["groups"]["seen"]["all"] == {"images": 5, "seen": 2, "share": 0.4}
    assert all(gain["groups"] == 3 and "permutation" in gain for gain in comparison["gains"].values())
    predictions = pd.read_csv(evaluated / "plots/predictions/base.csv").query("group != 'seen'")
    accuracy = (predictions["actual"] == predictions["predicted"]).mean()
    assert comparison["arms"]["base"]["unseen"]["accuracy"] == pytest.approx(accuracy)
    report = (evaluated / "metrics/comparison.md").read_text()
    assert "2 of 5 test images (40 %) are of groups" in report
    assert "Balanced accuracy on the 3 test images of unseen groups: base " in report


@pytest.mark.slow
@pytest.mark.parametrize("name", ["wbc", "control"])
def test_training_keeps_a_temperature_fitted_on_validation_images(project, tmp_path, name):
    write_settings(tmp_path, **{f"{recipe}.epochs": 1 for recipe in ("wbc", "wbc_plus")})
    (tmp_path / "data").symlink_to(project / "data")
    run_stage(f"train_{name}", tmp_path)
    assert LOWEST <= load_config(tmp_path / f"models/{name}.safetensors")["temperature"] <= HIGHEST
