"""Which values of a mask are cell is settled by all masks of a set; those that disagree or make no sense are listed."""

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageFilter
from scipy.ndimage import gaussian_filter

from leuko.data.images import read_rgb
from leuko.data.mask_checks import COLOURS, COPIES, EMPTY, LINES, SWAPPED, UNRELATED
from leuko.data.mask_reading import MaskRule, read_mask
from leuko.data.masks import plan_masks, write_masked
from leuko.data.survey import Survey, survey_data
from tests import drawn_masks, encoding, pictures
from tests.conftest import tiny_settings
from tests.course import WBC, draw_course, save

OPTIONS = tiny_settings()["ingest"] | {"classes": WBC, "synonyms": {}}
TRAIN = "WBC_100/train"
KINDS = tuple(drawn_masks.masks_of(drawn_masks.cell(0)[1]))
OF_A_SET = ("inverted", "black on", "blue on", "without black")
"""Kinds of which one alone among others does not tell that its ground is another one."""
N = 6


@pytest.fixture
def course(tmp_path):
    """A data root without masks, but for some images of Monocyte that show cells: `c0` to `c5`."""
    root = draw_course(tmp_path, train=2, val=2, masked=0, cam16=1, subsets=())
    for number in range(N):
        save(drawn_masks.cell(number)[0], root / f"{TRAIN}/data/Monocyte/c{number}.png")
    return root


def add_mask(root, number, content, extension=".png", name="c{}"):
    path = root / f"{TRAIN}/mask/Monocyte" / f"{name.format(number)}{extension}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def add_masks(root, kind, numbers=range(N)):
    for number in numbers:
        extension, content = drawn_masks.masks_of(drawn_masks.cell(number)[1])[kind]
        add_mask(root, number, content, extension)


def survey(root, **options) -> Survey:
    return survey_data(root, **OPTIONS | options)


def masks(root, **options) -> dict[int, np.ndarray]:
    """The masks as the stages read them, by the image's number."""
    found = survey(root, **options)
    found.problems.raise_if_any(root)
    rows = found.manifest[(found.manifest["mask"] != "") & (found.manifest["set"] == "wbc")]
    return {
        int(row["path"].rsplit("/c", 1)[1].split(".")[0]): read_mask(
            root / row["mask"], MaskRule.parse(row["mask_rule"])
        )
        for _, row in rows.iterrows()
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_set_of_masks_of_any_kind_keeps_the_cells(course, kind):
    add_masks(course, kind)
    found = masks(course)
    assert len(found) == N
    for number, mask in found.items():
        wrong = (mask != drawn_masks.cell(number)[1]).mean()
        assert wrong <= (0.03 if "jpeg" in kind or "soft" in kind else 0)
    assert not survey(course).warnings.found


@pytest.mark.parametrize(
    "kind",
    [
        kind
        for kind in KINDS
        if not any(words in kind for words in ("inverted", "black on", "blue on", "without black"))
    ],
)
def test_one_of_another_kind_among_black_and_white_ones_does_too(course, kind):
    add_masks(course, "black and white, jpeg", range(1, N))
    add_masks(course, kind, [0])
    if kind == "numbers from one":  # nothing tells that this one begins with another number
        assert EMPTY not in survey(course).problems.found
        return
    assert (masks(course)[0] != drawn_masks.cell(0)[1]).mean() <= (0.02 if "jpeg" in kind or "soft" in kind else 0)


@pytest.mark.parametrize(
    ("setting", "kept"),
    [
        ("nonzero", {90, 128, 255}),
        ("bright", {128, 255}),
        ("dark", {0, 90}),
        ("alpha", {0, 90, 128, 255}),
        ({"value": (90,)}, {90}),
        ({"value": (0, 255)}, {0, 255}),
    ],
)
def test_the_setting_says_what_is_kept(course, setting, kept):
    levels = np.zeros((64, 64), np.uint8)
    levels[16:48, :] = np.repeat([90, 128, 255], [20, 20, 24])
    shown = np.full((64, 64), 255, np.uint8)
    shown[60:] = 0
    for number in range(2):
        image = Image.merge("LA", [Image.fromarray(levels), Image.fromarray(shown)])
        save(image, course / f"{TRAIN}/mask/Monocyte/c{number}.png")
    np.testing.assert_array_equal(masks(course, mask=setting)[0], np.isin(levels, list(kept)) & (shown > 0))


@pytest.mark.parametrize("setting", ["bright", "dark"])
def test_half_of_the_range_of_zeros_and_ones_lies_between_them(course, setting):
    for number in range(2):
        cell = drawn_masks.cell(number)[1]
        values = cell if setting == "bright" else ~cell
        save(Image.fromarray(values.astype(np.uint8)), course / f"{TRAIN}/mask/Monocyte/c{number}.png")
    for number, mask in masks(course, mask=setting).items():
        np.testing.assert_array_equal(mask, drawn_masks.cell(number)[1])


def test_soft_edges_are_no_labels(course):
    for number in range(N):
        drawn = Image.fromarray(drawn_masks.greys_of(drawn_masks.cell(number)[1])).filter(ImageFilter.GaussianBlur(1))
        save(drawn, course / f"{TRAIN}/mask/Monocyte/c{number}.png")
    for number, mask in masks(course).items():
        assert (mask != drawn_masks.cell(number)[1]).mean() < 0.02


def test_soft_masks_of_a_set_share_one_scale(course):
    """A mask of which the cell is faint is not stretched to its own range, which would move its edge."""
    peaks = (1, 1, 1, 1, 0.9, 0.6)
    values = [
        np.rint(gaussian_filter(drawn_masks.cell(number)[1].astype(np.float32), 1) * peak * 4095).astype(np.uint16)
        for number, peak in enumerate(peaks)
    ]
    for number, of_mask in enumerate(values):
        add_mask(course, number, encoding.tiff(of_mask, photometric="minisblack"), ".tif")
    rules = {MaskRule.parse(rule) for rule in survey(course).manifest["mask_rule"] if rule}
    assert {rule.white for rule in rules} == {4095}
    (threshold,) = {rule.threshold for rule in rules}
    for number, mask in masks(course).items():
        np.testing.assert_array_equal(mask, np.rint(values[number] / 4095 * 255) >= threshold)


@pytest.mark.parametrize(("encode", "top", "larger"), [(np.uint16, 4095, 65535), (np.float32, 1, 255)])
def test_a_soft_mask_of_more_bits_than_the_others_has_its_own_scale(course, encode, top, larger):
    for number in range(N):
        soft = gaussian_filter(drawn_masks.cell(number)[1].astype(np.float64), 1) * (larger if number == 0 else top)
        values = soft if encode == np.float32 else np.rint(soft)
        add_mask(course, number, encoding.tiff(values.astype(encode), photometric="minisblack"), ".tif")
    whites = [MaskRule.parse(rule).white for rule in survey(course).manifest["mask_rule"] if rule]
    assert whites == [larger] + [top] * (N - 1)
    for number, mask in masks(course).items():
        assert (mask != drawn_masks.cell(number)[1]).mean() < 0.02


@pytest.mark.parametrize("encode", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("sharp", [False, True])
def test_a_small_blurred_cell_is_as_large_as_where_half_of_it_is_left(course, encode, sharp):
    """Its outskirts are not labels, whose every value counts, not even if the other masks of the set are sharp."""
    top = {np.uint8: 255, np.uint16: 65535, np.float32: 1}[encode]
    expected = {}
    for number in range(N):
        y, x = np.mgrid[:64, :64]
        cell = np.hypot(y - 30 - number, x - 32) <= 5
        soft = cell if sharp and number else gaussian_filter(cell.astype(np.float64), 2)
        colours = np.where(cell[..., None], (110, 60, 140), (235, 215, 225)).astype(np.uint8)
        save(Image.fromarray(colours), course / f"{TRAIN}/data/Monocyte/c{number}.png")
        values = soft * top
        values = values if encode == np.float32 else np.rint(values)
        add_mask(course, number, encoding.tiff(values.astype(encode), photometric="minisblack"), ".tif")
        expected[number] = soft >= 0.5
    for number, mask in masks(course).items():
        assert (mask != expected[number]).sum() <= 4


def test_masks_of_too_many_colours_are_refused_unless_it_is_said_what_is_cell(course):
    for number in range(N):
        cell = drawn_masks.cell(number)[1]
        soft = gaussian_filter(cell.astype(np.float32), 3)[..., None]
        colours = soft * (255, 40, 40) + (1 - soft) * (10, 10, 60)
        save(Image.fromarray(colours.astype(np.uint8)), course / f"{TRAIN}/mask/Monocyte/c{number}.jpg", quality=60)
    found = survey(course).problems.found
    assert found.keys() <= {COLOURS, COPIES}
    assert sum(map(len, found.values())) == N
    for number, mask in masks(course, mask="bright").items():
        assert (mask != drawn_masks.cell(number)[1]).mean() < 0.06


def test_masks_that_are_no_masks_are_listed(course):
    add_masks(course, "black and white", range(1, N))
    image, cell = drawn_masks.cell(0)
    inner = np.roll(cell, 1, 0) & np.roll(cell, -1, 0) & np.roll(cell, 1, 1) & np.roll(cell, -1, 1)
    wrong = {
        SWAPPED: Image.fromarray(255 - drawn_masks.greys_of(cell)),
        LINES: Image.fromarray(drawn_masks.greys_of(cell & ~inner)),
        UNRELATED: Image.fromarray(drawn_masks.greys_of(np.roll(cell, 32, 1))),
    }
    for kind, mask in wrong.items():
        save(mask, course / f"{TRAIN}/mask/Monocyte/c0.png")
        assert survey(course).warnings.found == {kind: {f"{TRAIN}/mask/Monocyte/c0.png"}}
    save(image, course / f"{TRAIN}/mask/Monocyte/c0.png")
    assert survey(course).problems.found == {COPIES: {f"{TRAIN}/mask/Monocyte/c0.png"}}
    save(Image.new("L", (64, 64), 0), course / f"{TRAIN}/mask/Monocyte/c0.png")
    assert survey(course).problems.found == {EMPTY: {f"{TRAIN}/mask/Monocyte/c0.png: values 0"}}


def add_inverted_tissue(root, number, tumor, write):
    """Add a picture of normal tissue and one of tumor; their masks are as `write` writes what is to be kept."""
    image, _ = drawn_masks.cell(number)
    for label, kept in (("normal", np.zeros_like(tumor)), ("tumor", tumor)):
        folder = root / "CAM16_100cls_10mask/train"
        save(image, folder / f"data/{label}/c{number}.png")
        (folder / f"mask/{label}").mkdir(parents=True, exist_ok=True)
        write(folder / f"mask/{label}/c{number}", kept)


def tissue_masks(root, label) -> dict[int, np.ndarray]:
    """The masks of tissue as the stages read them, by the image's number."""
    found = survey(root)
    found.problems.raise_if_any(root)
    rows = found.manifest[(found.manifest["mask"] != "") & (found.manifest["class"] == label)]
    return {
        int(row["path"][-5]): read_mask(root / row["mask"], MaskRule.parse(row["mask_rule"]))
        for _, row in rows.iterrows()
    }


def test_tissue_masks_are_inverted_where_those_of_normal_tissue_are_white(course):
    tumors = {number: np.roll(drawn_masks.cell(number)[1], 32, 0) for number in range(2)}
    for number, tumor in tumors.items():
        add_inverted_tissue(
            course,
            number,
            tumor,
            lambda path, kept: save(Image.fromarray(255 - drawn_masks.greys_of(kept)), path.with_suffix(".png")),
        )
    np.testing.assert_equal(tissue_masks(course, "tumor"), tumors)


@pytest.mark.parametrize(
    "encode",
    [
        lambda soft: np.rint(soft * 65535).astype(np.uint16),
        lambda soft: np.rint(soft * 4095).astype(np.uint16),
        lambda soft: soft,
        lambda soft: np.rint(soft * 255).astype(np.uint8),
    ],
    ids=["16 bits", "12 bits", "floats", "8 bits"],
)
def test_so_are_those_with_soft_edges_of_any_depth(course, encode):
    tumors = {number: np.roll(drawn_masks.cell(number)[1], 32, 0) for number in range(3)}
    for number, tumor in tumors.items():
        add_inverted_tissue(
            course,
            number,
            tumor,
            lambda path, kept: tifffile.imwrite(
                path.with_suffix(".tif"), encode(1 - gaussian_filter(kept.astype(np.float32), 1))
            ),
        )
    found = {label: tissue_masks(course, label) for label in ("normal", "tumor")}
    assert [sorted(of_label) for of_label in found.values()] == [[0, 1, 2]] * 2
    for number, tumor in tumors.items():
        assert found["normal"][number].mean() < 0.02
        assert (found["tumor"][number] != tumor).mean() < 0.02


@pytest.mark.parametrize("oblong", [False, True])
@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_mask_follows_its_image_where_it_lies_like_that(course, orientation, raw, oblong):
    cells = []
    for number in range(N):
        pixels, cell = (np.roll(values, (-9, 7), (0, 1))[: 48 if oblong else 64] for values in drawn_masks.cell(number))
        exif = Image.Exif()
        exif[0x0112] = orientation
        lying = Image.fromarray(np.ascontiguousarray(pictures.laid(pixels, orientation)))
        save(lying, course / f"{TRAIN}/data/Monocyte/c{number}.png", exif=exif)
        drawn = np.ascontiguousarray(pictures.laid(cell, orientation) if raw else cell)
        save(Image.fromarray(drawn_masks.greys_of(drawn)), course / f"{TRAIN}/mask/Monocyte/c{number}.png")
        cells.append(cell)
    for number, mask in masks(course).items():
        np.testing.assert_array_equal(mask, cells[number])
    manifest = survey(course).manifest
    copies = write_masked(plan_masks(manifest, course, "none", 0), course, course / "copies", (0, 0, 0))
    for _, row in copies.iterrows():
        copy = np.asarray(read_rgb(course / "copies" / row["path"]))
        np.testing.assert_array_equal(copy.any(axis=2), cells[int(row["path"][-5])])


@pytest.mark.parametrize("raw", [False, True])
def test_square_masks_that_fit_both_ways_lie_as_the_others_of_the_set(course, raw):
    """A cell in the middle does not tell how its mask lies; those beside it do."""
    exif = Image.Exif()
    exif[0x0112] = 6
    for number in range(N):
        y, x = np.mgrid[:64, :64]
        cell = np.hypot(y - (32 if number < 2 else 20), x - 32 + 0.3 * (y - 32)) <= (14 if number < 2 else 10)
        colours = np.where(cell[..., None], (110, 60, 140), (235, 215, 225)).astype(np.uint8)
        lying = Image.fromarray(np.ascontiguousarray(pictures.laid(colours, 6)))
        save(lying, course / f"{TRAIN}/data/Monocyte/c{number}.png", exif=exif)
        drawn = np.ascontiguousarray(pictures.laid(cell, 6) if raw else cell)
        save(Image.fromarray(drawn_masks.greys_of(drawn)), course / f"{TRAIN}/mask/Monocyte/c{number}.png")
    rules = [MaskRule.parse(rule) for rule in survey(course).manifest["mask_rule"] if rule]
    assert {rule.orientation for rule in rules} == {6 if raw else 1}
    assert len(rules) == N
    said = f"{N} of these masks lie as" if raw else f"{N} of rotated images are upright already"
    assert any(said in note for note in survey(course).mask_notes)


@pytest.mark.parametrize(
    ("pattern", "name"), [("{stem}_mask", "c{}_mask"), ("{stem}_expert", "c{}_expert"), ("gt-{stem}", "gt-c{}")]
)
def test_masks_may_be_named_by_a_pattern(course, pattern, name):
    for number in range(N):
        add_mask(course, number, drawn_masks.masks_of(drawn_masks.cell(number)[1])["black and white"][1], ".bmp", name)
    kinds = survey(course).problems.found
    assert [kind for kind in kinds if f"set ingest.mask_name to '{pattern}'" in kind] == list(kinds)
    assert len(masks(course, mask_name=pattern)) == N
    add_masks(course, "black and white", [0])
    assert "Images with several masks; remove all but one" in survey(course, mask_name=pattern).problems.found


def test_what_was_taken_is_said(course):
    add_masks(course, "zero and one")
    assert survey(course).mask_notes == [
        f"Masks of wbc: {N}; all but black (0) is kept; values 0, 1 (ingest.mask: auto)."
    ]


def test_a_rule_is_read_as_it_is_written():
    for rule in (
        MaskRule(),
        MaskRule("nonzero", 191, (255,)),
        MaskRule("value", 128, (1, 255)),
        MaskRule("dark", orientation=6),
        MaskRule("transparent", white=0.0),
        MaskRule("value", 128, (1, 255), 8, 4095.0),
        MaskRule("nonzero", 64, white=0.07),
    ):
        assert MaskRule.parse(str(rule)) == rule
