"""Images that can be read and yet show nothing, are damaged, clipped or told by something else than what they show."""

import io

import numpy as np
import pytest
from PIL import Image, ImageFilter

from leuko.data import clues, picture_checks
from leuko.data.images import UnreadableImageError, probe_image
from leuko.data.leftovers import is_leftover, stands_for
from leuko.data.scale import from_column
from leuko.data.summary import verdict
from leuko.data.survey import Survey, survey_data
from tests import drawn_masks, encoding, pictures
from tests.conftest import tiny_settings
from tests.course import WBC, draw_course, noise, save
from tests.profiles import DISPLAY_P3

OPTIONS = tiny_settings()["ingest"] | {"classes": WBC, "synonyms": {}}
FOLDER = "WBC_100/train/data/Monocyte"


@pytest.fixture
def course(tmp_path):
    return draw_course(tmp_path, train=3, val=2, masked=0, cam16=1, subsets=())


def survey(root, **options) -> Survey:
    return survey_data(root, **OPTIONS | options)


def blank(shade, size=(40, 30)) -> Image.Image:
    return Image.new("RGB", size, shade)


EMPTY = {
    "black.png": blank((0, 0, 0)),
    "white.jpg": blank((255, 255, 255)),
    "colour.png": blank((200, 180, 190)),
    "grey.tif": Image.new("L", (40, 30), 128),
    "deep.png": Image.fromarray(np.full((30, 40), 1000, np.uint16)),
    "noise of a sensor.png": Image.fromarray(
        np.random.default_rng(0).normal(30, 4, (300, 400, 3)).clip(0, 255).astype(np.uint8)
    ),
}
TRANSPARENT = {
    "rgba.png": Image.merge("RGBA", [*noise(1, 40, 30).split(), Image.new("L", (40, 30), 0)]),
    "la.png": Image.merge("LA", [noise(1, 40, 30).getchannel(0), Image.new("L", (40, 30), 0)]),
}


@pytest.mark.parametrize(("kind", "images"), [(picture_checks.BLANK, EMPTY), (picture_checks.HIDDEN, TRANSPARENT)])
def test_frames_that_show_nothing_are_told_dropped_or_refused(course, kind, images):
    for name, image in images.items():
        save(image, course / FOLDER / name)
    paths = {f"{FOLDER}/{name}" for name in images}
    warned = survey(course)
    assert warned.warnings.found == {kind: paths}
    assert not warned.problems.found
    assert paths <= set(warned.manifest["path"])
    assert verdict(warned, course, WBC) == f"No errors, {len(paths)} warnings in {course}."
    assert not paths & set(survey(course, blank="drop").manifest["path"])
    (problem,) = survey(course, blank="fail").problems.found.values()
    assert problem == paths


def test_what_is_far_more_out_of_focus_than_the_others_is_told(course):
    for number in range(12):
        save(drawn_masks.cell(number, 128)[0], course / FOLDER / f"cell{number}.png")
    save(drawn_masks.cell(0, 128)[0].filter(ImageFilter.GaussianBlur(20)), course / FOLDER / "blurred.png")
    assert survey(course).warnings.found == {picture_checks.OUT_OF_FOCUS: {f"{FOLDER}/blurred.png"}}


def test_values_beyond_the_scale_are_clipped_and_counted(course):
    values = np.linspace(0, 1, 1200).reshape(30, 40).astype(np.float32)
    for number in range(3):
        content = encoding.tiff(np.roll(values, 100 * number), photometric="minisblack")
        (course / FOLDER / f"{number}.tif").write_bytes(content)
    odd = values.copy()
    odd[0, :5], odd[1, :3] = np.nan, np.inf
    (course / FOLDER / "odd.tif").write_bytes(encoding.tiff(odd, photometric="minisblack"))
    found = survey(course)
    assert found.warnings.found[picture_checks.CLIPPED] == {f"{FOLDER}/odd.tif: 8 values"}
    assert "Images of wbc that are TIFF float32: 4; 0 is black and 1 is white (ingest.max_value)." in found.notes
    said = survey(course, max_value=0.5).warnings.found[picture_checks.CLIPPED]
    assert len(said) == 4


def test_the_scale_is_the_sets_not_the_images(course):
    for number, top in enumerate((4095, 2000, 1500)):
        deep = pictures.deeper(pictures.picture()[..., 1], top, "uint16")
        (course / FOLDER / f"{number}.tif").write_bytes(encoding.tiff(deep, photometric="minisblack"))
    (scale,) = from_column(survey(course).manifest["scale"]).values()
    assert (scale.black, scale.white) == (0, 4095)
    (scale,) = from_column(survey(course, max_value=65535).manifest["scale"]).values()
    assert scale.white == 65535


def test_an_image_of_fewer_bits_is_told(course):
    for number in range(3):
        deep = pictures.deeper(np.roll(pictures.picture()[..., 1], 5 * number, 0), 4095, "uint16")
        (course / FOLDER / f"{number}.tif").write_bytes(encoding.tiff(deep, photometric="minisblack"))
    shallow = pictures.deeper(pictures.picture()[..., 0], 1023, "uint16")
    (course / FOLDER / "ten.tif").write_bytes(encoding.tiff(shallow, photometric="minisblack"))
    lines = survey(course).warnings.found[picture_checks.FEWER_BITS]
    assert [line.split(":")[0] for line in lines] == [f"{FOLDER}/ten.tif"]


def test_profiles_are_counted_and_broken_ones_told(course):
    for name, profile in (("p3", DISPLAY_P3), ("cut", DISPLAY_P3[:300]), ("junk", b"x" * 200)):
        save(Image.fromarray(pictures.picture()), course / FOLDER / f"{name}.png", icc_profile=profile)
    found = survey(course)
    assert any("drawn for a test 1" in note and "unusable 2" in note for note in found.notes)
    assert found.warnings.found[picture_checks.PROFILES] == {f"{FOLDER}/{name}.png" for name in ("cut", "junk")}


def damaged(content: bytes, kind: str, rng: np.random.Generator) -> bytes:
    """A JPEG file with damage in what it says of its pixels."""
    start = content.index(b"\xff\xda") + 14
    place = int(rng.integers(start, len(content) - 600))
    if kind == "zeros":
        return content[:place] + bytes(512) + content[place + 512 :]
    return content[:place] + b"\xff\xd9" + (b"" if kind == "cut" else content[place + 2 :])


@pytest.mark.parametrize("kind", ["zeros", "early end", "cut"])
def test_damaged_jpegs_are_refused(tmp_path, kind):
    rng = np.random.default_rng(0)
    content = io.BytesIO()
    drawn_masks.cell(0, 160)[0].save(content, "JPEG", quality=95)
    path = tmp_path / "image.jpg"
    path.write_bytes(content.getvalue())
    probe_image(path)
    for _ in range(20):
        path.write_bytes(damaged(content.getvalue(), kind, rng))
        with pytest.raises(UnreadableImageError, match="damaged or truncated"):
            probe_image(path)


@pytest.mark.parametrize(
    "name",
    [
        "Thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "Icon\r", "Icon", ".DS_Store", "._cell.jpg",
        "cell.jpg:Zone.Identifier", "cell.jpg\uf03aZone.Identifier", "cell.jpgZone.Identifier", "@eaDir", "__MACOSX",
        "SYNOPHOTO_THUMB_S.jpg", "$RECYCLE.BIN", "System Volume Information", "lost+found", "#recycle", "cell.jpg~",
    ],
)  # fmt: skip
@pytest.mark.parametrize("folder", [FOLDER, "WBC_100/train/data", "WBC_100/val/data", "pRCC", ""])
def test_what_systems_leave_behind_is_passed_over(course, folder, name):
    assert is_leftover(name)
    before = survey(course).manifest
    if name in ("@eaDir", "__MACOSX"):
        save(noise(3), course / folder / name / "cell.jpg")
    else:
        (course / folder / name).write_bytes(b"x")
    found = survey(course)
    assert not found.problems.found
    assert found.manifest.equals(before)


@pytest.mark.parametrize(
    "name",
    [
        "._.cell.jpg.icloud", ".AppleDouble", ".Spotlight-V100", ".fseventsd", "RECYCLER", "Recycled", "FOUND.000",
        "cell.jpg:com.apple.metadata", "cell.jpg@SynoEAStream", "#snapshot", "@Recycle", ".@__thumb", ".stfolder",
        "sync.ffs_db", "~$cell.jpg", ".~lock.cell.jpg#", "#cell.jpg#", "cell.jpg.swp", "ICON", "THUMBS.DB",
    ],
)  # fmt: skip
def test_so_are_the_rarer_ones(name):
    assert is_leftover(name)


@pytest.mark.parametrize(
    "name", ["cell.jpg", "thumbs.jpg", "icon.png", "cell.jpg.bak", "_cell.jpg", "cell~1.jpg", "#3"]
)
def test_what_a_person_may_have_named_is_not(name):
    assert not is_leftover(name)


@pytest.mark.parametrize(
    ("name", "real"),
    [
        (".cell.jpg.icloud", "cell.jpg"),
        ("cell.jpg.!qB", "cell.jpg"),
        ("cell.jpg.lnk", "cell.jpg"),
        ("cell.jpg.icloud", "cell.jpg"),
        ("cell.png.crdownload", "cell.png"),
        ("cell.tif.part", "cell.tif"),
        ("cell.jpg.nextcloud", "cell.jpg"),
        ("cell.bmp.dvc", "cell.bmp"),
    ],
)
def test_what_stands_for_a_file_that_is_elsewhere_is_told(course, name, real):
    assert stands_for(name) == real
    (course / FOLDER / name).write_bytes(b"bplist00")
    ((kind, paths),) = survey(course).problems.found.items()
    assert "Placeholders" in kind
    assert paths == {f"{FOLDER}/{name}: of {real}"}


@pytest.mark.parametrize("name", [f"{FOLDER}/sub\\cell.jpg", "WBC_100\\train\\data\\Monocyte\\cell.jpg", "pRCC\\a.jpg"])
def test_backslashes_are_told_as_an_archive_unpacked_wrongly(course, name):
    save(noise(3), course / name)
    ((kind, paths),) = survey(course).problems.found.items()
    assert "archive unpacked wrongly" in kind
    assert paths == {name}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda image: ("{}.png", {}, image), "format PNG"),
        (lambda image: ("{}.jpg", {}, image.resize((40, 40))), "size 40 x 40"),
        (lambda image: ("{}.jpg", {}, image.convert("L")), "samples L uint8"),
        (lambda image: ("20190527_{}_1.jpg", {}, image), "names like 0_0_0"),
        (lambda image: ("{}.jpg", {"icc_profile": DISPLAY_P3}, image), "profile drawn for a test"),
    ],
)
def test_a_class_that_differs_by_more_than_the_cell_is_told(tmp_path, change, words):
    root = draw_course(tmp_path, train=dict.fromkeys(WBC, 6) | {"Basophil": 1}, val=2, masked=0, subsets=())
    folders = [root / f"WBC_100/{part}/data/Basophil" for part in ("train", "val")]
    for path in [path for folder in folders for path in folder.iterdir()]:
        path.unlink()
    for number in range(8):
        folder = folders[number > 5]
        name, options, image = change(noise([7, number], 16, 16))
        save(image, folder / name.format(f"{number:04}"), **options)
    (line,) = [line for line in survey(root).warnings.found[clues.ALONE] if line.startswith("Basophil")]
    assert words in line


def test_names_that_look_like_groups_are_told_where_none_are_followed(course):
    for part, numbers in (("train", (1, 2)), ("val", (3, 4))):
        for number in numbers:
            save(noise([8, number]), course / f"WBC_100/{part}/data/Monocyte/95-8-10-1_{number}_1.jpg")
    (line,) = survey(course).warnings.found[clues.NAMES]
    assert line == "ingest.group=raabin: 2 of 12 held-out images would be of groups in training"
    assert clues.NAMES not in survey(course, group="raabin").warnings.found


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n", "Git LFS"),
        (b"/annex/objects/SHA256E-s1--0.jpg\n", "git-annex"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"\0\0\0\x18ftypheic", "HEIC"),
        (b"%PDF-1.4", "PDF"),
        (b"PK\x03\x04", "archive"),
        (b"\0" * 100, "zeros"),
        (b"bplist00", "iCloud"),
    ],
)
def test_what_is_something_else_is_named(tmp_path, content, words):
    (tmp_path / "image.jpg").write_bytes(content)
    with pytest.raises(UnreadableImageError, match=words):
        probe_image(tmp_path / "image.jpg")
