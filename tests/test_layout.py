"""What ingest accepts as the course layout, and what it says of a folder that is not."""

import os
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from leuko.data.layout import discover
from leuko.data.manifest import make_manifest
from leuko.errors import LeukoError
from tests.conftest import REPOSITORY, tiny_settings, write_settings
from tests.course import CAM16, WBC, content, draw_course, noise, plan_course, save, square_mask, write_course

OPTIONS = tiny_settings()["ingest"]
NODES = "CAM16_100cls_10mask"


def found(root) -> list[tuple]:
    images, problems = discover(root)
    assert not problems.found
    return [(image.set, image.part, image.label, image.path.name, image.subset, image.mask_subset) for image in images]


@given(
    st.fixed_dictionaries(
        {label: st.tuples(st.lists(st.booleans(), min_size=10, max_size=10), st.booleans()) for label in (*WBC, *CAM16)}
    )
)
def test_class_folders_match_in_any_case_singular_or_plural(tmp_path_factory, spellings):
    def spelt(label: str) -> str:
        upper, plural = spellings[label]
        name = "".join(c.upper() if up else c.lower() for c, up in zip(label, upper, strict=False))
        return name + "s" * plural

    files = plan_course(train=2, val=2, alike=True)
    respelt = {re.sub(r"(?<=/)[^/]+(?=/[^/]+$)", lambda m: spelt(m[0]), path): part for path, part in files.items()}
    root = tmp_path_factory.mktemp("course")
    plain, other = write_course(root / "plain", files), write_course(root / "other", respelt | prcc_of(files))
    assert found(other) == found(plain)


def prcc_of(files):
    return {path: part for path, part in files.items() if path.startswith("pRCC")}


def test_every_image_is_found_once_in_its_place(tmp_path):
    root = draw_course(tmp_path, train=12, val=3, test=2, cam16=2, prcc=4, masked=2)
    images, problems = discover(root)
    assert not problems.found
    on_disk = {path.relative_to(root) for path in root.rglob("*.jpg")}
    named = [path for image in images for path in (image.path, *image.copies)]
    assert len(named) == len(set(named))
    assert set(named) == {path for path in on_disk if "mask" not in path.parts}
    for image in images:
        assert image.mask is None or image.mask.name == image.path.name
        assert image.mask is None or image.path.parts[-2] == image.mask.parts[-2] == image.label
        if image.set != "prcc":
            assert {"WBC_test": "test"}.get(image.path.parts[0], image.path.parts[1]) == image.part
    masked = [image for image in images if image.mask]
    assert len(masked) == 2 * len(WBC) + 2 * len(CAM16)


def test_prcc_images_may_lie_in_folders_of_any_depth(tmp_path):
    root = draw_course(tmp_path, prcc=3)
    save(noise(1), root / "pRCC/slide 7/region/deep.PNG")
    assert [image[3] for image in found(root) if image[0] == "prcc"][-1] == "deep.PNG"


def test_what_systems_leave_behind_is_passed_over(tmp_path):
    root = draw_course(tmp_path)
    before = found(root)
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._basophil_0001.jpg"):
        for folder in ("WBC_100/train/data/Basophil", "WBC_100/train/data", "pRCC", f"{NODES}/train/mask/tumor"):
            (root / folder / name).write_bytes(b"clutter")
    assert found(root) == before


def test_a_mask_may_have_another_extension_than_its_image(tmp_path):
    files = plan_course(masked=0)
    root = write_course(tmp_path, files)
    image = min(path for path in files if path.startswith("WBC_100/train/data/Monocyte"))
    save(square_mask(), (root / image.replace("/data/", "/mask/")).with_suffix(".png"))
    (masked,) = [image for image in discover(root)[0] if image.mask]
    assert (masked.path.as_posix(), masked.mask.suffix, masked.mask_subset) == (image, ".png", 100)


def test_the_data_root_must_be_a_folder(tmp_path):
    file = tmp_path / "file"
    file.touch()
    for root in (file, tmp_path / "missing"):
        with pytest.raises(LeukoError, match=f"data_root.*{root}"):
            discover(root)


def test_an_empty_data_root_names_all_that_is_missing(tmp_path):
    with pytest.raises(LeukoError) as caught:
        make_manifest(tmp_path, **OPTIONS)
    for folder in ("WBC_100/train/data", "WBC_100/val/data", f"{NODES}/train/data", f"{NODES}/test/data", "pRCC"):
        assert f"    {folder}\n" in f"{caught.value}\n"


def spoil(root) -> dict[str, set[str]]:
    """Draw a data root and spoil it in many ways; the paths that must be named, by a word of what is wrong."""
    files = plan_course(train=12, val=3, masked=2)
    eosinophil, neutrophil = "WBC_100/train/data/Eosinophil", "WBC_100/train/data/Neutrophil"
    for path in list(files):
        if path.startswith((f"{NODES}/val/", "WBC_100/val/data/Monocyte/")):
            del files[path]
    whole = content(noise(1, 64, 64))
    # The last four are in no subset folder, the last one has a mask of its own.
    files[f"{eosinophil}/eosinophil_0009.jpg"] = whole[: len(whole) // 2]
    files[f"{eosinophil}/eosinophil_0010.jpg"] = b""
    files[f"{eosinophil}/eosinophil_0011.jpg"] = b"words, not pixels"
    files[f"{eosinophil}/eosinophil_0012.jpg"] = content(noise(2, 40, 30))
    files[f"{eosinophil}/twice.jpg"] = content(noise(3))
    files[f"{eosinophil}/twice.png"] = content(noise(3), "PNG")
    files["WBC_100/train/mask/Eosinophil/eosinophil_0012.jpg"] = content(square_mask(40, 31))
    files["WBC_100/train/mask/Eosinophil/nobody.jpg"] = content(square_mask())
    files[f"{NODES}/train/mask/tumor/nobody.jpg"] = content(square_mask())
    files[f"{neutrophil}/notes.txt"] = b"remember the milk"
    files[f"{neutrophil}/neutrophil_0012.jpg"] = content(noise(4, 15, 40))
    files["WBC_100/train/data/Plasma/plasma_0001.jpg"] = content(noise(5))
    files["WBC_50/train/data/Basophil/extra.jpg"] = content(noise(6))
    files["WBC_10/train/data/Basophil/basophil_0001.jpg"] = content(noise(7))
    files["WBC_100/val/data/lonely.jpg"] = content(noise(8))
    files["pRCC/prcc_0001.jpg"] = content(noise(9))[:-60]
    files["pRCC/movie.avi"] = b"RIFF"
    write_course(root, files)
    (root / "WBC_100/val/data/Monocyte").mkdir()
    return {
        "Folders that are missing": {f"{NODES}/val/data"},
        "without an image; add": {"WBC_100/val/data/Monocyte"},
        "no known class": {"WBC_100/train/data/Plasma"},
        "cannot be read": {
            f"{eosinophil}/eosinophil_0009.jpg",
            f"{eosinophil}/eosinophil_0010.jpg",
            f"{eosinophil}/eosinophil_0011.jpg",
            "pRCC/prcc_0001.jpg",
        },
        "Not images by their extension": {f"{neutrophil}/notes.txt", "pRCC/movie.avi"},
        "Masks without an image": {
            "WBC_100/train/mask/Eosinophil/nobody.jpg",
            f"{NODES}/train/mask/tumor/nobody.jpg",
        },
        "Masks of another size": {"WBC_100/train/mask/Eosinophil/eosinophil_0012.jpg"},
        "that WBC_100/train/data lacks": {"WBC_50/train/data/Basophil/extra.jpg"},
        "that differ from WBC_100": {"WBC_10/train/data/Basophil/basophil_0001.jpg"},
        "a side below 16 pixels": {f"{neutrophil}/neutrophil_0012.jpg"},
        "outside the class folders": {"WBC_100/val/data/lonely.jpg"},
        "same name but for the extension": {f"{eosinophil}/twice.png"},
    }


def test_one_message_names_everything_that_is_wrong(tmp_path):
    expected = spoil(tmp_path / "course")
    with pytest.raises(LeukoError) as caught:
        make_manifest(tmp_path / "course", **OPTIONS)
    title, _, *lines = str(caught.value).splitlines()
    named: dict[str, set[str]] = {}
    under: set[str] = set()
    for line in lines:
        if line.startswith("    "):
            under.add(line.strip().split(":")[0])
        else:
            (kind,) = [kind for kind in expected if kind in line]
            under = named.setdefault(kind, set())
    assert named == expected
    total = sum(map(len, expected.values()))
    assert title.startswith(f"{total} problems in {tmp_path / 'course'}")


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
    for kind, paths in expected.items():
        assert kind in done.stderr
        assert all(path in done.stderr for path in paths)
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
    assert "WBC_100/train/data/Basophils: No such file or directory" in str(refused.value)
    assert "pRCC/prcc_0001.jpg: the file is empty" in str(refused.value)
