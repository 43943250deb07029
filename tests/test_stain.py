"""Cells of any light and stain are shown alike, in the packs and in prediction, if that is asked for."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from leuko import load_model
from leuko.arms import arms
from leuko.cli import _run_command as run_command
from leuko.core.errors import LeukoError
from leuko.core.params.everything import Params
from leuko.core.params.reading import load_params
from leuko.core.params.transfer import Finetune
from leuko.data.images import read_rgb
from leuko.demo import draw_demo
from leuko.demo.blood import CLASSES, draw_cell
from leuko.demo.canvas import Stain
from leuko.demo.dataset import SMEAR_LIGHT
from leuko.models.store import save_left_out, save_model
from leuko.morphology.staining import REFERENCE, Colours, Staining, common_colours, measure_colours
from leuko.packs.reading import read_images, read_rows
from leuko.pretraining.augmentation import RandomViews
from tests.conftest import run_stage, tiny_settings, write_settings
from tests.course import WBC, save
from tests.models import draw_classifier

NETWORKS = [
    ("base", "models/wbc.safetensors", "wbc", "wbc"),
    ("scratch", "models/transfer/scratch.safetensors", "cell", "cells"),
]
LAMP = np.array([0.95, 0.85, 0.9])
DYE = np.array([0.7, 0.8, 1.2])


def cells(n=10):
    """Cells of one slide."""
    rng = np.random.default_rng(0)
    stain = Stain.random(rng, SMEAR_LIGHT)
    return [Image.fromarray(draw_cell(CLASSES[number % len(CLASSES)], stain, rng)[0]) for number in range(n)]


def stained_elsewhere(image):
    """The same cell with other amounts of dye, under another lamp."""
    pixels = np.asarray(image) / 255
    light = np.quantile(pixels, 0.9, axis=(0, 1))
    return Image.fromarray(np.rint(255 * LAMP * light * (pixels / light).clip(0, 1) ** DYE).astype(np.uint8))


def difference(one, other):
    """The mean difference of two images, in levels."""
    return np.abs(np.asarray(one, float) - np.asarray(other, float)).mean()


def of_set(images):
    return Staining("set", common_colours(measure_colours(image) for image in images))


@pytest.mark.parametrize("kind", ["image", "set"])
def test_cells_of_two_laboratories_look_alike(kind):
    home = cells()
    away = [stained_elsewhere(image) for image in home]
    here, there = (of_set(images) if kind == "set" else Staining("image") for images in (home, away))
    before = np.mean([difference(*pair) for pair in zip(home, away, strict=True)])
    after = np.mean([difference(here(one), there(other)) for one, other in zip(home, away, strict=True)])
    assert before > 15
    assert after < 2.5


def test_light_and_nucleus_become_those_of_the_reference():
    for image in map(stained_elsewhere, cells()):
        found = measure_colours(Staining("image")(image))
        np.testing.assert_allclose(found.light, REFERENCE.light, atol=4)
        np.testing.assert_allclose(found.nucleus, REFERENCE.nucleus, atol=12)


def test_a_set_keeps_differences_between_its_images():
    home = cells()
    dark = np.argmin([np.mean(measure_colours(image).nucleus) for image in home])
    shown = of_set(home)(home[dark])
    assert np.mean(measure_colours(shown).nucleus) < np.mean(REFERENCE.nucleus) - 3


def test_none_leaves_an_image_alone():
    image = cells(1)[0]
    assert Staining()(image) is image


def test_an_image_without_a_cell_has_only_its_light_corrected():
    grey = Image.fromarray(np.full((40, 50, 3), (120, 200, 180), np.uint8))
    assert measure_colours(grey).nucleus is None
    np.testing.assert_array_equal(np.asarray(Staining("image")(grey)), 240)
    assert np.isfinite(np.asarray(Staining("image")(Image.new("RGB", (40, 40))))).all()


def test_hardly_visible_dye_is_not_blown_up():
    tables = Colours(light=(240, 240, 240), nucleus=(239, 239, 239)).tables()
    assert tables[:, 220].min() > 180  # density .087, times 3 at most
    assert (np.diff(tables.astype(int)) >= 0).all()


# Stages and prediction


@pytest.fixture(scope="module", params=["image", "set"])
def trained(request, demo, tmp_path_factory):
    """A project with two trained networks, one of whole images and one of crops, scored here and away; its setting."""
    folder = tmp_path_factory.mktemp(request.param)
    changes = {"wbc.epochs": 1, "finetune.epochs": 1, "external": {"bern": "bern"}}
    settings = write_settings(folder, data_root=str(demo), stain=request.param, model="base", **changes)
    draw_demo(folder / "others", seed=2, fraction=0.03)  # those of home are noticed in another stain too
    for path in sorted((folder / "others/WBC_100/val/data").rglob("*.jpg")):
        save(stained_elsewhere(Image.open(path)), folder / "bern" / path.parent.name / f"{path.stem}.png")
    for stage in ("ingest", "prepare_masks", "augment", "measure", "train_wbc"):
        run_stage(stage, folder)
    for stage in ("pretrain", "finetune"):
        run_stage(stage, folder, "scratch")
    for arm in arms(load_params(Params, settings).transfer):
        if arm.key not in ("base", "scratch"):
            save_left_out(folder / arm.model, "this test has none")
    run_stage("evaluate", folder)
    run_stage("pack_external", folder, "bern")
    run_stage("external", folder, "bern")
    return folder, request.param


@pytest.mark.slow
@pytest.mark.parametrize(("key", "file", "name", "pack"), NETWORKS)
def test_prediction_shows_images_as_the_packs_do(trained, demo, key, file, name, pack):
    """And says what `evaluate` says, if the set is the one that was trained on or each image is one."""
    folder, kind = trained
    model = load_model(folder / file)
    assert model.config["stain"] == kind
    rows = pd.read_csv(folder / "data/manifest.csv", keep_default_na=False).query("set == 'wbc'")
    files = {part: [demo / path for path in rows["path"][rows["part"] == part]] for part in ("train", "test")}
    model.config["temperature"] = 1.0  # tables of predictions are not calibrated
    preparation = model.preparation.settled(files["train"])
    prepared = [preparation(file) for file in files["test"]]
    packed = folder / "data/packs" / pack / "test"
    assert list(read_rows(packed)["path"]) == list(rows["path"][rows["part"] == "test"])
    np.testing.assert_array_equal([one[name] for one in prepared], read_images(packed, name))
    scored = pd.read_csv(folder / f"plots/predictions/{key}.csv")[list(WBC)]
    np.testing.assert_allclose(model.classify(prepared), scored, atol=1e-4)
    if kind == "image":
        np.testing.assert_allclose(model.predict(files["test"]).probabilities, scored, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("key", "file", "name", "pack"), NETWORKS)
def test_the_same_cells_from_elsewhere_look_nearly_the_same(trained, demo, key, file, name, pack):
    model = load_model(trained[0] / file)
    home = [read_rgb(path) for path in sorted((demo / "WBC_100/val/data").rglob("*.jpg"))]
    away = [stained_elsewhere(image) for image in home]

    def distance(preparation, shown):
        one, other = ([preparation(image)[name] for image in images] for images in shown)
        return np.mean([difference(*pair) for pair in zip(one, other, strict=True)])

    as_they_are = replace(model.preparation, staining=Staining())
    here, there = (model.preparation.settled(images) for images in (home, away))
    apart = np.mean([difference(here(a)[name], there(b)[name]) for a, b in zip(home, away, strict=True)])
    assert apart < 0.3 * distance(as_they_are, (home, away))


@pytest.mark.slow
def test_another_laboratory_is_a_set_of_its_own_in_the_pipeline_and_in_prediction(trained):
    folder = trained[0]
    table = pd.read_csv(folder / "plots/external/bern/base.csv")
    model = load_model(folder / "models/wbc.safetensors")
    model.config["temperature"] = 1.0
    files = [folder / "bern" / path for path in table["path"]]
    np.testing.assert_allclose(model.predict(files).probabilities, table[list(WBC)], atol=1e-4)
    # Its nuclei tell how large its cells are, once that is said; at home their size is known.
    model = load_model(folder / "models/transfer/scratch.safetensors")
    model.config["temperature"] = 1.0
    table = pd.read_csv(folder / "plots/external/bern/scratch.csv")[list(WBC)]
    many = files * 30  # their median stays what it is
    said = model.predict(many, elsewhere=True).probabilities[: len(files)]
    np.testing.assert_allclose(said, table, atol=1e-4)
    with pytest.raises(LeukoError, match="4 images with a nucleus do not tell how large nuclei are"):
        model.predict(files[:4], elsewhere=True)


@pytest.mark.slow
def test_masked_copies_have_the_colours_of_their_originals(trained):
    pack = trained[0] / "data/packs/wbc/train"
    images, table = read_images(pack, "wbc"), read_rows(pack)
    copies = table[table["source"] != table["path"]]
    assert len(copies) > 3
    for row, source in copies["source"].items():
        original = images[table.index[table["path"] == source][0]].astype(int)
        kept = images[row].min(axis=2) > 0
        assert (~kept).any()
        assert np.median(np.abs(images[row][kept] - original[kept])) <= 1


@pytest.mark.slow
def test_an_exported_model_names_its_stain(tmp_path, capsys):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    network, config = draw_classifier("wbc")
    save_model(tmp_path / "model.safetensors", network, config | {"stain": "image"})
    run_command(["export", str(tmp_path / "model.safetensors")])
    assert "first change their colours" in capsys.readouterr().out
    about = {entry.key: entry.value for entry in onnx.load(tmp_path / "model.onnx").metadata_props}
    assert json.loads(about["stain"]) == "image"


def test_an_unknown_stain_in_a_model_file_is_refused(tmp_path):
    network, config = draw_classifier("wbc")
    save_model(tmp_path / "model.safetensors", network, config | {"stain": "blue"})
    with pytest.raises(LeukoError, match="stain 'blue'"):
        load_model(tmp_path / "model.safetensors")


def test_what_cannot_be_read_does_not_count_for_a_set(tmp_path):
    network, config = draw_classifier("wbc")
    save_model(tmp_path / "model.safetensors", network, config | {"stain": "set"})
    model, images = load_model(tmp_path / "model.safetensors"), cells(4)
    (tmp_path / "none.png").write_bytes(b"no image")
    outcomes = list(model.outcomes([*images, tmp_path / "none.png"]))
    assert outcomes[-1].error
    np.testing.assert_array_equal(
        [outcome.probabilities for outcome in outcomes[:-1]], model.predict(images).probabilities
    )
    assert model.preparation.settled([tmp_path / "none.png"]).staining.of_set is None


# Random stains in training


def test_without_jitter_views_draw_the_same_numbers():
    drawn = [RandomViews(stain_jitter=jitter).draw(3, torch.Generator().manual_seed(0)) for jitter in (0.0, 0.3)]
    assert drawn[0].shape == (3, 8)
    torch.testing.assert_close(drawn[1][:, :8], torch.rand(3, 8, generator=torch.Generator().manual_seed(0)))


def test_jitter_multiplies_the_density_of_each_channel_alone():
    image = torch.tensor([[0.9, 0.45], [0.3, 0.0]]).expand(1, 3, 2, 2)
    still = torch.tensor([[0.0, 0.9, 0.5, 0.5, 0.5, 0.0, 0.5, 0.5]])
    factors = torch.tensor([[1.0, 2.0, 0.5]])
    (view,) = RandomViews(jitter=0, stain_jitter=0.3)((image,), torch.cat([still, factors], dim=1))
    shares = image / 0.9
    torch.testing.assert_close(view, 0.9 * shares ** factors[:, :, None, None])


def test_jitter_has_the_spread_that_was_asked_for():
    drawn = RandomViews(stain_jitter=0.3).draw(4_000, torch.Generator().manual_seed(0))[:, 8:]
    assert drawn.log().std(0).numpy() == pytest.approx([0.3] * 3, rel=0.06)


def test_a_recipe_without_jitter_does_not_speak_of_it():
    recipe = tiny_settings()["finetune"]
    assert "stain_jitter" not in Finetune(**recipe).model_dump()
    assert Finetune(**recipe | {"stain_jitter": 0.3}).model_dump()["stain_jitter"] == 0.3
