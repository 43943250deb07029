"""Inputs as people really have them, which used to be read wrongly without a word: what the commands make of them.

Each test draws a folder of images, runs `leuko check` or the stages on it, and looks at what a user gets: the words,
the rows of the packs, the masked copies. The ids begin with the kind of input, many of them from public reports:

- r01, r02: 12 and 10 bits in files of 16; largest values of 255 and 256 (open-edge-platform/geti#6388,
  danforthcenter/plantcv#1804)
- r09: an image turned by EXIF whose mask is not (v7labs/darwin-py#924)
- r11: colour profiles (cgwire/zou#1188)
- r16, o01: planes, channels as pages (tiatoolbox#610, libvips/pyvips#250)
- o14: blank frames (38-Cloud#6)
- o07, o09, r20: placeholders and leftovers (WSL#7456, pytorch/vision#109)
- r35, r36, o02, r37, r38, r39: masks of zeros and ones, palettes, labels, transparency, inverted, of three greys
  (dbash/zerowaste#8, MouseLand/cellpose#259 and #710, zxaoyou/segmentation_WBC)
- r40: masks that are named otherwise than their images (LISC, Raabin)
- r62, r63: groups in training and test; a class that something else than the cell tells
- jpeg: damage within JPEG files

All ways of saving pictures and masks, one by one: test_decode.py and test_mask_meaning.py. Other kinds are held where
their part of the code is: absent classes in test_scores.py and test_report.py; maps of pictures in which nothing
matters in test_occlusion.py; wrapped weights in test_cam16_weights.py and test_encoders.py; folders without Git and
those with unusual names in test_workspace.py; divisions that keep groups whole in test_groups.py.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from leuko.cli import _run_command as run_command
from leuko.core.errors import LeukoError
from leuko.data.images import resize
from leuko.packs.reading import read_images, read_rows
from tests import drawn_masks, encoding, pictures
from tests.conftest import run_stage, write_settings
from tests.course import WBC, draw_course, noise, save
from tests.profiles import DISPLAY_P3, cmyk_profile

TRAIN = "WBC_100/train/data/Monocyte"
TISSUE = "CAM16_100cls_10mask/train/data/tumor"
WAYS = {name: (extension, content) for name, extension, content in pictures.ways()}
GREYS = {name: (extension, content) for name, extension, content in pictures.greys()}
N = 5
"""Cells with masks in each set."""


@pytest.fixture
def root(tmp_path) -> Path:
    """A folder of images that has nothing wrong with it, and no masks."""
    return draw_course(tmp_path / "images", train=2, val=2, masked=0, cam16=1, subsets=())


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def check(root: Path, capsys: pytest.CaptureFixture[str], **settings: object) -> str:
    """What `leuko check` says, beginning with `refused` where it says that the folder cannot be used."""
    params = write_settings(root.parent, **{f"ingest.{name}": value for name, value in settings.items()})
    refused = ""
    try:
        run_command(["check", str(root), "--params", str(params)])
    except LeukoError as error:
        refused = f"refused: {error}\n"
    return refused + capsys.readouterr().out


def run_stages(root: Path, *names: str, **settings: object) -> None:
    """Run some stages on a folder of images, in the folder around it."""
    write_settings(root.parent, data_root=str(root), **{f"ingest.{name}": value for name, value in settings.items()})
    for name in names:
        run_stage(name, root.parent)


def packed(root: Path) -> dict[str, np.ndarray]:
    """The rows of the pack to train on, by their images' paths."""
    run_stages(root, "ingest", "prepare_masks", "augment")
    pack = root.parent / "data/packs/wbc/train"
    return dict(zip(read_rows(pack)["path"], read_images(pack, "wbc").astype(int), strict=True))


def kept(root: Path, folder: str, name: str) -> np.ndarray:
    """Where the masked copy of an image shows it; elsewhere it is black."""
    kind = "wbc" if folder == TRAIN else "cam16"
    copy = root.parent / "data/masked" / kind / Path(folder).name / f"{Path(name).stem}.tif"
    return np.asarray(Image.open(copy)).any(axis=2)


def overlap(mask: np.ndarray, expected: np.ndarray) -> float:
    return float((mask & expected).sum() / (mask | expected).sum())


def assert_packed(root: Path, ways: Mapping[str, tuple[str, bytes]], expected: np.ndarray) -> None:
    """Whether a picture that was saved in several ways, by name with extension and content, is the same in the pack."""
    for number, (extension, content) in enumerate(ways.values()):
        write(root / TRAIN / f"way{number}{extension}", content)
    rows = packed(root)
    right = resize(Image.fromarray(expected), 32).astype(int)
    for number, (name, (extension, _)) in enumerate(ways.items()):
        assert np.abs(rows[f"{TRAIN}/way{number}{extension}"] - right).max() <= 2, name


@pytest.mark.slow
@pytest.mark.parametrize(
    "names",
    [
        pytest.param(["tiff of 12 bits in 16", "png of 12 bits in 16"], id="r01 12 bits in 16"),
        pytest.param(["tiff of 12 packed bits", "tiff of int16 to 4095"], id="r01 12 bits, packed and signed"),
        pytest.param(["tiff in adobe", "tiff in p3", "png in adobe", "png in p3"], id="r11 profiles"),
        pytest.param(["tiff of 16 bits in planes", "tiff of 8 bits in planes"], id="r16 planes"),
        pytest.param(["three pages, ome", "three pages, imagej"], id="o01 channels as pages"),
        pytest.param(["three deep pages, ome", "three deep pages, imagej"], id="o01 deep channels as pages"),
        pytest.param(["preview first", "page with a smaller one"], id="o01 pages with previews"),
    ],
)
def test_a_picture_reaches_the_pack_as_it_is(root, names):
    assert_packed(root, {name: WAYS[name] for name in names}, pictures.picture())


@pytest.mark.slow
@pytest.mark.parametrize(
    "names",
    [
        pytest.param(["tiff to 4095", "png to 1023"], id="r01 12 and 10 bits, grey"),
        pytest.param(["white is zero, to 65535", "white is zero, 8 bits"], id="r16 white is zero"),
    ],
)
def test_so_does_a_grey_one(root, names):
    grey = np.repeat(pictures.picture()[..., 1:2], 3, axis=2)
    assert_packed(root, {name: GREYS[name] for name in names}, grey)


def test_r02_largest_values_of_255_and_256_are_treated_alike(root):
    for top in (255, 256):
        values = np.minimum(pictures.picture()[..., 1].astype(np.uint16), 250)
        values[0, 0] = top
        write(root / TRAIN / f"top{top}.tif", encoding.tiff(values, photometric="minisblack"))
    rows = packed(root)
    assert np.abs(rows[f"{TRAIN}/top255.tif"] - rows[f"{TRAIN}/top256.tif"]).max() <= 2
    assert rows[f"{TRAIN}/top256.tif"].mean() > 100


def test_r11_profiles_are_counted_and_those_that_cannot_be_followed_told(root, capsys):
    profiles = {"whole": DISPLAY_P3, "cut": DISPLAY_P3[:300], "ink": cmyk_profile()}
    for name, profile in profiles.items():
        image = Image.fromarray(np.roll(pictures.picture(), len(name), 0))
        save(image, root / TRAIN / f"{name}.jpg", icc_profile=profile)
    said = check(root, capsys)
    assert "drawn for a test 1, unusable 2" in said
    assert f"    {TRAIN}/cut.jpg\n    {TRAIN}/ink.jpg\n" in said


def test_r16_more_channels_than_a_picture_has_are_refused_by_name(root, capsys):
    values = np.repeat(pictures.picture(), 2, axis=2)
    write(root / TRAIN / "six.tif", encoding.tiff(values, photometric="minisblack", planarconfig="contig"))
    said = check(root, capsys)
    assert said.startswith("refused")
    assert f"{TRAIN}/six.tif: 6 channels" in said


def test_o14_blank_frames_are_told(root, capsys):
    for name, shade in {"black": 0, "white": 255, "grey": 128}.items():
        save(Image.new("RGB", (40, 40), (shade,) * 3), root / TRAIN / f"{name}.png")
    save(Image.new("RGB", (40, 40), (10, 10, 10)), root / "WBC_100/val/data/Basophil/held_out.png")
    said = check(root, capsys)
    for path in (*(f"{TRAIN}/{name}.png" for name in ("black", "white", "grey")), "val/data/Basophil/held_out.png"):
        assert f"{path}\n" in said.split("of one colour")[1]


def test_o07_placeholders_of_files_that_are_elsewhere_are_told(root, capsys):
    image = next((root / TRAIN).iterdir())
    image.rename(image.with_name(f".{image.name}.icloud"))
    said = check(root, capsys)
    assert said.startswith("refused")
    assert f"{TRAIN}/.{image.name}.icloud: of {image.name}" in said


@pytest.mark.parametrize(
    "names",
    [
        pytest.param([f"{TRAIN}/a.jpg:Zone.Identifier", f"{TRAIN}/b.jpgZone.Identifier"], id="o09 Zone.Identifier"),
        pytest.param(
            [f"{TRAIN}/@eaDir/a.jpg/SYNOPHOTO_THUMB_S.jpg", "WBC_100/train/data/@eaDir/x", "pRCC/@eaDir/a.jpg/b.jpg"],
            id="r20 @eaDir",
        ),
        pytest.param(
            ["WBC_100/train/data/__MACOSX/._Monocyte", "__MACOSX/WBC_100/._train", f"{TRAIN}/__MACOSX/._a.jpg"],
            id="r20 __MACOSX",
        ),
        pytest.param([f"{TRAIN}/{name}" for name in ("Icon", "ehthumbs.db", "ehthumbs_vista.db")], id="r20 files"),
    ],
)
def test_what_systems_leave_behind_changes_nothing(root, capsys, names):
    before = check(root, capsys)
    for name in names:
        write(root / name, b"left behind")
    assert check(root, capsys) == before
    assert not before.startswith("refused")


def add_cells(root: Path, kind: str, name: str = "{}") -> list[tuple[str, str, np.ndarray]]:
    """Add cells and masks of a kind to blood and tissue; their folders, names and masks."""
    cells = []
    for number in range(N):
        for offset, folder in ((0, TRAIN), (N, TISSUE)):
            image, mask = drawn_masks.cell(number + offset)
            extension, content = drawn_masks.masks_of(mask)[kind]
            save(image, root / folder / f"c{number}.png")
            write(root / folder.replace("data", "mask") / (name.format(f"c{number}") + extension), content)
            cells.append((folder, f"c{number}", mask))
    return cells


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("zero and one", id="r35 zero and one"),
        pytest.param("palette", id="r36 palette of VOC"),
        pytest.param("labels", id="o02 labels"),
        pytest.param("labels of 16 bits", id="o02 labels of 16 bits"),
        pytest.param("transparent ground", id="r37 transparent ground"),
        pytest.param("transparent ground, grey", id="r37 transparent ground, grey"),
        pytest.param("inverted", id="r38 inverted"),
        pytest.param("three darker greys, jpeg", id="r39 three greys, jpeg"),
        pytest.param("three other greys, jpeg", id="r39 three other greys, jpeg"),
    ],
)
def test_masks_keep_the_cells(root, kind):
    cells = add_cells(root, kind)
    if kind == "inverted":  # tumors may fill their images: what of tissue is ground, masks of normal tissue tell
        normal = next((root / TISSUE.replace("tumor", "normal")).iterdir())
        white = Image.new("L", Image.open(normal).size, 255)
        save(white, root / TISSUE.replace("data/tumor", "mask/normal") / f"{normal.stem}.png")
    run_stages(root, "ingest", "prepare_masks")
    for folder, name, mask in cells:
        assert overlap(kept(root, folder, name), mask) >= (0.98 if "jpeg" in kind else 1)


@pytest.mark.parametrize(
    ("pattern", "kind"),
    [
        pytest.param("{stem}_expert", "colours, bmp", id="r40 LISC"),
        pytest.param("{stem}_mask", "black and white", id="r40 Raabin"),
    ],
)
def test_masks_that_are_named_otherwise_are_told_with_the_setting_that_finds_them(root, capsys, pattern, kind):
    cells = add_cells(root, kind, pattern.replace("{stem}", "{}"))
    said = check(root, capsys)
    assert said.startswith("refused")
    assert f"set ingest.mask_name to '{pattern}'" in said
    run_stages(root, "ingest", "prepare_masks", mask_name=pattern)
    for folder, name, mask in cells:
        assert overlap(kept(root, folder, name), mask) == 1


@pytest.mark.parametrize("kind", [pytest.param("jpg", id="r09 jpeg"), pytest.param("png", id="r09 png")])
def test_a_mask_that_was_not_turned_with_its_square_image_is(root, capsys, kind):
    exif = Image.Exif()
    exif[0x0112] = 6
    for number in range(N):
        image, mask = drawn_masks.cell(number)
        lying = Image.fromarray(np.ascontiguousarray(pictures.laid(np.asarray(image), 6)))
        save(lying, root / TRAIN / f"c{number}.{kind}", exif=exif)
        lying_mask = np.ascontiguousarray(pictures.laid(drawn_masks.greys_of(mask), 6))
        save(Image.fromarray(lying_mask), root / TRAIN.replace("data", "mask") / f"c{number}.png")
    assert f"{N} of these masks lie as their image's file does" in check(root, capsys)
    run_stages(root, "ingest", "prepare_masks")
    for number in range(N):
        assert overlap(kept(root, TRAIN, f"c{number}"), drawn_masks.cell(number)[1]) >= 0.98


def test_r38_masks_that_are_inverted_beside_others_are_told(root, capsys):
    cells = add_cells(root, "black and white")
    image, mask = drawn_masks.cell(2 * N)
    save(image, root / TRAIN / "other.png")
    save(Image.fromarray(255 - drawn_masks.greys_of(mask)), root / TRAIN.replace("data", "mask") / "other.png")
    said = check(root, capsys)
    assert len(cells) == 2 * N
    assert f"{TRAIN.replace('data', 'mask')}/other.png\n" in said.split("ground and cell are swapped")[1]


def test_r62_smears_in_training_and_test_are_told(root, capsys):
    for part, numbers in (("train", (1, 2, 3)), ("val", (4, 5, 6))):
        for number in numbers:
            save(noise([8, number]), root / f"WBC_100/{part}/data/Monocyte/95-8-10-1_{number}_1.jpg")
    assert "ingest.group=raabin: 3 of 13 held-out images would be of groups in training" in check(root, capsys)
    said = check(root, capsys, group="raabin")
    assert "held-out images would be" not in said
    assert "Groups: " in said


def test_r63_a_class_by_a_camera_of_its_own_is_told(tmp_path, capsys):
    root = draw_course(tmp_path / "images", train=dict.fromkeys(WBC, 6) | {"Basophil": 0}, val=2, masked=0, subsets=())
    for part in ("val", "train"):
        folder = root / f"WBC_100/{part}/data/Basophil"
        folder.mkdir(exist_ok=True)
        for path in folder.iterdir():
            path.unlink()
        for number in range(5):
            save(noise([7, number, len(part)], 40, 40), folder / f"20190527_{len(part)}100{number:02}_12.png")
    said = check(root, capsys)
    (line,) = [line for line in said.splitlines() if line.startswith("    Basophil: ")]
    for words in ("format PNG", "size 40 x 40", "names like"):
        assert words in line


@pytest.mark.parametrize(
    ("kind", "share"),
    [
        pytest.param("zeros", 1, id="jpeg 512 bytes of zeros"),
        pytest.param("early end", 1, id="jpeg early end"),
        pytest.param("byte", 0.3, id="jpeg a changed byte"),
    ],
)
def test_damage_within_a_jpeg_is_told(root, capsys, kind, share):
    n_files = 40
    rng = np.random.default_rng(0)
    for number in range(n_files):
        content = encoding.encoded(drawn_masks.cell(number, 128)[0], "JPEG", quality=95)
        place = int(rng.integers(content.index(b"\xff\xda") + 14, len(content) - 600))
        endings = {
            "zeros": bytes(512) + content[place + 512 :],
            "early end": b"\xff\xd9" + content[place + 2 :],
            "byte": bytes([content[place] ^ rng.integers(1, 256)]) + content[place + 1 :],
        }
        write(root / TRAIN / f"damaged{number}.jpg", content[:place] + endings[kind])
    said = check(root, capsys)
    assert said.startswith("refused")
    assert said.count("damaged or truncated") >= share * n_files
