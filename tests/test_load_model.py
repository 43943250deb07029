"""`from leuko import load_model`: any classifier of the pipeline, on images of any kind."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from leuko import load_model
from leuko.core.errors import LeukoError
from leuko.models.store import save_left_out, save_model
from tests.conftest import REPOSITORY
from tests.drawn_masks import cell
from tests.models import KINDS, draw_classifier, write_model
from tests.pictures import picture, ways


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {kind: write_model(folder, kind) for kind in KINDS}


@pytest.fixture(scope="module")
def cells(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("cells")
    paths = [folder / f"{seed}.png" for seed in range(40)]
    for seed, path in enumerate(paths):
        cell(seed)[0].save(path)
    return paths


@pytest.mark.parametrize("kind", KINDS)
def test_every_classifier_of_the_pipeline_predicts(files, cells, kind):
    model = load_model(files[kind])
    predictions = model.predict(cells[:5])
    assert predictions.probabilities.shape == (5, len(model.classes))
    np.testing.assert_allclose(predictions.probabilities.sum(axis=1), 1, atol=1e-12)
    assert np.ptp(predictions.probabilities, axis=0).max() > 1e-3
    best = predictions.probabilities.max(axis=1)
    assert predictions.labels == [model.classes[number] for number in predictions.probabilities.argmax(axis=1)]
    others = np.where(predictions.probabilities == best[:, None], 0, predictions.probabilities).max(axis=1)
    np.testing.assert_allclose(predictions.margins, best - others)


@pytest.mark.parametrize(("kind", "number"), [("wbc", 40), ("both", 3)])  # more than a batch, and less
def test_an_image_is_the_same_from_a_path_pillow_or_an_array_alone_or_among_many(files, cells, kind, number):
    model, cells = load_model(files[kind]), cells[:number]
    expected = model.predict(cells).probabilities
    opened = [Image.open(path) for path in cells]
    arrays = np.stack([np.asarray(image) for image in opened])
    for images in (map(str, cells), opened, arrays, [*arrays]):
        np.testing.assert_allclose(model.predict(images).probabilities, expected, atol=1e-6)
    for one in (cells[0], str(cells[0]), opened[0], arrays[0]):
        np.testing.assert_allclose(model.predict(one).probabilities, expected[:1], atol=1e-6)
    assert model.predict([]).probabilities.shape == (0, 5)


def test_batch_norms_are_folded_and_threads_left_as_they_were(tmp_path):
    network, config = draw_classifier("wbc")
    norms = [layer for layer in network.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    for norm in norms:
        for values in (norm.running_mean, norm.weight, norm.bias):
            torch.nn.init.normal_(values)
        torch.nn.init.uniform_(norm.running_var, 0.5, 2)
    save_model(tmp_path / "wbc.safetensors", network, config)
    n_threads = torch.get_num_threads()
    model = load_model(tmp_path / "wbc.safetensors")
    found = model.predict([cell(seed)[0] for seed in range(20)]).probabilities
    assert torch.get_num_threads() == n_threads
    assert not any(isinstance(layer, torch.nn.BatchNorm2d) for layer in model.network.modules())
    prepared = [model.preparation(cell(seed)[0]) for seed in range(20)]
    with torch.no_grad():
        logits = network.classify(*model.tensors(prepared)) / config["temperature"]
    np.testing.assert_allclose(found, logits.double().softmax(1), atol=1e-6)
    assert np.ptp(found, axis=0).max() > 1e-3


@pytest.mark.parametrize("kind", ["wbc", "transfer"])
def test_predictions_are_those_of_the_packs(files, project, kind):
    """Images prepared from their files are the very rows of the packs that networks are trained on."""
    from leuko.packs.reading import read_images, read_rows
    from leuko.prediction.preparing import Preparation

    network, config = draw_classifier(kind)
    name, pack = ("wbc", "wbc/test") if kind == "wbc" else ("cell", "cells/test")
    if kind == "transfer":
        from leuko.morphology.reference import Reference

        scale = Reference.read(project / "data/packs/cells/scale.json").scale
        config = config | {"nuclei": scale.to_json()}
    preparation = Preparation.of(network.inputs, config)
    root = Path((project / "params.yaml").read_text().split("data_root: ")[1].split("\n")[0])
    rows = read_rows(project / "data/packs" / pack)
    for pixels, path in zip(read_images(project / "data/packs" / pack, name), rows["path"], strict=True):
        np.testing.assert_array_equal(preparation(root / path)[name], pixels)


def test_a_picture_saved_in_any_way_gets_one_answer_from_its_file_and_opened_by_pillow(files, tmp_path):
    model = load_model(files["wbc"])
    network, config = draw_classifier("wbc")
    # Their scale would be that of the set.
    scales = {f"{kind} uint16": [0.0, 65535.0] for kind in ("PNG", "TIFF")}
    save_model(tmp_path / "deep.safetensors", network, config | {"scales": scales})
    deep = load_model(tmp_path / "deep.safetensors")
    expected = model.predict(picture()).probabilities
    paths = []
    for number, (_, extension, content) in enumerate(ways()):
        paths.append(tmp_path / f"{number}{extension}")
        paths[-1].write_bytes(content)
    found = deep.predict(paths).probabilities
    assert len(paths) > 40
    assert (np.abs(found - expected).max(axis=1) < 0.05).all()
    opened = [Image.open(path) for path in paths if path.suffix != ".tif"]  # of TIFF, Pillow reads some wrongly
    ours = [row for row, path in zip(found, paths, strict=True) if path.suffix != ".tif"]
    assert len(opened) > 15
    np.testing.assert_allclose(deep.predict(opened).probabilities, ours, atol=0.01)


def test_grey_of_16_bits_is_the_same_as_array_and_as_file(files, tmp_path):
    network, config = draw_classifier("wbc")
    save_model(tmp_path / "deep.safetensors", network, config | {"scales": {"PNG uint16": [0.0, 4095.0]}})
    model = load_model(tmp_path / "deep.safetensors")
    values = np.rint(picture()[..., 1] / 255 * 3000).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    expected = model.predict(tmp_path / "deep.png").probabilities
    for image in (values, Image.open(tmp_path / "deep.png"), Image.fromarray(values)):
        np.testing.assert_array_equal(model.predict(image).probabilities, expected)
    dark = Image.fromarray(np.rint(values / 4095 * 255).astype(np.uint8))
    np.testing.assert_allclose(model.predict(dark).probabilities, expected, atol=0.02)


@pytest.mark.parametrize("size", [(1, 1), (1, 70), (70, 1), (5, 3), (300, 20)])
@pytest.mark.parametrize("kind", ["wbc_plus", "both"])
def test_any_size_will_do(files, kind, size):
    predictions = load_model(files[kind]).predict(Image.new("RGB", size, "white"))
    assert np.isfinite(predictions.probabilities).all()


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("nowhere.png", "nowhere.png: cannot be opened"),
        (np.zeros((8, 8, 3), np.float32), "image 0: an array of float32"),
        (np.zeros((8, 8, 2), np.uint8), r"image 0: an array of uint8 of shape \(8, 8, 2\)"),
        (np.zeros((0, 8, 3), np.uint8), "image 0: an array"),
        (__file__, "test_load_model.py: not an image"),
    ],
)
def test_an_image_that_cannot_be_used_is_named(files, image, words):
    with pytest.raises(LeukoError, match=words):
        load_model(files["wbc"]).predict(image)


def test_a_file_that_is_no_classifier_is_refused_with_words(files, tmp_path):
    save_left_out(tmp_path / "none.safetensors", "there are no tissue images")
    with pytest.raises(LeukoError, match="holds no model: there are no tissue images"):
        load_model(tmp_path / "none.safetensors")
    with pytest.raises(LeukoError, match="is not there"):
        load_model(tmp_path / "missing.safetensors")
    for kind, key, value in (
        ("wbc", "size", None),
        ("wbc", "size", "32"),
        ("wbc", "size", 10**9),
        ("transfer", "nuclei", None),
        ("transfer", "nuclei", {"sizes": [], "nuclei": []}),
        ("transfer", "nuclei", {"sizes": [64.0], "nuclei": [-3.0]}),
        ("wbc", "scales", [1]),
        ("wbc", "temperature", 0.0),
    ):
        network, config = draw_classifier(kind)
        config = {name: content for name, content in (config | {key: value}).items() if content is not None}
        save_model(tmp_path / "odd.safetensors", network, config)
        with pytest.raises(LeukoError, match=r"odd\.safetensors.*(images are prepared|temperature)"):
            load_model(tmp_path / "odd.safetensors")


@pytest.mark.slow
def test_importing_leuko_imports_next_to_nothing():
    code = "import sys, leuko; assert not {'torch', 'numpy', 'PIL'} & set(sys.modules); leuko.nothing"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert "module 'leuko' has no attribute 'nothing'" in done.stderr
    code = "import sys, leuko.prediction.preparing; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True)
