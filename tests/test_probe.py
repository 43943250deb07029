"""Classifiers on frozen features: what they learn, from few labels too, and that a file keeps all of it."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from leuko.core.params.transfer import Probe
from leuko.evaluation.probe import CERTAIN, background_colors, fit_probe
from leuko.evaluation.propagation import propagate_labels, remove_nuisance, whiten
from leuko.models.build import load_model
from leuko.models.encoders import build_encoder
from leuko.models.feature_classifier import encode
from leuko.models.store import save_model
from leuko.morphology.descriptors import DESCRIPTORS

SETTINGS = Probe(regularization=0.01, gamma=0.1, few_labels="propagate", propagate_upto=1, dimensions=4, neighbours=5)


def blobs(n=60, n_classes=3, d=6, spread=0.5, seed=0):
    """Images of each class about a point of their own: features and labels."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(n_classes), n)
    centres = 4 * np.eye(n_classes, d)
    return (centres[labels] + spread * rng.normal(size=(len(labels), d))).astype(np.float32), labels


def accuracy(classifier, labels, *arrays):
    with torch.no_grad():
        predicted = classifier(*map(torch.from_numpy, arrays)).argmax(1).numpy()
    return (predicted == labels).mean()


def test_descriptors_are_told_apart_on_any_scale():
    features, labels = blobs()
    others, their_labels = blobs(seed=1)
    scale = np.float32([1e-3, 1, 1e4, 1, 1, 0])  # the last is the same for all cells
    classifier = fit_probe([features * scale + 7], np.arange(len(labels)), labels, 3, SETTINGS)
    assert classifier.inputs == ("descriptors",)
    assert accuracy(classifier, their_labels, others * scale + 7) == 1


def test_the_logits_are_those_of_scikit_learn():
    from sklearn.kernel_ridge import KernelRidge

    features, labels = blobs(spread=2)
    classifier = fit_probe([features], np.arange(len(labels)), labels, 3, SETTINGS)
    standardized = ((features - features.mean(0)) / features.std(0)).clip(-4, 4)
    targets = CERTAIN * (2 * np.eye(3)[labels] - 1)
    ridge = KernelRidge(alpha=0.01, kernel="rbf", gamma=0.1 / 6).fit(standardized, targets)
    with torch.no_grad():
        logits = classifier(torch.from_numpy(features)).numpy()
    np.testing.assert_allclose(logits, ridge.predict(standardized), atol=1e-3)


def test_a_rare_class_counts_as_much_as_a_frequent_one():
    rng = np.random.default_rng(0)
    features = np.concatenate([rng.normal(0, 1, (300, 1)), rng.normal(1.5, 1, (15, 1))]).astype(np.float32)
    labels = np.repeat([0, 1], [300, 15])
    classifier = fit_probe([features], np.arange(315), labels, 2, SETTINGS)
    with torch.no_grad():
        logits = classifier(torch.tensor([[0.2], [1.4]]))
    assert logits.argmax(1).tolist() == [0, 1]


def test_one_label_for_each_class_is_enough_where_its_neighbours_are_of_its_class():
    features, labels = blobs(spread=0.9)
    labelled = np.array([3, 70, 150])
    nuisance = np.zeros((len(labels), 3))
    spread = fit_probe([features], labelled, labels[labelled], 3, SETTINGS, nuisance=nuisance)
    alone = fit_probe([features], labelled, labels[labelled], 3, SETTINGS)
    others, their_labels = blobs(spread=0.9, seed=1)
    assert accuracy(spread, their_labels, others) > accuracy(alone, their_labels, others)
    assert accuracy(spread, their_labels, others) > 0.98


def test_copies_in_other_stains_keep_a_classifier_from_going_by_the_stain():
    """A class is told by size and, at home, by density too."""
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 2
    cells = rng.normal(1, 0.1, (200, len(DESCRIPTORS))).astype(np.float32)
    density = np.array([descriptor.unit == "density" for descriptor in DESCRIPTORS])
    cells[:, density] += 0.2 * labels[:, None]
    cells[:, ~density] += 0.1 * labels[:, None]
    train, test = np.arange(100), np.arange(100, 200)
    found = {}
    for jitter in (0.0, 0.3):
        settings = SETTINGS.model_copy(update={"stain_jitter": jitter})
        classifier = fit_probe([cells[train]], train, labels[train], 2, settings)
        assert accuracy(classifier, labels[test], cells[test]) == 1
        paler = np.where(density, 0.7 * cells[test], cells[test]).astype(np.float32)
        found[jitter] = accuracy(classifier, labels[test], paler)
    assert found[0.3] > 0.9
    assert found[0.0] < 0.8


def test_labels_cross_from_one_slide_to_another():
    features, labels = blobs()
    slide = np.random.default_rng(1).integers(0, 2, len(labels))
    features = features + np.float32([0, 0, 0, 9, 9, 9]) * slide[:, None]
    labelled = np.array([np.flatnonzero((labels == label) & (slide == label % 2))[0] for label in range(3)])
    background = slide[:, None] * np.array([[1.0, 0.5, 0.2]])
    classifier = fit_probe([features.astype(np.float32)], labelled, labels[labelled], 3, SETTINGS, nuisance=background)
    assert accuracy(classifier, labels, features.astype(np.float32)) == 1


@given(seed=st.integers(0, 1000), n_labels=st.integers(1, 6), n_classes=st.integers(2, 4))
def test_what_labels_spread_to_adds_up_for_every_image(seed, n_labels, n_classes):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(30, 3))
    labelled = rng.permutation(30)[:n_labels]
    labels = rng.integers(0, n_classes, n_labels)
    spread = propagate_labels(features, labelled, labels, n_classes, n_neighbours=4)
    np.testing.assert_allclose(spread.sum(axis=1), 1)
    assert (spread >= 0).all()
    absent = np.setdiff1d(np.arange(n_classes), labels)
    assert (spread[:, absent] == 0).all()


def test_nothing_that_a_nuisance_explains_is_left():
    rng = np.random.default_rng(0)
    nuisance = rng.normal(size=(200, 3))
    own = rng.normal(size=(200, 2))
    features = own + nuisance @ rng.normal(size=(3, 2)) + 0.5 * nuisance[:, :2] ** 2
    left = remove_nuisance(features, nuisance)
    assert np.abs(np.corrcoef(left.T, nuisance.T)[:2, 2:]).max() < 0.05
    assert np.corrcoef(left[:, 0], own[:, 0])[0, 1] > 0.95


def test_whitened_features_have_no_more_dimensions_than_they_can():
    assert whiten(np.random.default_rng(0).normal(size=(5, 3)), 12).shape == (5, 3)


def test_background_is_the_bright_colour():
    cells = np.full((2, 16, 16, 3), (250, 220, 200), np.uint8)
    cells[1] //= 2
    cells[:, 4:10, 4:10] = (90, 40, 120)
    np.testing.assert_allclose(background_colors(cells)[0], np.log1p([250, 220, 200]))
    np.testing.assert_allclose(background_colors(cells)[1], np.log1p([125, 110, 100]))


@pytest.mark.parametrize("n_descriptors", [0, 6])
def test_a_file_keeps_all_of_a_classifier(tmp_path, n_descriptors):
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    encoder = build_encoder("pooled", width=4, side=32).eval()
    cells = torch.rand(12, 3, 32, 32)
    with torch.no_grad():
        blocks = [encode(encoder, cells).numpy()]
    arrays = [cells]
    if n_descriptors:
        blocks.append(rng.normal(size=(12, n_descriptors)).astype(np.float32))
        arrays.append(torch.from_numpy(blocks[1]))
    labels = np.arange(12) % 2
    classifier = fit_probe(blocks, np.arange(12), labels, 2, SETTINGS, encoder=encoder)
    assert classifier.inputs == (("cell", "descriptors") if n_descriptors else ("cell",))
    config = {
        "network": "features",
        "encoder": "pooled",
        "width": 4,
        "side": 32,
        "descriptors": n_descriptors,
        "centres": 12,
        "classes": ["a", "b"],
    }
    save_model(tmp_path / "model.safetensors", classifier, config)
    again, _ = load_model(tmp_path / "model.safetensors")
    with torch.no_grad():
        logits = classifier(*arrays)
        torch.testing.assert_close(again(*arrays), logits, rtol=0, atol=0)
        rotated = again(torch.rot90(cells, 1, (2, 3)), *arrays[1:])
    assert logits.argmax(1).tolist() == labels.tolist()
    torch.testing.assert_close(rotated, logits, atol=1e-2, rtol=0)
