"""`leuko predict`: what it takes, the table that it writes, and what it says by its exit code."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from leuko import load_model
from leuko.cli import _run_command as run_command
from leuko.core.errors import LeukoError
from leuko.data.statistics import N_STATISTICS, PERCENTILES, picture_statistics
from leuko.models.store import save_left_out
from leuko.prediction.finding import find_images
from leuko.prediction.labels import read_labels
from leuko.prediction.table import predict_to_table
from tests.conftest import REPOSITORY
from tests.course import WBC, noise
from tests.drawn_masks import cell
from tests.models import write_model


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    return write_model(folder, "wbc", own=[cell(seed)[0] for seed in range(100, 300)])


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A working folder with cells in folders of their classes, noise, a broken file, a text and a hidden file."""
    monkeypatch.chdir(tmp_path)
    for number, label in enumerate(["Basophil", "neutrophils", "else"]):
        for seed in (number, number + 10):
            path = tmp_path / "cells" / label / f"{seed}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cell(seed)[0].save(path)
    cell(5)[0].save(tmp_path / "cells/a.webp", lossless=True)
    noise(0, 64, 64).save(tmp_path / "cells/noise.gif")
    (tmp_path / "cells/broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 and no more")
    (tmp_path / "cells/.hidden.png").write_bytes(b"")
    (tmp_path / "cells/notes.txt").write_text("not an image")
    return tmp_path


def table(path: str = "predictions.csv") -> pd.DataFrame:
    return pd.read_csv(path, keep_default_na=False, dtype={"path": str})


def test_every_image_gets_a_row_whatever_becomes_of_it(model, folder, capsys):
    assert predict_to_table(["cells", "nowhere.png"], model=str(model)) == 2
    rows = table()
    assert list(rows.columns) == ["path", "predicted", "margin", "unlike", *WBC, "error"]
    assert list(rows["path"]) == [
        *[f"cells/{name}" for name in ("Basophil/0.png", "Basophil/10.png", "a.webp", "broken.jpg")],
        *[f"cells/{name}" for name in ("else/12.png", "else/2.png", "neutrophils/1.png", "neutrophils/11.png")],
        "cells/noise.gif",
        "nowhere.png",
    ]
    bad = rows["error"] != ""
    assert list(rows[bad]["path"]) == ["cells/broken.jpg", "nowhere.png"]
    assert (rows[bad][["predicted", "margin", "unlike", *WBC]] == "").all(axis=None)
    assert dict(zip(rows["path"], rows["unlike"], strict=True))["cells/noise.gif"] == "yes"
    assert (rows[~bad & ~rows["path"].str.contains("noise")]["unlike"] == "no").all()
    expected = load_model(model).predict([folder / path for path in rows[~bad]["path"]])
    np.testing.assert_allclose(rows[~bad][list(WBC)].astype(float), expected.probabilities, atol=1e-6)
    np.testing.assert_allclose(rows[~bad]["margin"].astype(float), expected.margins, atol=1e-6)
    assert list(rows[~bad]["predicted"]) == expected.labels
    assert list(rows[~bad]["unlike"] == "yes") == list(expected.unlike)
    words = capsys.readouterr().out
    assert "8 images classified" in words
    assert "2 images could not be read" in words
    assert "1 of them are unlike the training images" in words


def test_labels_of_folders_or_a_table_are_scored_at_once(model, folder, capsys):
    predict_to_table(["cells"], model=str(model), labels="folders")
    rows = table()
    actual = dict(zip(rows["path"], rows["actual"], strict=True))
    assert [label for label in actual.values() if label] == ["Basophil"] * 2 + ["Neutrophil"] * 2
    assert "Of 4 images with labels: accuracy" in capsys.readouterr().out
    lines = ["Path;Label", "Basophil\\0.png;eosinophils", "cells/a.webp;BA", "noise.gif;LY", "of nothing.png;LY"]
    (folder / "cells/labels.csv").write_text("\ufeff" + "\r\n".join(lines), encoding="utf-8")
    predict_to_table(["cells"], model=str(model), labels="cells/labels.csv")
    found = table().set_index("path")["actual"]
    assert dict(found[found != ""]) == {
        "cells/Basophil/0.png": "Eosinophil", "cells/a.webp": "Basophil", "cells/noise.gif": "Lymphocyte",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("path,label\na.png,blast\n", "no class of the model is called blast"),
        ("path,label\nb.png,Basophil\n", "no image has a label"),
        ("path,label\na.png,Basophil\n./a.png,Neutrophil\n", "several labels"),
        ("name,what\na.png,Basophil\n", "wanted are a column path"),
    ],
)
def test_labels_that_cannot_be_used_are_refused(tmp_path, text, words):
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(LeukoError, match=words):
        read_labels(str(tmp_path / "labels.csv"), [tmp_path / "a.png"], WBC)
    with pytest.raises(LeukoError, match="there is no such table"):
        read_labels("none.csv", [tmp_path / "a.png"], WBC)


@pytest.mark.parametrize("kind", ["wbc", "both"])
def test_heat_maps_are_written_for_what_was_read(kind, folder):
    model = write_model(folder, kind)
    predict_to_table(["cells/Basophil/0.png", "cells/broken.jpg"], model=str(model), heatmaps="maps")
    (path,) = (folder / "maps").iterdir()
    assert path.name == "00001 0.png"
    assert Image.open(path).size == (144, 144)
    assert (table()["unlike"] == "").all()  # as this file does not know


def test_what_would_replace_or_mix_with_other_files_is_refused(model, folder):
    (folder / "link").symlink_to(folder / "cells")
    os.mkfifo(folder / "pipe")
    before = (folder / "cells/a.webp").read_bytes()
    for options, words in (
        ({"out": "link/a.webp"}, "take the place of a file that is read"),
        ({"out": "pipe"}, "device or pipe"),
        ({"out": "maps/table.csv", "heatmaps": "maps"}, "cannot lie in the folder of the heat maps"),
        ({"heatmaps": "link/maps"}, "the next run would take them for images"),
    ):
        with pytest.raises(LeukoError, match=words):
            predict_to_table(["cells"], model=str(model), **options)
    assert (folder / "cells/a.webp").read_bytes() == before
    assert not (folder / "maps").exists()


def test_there_is_no_map_of_measurements(folder):
    with pytest.raises(LeukoError, match="measurements alone"):
        predict_to_table(["cells"], model=str(write_model(folder, "morphology")), heatmaps="maps")
    assert not (folder / "predictions.csv").exists()


def test_folders_are_searched_in_order_and_links_are_not_followed(tmp_path):
    for name in ("b/2.JPEG", "b/c/1.tif", "a.png", "d.txt", ".git/x.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "b/round").symlink_to(tmp_path)
    found = [path.relative_to(tmp_path).as_posix() for path in find_images([str(tmp_path), str(tmp_path / "a.png")])]
    assert found == ["a.png", "b/2.JPEG", "b/c/1.tif"]


def test_an_arm_is_found_by_its_name_and_the_one_of_the_settings_without(folder, capsys):
    with pytest.raises(LeukoError, match="no model has been trained here"):
        predict_to_table(["cells"])
    write_model(folder / "models", "wbc")
    save_left_out(folder / "models/wbc_plus.safetensors", "there are no tissue images")
    predict_to_table(["cells/a.webp"])
    predict_to_table(["cells/a.webp"], model="base")
    assert capsys.readouterr().err.count("Model: models/wbc.safetensors") == 2
    with pytest.raises(LeukoError, match=r"no model plus: there are no tissue images\. There are base"):
        predict_to_table(["cells/a.webp"], model="plus")
    with pytest.raises(LeukoError, match=r"no model blood\. There are base"):
        predict_to_table(["cells/a.webp"], model="blood")
    write_model(folder / "models/transfer", "transfer", "scratch")
    (folder / "params.yaml").write_text("model: scratch\ntransfer: {scratch: {network: pooled, weights: none}}\n")
    predict_to_table(["cells/a.webp"])
    assert "Model: models/transfer/scratch.safetensors" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["cells/a.webp"], 0),
        (["cells/a.webp", "cells/broken.jpg"], 1),
        (["empty"], 2),
        (["cells", "--model", "none"], 2),
        ([], 2),
    ],
)
def test_the_command_says_by_its_exit_code_what_was_read(model, folder, words, code):
    (folder / "empty").mkdir()
    with pytest.raises(SystemExit) as left:
        run_command(["predict", *words, *["--model", str(model)] * ("--model" not in words), "--out", "other.csv"])
    assert left.value.code == code
    assert (folder / "other.csv").exists() == (code < 2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--out", "cells"], "--out cells: that is a folder"),
        (["--out", "cells/notes.txt/a.csv"], "notes.txt is no folder"),
        (["--out", "cells/a.webp"], "would take the place of a file that is read"),
        (["--heatmaps", "cells"], "--heatmaps cells: the folder is not empty"),
        (["--heatmaps", "cells/a.webp"], "there is a file of that name"),
        (["--device", "mps"], "--device mps: PyTorch finds no such device"),
    ],
)
def test_what_cannot_be_written_or_used_is_told_before_any_work(model, folder, capsys, options, words):
    before = sorted(path for path in folder.rglob("*"))
    with pytest.raises(SystemExit) as left:
        run_command(["predict", "cells", "--model", str(model), *options])
    assert left.value.code == 2
    assert words in capsys.readouterr().err
    assert sorted(path for path in folder.rglob("*")) == before


def test_maps_and_table_come_both_or_not_at_all(model, folder, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("leuko.prediction.table.write_heat_map", interrupt)
    with pytest.raises(SystemExit) as left:
        run_command(["predict", "cells", "--model", str(model), "--heatmaps", "maps"])
    assert left.value.code == 2
    assert sorted(path.name for path in folder.iterdir()) == ["cells"]


def test_what_is_no_file_is_reported_and_each_image_taken_once(model, folder, monkeypatch):
    os.mkfifo(folder / "cells/pipe.png")  # whoever opens it waits for a writer
    assert predict_to_table(["cells", str(folder / "cells"), "./cells/a.webp"], model=str(model)) == 2
    rows = table().set_index("path")
    assert len(rows) == 10
    assert "pipe" in rows.loc["cells/pipe.png", "error"]
    with pytest.raises(LeukoError, match="empty name"):
        find_images([""])
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(LeukoError, match="there is none"):
        find_images(["-"])


def test_a_name_with_a_carriage_return_stays_one_row(model, folder):
    odd = 'cells/odd\r"name,1.png'
    cell(3)[0].save(odd)
    assert predict_to_table([odd], model=str(model)) == 0
    with Path("predictions.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["path"] == odd


@pytest.mark.slow
def test_a_list_on_standard_input_may_hold_any_name_and_the_table_can_be_printed(model, folder):
    odd = os.fsencode("cells/ä\n.png").replace(b"\xc3\xa4", b"\xe4")  # no text in UTF-8, and a line end in it
    Path(os.fsdecode(odd)).write_bytes((folder / "cells/Basophil/0.png").read_bytes())
    command = [sys.executable, "-m", "leuko", "predict", "-", "--model", str(model), "--out", "-"]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    listed = b"cells/a.webp\0" + odd
    done = subprocess.run(command, input=listed, capture_output=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert (done.stdout.count(b"\n"), odd in done.stdout) == (4, True)
    assert b"2 images classified" in done.stderr


def test_statistics_are_those_of_the_picture():
    pixels = np.array([cell(3, side=64)[0], noise(0, 64, 64), np.zeros((64, 64, 3))], np.uint8)
    found = picture_statistics(pixels)
    assert (found.shape, found.dtype) == ((3, N_STATISTICS), np.float32)
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(np.concatenate([picture_statistics(one[None]) for one in pixels]), found)
    np.testing.assert_allclose(picture_statistics(pixels[:, :, ::-1]), found, atol=1e-4)  # a mirror changes nothing
    assert (np.abs(picture_statistics(255 - pixels) - found).max(axis=1) > 0.01).all()
    density = np.log(pixels / 255 + 0.02)
    border = np.ones((64, 64), bool)
    border[6:-6, 6:-6] = False
    expected = [
        np.percentile(density, PERCENTILES, axis=(1, 2)).swapaxes(0, 1).reshape(3, -1),
        density[:, border].mean(axis=1),
        density[:, border].std(axis=1),
        density[:, 20:-20, 20:-20].mean(axis=(1, 2)),
    ]
    np.testing.assert_allclose(found[:, :24], np.concatenate(expected, axis=1), atol=1e-5)
    fine, coarse = (density[..., 1].reshape(3, 64 // n, n, 64 // n, n).mean(axis=(2, 4)) for n in (1, 2))
    contrast = np.abs(fine - coarse.repeat(2, 1).repeat(2, 2)).mean(axis=(1, 2))
    np.testing.assert_allclose(found[:, 24], np.log(contrast + 1e-3), atol=1e-5)
    np.testing.assert_allclose(found[1, 32], np.corrcoef(*density[1, ..., :2].reshape(-1, 2).T)[0, 1], atol=0.01)
