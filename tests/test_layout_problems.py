"""What ingest says of a folder that is not in the course layout: all that is wrong, in one message."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from PIL import Image

from leuko.core.errors import LeukoError
from tests.conftest import REPOSITORY, tiny_settings, write_settings
from tests.course import (
    WBC,
    content,
    draw_course,
    make_manifest,
    noise,
    plan_course,
    save,
    square_mask,
    write_course,
)

OPTIONS = tiny_settings()["ingest"] | {"classes": WBC, "synonyms": {}}
NODES = "CAM16_100cls_10mask"
MASKS = "WBC_100/train/mask"


def spoil(root) -> dict[str, set[str]]:
    """Draw a data root and spoil it in many ways; the paths that must be named, by a word of what is wrong."""
    files = plan_course(train=12, val=3, masked=2)
    eosinophil, neutrophil = "WBC_100/train/data/Eosinophil", "WBC_100/train/data/Neutrophil"
    for path in list(files):
        if path.startswith((f"{NODES}/val/", "WBC_100/val/data/Monocyte/")):
            del files[path]
    whole = content(noise(1, 64, 64))
    # Those from 9 on are in no subset folder.
    files[f"{eosinophil}/eosinophil_0009.jpg"] = whole[: len(whole) // 2]
    files[f"{eosinophil}/eosinophil_0010.jpg"] = b""
    files[f"{eosinophil}/eosinophil_0011.jpg"] = b"words, not pixels"
    files[f"{eosinophil}/eosinophil_0012.jpg"] = content(noise(2, 40, 30))
    files[f"{eosinophil}/bomb.png"] = content(Image.new("1", (20_000, 10_000)), "PNG")
    files[f"{eosinophil}/twice.jpg"] = content(noise(3))
    files[f"{eosinophil}/twice.png"] = content(noise(13), "PNG")
    files[f"{MASKS}/Eosinophil/eosinophil_0012.jpg"] = content(square_mask(40, 31))
    files[f"{MASKS}/Eosinophil/nobody.jpg"] = content(square_mask())
    files[f"{NODES}/train/mask/tumor/nobody.jpg"] = content(square_mask())
    files[f"{NODES}/test/mask/tumor/nobody.jpg"] = content(square_mask())
    files[f"{MASKS}/Neutrophil/neutrophil_0009.jpg"] = content(Image.new("L", (16, 16)))
    files[f"{MASKS}/Neutrophil/neutrophil_0010.jpg"] = content(Image.new("L", (16, 16), 255))
    files["WBC_50/train/mask/Basophil/basophil_0002.jpg"] = content(square_mask(), "PNG")
    files[f"{neutrophil}/notes.txt"] = b"remember the milk"
    files[f"{neutrophil}/neutrophil_0011.jpg"] = content(noise(14, 16, 81))
    files[f"{neutrophil}/neutrophil_0012.jpg"] = content(noise(4, 15, 40))
    files[f"{neutrophil}/folder.jpg/deep.jpg"] = content(noise(15))
    files["WBC_100/train/data/Plasma/plasma_0001.jpg"] = content(noise(5))
    files["WBC_100/train/data/monocytes/another.jpg"] = content(noise(16))
    files["WBC_50/train/data/Basophil/extra.jpg"] = content(noise(6))
    files["WBC_10/train/data/Basophil/basophil_0001.jpg"] = content(noise(7))
    files["WBC_100/val/data/lonely.jpg"] = content(noise(8))
    files["WBC_100/val/data/Basophil/leak.jpg"] = files["WBC_100/train/data/Basophil/basophil_0005.jpg"]
    files[f"{NODES}/train/data/normal/conflict.jpg"] = files[f"{NODES}/train/data/tumor/tumor_0002.jpg"]
    files["WBC_test"] = b"not a folder"
    files["WBC_tests/data/Basophil/basophil_0001.jpg"] = content(noise(17))
    files[f"{NODES}/train/masks/tumor/tumor_0002.jpg"] = content(square_mask())
    files["pRCC/prcc_0001.jpg"] = content(noise(9))[:-60]
    files["pRCC/movie.avi"] = b"RIFF"
    for number, name in enumerate(
        ("case.jpg", "CASE.jpg", "caf\u00e9.jpg", "cafe\u0301.jpg", "new\nline.jpg", "cr\r.jpg")
    ):
        files[f"pRCC/{name}"] = content(noise([20, number]))
    write_course(root, files)
    (root / "WBC_100/val/data/Monocyte").mkdir()
    (root / "pRCC/folder.tif").mkdir()
    (Path(os.fsdecode(bytes(root))) / os.fsdecode(b"pRCC/latin \xe9.jpg")).write_bytes(content(noise(18)))
    os.truncate(save(noise(19), root / "pRCC/huge.jpg"), 2**40)
    os.mkfifo(root / "pRCC/pipe.jpg")
    with contextlib.chdir(root / "pRCC"), socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket.jpg")
    outside = save(noise(20), root.parent / "elsewhere/outside.jpg")
    for link, target in {
        "pRCC/out.jpg": outside,
        "pRCC/out": outside.parent,
        "WBC_10/train/mask/Monocyte": outside.parent,
        "pRCC/nowhere.jpg": "nothing",
        "pRCC/itself.jpg": "itself.jpg",
        "pRCC/up": "..",
        "WBC_100/train/data/Monocyte/nowhere": "../nothing",
    }.items():
        shutil.rmtree(root / link, ignore_errors=True)
        (root / link).symlink_to(target)
    return {
        "Folders that are missing": {f"{NODES}/val/data"},
        "Files where the layout has a folder": {"WBC_test"},
        "the layout does not know; there are WBC_1,": {"WBC_tests"},
        "the layout does not know; there are data,": {f"{NODES}/train/masks"},
        "without an image; add": {"WBC_100/val/data/Monocyte"},
        "no known class": {"WBC_100/train/data/Plasma"},
        "one and the same class": {"WBC_100/train/data/Monocyte", "WBC_100/train/data/monocytes"},
        "Images that cannot be read": {
            f"{eosinophil}/bomb.png",
            f"{eosinophil}/eosinophil_0009.jpg",
            f"{eosinophil}/eosinophil_0010.jpg",
            f"{eosinophil}/eosinophil_0011.jpg",
            "pRCC/prcc_0001.jpg",
            "pRCC/huge.jpg",
        },
        "Not images by their extension": {f"{neutrophil}/notes.txt", "pRCC/movie.avi"},
        "Masks without an image": {
            f"{MASKS}/Eosinophil/nobody.jpg",
            f"{NODES}/train/mask/tumor/nobody.jpg",
            f"{NODES}/test/mask/tumor/nobody.jpg",
        },
        "Masks of another size": {f"{MASKS}/Eosinophil/eosinophil_0012.jpg"},
        "Masks that are empty": {f"{MASKS}/Neutrophil/neutrophil_0009.jpg"},
        "Masks that are full": {f"{MASKS}/Neutrophil/neutrophil_0010.jpg"},
        "Masks of a subset that differ": {"WBC_50/train/mask/Basophil/basophil_0002.jpg"},
        "that WBC_100/train/data lacks": {"WBC_50/train/data/Basophil/extra.jpg"},
        "that differ from WBC_100": {"WBC_10/train/data/Basophil/basophil_0001.jpg"},
        "a side below 16 pixels": {f"{neutrophil}/neutrophil_0012.jpg"},
        "more than 5 times as long": {f"{neutrophil}/neutrophil_0011.jpg"},
        "outside the class folders": {"WBC_100/val/data/lonely.jpg"},
        "Folders in a class folder": {f"{neutrophil}/folder.jpg"},
        "Folders named like images": {"pRCC/folder.tif"},
        "same name but for the extension": {f"{eosinophil}/twice.png"},
        "Names alike": {"pRCC/case.jpg", "pRCC/CASE.jpg", "pRCC/caf\u00e9.jpg", "pRCC/cafe\u0301.jpg"},
        "Names with control characters": {"pRCC/new\\nline.jpg", "pRCC/cr\\r.jpg", "pRCC/latin \\udce9.jpg"},
        "Pipes, sockets": {"pRCC/pipe.jpg", "pRCC/socket.jpg"},
        "out of the data root": {"pRCC/out.jpg", "pRCC/out", "WBC_10/train/mask/Monocyte"},
        "nowhere or in circles": {
            "pRCC/nowhere.jpg",
            "pRCC/itself.jpg",
            "pRCC/up",
            "WBC_100/train/data/Monocyte/nowhere",
        },
        "Pictures in several parts": {
            "exact: WBC_100/train/data/Basophil/basophil_0005.jpg (train) = WBC_100/val/data/Basophil/leak.jpg"
        },
        "Pictures under several classes": {
            f"exact: {NODES}/train/data/normal/conflict.jpg (train) = {NODES}/train/data/tumor/tumor_0002.jpg (train)"
        },
    }


def lock(root) -> dict[str, set[str]]:
    """Take away the permission to read a file, a class folder and a part; the paths that must be named."""
    for path in ("pRCC/_0002.jpg", "WBC_100/train/data/Lymphocyte", f"{NODES}/test"):
        (root / path).chmod(0)
    return {
        "Images that cannot be read": {"pRCC/_0002.jpg"},
        "Files and folders that cannot be read": {
            "WBC_100/train/data/Lymphocyte",
            f"{NODES}/test",
            f"{NODES}/test/data",
            f"{NODES}/test/mask",
        },
        "without an image; add": {"WBC_100/train/data/Lymphocyte"},
        "that WBC_100/train/data lacks": {
            *(f"WBC_{subset}/train/data/Lymphocyte/lymphocyte_0001.jpg" for subset in (1, 10, 50)),
            *(f"WBC_50/train/data/Lymphocyte/lymphocyte_{number:04}.jpg" for number in range(2, 7)),
        },
        "Masks without an image": {f"{MASKS}/Lymphocyte/lymphocyte_{number:04}.jpg" for number in (1, 2)},
    }


@contextlib.contextmanager
def as_nobody(folder):
    """Work in a folder, without root's permission to read everything."""
    folder.chmod(0o755)
    user = os.geteuid()
    with contextlib.chdir(folder):
        if user == 0:
            os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(user)


def kinds_and_paths(report: str) -> tuple[str, dict[str, set[str]]]:
    """A report's title, and its lines under the kinds of problems."""
    title, _, *lines = report.split("\n\nIn all")[0].splitlines()
    named: dict[str, set[str]] = {}
    under: set[str] = set()
    for line in lines:
        if line.startswith("    "):
            under.add(line.strip())
        else:
            under = named.setdefault(line, set())
    return title, named


def assert_named(report: str, expected: dict[str, set[str]]) -> None:
    """A report must have the expected kinds, under each the expected beginnings of lines, and their total."""
    title, named = kinds_and_paths(report)
    for part, starts in expected.items():
        (kind,) = [kind for kind in named if part in kind]
        lines = named.pop(kind)
        assert kind.endswith(f" ({len(starts)}):"), (kind, lines)
        assert all(any(line.startswith(start) for line in lines) for start in starts), (kind, lines)
    assert named == {}
    assert title.startswith(f"{sum(map(len, expected.values()))} problems in ")


def test_one_message_names_everything_that_is_wrong(tmp_path):
    expected = spoil(tmp_path / "course")
    with pytest.raises(LeukoError) as caught:
        make_manifest(tmp_path / "course", **OPTIONS | {"duplicates": "fail"})
    assert_named(str(caught.value), expected)
    assert str(caught.value).encode().count(b"\n") > sum(map(len, expected.values()))  # it can be printed


@pytest.mark.slow
def test_many_files_which_processes_open_are_found_to_be_the_same(tmp_path, monkeypatch):
    spoil(tmp_path / "course")
    started = []
    monkeypatch.setattr("leuko.core.parallel.ITEMS_PER_PROCESS", 4)
    monkeypatch.setattr("leuko.core.parallel.n_cores", lambda: 2)
    monkeypatch.setattr("leuko.core.parallel._processes", lambda: started.append(1) or pool)
    said = []
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        for many in (10**9, 4):
            monkeypatch.setattr("leuko.data.probing.MANY", many)
            with pytest.raises(LeukoError) as caught:
                make_manifest(tmp_path / "course", **OPTIONS | {"duplicates": "fail"})
            said.append(str(caught.value))
            assert bool(started) == (many == 4)
    assert said[0] == said[1]


def test_what_may_not_be_read_is_named_with_the_rest(tmp_path):
    root = draw_course(tmp_path / "course", train=12, masked=2)
    expected = lock(root)
    with as_nobody(tmp_path), pytest.raises(LeukoError) as caught:
        make_manifest(Path("course"), **OPTIONS)
    assert_named(str(caught.value), expected)


def test_a_long_report_ends_with_its_counts(tmp_path):
    root = draw_course(tmp_path)
    for number in range(1000):
        (root / f"pRCC/{number}.txt").touch()
    (root / "pRCC/empty.jpg").touch()
    with pytest.raises(LeukoError) as caught:
        make_manifest(root, **OPTIONS)
    *listed, last_but_two, last_but_one, last = str(caught.value).splitlines()
    assert sum(line.endswith(".txt") for line in listed) == 1000
    assert last_but_two == "In all 1001 problems:"
    assert (last_but_one[:30], last_but_one[-4:]) == ("    Images that cannot be read", " (1)")
    assert last.endswith(" (1000)")


@pytest.mark.slow
def test_the_stage_fails_with_the_message_alone_and_leaves_what_was_there(tmp_path):
    expected = spoil(tmp_path / "course")
    write_settings(tmp_path, data_root="course")
    manifest = tmp_path / "data/manifest.csv"
    manifest.parent.mkdir()
    manifest.write_text("what was there\n")
    before = sorted(path for path in tmp_path.rglob("*"))
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", "stages.ingest"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    del expected["Pictures in several parts"], expected["Pictures under several classes"]  # these are warned of only
    assert_named(done.stderr[done.stderr.index(f"{sum(map(len, expected.values()))} problems") :], expected)
    assert "Traceback" not in done.stderr
    assert manifest.read_text() == "what was there\n"
    assert sorted(path for path in tmp_path.rglob("*")) == before


def test_a_single_problem_is_one_problem(tmp_path):
    root = draw_course(tmp_path)
    (root / "pRCC/prcc.gif").write_bytes(content(Image.new("L", (20, 20)), "GIF"))
    with pytest.raises(LeukoError, match=r"^1 problem in .*\n\n.*\(1\):\n    pRCC/prcc.gif$"):
        make_manifest(root, **OPTIONS)


def test_a_class_with_one_val_image_cannot_be_divided(tmp_path):
    root = draw_course(tmp_path, val=dict.fromkeys(WBC, 2) | {"Monocyte": 1})
    with pytest.raises(LeukoError, match=r"one image only[^\n]*\n    WBC_100/val/data/Monocyte"):
        make_manifest(root, **OPTIONS)


def test_too_few_prcc_images_cannot_be_divided(tmp_path):
    with pytest.raises(LeukoError, match="fewer than 3 images"):
        make_manifest(draw_course(tmp_path, prcc=2), **OPTIONS)


def test_a_folder_that_cannot_be_read_is_reported_with_the_rest(tmp_path):
    root = draw_course(tmp_path)
    (root / "WBC_100/train/data/Basophils").symlink_to(tmp_path / "nowhere")
    (root / "pRCC/prcc_0001.jpg").write_bytes(b"")
    with pytest.raises(LeukoError) as refused:
        make_manifest(root, **OPTIONS)
    assert "in circles; replace them by what they should lead to (1):\n    WBC_100/train/data/Basophils" in str(
        refused.value
    )
    assert "pRCC/prcc_0001.jpg: the file is empty" in str(refused.value)


def test_images_of_other_classes_are_told_from_folders_without_any(tmp_path):
    with pytest.raises(LeukoError) as refusal:
        make_manifest(draw_course(tmp_path), **(OPTIONS | {"classes": ["Blast", "Plasma cell"]}))
    assert "set by classes" in str(refusal.value)
    assert "Folders without an image" not in str(refusal.value)
