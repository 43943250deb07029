"""Other laboratories: scores there, the fall from home, and that foreign cells are noticed."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from leuko.arms import arms
from leuko.core.errors import LeukoError
from leuko.core.params.everything import Params
from leuko.core.params.reading import load_params
from leuko.data.laboratory import survey_few_labels, survey_laboratory
from leuko.evaluation.external import Answers, score_external
from leuko.models.foreign import RATE, Domain, fit_domain, is_foreign, load_domain
from leuko.models.store import load_weights, save_left_out, save_model
from leuko.report.laboratories import laboratories_blocks
from tests.conftest import run_stage, write_settings
from tests.course import WBC, content, noise

NAMES = ("a", "b", "c")


def answers(labels, right, *, sure=0.95, groups=None):
    """A model that says the label or the next class, as sure as told."""
    labels, right = np.array(labels), np.array(right)
    said = np.where(right, labels, (labels + 1) % 3)
    probabilities = np.full((len(labels), 3), (1 - sure) / 2)
    probabilities[np.arange(len(labels)), said] = sure
    return Answers(probabilities, labels, groups or [""] * len(labels))


def test_scores_are_by_free_choice_and_among_the_classes_that_are_there():
    there = answers([0, 0, 1, 1], [True, True, True, False])  # the last is called c, which is not there
    found = score_external(answers([0, 1, 2] * 30, [True] * 90), there, 1.0, NAMES)
    assert found["free"]["accuracy"] == 0.75
    assert found["present"]["accuracy"] in (0.75, 1.0)  # a and b are as likely for the last one
    assert (found["sure"], found["sure_right"]) == (1, 0.75)
    assert found["fall"]["balanced_accuracy"] == pytest.approx(0.25)
    assert found["fall"]["low"] < 0.25 < found["fall"]["high"]


def test_a_fall_over_groups_is_less_certain_than_over_images():
    rng = np.random.default_rng(0)
    labels, groups = np.repeat([0, 1, 2], 100).tolist(), [f"g{number % 10}" for number in range(300)]
    by_group = [group in ("g1", "g2", "g3") for group in groups]
    own = answers(labels, rng.random(300) < 0.9)
    widths = []
    for known in (None, groups):
        fall = score_external(own, answers(labels, np.logical_not(by_group), groups=known), 1.0, NAMES)["fall"]
        widths.append(fall["high"] - fall["low"])
    assert widths[1] > 1.5 * widths[0]


@pytest.mark.parametrize("whose", [0, 1])
def test_one_group_alone_has_no_interval(whose):
    labels, right = [0, 1, 2] * 10, [True, False, True] * 10
    one_group = [["anna"] * 30 if number == whose else None for number in (0, 1)]
    own, there = (answers(labels, right, groups=groups) for groups in one_group)
    assert score_external(own, there, 1.0, NAMES)["fall"] == {"balanced_accuracy": 0, "low": None, "high": None}


def test_no_fall_is_told_where_the_own_test_lacks_a_class():
    assert score_external(answers([0, 1], [True, True]), answers([2], [True]), 1.0, NAMES)["fall"] is None


def draw_cells(n, rng, shift=0.0):
    """Descriptors of which some go together."""
    return (rng.normal(size=(n, 3)) @ mixing + 0.3 * rng.normal(size=(n, 12)) + shift).astype(np.float32)


mixing = np.random.default_rng(1).normal(size=(3, 12))


@pytest.mark.parametrize("n_train", [40, 400])
def test_few_own_cells_and_most_foreign_ones_lie_beyond_the_threshold(n_train):
    rng = np.random.default_rng(2)
    domain = fit_domain(draw_cells(n_train, rng), draw_cells(200, rng))
    own, foreign = draw_cells(2_000, rng), draw_cells(300, rng, shift=1.5)
    assert domain.beyond(own).mean() < 3 * RATE
    assert not is_foreign(domain.beyond(own))
    assert domain.beyond(foreign).mean() > 0.9
    assert is_foreign(domain.beyond(foreign))


def test_a_cell_that_was_not_found_lies_beyond():
    rng = np.random.default_rng(2)
    domain = fit_domain(draw_cells(40, rng), draw_cells(40, rng))
    assert domain.beyond(np.zeros((1, 12), np.float32)).all()


@pytest.mark.parametrize("n_train", [0, 1, 2, 6])
def test_a_domain_of_few_cells_can_be_asked(n_train):
    rng = np.random.default_rng(2)
    assert np.isfinite(fit_domain(draw_cells(n_train, rng), draw_cells(0, rng)).distances(draw_cells(5, rng))).all()


def test_a_model_file_carries_its_domain(tmp_path):
    from torch import nn

    rng, model = np.random.default_rng(2), nn.Linear(2, 2)
    domain = fit_domain(draw_cells(40, rng), draw_cells(40, rng))
    save_model(tmp_path / "with.safetensors", model, {}, domain.tensors())
    save_model(tmp_path / "without.safetensors", model, {})
    load_weights(tmp_path / "with.safetensors", nn.Linear(2, 2))
    read = load_domain(tmp_path / "with.safetensors")
    assert isinstance(read, Domain)
    np.testing.assert_array_equal(read.beyond(draw_cells(50, rng, 1)), domain.beyond(draw_cells(50, rng, 1)))
    assert load_domain(tmp_path / "without.safetensors") is None


# The stage


@pytest.mark.slow
def test_every_arm_is_tried_abroad(project, demo, tmp_path):
    """The other laboratory is the demo's test with red and blue exchanged, without basophils."""
    for path in sorted((demo / "WBC_100/val/data").rglob("*.jpg")):
        if path.parent.name != "Basophil":
            target = tmp_path / "bern/data" / path.parent.name / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.asarray(Image.open(path))[:, :, ::-1]).save(target)
    laboratories = {"bern": "bern", "mixed": "mixed"}
    settings = write_settings(tmp_path, data_root=str(demo), external=laboratories, **{"wbc.epochs": 1})
    # The packs of other laboratories are this test's own; the project stays as it is.
    (tmp_path / "data/packs").mkdir(parents=True)
    for entry in (*(project / "data").iterdir(), *(project / "data/packs").iterdir()):
        if entry.name != "packs":
            (tmp_path / entry.relative_to(project)).symlink_to(entry)
    run_stage("train_wbc", tmp_path)
    params = load_params(Params, settings)
    for arm in arms(params.transfer)[1:]:
        save_left_out(tmp_path / arm.model, "this test has none")
    run_stage("evaluate", tmp_path)
    run_stage("pack_external", tmp_path, "bern")
    learned = next((demo / "WBC_100/train/data/Monocyte").iterdir())
    shutil.copytree(tmp_path / "bern", tmp_path / "mixed")
    shutil.copy(learned, tmp_path / "mixed/data/Monocyte")
    Image.open(learned).resize((120, 120)).rotate(90).save(tmp_path / "mixed/data/Monocyte/saved_anew.png")
    told = f"(?s)2 images are training .* from mixed:.*saved_anew.png.*Monocyte/{learned.name}"
    with pytest.raises(LeukoError, match=told):
        run_stage("pack_external", tmp_path, "mixed")
    run_stage("external", tmp_path, "bern")
    found = json.loads((tmp_path / "metrics/external/bern.json").read_text())
    assert found["images"]["Basophil"] == 0
    assert list(found["arms"]) == ["base"]
    predictions = pd.read_csv(tmp_path / "plots/external/bern/base.csv")
    accuracy = (predictions["actual"] == predictions["predicted"]).mean()
    assert found["arms"]["base"]["free"]["accuracy"] == pytest.approx(accuracy)
    found["arms"]["base"]["foreign"] = {"beyond": 0.6, "is_foreign": True}
    found["arms"]["base"]["fall"] |= {"low": None, "high": None}
    for is_foreign_set, verdict in ((True, "not known"), (False, "see its error")):
        found["arms"]["base"]["foreign"]["is_foreign"] = is_foreign_set
        (tmp_path / "metrics/external/bern.json").write_text(json.dumps(found))
        *words, tables = laboratories_blocks(tmp_path, ["bern"], arms(params.transfer)[:1])
        assert ("a foreign set" in words[-1]) == is_foreign_set
        assert tables.tables[0].rows["base"][-1].text == verdict
        assert tables.tables[0].rows["base"][4].interval == ""


def test_what_is_wrong_with_a_laboratory_is_told_at_once(tmp_path):
    for name in ("Basophil/1.jpg", "Blast/2.jpg", "Monocyte/3.jpg"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(content(noise(1)))
    (tmp_path / "Monocyte/3.jpg").write_bytes(b"no image")
    options = {"classes": WBC, "synonyms": {}, "min_side": 16, "max_value": "auto"}
    with pytest.raises(LeukoError, match=r"(?s)Blast.*3\.jpg"):
        survey_laboratory(tmp_path, **options)
    shutil.rmtree(tmp_path / "Blast")
    (tmp_path / "Monocyte/3.jpg").unlink()
    (tmp_path / "groups.csv").write_text("path,group\nBasophil/1.jpg,anna\n")
    rows = survey_laboratory(tmp_path, **options)
    assert (list(rows["class"]), list(rows["group"])) == (["Basophil"], ["anna"])
    with pytest.raises(LeukoError, match="not a folder"):
        survey_laboratory(Path("nowhere"), **options)
    (tmp_path / "data/Monocyte").mkdir(parents=True)
    (tmp_path / "data/Monocyte/4.jpg").write_bytes(content(noise(4)))
    (tmp_path / "groups.csv").unlink()
    with pytest.raises(LeukoError, match=r"(?s)Class folders beside one called data.*\n    Basophil"):
        survey_laboratory(tmp_path, **options)


def test_images_with_and_without_labels_are_one_set(tmp_path):
    """Twelve bits in one folder and fourteen in the other: what is white is settled by all."""
    for name, largest in (("few/Basophil/1.png", 4_000), ("few/Monocyte/2.png", 4_000), ("more/3.png", 16_000)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.linspace(0, largest, 24 * 24).reshape(24, 24)
        Image.fromarray(pixels.astype(np.uint16)).save(tmp_path / name)
    (tmp_path / "more/groups.csv").write_text("path,group\n3.png,anna\n")
    options = {"classes": WBC, "synonyms": {}, "min_side": 16}
    few, more = survey_few_labels(tmp_path / "few", tmp_path / "more", **options)
    assert {*few["scale"], *more["scale"]} == {"PNG uint16 0.0 16383.0"}
    assert (list(few["class"]), list(more["group"])) == (["Basophil", "Monocyte"], ["anna"])
    (tmp_path / "empty").mkdir()
    (tmp_path / "few/notes.txt").touch()
    with pytest.raises(LeukoError, match=r"(?s)notes\.txt.*without an image.*empty"):
        survey_few_labels(tmp_path / "few", tmp_path / "empty", **options)
