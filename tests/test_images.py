import contextlib
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from leuko.data.images import (
    THUMBNAIL_SIDE,
    UnreadableImageError,
    probe_image,
    read_rgb,
    resize,
)
from leuko.data.mask_meaning import probe_mask
from leuko.data.mask_reading import MaskRule, read_mask
from tests.course import content, noise, save, square_mask

GREYS = np.linspace(0, 255, 12 * 20).astype(np.uint8).reshape(12, 20)
COLOURS = np.asarray(noise(1, 20, 12))


def pixels(path) -> np.ndarray:
    image = read_rgb(path)
    assert image.mode == "RGB"
    return np.asarray(image)


def as_rgb(greys) -> np.ndarray:
    return np.repeat(np.asarray(greys)[..., None], 3, axis=2)


@pytest.mark.parametrize("extension", ["png", "bmp", "tif", "tiff"])
def test_rgb_comes_back_as_it_is(tmp_path, extension):
    path = save(Image.fromarray(COLOURS), tmp_path / f"image.{extension}")
    np.testing.assert_array_equal(pixels(path), COLOURS)


def test_jpeg_comes_back_as_pillow_reads_it(tmp_path):
    path = save(Image.fromarray(COLOURS), tmp_path / "image.jpg")
    np.testing.assert_array_equal(pixels(path), np.asarray(Image.open(path)))


def test_grey_becomes_grey_rgb(tmp_path):
    np.testing.assert_array_equal(pixels(save(Image.fromarray(GREYS), tmp_path / "image.png")), as_rgb(GREYS))


def test_one_bit_becomes_black_and_white(tmp_path):
    path = save(Image.fromarray(GREYS > 100), tmp_path / "image.png")
    assert Image.open(path).mode == "1"
    np.testing.assert_array_equal(pixels(path), as_rgb((GREYS > 100) * 255))


def test_a_palette_is_looked_up(tmp_path):
    image = Image.fromarray(COLOURS).quantize(16)
    path = save(image, tmp_path / "image.png")
    assert Image.open(path).mode == "P"
    np.testing.assert_array_equal(pixels(path), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_shows_white(tmp_path, mode):
    alpha = np.zeros((12, 20), np.uint8)
    alpha[:, 10:] = 255
    if mode == "P":
        image = Image.fromarray((alpha // 255).astype(np.uint8), "P")
        image.putpalette([9, 9, 9, 40, 40, 40])
        path = save(image, tmp_path / "image.png", transparency=0)
    else:
        image = Image.merge(mode, [*[Image.new("L", (20, 12), 40)] * (len(mode) - 1), Image.fromarray(alpha)])
        path = save(image, tmp_path / "image.png")
    assert Image.open(path).mode == mode
    np.testing.assert_array_equal(pixels(path), as_rgb(np.where(alpha == 255, 40, 255)))


def test_half_transparent_is_laid_on_white(tmp_path):
    path = save(Image.new("RGBA", (20, 12), (0, 100, 200, 128)), tmp_path / "image.png")
    assert np.abs(pixels(path).astype(int) - (127, 177, 227)).max() <= 1


@pytest.mark.parametrize("extension", ["jpg", "tif"])
def test_cmyk_is_converted(tmp_path, extension):
    path = save(Image.new("CMYK", (20, 12), (255, 0, 0, 0)), tmp_path / f"image.{extension}")
    assert Image.open(path).mode == "CMYK"
    assert np.abs(pixels(path).astype(int) - (0, 255, 255)).max() <= 3


@given(st.lists(st.integers(0, 65535), min_size=1, max_size=60))
def test_16_bits_are_scaled_to_8(tmp_path_factory, values):
    values = np.array([[*values, 65535]], np.uint16)
    path = tmp_path_factory.mktemp("deep") / "image.png"
    Image.fromarray(values).save(path)
    assert Image.open(path).mode.startswith("I")
    np.testing.assert_array_equal(pixels(path), as_rgb(np.rint(values / 65535 * 255)))


@pytest.mark.parametrize(("top", "mode"), [(1.0, "F"), (255.0, "F"), (65535.0, "F"), (255, "I"), (65535, "I")])
def test_floats_and_wide_integers_are_scaled_by_their_range(tmp_path, top, mode):
    values = (GREYS / 255 * top).astype(np.float32 if mode == "F" else np.int32)
    path = save(Image.fromarray(values), tmp_path / "image.tif")
    assert Image.open(path).mode == mode
    assert np.abs(pixels(path).astype(int) - as_rgb(GREYS)).max() <= 1


@pytest.mark.parametrize(
    ("orientation", "laid"),
    [
        (1, lambda upright: upright),
        (2, lambda upright: upright[:, ::-1]),
        (3, lambda upright: np.rot90(upright, 2)),
        (4, lambda upright: upright[::-1]),
        (5, lambda upright: upright.transpose(1, 0, 2)),
        (6, lambda upright: np.rot90(upright, 1)),
        (7, lambda upright: np.rot90(upright, 2).transpose(1, 0, 2)),
        (8, lambda upright: np.rot90(upright, -1)),
    ],
)
def test_exif_orientation_is_undone(tmp_path, orientation, laid):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(Image.fromarray(np.ascontiguousarray(laid(COLOURS))), tmp_path / "image.png", exif=exif)
    np.testing.assert_array_equal(pixels(path), COLOURS)
    probe = probe_image(path)
    assert (probe.width, probe.height) == (20, 12)


def test_a_damaged_exif_block_is_ignored(tmp_path):
    path = save(Image.fromarray(COLOURS), tmp_path / "image.png", exif=b"Exif\x00\x00MM\x00*\x00\x00\xff")
    np.testing.assert_array_equal(pixels(path), COLOURS)
    assert (probe_image(path).width, probe_image(path).height) == (20, 12)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda whole: b"", "empty"),
        (lambda whole: b"not an image at all", "known format"),
        (lambda whole: whole[: len(whole) // 2], "truncated"),
        (lambda whole: whole[:40], "known format|damaged|truncated"),
        (lambda whole: content(noise(2), "PPM"), "known format"),
    ],
)
@pytest.mark.parametrize("read", [probe_image, read_rgb, probe_mask])
def test_what_cannot_be_read_says_why(tmp_path, read, damage, reason):
    path = tmp_path / "image.jpg"
    path.write_bytes(damage(content(noise(3, 64, 64))))
    with pytest.raises(UnreadableImageError, match=reason):
        read(path)


@pytest.mark.parametrize("read", [probe_image, read_rgb])
def test_a_folder_or_a_missing_file_is_not_an_image(tmp_path, read):
    for path in (tmp_path, tmp_path / "missing.jpg"):
        with pytest.raises(UnreadableImageError, match="cannot be opened"):
            read(path)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("size", [(8_000, 6_251), (12_000, 10_000), (20_000, 10_000)])
def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(tmp_path, size):
    path = save(Image.new("1", size), tmp_path / "bomb.png")
    with pytest.raises(UnreadableImageError, match=r"too many.*; the limit is 50,000,000"):
        probe_image(path)


def test_a_file_of_too_many_bytes_is_refused_unread(tmp_path):
    path = tmp_path / "huge.tif"
    path.touch()
    os.truncate(path, 2**40)  # takes no space
    with pytest.raises(UnreadableImageError, match=r"1,099,511,627,776 bytes are too many"):
        probe_image(path)


def test_a_text_chunk_that_would_fill_the_memory_is_refused(tmp_path):
    texts = PngInfo()
    for number in range(80):
        texts.add_text(f"text {number}", "a" * 1_000_000, zip=True)
    path = save(noise(6), tmp_path / "texts.png", pnginfo=texts)
    assert path.stat().st_size < 200_000
    with pytest.raises(UnreadableImageError, match="memory"):
        probe_image(path)


ENCODED = [
    content(picture, kind)
    for picture in (noise(8, 40, 30), noise(9, 40, 30).convert("L"), noise(10, 40, 30).quantize(8))
    for kind in ("JPEG", "PNG", "BMP", "TIFF")
    if (picture.mode, kind) != ("P", "JPEG")
]


@pytest.mark.filterwarnings("ignore::UserWarning")
@settings(max_examples=300)
@given(
    whole=st.sampled_from(ENCODED),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=8),
    early=st.booleans(),
    end=st.floats(0.02, 1),
)
def test_a_damaged_file_is_read_or_refused_never_anything_else(tmp_path_factory, whole, changes, early, end):
    damaged = bytearray(whole[: int(len(whole) * end)])
    for place, value in changes:
        damaged[int(place * min(len(damaged), 100 if early else len(damaged)))] = value
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(damaged)
    for read in (probe_image, probe_mask, read_rgb):
        with contextlib.suppress(UnreadableImageError):
            read(path)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_probe_brings_a_thumbnail_of_what_is_in_the_file(tmp_path, orientation):
    image = Image.fromarray(np.kron(COLOURS, np.ones((30, 30, 1), np.uint8)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(image, tmp_path / "image.jpg", exif=exif, quality=95)
    thumbnail = probe_image(path).thumbnail()
    expected = resize(image, THUMBNAIL_SIDE).astype(int)
    assert np.abs(thumbnail - expected).mean() < 8


@pytest.mark.parametrize(("image", "kept"), [(square_mask(48, 32), 0.25), (Image.new("1", (48, 32)), 0)])
def test_the_probe_of_a_mask_knows_how_much_it_keeps(tmp_path, image, kept):
    probe = probe_mask(save(image, tmp_path / "mask.png"))
    assert (probe.width, probe.height, probe.share(MaskRule())) == (48, 32, kept)


def test_the_probe_knows_the_content_by_its_hash(tmp_path):
    first, same, other = tmp_path / "a.jpg", tmp_path / "b.jpg", tmp_path / "c.jpg"
    first.write_bytes(content(noise(4, 30, 18)))
    same.write_bytes(first.read_bytes())
    other.write_bytes(content(noise(5, 30, 18)))
    assert probe_image(first) == probe_image(same)
    assert probe_image(first).sha256 != probe_image(other).sha256
    assert (probe_image(first).width, probe_image(first).height) == (30, 18)


@pytest.mark.parametrize("mode", ["L", "RGB", "1"])
@pytest.mark.parametrize("extension", ["png", "jpg"])
def test_masks_of_any_kind_say_the_same(tmp_path, mode, extension):
    image = square_mask(48, 32)
    path = save(image.convert("L" if (mode, extension) == ("1", "jpg") else mode), tmp_path / f"mask.{extension}")
    np.testing.assert_array_equal(read_mask(path, MaskRule()), np.asarray(image) == 255)


def test_noise_of_jpeg_does_not_reach_the_mask(tmp_path):
    kept = np.asarray(square_mask(48, 32)) == 255
    noisy = np.where(kept, 255, 0) + np.random.default_rng(0).integers(-60, 60, kept.shape)
    path = save(Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)), tmp_path / "mask.jpg", quality=90)
    assert len(np.unique(np.asarray(Image.open(path)))) > 2
    np.testing.assert_array_equal(read_mask(path, MaskRule()), kept)


def test_resizing_is_antialiased():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    small = resize(Image.fromarray(stripes), 8)
    assert small.shape == (8, 8, 3)
    assert np.abs(small.astype(int) - 127).max() <= 8
