"""What is accepted as the course layout, by ingest and by `leuko check`."""

import os
import re
import shutil
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from leuko.core.errors import LeukoError
from leuko.core.files import write_table
from leuko.data.layout import discover
from leuko.data.manifest import read_manifest
from tests.conftest import REPOSITORY, tiny_settings, write_settings
from tests.course import (
    CAM16,
    WBC,
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


def found(root) -> list[tuple]:
    images, problems = discover(root, WBC, {})
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
    images, problems = discover(root, WBC, {})
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
    (masked,) = [image for image in discover(root, WBC, {})[0] if image.mask]
    assert (masked.path.as_posix(), masked.mask.suffix, masked.mask_subset) == (image, ".png", 100)


def test_the_data_root_must_be_a_folder(tmp_path):
    file = tmp_path / "file"
    file.touch()
    for root in (file, tmp_path / "missing"):
        with pytest.raises(LeukoError, match=f"data_root.*{root}"):
            discover(root, WBC, {})


def test_an_empty_data_root_names_all_that_is_missing(tmp_path):
    with pytest.raises(LeukoError) as caught:
        make_manifest(tmp_path, **OPTIONS)
    for folder in ("WBC_100/train/data", "WBC_100/val/data"):
        assert f"    {folder}\n" in f"{caught.value}\n"


def test_labelled_cells_alone_are_enough(tmp_path):
    files = {path: part for path, part in plan_course().items() if path.startswith("WBC_100/") and "/mask/" not in path}
    manifest = make_manifest(write_course(tmp_path, files), **OPTIONS)
    assert set(manifest["set"]) == {"wbc"}
    assert set(manifest["subset"]) > {1, 100}
    assert not (manifest["mask"] != "").any()


def test_links_that_stay_inside_are_followed_as_is_a_data_root_that_is_a_link(tmp_path):
    root = draw_course(tmp_path / "course")
    before = found(root)
    (root / "WBC_100/val").rename(root / "moved")
    (root / "WBC_100/val").symlink_to("../moved")
    (root / "pRCC/_0001.jpg").rename(root / "moved.jpg")
    (root / "pRCC/_0001.jpg").symlink_to(root / "moved.jpg")
    (tmp_path / "link").symlink_to("course")
    assert found(root) == found(tmp_path / "link") == before


def test_files_may_be_links_into_dvcs_cache(tmp_path):
    root = draw_course(tmp_path / "course")
    before = found(root)
    for number, path in enumerate(sorted(root.rglob("*.jpg"))):
        cached = tmp_path / f".dvc/cache/files/md5/{number % 256:02x}/{number:030x}"
        cached.parent.mkdir(parents=True, exist_ok=True)
        path.rename(cached)
        path.symlink_to(cached)
    assert found(root) == before


def test_names_may_be_in_any_script_and_masks_in_another_of_unicodes_spellings(tmp_path):
    root = draw_course(tmp_path, masked=0)
    names = ["\u767d\u8840\u7403 1", "\u043b\u0435\u0439\u043a\u043e", 'caf\u00e9, "x"', "NA", "\u06a9\u200c\u0631"]
    for number, name in enumerate(names):
        save(noise(number), root / f"WBC_100/train/data/Monocyte/{name}.png")
    save(square_mask(), root / 'WBC_100/train/mask/Monocyte/cafe\u0301, "x".png')
    manifest = make_manifest(root, **OPTIONS)
    write_table(tmp_path / "manifest.csv", manifest)
    back = read_manifest(tmp_path / "manifest.csv").set_index("path")
    assert {f"WBC_100/train/data/Monocyte/{name}.png" for name in names} <= set(back.index)
    assert back["mask"][f"WBC_100/train/data/Monocyte/{names[2]}.png"] != ""


def test_a_full_mask_of_tumor_and_an_empty_one_of_normal_tissue_are_right(tmp_path):
    root = draw_course(tmp_path)
    masks = root / NODES / "train/mask"
    save(Image.new("L", (16, 16), 255), masks / "tumor/tumor_0001.jpg")
    save(Image.new("L", (16, 16)), masks / "normal/normal_0001.jpg")
    make_manifest(root, **OPTIONS)
    save(Image.new("L", (16, 16)), masks / "tumor/tumor_0001.jpg")
    with pytest.raises(LeukoError, match=r"empty.*\n +CAM16_100cls_10mask/train/mask/tumor/tumor_0001\.jpg"):
        make_manifest(root, **OPTIONS)


# `leuko check`.


def check(folder, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "leuko", "check", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_a_check_names_the_classes_that_the_test_folder_lacks(tmp_path):
    root = draw_course(tmp_path / "course", test=1)
    shutil.rmtree(root / "WBC_test/data/Monocyte")
    write_settings(tmp_path, data_root="course")
    done = check(tmp_path)
    assert done.returncode == 0
    assert "No test image of Monocyte" in done.stdout


@pytest.mark.slow
def test_a_check_says_what_there_is_and_writes_nothing(tmp_path):
    draw_course(tmp_path / "course", train=3)
    draw_course(tmp_path / "another one")
    write_settings(tmp_path, data_root="course")
    before = sorted(tmp_path.rglob("*"))
    for arguments, n_images in (((), 3), (("another one",), 4)):
        done = check(tmp_path, *arguments)
        assert (done.returncode, done.stdout.count("No errors, 1 warning in")) == (0, 1), done.stderr  # masks of noise
        assert re.search(rf"wbc +train +Basophil +{n_images} +1 +16 +16\n", done.stdout)
    (tmp_path / "course/pRCC/_0002.jpg").write_bytes((tmp_path / "course/pRCC/_0003.jpg").read_bytes())
    (tmp_path / "course/pRCC/_0001.jpg").write_bytes(b"")
    done = check(tmp_path)
    assert done.returncode == 1
    assert "1 problem in course" in done.stderr
    assert "exact: pRCC/_0002.jpg" in done.stdout
    assert re.search(r"prcc +.* 2 +0 +16 +16\n", done.stdout)
    assert "Traceback" not in done.stderr
    assert sorted(tmp_path.rglob("*")) == before
