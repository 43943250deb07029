"""Permutation importance on classifiers whose reasons are known."""

import numpy as np
import pytest

from leuko.evaluation.importance import closest_pairs, permutation_importance


def test_the_feature_that_decides_has_all_the_worth():
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 3
    features = rng.normal(size=(90, 4)).astype(np.float32)
    features[:, 2] += 5 * labels

    def classify(some):
        return np.stack([-((some[:, 2] - 5 * label) ** 2) for label in range(3)], axis=1)

    worth = permutation_importance(classify, features, labels, 0, 1, np.random.default_rng(0))
    assert worth.argmax() == 2
    assert worth[2] > 10
    assert worth[[0, 1, 3]] == pytest.approx(0, abs=1e-9)


def test_the_closest_classes_come_first_and_absent_ones_never():
    labels = np.array([0, 0, 1, 1, 3, 3])
    centres = np.array([[4.0, 3.0, -9.0, -4.0], [3.0, 4.0, -9.0, -4.0], [0, 0, 0, 0], [-4.0, -4.0, -9.0, 4.0]])
    assert closest_pairs(centres[labels], labels, 2)[0] == (0, 1)
    assert {place for pair in closest_pairs(centres[labels], labels, 9) for place in pair} == {0, 1, 3}
