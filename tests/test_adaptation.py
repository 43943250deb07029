"""A model for another laboratory."""

import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from leuko import load_model
from leuko.cli import main
from leuko.core.errors import LeukoError
from leuko.core.params.transfer import Probe
from leuko.evaluation.adaptation import adapt, align
from leuko.evaluation.probe import fit_probe
from leuko.models.foreign import load_domain
from leuko.models.store import save_left_out, save_model
from leuko.packs.reading import read_rows, read_values
from tests.course import WBC
from tests.models import write_model

SETTINGS = Probe(
    regularization=0.01,
    gamma=0.1,
    few_labels="none",
    propagate_upto=1,
    dimensions=4,
    neighbours=4,
)
N_CLASSES, N_FEATURES = 4, 12
rng = np.random.default_rng(3)
MIDDLES = rng.normal(size=(N_CLASSES, N_FEATURES))
SHIFT, STRETCH = 2 * rng.normal(size=N_FEATURES), np.exp(rng.normal(size=N_FEATURES))


def draw(n, seed, *, abroad):
    """Cells of four classes; abroad every feature is shifted and stretched."""
    chance = np.random.default_rng(seed)
    labels = np.arange(n) % N_CLASSES
    cells = MIDDLES[labels] + 0.5 * chance.normal(size=(n, N_FEATURES))
    return (STRETCH * cells + SHIFT if abroad else cells).astype(np.float32), labels


@pytest.fixture(scope="module")
def at_home():
    cells, labels = draw(300, 0, abroad=False)
    return fit_probe([cells], np.arange(300), labels, N_CLASSES, SETTINGS)


def accuracy(classifier, cells, labels):
    said = classifier.classify_features(torch.from_numpy(cells)).argmax(1).numpy()
    return (said == labels).mean()


def test_what_shifts_and_stretches_features_is_undone_without_labels(at_home):
    cells, labels = draw(400, 1, abroad=True)
    assert accuracy(at_home, *draw(400, 1, abroad=False)) > 0.95
    assert accuracy(at_home, cells, labels) < 0.6
    assert accuracy(align(at_home, cells, SETTINGS), cells, labels) > 0.9


def test_few_labels_find_whether_to_measure_anew(at_home):
    for abroad in (True, False):
        labelled, labels = draw(20, 2, abroad=abroad)
        others, _ = draw(200, 3, abroad=abroad)
        adapted = adapt(at_home, labelled, labels, others, SETTINGS)
        assert accuracy(adapted.classifier, *draw(400, 4, abroad=abroad)) > 0.9
        assert adapted.accuracy[adapted.aligned] > 0.8
        if abroad:
            assert adapted.aligned
            assert adapted.accuracy[True] > adapted.accuracy[False]


@pytest.mark.filterwarnings("error")
def test_the_rough_figure_of_one_label_a_class_is_of_cells_that_were_left_out(at_home):
    cells, labels = draw(N_CLASSES, 2, abroad=False)
    adapted = adapt(at_home, cells, (labels + 1) % N_CLASSES, cells[:0], SETTINGS)
    assert adapted.accuracy[False] == 0  # at home they are called otherwise, and no second one teaches the new name
    assert accuracy(adapted.classifier, cells, labels) < 1


def test_labels_teach_what_no_alignment_can(at_home):
    """Abroad two classes have changed places."""
    swap = np.array([1, 0, 2, 3])
    labelled, labels = draw(80, 5, abroad=False)
    adapted = adapt(at_home, labelled, swap[labels], labelled[:0], SETTINGS)
    cells, truth = draw(400, 6, abroad=False)
    assert accuracy(adapted.classifier, cells, swap[truth]) > accuracy(at_home, cells, swap[truth]) + 0.1


@pytest.mark.slow
def test_the_command_writes_a_model_that_predicts(project, demo, tmp_path, monkeypatch, capsys):
    pack = project / "data/packs/cells/train"
    descriptors = np.array(read_values(pack, "descriptors"))
    labels = np.array([WBC.index(label) for label in read_rows(pack)["class"]])
    classifier = fit_probe([descriptors], np.arange(len(labels)), labels, 5, SETTINGS)
    config = {
        "network": "features",
        "encoder": "",
        "width": 0,
        "side": 0,
        "descriptors": descriptors.shape[1],
        "centres": len(labels),
        "model": "morphology",
        "classes": WBC,
        "scales": {},
        "nuclei": {"sizes": [144.0], "nuclei": [30.0]},
        "temperature": 1.0,
        "settings": SETTINGS.model_dump(),
    }
    save_model(tmp_path / "home.safetensors", classifier, config)
    held_out = sorted((demo / "WBC_100/val/data").rglob("*.jpg"))
    labelled = [path for path in held_out if path.parent.name != "Basophil"]
    for path in labelled:
        target = tmp_path / "labelled" / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.open(path).save(target)
    out = tmp_path / "abroad.safetensors"
    files = [str(tmp_path / "home.safetensors"), str(tmp_path / "labelled")]
    for number in "12":
        shutil.copytree(demo / "WBC_100/train/data", tmp_path / "further" / number)
    further = ["--unlabelled", str(tmp_path / "further"), "--out", str(out)]
    monkeypatch.setattr("sys.argv", ["leuko", "adapt", *files, *further])
    main()
    told = capsys.readouterr().out
    assert "No labelled cell of Basophil: known from home alone" in told
    assert f"Written: {out}" in told
    predictions = load_model(out).predict(held_out)
    assert np.mean([label == path.parent.name for label, path in zip(predictions.labels, held_out, strict=True)]) > 0.6
    assert load_model(out).config["adapted"]["labelled"] == len(labelled)
    assert not predictions.unlike.all()
    assert load_domain(out) is not None

    few = tmp_path / "few.safetensors"
    shutil.rmtree(tmp_path / "labelled/Neutrophil")
    monkeypatch.setattr("sys.argv", ["leuko", "adapt", *files, "--out", str(few)])
    main()
    assert load_domain(few) is None  # so few cells do not tell what is unlike them

    without = tmp_path / "without_labels.safetensors"
    for path in held_out:
        for turn in range(6):
            target = tmp_path / "turned" / f"{turn}_{path.name}"
            target.parent.mkdir(exist_ok=True)
            Image.open(path).rotate(90 * turn).resize((144 + turn, 144 + turn)).save(target)
    options = ["--unlabelled", str(tmp_path / "turned"), "--out", str(without)]
    monkeypatch.setattr("sys.argv", ["leuko", "adapt", files[0], *options])
    main()
    assert "only labels tell" in capsys.readouterr().out
    assert load_model(without).config["adapted"] == {"labelled": 0, "cells": 6 * len(held_out), "aligned": True}
    assert load_model(without).config["temperature"] == config["temperature"]
    monkeypatch.setattr("sys.argv", ["leuko", "adapt", files[0], "--out", str(tmp_path / "nothing.safetensors")])
    with pytest.raises(SystemExit, match="at least 30 of all classes"):
        main()


def test_what_cannot_be_adapted_is_said(tmp_path):
    from leuko.prediction.adapting import adapt_model

    save_left_out(tmp_path / "none.safetensors", "there are no cells")
    with pytest.raises(LeukoError, match="holds no model: there are no cells"):
        adapt_model(tmp_path / "none.safetensors", tmp_path, tmp_path / "out.safetensors", synonyms={})
    model = write_model(tmp_path, "morphology")
    with pytest.raises(LeukoError, match="that is the model itself"):
        adapt_model(model, tmp_path, tmp_path / "../" / tmp_path.name / model.name, synonyms={})
    with pytest.raises(LeukoError, match=r"Nope is no class of .*; its classes are Basophil, .*Neutrophil"):
        adapt_model(model, tmp_path, tmp_path / "out.safetensors", synonyms={"Bazo": "Nope"})
    (tmp_path / "Monocyte").mkdir()
    for name, words in (("Bazo", "no folder 'Bazo'"), ("", "no folder ''"), ("Monocyte", "Monocyte says Monocyte")):
        with pytest.raises(LeukoError, match=words):
            adapt_model(model, tmp_path, tmp_path / "out.safetensors", synonyms={name: "Basophil"})
