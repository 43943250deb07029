"""Every kind of source: a fake in the published layout becomes a data root, and the source stays as it is."""

import importlib
import json
import subprocess
import sys

import h5py
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from leuko.core.errors import LeukoError
from leuko.data.layout import CAM16_FOLDER
from leuko.importers import pcam
from leuko.importers.kinds import KINDS
from leuko.importers.medmnist import NAMES
from tests.conftest import REPOSITORY
from tests.course import noise, save
from tests.fakes import FIVE, bccd, medmnist, mll23, pbc
from tests.importing import run_import, survey, tree


def draw(kind, folder):
    """A fake of a kind: what it promises, and what is said on the command line."""
    fake = importlib.import_module(f"tests.fakes.{kind}")
    folder.mkdir()
    return fake, [kind, *fake.write(folder)]


def record(out):
    return json.loads((out / "import.json").read_text())["imports"][-1]


@pytest.mark.parametrize("kind", KINDS)
def test_a_fake_becomes_a_data_root(kind, tmp_path, capsys):
    fake, words = draw(kind, tmp_path / "source")
    before, out = tree(tmp_path / "source"), tmp_path / "out"
    run_import(*words, "--out", out, "--dry-run")
    assert list(tmp_path.iterdir()) == [tmp_path / "source"]
    planned = capsys.readouterr().out.split("\n\nNothing was written")[0]
    run_import(*words, "--out", out)
    assert planned in capsys.readouterr().out
    assert tree(tmp_path / "source") == before
    found = record(out)
    assert (found["counts"], found["left_out"]) == (fake.COUNTS, fake.LEFT_OUT)
    assert (found["masks"], found["groups"]) == (fake.MASKS, fake.GROUPS)
    origins = pd.read_csv(out / "import.csv")
    assert set(origins["path"]) == tree(out).keys() - {"groups.csv", "import.csv", "import.json"}
    if KINDS[kind].of_set == "wbc":
        check_what_ingest_sees(out, fake, own_test=kind == "raabin")


def check_what_ingest_sees(out, fake, *, own_test):
    """Ingest finds what was promised, and groups are in one part each, as far as the source does not tear them."""
    manifest = survey(out)
    counts = manifest.groupby(["part", "class"]).size()
    assert {part: counts[part].to_dict() for part in fake.COUNTS} == fake.COUNTS
    assert (manifest["mask"] != "").sum() == fake.MASKS
    if fake.GROUPS:
        groups = pd.read_csv(out / "groups.csv", dtype=str).merge(manifest, on="path", suffixes=("", "_seen"))
        assert groups["group"].nunique() == fake.GROUPS
        drawn = groups[groups["part"] != "test"] if own_test else groups
        assert len(drawn[["group", "part"]].drop_duplicates()) == drawn["group"].nunique()


@pytest.mark.parametrize("kind", ["folders", "medmnist"])
def test_an_import_gives_the_same_bytes_again(kind, tmp_path):
    _, words = draw(kind, tmp_path / "source")
    for out in ("one", "two"):
        run_import(*words, "--out", tmp_path / out)
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


@pytest.mark.slow
def test_the_command_line_knows_imports(tmp_path):
    _, words = draw("tiles", tmp_path / "source")
    command = [sys.executable, "-m", "leuko", "import", *words, "--out", str(tmp_path / "out")]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (done.returncode, record(tmp_path / "out")["set"]) == (0, "prcc"), done.stderr


@pytest.mark.parametrize("wrong", [["--limit", "0"], ["--seed", "-1"], ["--map", "a=b"]])
def test_options_that_make_no_sense_are_refused(wrong, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        run_import("tiles", tmp_path, "--out", tmp_path / "out", *wrong)
    assert stop.value.code == 2 and wrong[0] in capsys.readouterr().err


def test_files_are_linked_or_copied_as_asked(tmp_path):
    _, words = draw("tiles", tmp_path / "source")
    run_import(*words, "--out", tmp_path / "linked")
    run_import(*words, "--out", tmp_path / "copied", "--copy")
    source = tmp_path / "source/TCGA-0/tile_0.png"
    assert (tmp_path / "linked/pRCC/tile_0.png").samefile(source)
    assert not (tmp_path / "copied/pRCC/tile_0.png").samefile(source)


@pytest.mark.slow
def test_sets_are_added_one_after_the_other(tmp_path):
    out = tmp_path / "out"
    for number, kind in enumerate(("tiles", "folders", "pcam")):
        _, words = draw(kind, tmp_path / kind)
        if number:
            with pytest.raises(LeukoError, match="not empty"):
                run_import(*words, "--out", out)
        run_import(*words, "--out", out, "--add")
        with pytest.raises(LeukoError, match="already"):
            run_import(*words, "--out", out, "--add")
    assert set(survey(out)["set"]) == {"wbc", "cam16", "prcc"}
    groups = pd.read_csv(out / "groups.csv")
    assert groups["group"].nunique() == 3 + 6 + 6
    assert len(pd.read_csv(out / "import.csv")) == sum(path.suffix in (".png", ".jpg") for path in out.rglob("*"))
    kinds = [entry["kind"] for entry in json.loads((out / "import.json").read_text())["imports"]]
    assert kinds == ["tiles", "folders", "pcam"]


def test_the_patches_of_pcam_are_written_as_they_are(tmp_path, monkeypatch):
    _, words = draw("pcam", tmp_path / "source")
    monkeypatch.setattr(pcam, "READ_AT_ONCE", 3)
    run_import(*words, "--out", tmp_path / "out")
    with h5py.File(tmp_path / "source/camelyonpatch_level_2_split_train_x.h5") as file:
        patches = file["x"][:]
    paths = (tmp_path / "out" / CAM16_FOLDER / "train/data").rglob("*.png")
    for number, path in enumerate(sorted(paths, key=lambda path: path.name)):
        np.testing.assert_array_equal(np.asarray(Image.open(path)), patches[number])


def test_the_masks_of_pcam_show_where_there_is_tumor(tmp_path):
    _, words = draw("pcam", tmp_path / "source")
    run_import(*words, "--out", tmp_path / "out")
    masks = tmp_path / "out" / CAM16_FOLDER / "train/mask"
    assert np.asarray(Image.open(masks / "tumor/train_000004.png")).sum() == 255 * 16 * 16
    assert np.asarray(Image.open(masks / "normal/train_000000.png"))[:8, :8].min() == 255


def test_pcam_needs_h5py_and_unpacked_files(tmp_path, monkeypatch):
    _, words = draw("pcam", tmp_path / "source")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(LeukoError, match=r"leuko\[importers\]"):
        run_import(*words, "--out", tmp_path / "out")
    for path in list((tmp_path / "source").glob("*.h5")):
        path.rename(path.with_suffix(".h5.gz"))
    with pytest.raises(LeukoError, match="gunzip"):
        run_import(*words, "--out", tmp_path / "out")


@pytest.mark.parametrize("trick", ["link", "outside", "virtual", "shape"])
def test_pcam_reads_no_file_but_its_own(trick, tmp_path):
    _, words = draw("pcam", tmp_path / "source")
    path = tmp_path / "source/camelyonpatch_level_2_split_test_x.h5"
    (tmp_path / "secret").write_bytes(bytes(6 * 96 * 96 * 3))
    path.rename(tmp_path / "secret.h5")
    with h5py.File(path, "w") as file:
        shape = (6, 96, 96, 3)
        if trick == "link":
            file["x"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "x")
        elif trick == "outside":
            file.create_dataset("x", shape, np.uint8, external=[(str(tmp_path / "secret"), 0, 6 * 96 * 96 * 3)])
        elif trick == "virtual":
            layout = h5py.VirtualLayout(shape, np.uint8)
            layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "x", shape)
            file.create_virtual_dataset("x", layout)
        else:
            file["x"] = np.zeros((6, 32, 32, 3), np.uint8)
    with pytest.raises(LeukoError, match="not one of PatchCamelyon's"):
        run_import(*words, "--out", tmp_path / "out")


def test_bloodmnist_has_eight_classes_for_who_wants_them(tmp_path):
    _, words = draw("medmnist", tmp_path / "source")
    run_import(*words, "--out", tmp_path / "out", "--all-classes")
    assert set(survey(tmp_path / "out", NAMES)["class"]) == set(NAMES)


@pytest.mark.parametrize(
    "change",
    [
        {"train_labels": np.array([[{}]] * 32, dtype=object)},
        {"val_labels": np.full((16, 1), 8)},
        {"val_labels": np.zeros((15, 1), np.uint8)},
        {"val_labels": np.uint8(3)},
        {"test_images": np.zeros((24, 28, 28), np.uint8)},
        {"test_images": np.zeros((24, 28, 28, 3))},
        {"test_images": None},
    ],
    ids=["pickled", "unknown class", "fewer labels", "one number", "grey", "float", "absent"],
)
def test_other_arrays_than_bloodmnist_are_refused(change, tmp_path):
    arrays = {key: array for key, array in (medmnist.arrays() | change).items() if array is not None}
    np.savez(tmp_path / "bloodmnist.npz", **arrays)
    with pytest.raises(LeukoError, match=r"bloodmnist\.npz"):
        run_import("medmnist", tmp_path / "bloodmnist.npz", "--out", tmp_path / "out")


def test_a_damaged_bloodmnist_is_refused_wherever_the_damage_is(tmp_path):
    np.savez_compressed(tmp_path / "whole.npz", **medmnist.arrays())
    whole = (tmp_path / "whole.npz").read_bytes()
    damaged = tmp_path / "bloodmnist.npz"
    for place in range(0, len(whole), len(whole) // 40):
        damaged.write_bytes(
            whole[:place] + bytes(byte ^ 0xFF for byte in whole[place : place + 64]) + whole[place + 64 :]
        )
        with pytest.raises(LeukoError, match=r"bloodmnist\.npz"):
            run_import("medmnist", damaged, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_raabin_second_edition_and_its_numbers(tmp_path):
    for part, count in (("Train", 8), ("Test", 2)):
        numbers = {}
        for number in range(1, 6):
            for cell in range(count):
                name = f"95-8-{cell}-1_{cell}_{number}.jpg"
                save(noise([number, cell, count]), tmp_path / "source" / part / name)
                numbers[name] = number
        (tmp_path / f"source/{part}.json").write_text(json.dumps(numbers))
    save(noise(1), tmp_path / "source/Train/unnamed.jpg")
    run_import("raabin", tmp_path / "source", "--out", tmp_path / "out", "--group", "field")
    assert record(tmp_path / "out")["counts"]["test"] == dict.fromkeys(FIVE, 2)
    assert record(tmp_path / "out")["left_out"] == {"images that Train.json does not name": 1}
    manifest = survey(tmp_path / "out")
    of_number = manifest["path"].str.extract(r"_(\d)\.jpg")[0]
    pairs = set(zip(of_number, manifest["class"], strict=True))
    assert pairs == {
        ("1", "Neutrophil"),
        ("2", "Lymphocyte"),
        ("3", "Monocyte"),
        ("4", "Eosinophil"),
        ("5", "Basophil"),
    }
    assert "95-8-1-1_1" in set(pd.read_csv(tmp_path / "out/groups.csv")["group"])

    (tmp_path / "source/Test.json").write_text('{"../Train/95-8-0-1_0_1.jpg": 1}')
    with pytest.raises(LeukoError, match="not there"):
        run_import("raabin", tmp_path / "source", "--out", tmp_path / "two")
    for odd in ('{"95-8-0-1_0_1.jpg": 6}', '{"95-8-0-1_0_1.jpg": Infinity}', "[1]", "[" * 100_000):
        (tmp_path / "source/Test.json").write_text(odd)
        with pytest.raises(LeukoError, match="from 1 to 5"):
            run_import("raabin", tmp_path / "source", "--out", tmp_path / "two")


def test_pbc_by_folder_or_by_fine_prefix(tmp_path):
    pbc.write_images(tmp_path / "source")
    run_import("pbc", tmp_path / "source", "--out", tmp_path / "coarse")
    assert len(survey(tmp_path / "coarse")) == 5 * 7
    with pytest.raises(LeukoError, match=r"BNE .*band|BNE \(2\): BNE may or may not count as neutrophil"):
        run_import("pbc", tmp_path / "source", "--out", tmp_path / "fine", "--fine")
    run_import("pbc", tmp_path / "source", "--out", tmp_path / "fine", "--fine", "--drop", "BNE")
    names = {path.split("/")[-1].split("_")[0] for path in survey(tmp_path / "fine")["path"] if "Neutrophil" in path}
    assert names == {"SNE", "NEUTROPHIL"}


def test_pbc_lists_must_fit_the_folder(tmp_path):
    _, words = draw("pbc", tmp_path / "source")
    with pytest.raises(LeukoError, match="at least two"):
        run_import(*words[:3], "--out", tmp_path / "out")
    next((tmp_path / "source").glob("*/basophil/*")).unlink()
    with pytest.raises(LeukoError, match=r"BA_\d+\.jpg"):
        run_import(*words, "--out", tmp_path / "out")


@pytest.mark.slow
def test_bccd_boxes_become_crops_with_a_margin(tmp_path):
    _, words = draw("bccd", tmp_path / "source")
    run_import(*words, "--out", tmp_path / "out", "--margin", "0.1")
    # 231 pixels wide and 199 high, 23 around; of the later images the box ends at the lower edge.
    sizes = {path.name: Image.open(path).size for path in (tmp_path / "out").rglob("*.png")}
    assert sizes["BloodImage_00000_1.png"] == (231 + 2 * 23, 199 + 2 * 23)
    assert sizes["BloodImage_00001_1.png"] == (231 + 2 * 25, 249 + 2 * 25)
    assert sizes["BloodImage_00009_1.png"] == (231 + 2 * 30, 480 - 177 + 30)
    whole = Image.open(tmp_path / "source/BCCD/JPEGImages/BloodImage_00000.jpg")
    crop = Image.open(next((tmp_path / "out").rglob("BloodImage_00000_1.png")))
    np.testing.assert_array_equal(np.asarray(crop), np.asarray(whole)[177 - 23 : 376 + 23, 260 - 23 : 491 + 23])


@pytest.mark.parametrize(
    "annotations",
    [
        "<annotation><object><name>WBC</name><bndbox><xmin>nan</xmin></bndbox></object></annotation>",
        "<annotation><object>",
        "<?xml version='1.0' encoding='of nobody'?><annotation/>",
        "<?xml version='1.0' encoding='nobodys'?><annotation/>",
        '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><annotation><object><name>&b;</name></object></annotation>',
        "<!DOCTYPE a [<!ENTITY a0 'aaaaaaaaaa'>"
        + "".join(f"<!ENTITY a{n} '{f'&a{n - 1};' * 10}'>" for n in range(1, 10))
        + "]><annotation><object><name>&a9;</name></object></annotation>",
    ],
    ids=["no number", "broken", "no encoding", "unknown encoding", "another file", "billions"],
)
def test_files_of_boxes_that_are_none_are_refused(annotations, tmp_path):
    _, words = draw("bccd", tmp_path / "source")
    (tmp_path / "source/BCCD/Annotations/BloodImage_00003.xml").write_text(annotations)
    with pytest.raises(LeukoError, match=r"BloodImage_00003\.xml"):
        run_import(*words, "--out", tmp_path / "out")


def test_bccd_asks_for_the_types_that_its_boxes_do_not_tell(tmp_path):
    _, words = draw("bccd", tmp_path / "source")
    with pytest.raises(LeukoError, match="--types"):
        run_import(*words[:2], "--out", tmp_path / "out")


def test_a_public_set_asks_about_what_is_ambiguous(tmp_path):
    _, words = draw("mll23", tmp_path / "source")
    with pytest.raises(LeukoError) as error:
        run_import(*words[:2], "--out", tmp_path / "out")
    assert all(f"{label} (10)" in str(error.value) for label in mll23.ASKED)
    assert not any(f"{label} (10)" in str(error.value) for label in mll23.OTHERS)
    run_import(*words[:2], "--out", tmp_path / "out", "--all-classes")
    assert len(record(tmp_path / "out")["classes"]) == 18


def test_boxes_that_name_types_need_no_table(tmp_path):
    for number in range(20):
        bccd.write_image(tmp_path, number, [(FIVE[number % 5], 100, 100, 160, 150), (FIVE[0], 630, 1, 650, 60)])
    run_import("bccd", tmp_path, "--out", tmp_path.parent / "out", "--ratios", "50", "25", "25")
    assert record(tmp_path.parent / "out")["left_out"] == {"boxes with fewer than 16 pixels a side in their image": 20}
