import re
import shutil
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from leuko.data.manifest import read_manifest
from leuko.packs.augmentation import Pose
from leuko.packs.reading import read_images, read_rows, release
from leuko.packs.writing import contact_sheet, write_pack
from tests.conftest import run_stage, write_settings
from tests.course import WBC, noise, save

PARTS = ("train", "val", "test")
SIZES = {"wbc": {"wbc": 32, "prcc": 64, "cam16": 32}, "prcc": {"prcc": 64}, "cam16": {"cam16": 32}}


@pytest.fixture(scope="module")
def packs(project):
    return project / "data/packs"


@pytest.fixture(scope="module")
def images(project, demo):
    """All original and masked images: the manifests' rows with the files' absolute paths."""
    originals, masked = (read_manifest(project / f"data/{name}manifest.csv") for name in ("", "masked/"))
    return pd.concat(
        [
            originals.assign(file=[demo / path for path in originals["path"]]),
            masked.assign(file=[project / "data/masked" / path for path in masked["path"]]),
        ],
        ignore_index=True,
    )


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("name", SIZES)
def test_a_pack_holds_the_images_of_its_part_resized(packs, images, name, part):
    rows = read_rows(packs / name / part)
    expected = images[(images["set"] == name) & (images["part"] == part)]
    originals = rows[rows["pose"] == "original"]
    assert list(originals["path"]) == list(expected["path"])
    assert list(originals["class"]) == list(expected["class"])
    assert list(originals["subset"]) == list(expected["subset"])
    assert {path.name for path in (packs / name / part).iterdir()} == {
        "rows.csv",
        "scales.json",
        *(f"{size}.npy" for size in SIZES[name]),
    }
    for size, side in SIZES[name].items():
        array = read_images(packs / name / part, size)
        assert (array.shape, array.dtype) == ((len(rows), side, side, 3), np.uint8)
        for row, file in zip(originals.index, expected["file"], strict=True):
            plain = Image.open(file).convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
            np.testing.assert_array_equal(array[row], np.asarray(plain))


@pytest.mark.parametrize("name", ["prcc", "cam16"])
def test_pretraining_images_come_four_times_the_original_first(packs, images, name):
    rows = read_rows(packs / name / "train")
    expected = images[(images["set"] == name) & (images["part"] == "train")]
    assert list(rows["path"]) == [path for path in expected["path"] for _ in range(4)]
    assert (rows["pose"].iloc[::4] == "original").all()
    flipped, rotated, both = (list(rows["pose"].iloc[offset::4].map(pose_of)) for offset in (1, 2, 3))
    assert all(not pose.angle and (pose.left_right or pose.top_bottom) for pose in flipped)
    assert all(pose.angle and not (pose.left_right or pose.top_bottom) for pose in rotated)
    assert all(pose.angle and (pose.left_right or pose.top_bottom) for pose in both)


def pose_of(words: str) -> Pose:
    """The pose that a row's words describe."""
    number = re.search(r"[+-]\d+\.\d", words)
    angle = float(number[0]) if number else 0.0
    (pose,) = [
        pose for pose in (Pose(angle, *flags) for flags in product((False, True), repeat=2)) if str(pose) == words
    ]
    return pose


@pytest.mark.parametrize(("name", "part"), [(n, p) for n in SIZES for p in PARTS if n == "wbc" or p != "train"])
def test_blood_cells_and_held_out_images_come_once(packs, name, part):
    rows = read_rows(packs / name / part)
    assert (rows["pose"] == "original").all()
    assert not rows["path"].duplicated().any()


@pytest.mark.parametrize("name", ["prcc", "cam16"])
def test_copies_are_their_poses_of_the_resized_original(packs, name):
    rows, array = read_rows(packs / name / "train"), read_images(packs / name / "train", name)
    for row in range(0, len(rows), 4):
        for copy in range(row, row + 4):
            posed = pose_of(rows["pose"][copy]).apply(array[row])
            np.testing.assert_array_equal(array[copy], posed)


@pytest.mark.parametrize("name", SIZES)
def test_no_source_image_is_in_two_parts(packs, name):
    sources = {part: set(read_rows(packs / name / part)["source"]) for part in PARTS}
    assert all(sources.values())
    assert sum(map(len, sources.values())) == len(set().union(*sources.values()))


def test_masked_copies_name_the_file_that_was_handed_out(packs, demo, images):
    rows = read_rows(packs / "wbc/train")
    masked = rows[rows["path"] != rows["source"]]
    assert len(masked) == len(WBC)
    assert all((demo / source).is_file() for source in rows["source"])
    assert set(masked["source"]) <= set(rows[rows["path"] == rows["source"]]["path"])
    for name in ("prcc", "cam16"):
        assert all((demo / source).is_file() for source in read_rows(packs / name / "train")["source"])


def test_packs_are_memory_mapped_and_writing_never_reaches_the_file(packs):
    path = packs / "wbc/test/wbc.npy"
    before = path.read_bytes()
    images = read_images(path.parent, "wbc")
    assert isinstance(images, np.memmap)
    images[:] = 0
    images.flush()
    assert path.read_bytes() == before
    assert read_images(path.parent, "wbc").any()


# No other system tells a process's file-mapped memory apart from the rest without a further package.
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc, which Linux alone has")
@pytest.mark.parametrize("mode", ["c", "r+"])
def test_what_was_read_or_written_of_a_file_can_leave_memory_and_stays_in_the_file(tmp_path, mode):
    def resident_mb() -> float:
        status = Path("/proc/self/status").read_text()
        return int(re.search(r"RssFile:\s+(\d+) kB", status)[1]) / 1000

    content = np.arange(16_000_000, dtype=np.uint32)
    np.save(tmp_path / "array.npy", content)
    array = np.load(tmp_path / "array.npy", mmap_mode=mode)
    before = resident_mb()
    if mode == "r+":
        array[:] += 1
        content += 1
    array.sum()
    assert resident_mb() > before + 50
    release(array)
    assert resident_mb() < before + 10
    np.testing.assert_array_equal(array, content)
    release(content)  # not memory-mapped: nothing happens


OF_CELLS = ("data/packs/cells/", "data/packs/nuclei/")


@pytest.mark.slow
def test_equal_seeds_give_equal_packs_others_other_copies(project, demo, tmp_path):
    content = {}
    for name, seed in (("same", 0), ("other", 1)):
        folder = tmp_path / name
        for part in ("manifest.csv", "masked"):
            source, target = project / "data" / part, folder / "data" / part
            target.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if source.is_dir() else shutil.copyfile)(source, target)
        write_settings(folder, data_root=str(demo), **{"augment.seed": seed})
        run_stage("augment", folder)
        content[name] = bytes_of(folder)
    # The project has what other stages wrote, too.
    before = {path: part for path, part in bytes_of(project).items() if not path.startswith(OF_CELLS)}
    assert content["same"] == before
    changed = {path for path in before if before[path] != content["other"][path]}
    assert changed == {
        *(f"data/packs/{name}/train/{file}" for name in ("prcc", "cam16") for file in ("rows.csv", f"{name}.npy")),
        "plots/augment.png",
    }


def bytes_of(folder: Path) -> dict[str, bytes]:
    files = [*(folder / "data/packs").rglob("*.*"), folder / "plots/augment.png"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_balancing_copies_rare_blood_cells_of_the_training_part_only(project, demo, tmp_path):
    shutil.copytree(project / "data", tmp_path / "data")
    write_settings(tmp_path, data_root=str(demo), **{"augment.balance": True})
    run_stage("augment", tmp_path)
    before, after = (read_rows(folder / "data/packs/wbc/train")["class"] for folder in (project, tmp_path))
    most = before.value_counts().max()
    assert before.value_counts().min() < most / 2
    assert after.value_counts().max() == most
    assert after.value_counts().min() > most / 2
    for part in ("val", "test"):
        for file in ("rows.csv", "wbc.npy"):
            path = f"data/packs/wbc/{part}/{file}"
            assert (tmp_path / path).read_bytes() == (project / path).read_bytes()
    rows = read_rows(tmp_path / "data/packs/wbc/train")
    assert (rows.groupby("path").head(1)["pose"] == "original").all()
    copies = rows[rows["pose"] != "original"]["pose"].map(pose_of)
    assert all(bool(pose.angle) != (pose.left_right or pose.top_bottom) for pose in copies)


def test_the_stage_removes_what_an_earlier_run_left(project, demo, tmp_path):
    shutil.copytree(project / "data", tmp_path / "data")
    (tmp_path / "data/packs/wbc/train/stale.npy").write_bytes(b"old")
    write_settings(tmp_path, data_root=str(demo))
    run_stage("augment", tmp_path)
    assert not (tmp_path / "data/packs/wbc/train/stale.npy").exists()


def test_an_image_that_vanished_leaves_no_half_pack(tmp_path):
    files = [save(noise(number), tmp_path / f"{number}.png") for number in range(3)]
    rows = pd.DataFrame({"class": "", "subset": 0, "path": [file.name for file in files], "source": "", "group": ""})
    files[1].unlink()
    with pytest.raises(Exception, match="cannot be opened"):
        write_pack(tmp_path / "pack", rows, files, [[Pose()]] * 3, {"wbc": 16}, "packing")
    assert list((tmp_path / "pack").iterdir()) == []


def test_the_contact_sheet_is_a_picture(packs, tmp_path):
    contact_sheet(tmp_path / "sheet.png", packs, n_images=3)
    with Image.open(tmp_path / "sheet.png") as picture:
        picture.load()
        assert min(picture.size) > 300
