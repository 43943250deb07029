"""The scores of a classifier, class by class."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, f1_score, log_loss, precision_score, recall_score

from leuko.evaluation.scores import score
from tests.course import WBC

NAMES = WBC


def test_a_hand_worked_example():
    labels = np.array([0, 0, 0, 1, 1, 3])
    predicted = np.array([0, 0, 1, 1, 2, 3])
    probabilities = np.full((6, 5), 0.1)
    probabilities[np.arange(6), predicted] = 0.6
    scores = score(probabilities, labels, NAMES)
    assert scores["accuracy"] == pytest.approx(4 / 6)
    assert scores["balanced_accuracy"] == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    assert scores["loss"] == pytest.approx(-(4 * np.log(0.6) + 2 * np.log(0.1)) / 6)
    assert scores["classes"]["Basophil"] == {
        "precision": pytest.approx(1),
        "recall": pytest.approx(2 / 3),
        "f1": pytest.approx(0.8),
        "images": 3,
    }
    assert scores["classes"]["Eosinophil"] == {
        "precision": pytest.approx(1 / 2),
        "recall": pytest.approx(1 / 2),
        "f1": pytest.approx(1 / 2),
        "images": 2,
    }
    assert scores["classes"]["Lymphocyte"] == {"precision": None, "recall": None, "f1": None, "images": 0}
    assert scores["macro_f1"] == pytest.approx((0.8 + 0.5 + 1) / 3)


@pytest.mark.slow
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40),
    st.integers(0, 2**16),
)
def test_every_score_is_scikit_learns_whatever_classes_are_absent(pairs, seed):
    labels, predicted = (np.array(numbers) for numbers in zip(*pairs, strict=True))
    probabilities = np.random.default_rng(seed).dirichlet(np.ones(5), len(labels)) / 2
    probabilities[np.arange(len(labels)), predicted] += 0.5
    scores = score(probabilities, labels, NAMES)
    present = np.unique(labels)
    options = {"labels": range(5), "average": None, "zero_division": 0}
    for number, name in enumerate(NAMES):
        of_class = scores["classes"][name]
        if number not in present:
            assert of_class == {"precision": None, "recall": None, "f1": None, "images": 0}
            continue
        assert of_class["precision"] == pytest.approx(precision_score(labels, predicted, **options)[number])
        assert of_class["recall"] == pytest.approx(recall_score(labels, predicted, **options)[number])
        assert of_class["f1"] == pytest.approx(f1_score(labels, predicted, **options)[number])
        assert of_class["images"] == (labels == number).sum()
    assert scores["macro_f1"] == pytest.approx(f1_score(labels, predicted, labels=present, average="macro"))
    assert scores["loss"] == pytest.approx(log_loss(labels, probabilities, labels=range(5)))
    if len(present) > 1 and set(predicted) <= set(present):  # else scikit-learn warns, though it says the same
        assert scores["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, predicted))


def test_certain_and_wrong_has_a_finite_loss():
    scores = score(np.eye(5)[[1, 1]], np.array([0, 1]), NAMES)
    assert np.isfinite(scores["loss"])
    assert scores["loss"] > 40
