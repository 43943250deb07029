"""Drawn cells, and their masks saved in many ways."""

import io

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from tests.encoding import encoded, tiff


def cell(seed: int, side: int = 64) -> tuple[Image.Image, np.ndarray]:
    """A dark cell off the middle of a bright ground, and where it is: shape (side, side)."""
    rng = np.random.default_rng(seed)
    row, column = side * rng.uniform(0.4, 0.6, 2)
    height, width = side * rng.uniform(0.18, 0.3, 2)
    y, x = np.mgrid[:side, :side]
    inside = ((y - row) / height) ** 2 + ((x - column) / width) ** 2 <= 1
    colours = np.where(inside[..., None], (110, 60, 140), (235, 215, 225)) + rng.integers(-8, 9, (side, side, 3))
    return Image.fromarray(colours.astype(np.uint8)), inside


def in_palette(mask: np.ndarray, colours: tuple[tuple[int, int, int], ...]) -> Image.Image:
    """A mask of numbers whose colours a palette holds."""
    image = Image.fromarray(mask.astype(np.uint8), "P")
    image.putpalette([value for colour in colours for value in colour])
    return image


def greys_of(mask: np.ndarray, values: tuple[int, ...] = (0, 255)) -> np.ndarray:
    """A mask of two or three values: ground, cell, and the cell's middle."""
    shrunk = mask.copy()
    for _ in range(4):
        shrunk = (
            shrunk & np.roll(shrunk, 1, 0) & np.roll(shrunk, -1, 0) & np.roll(shrunk, 1, 1) & np.roll(shrunk, -1, 1)
        )
    return np.where(shrunk, values[-1], np.where(mask, values[1], values[0])).astype(np.uint8)


def saved_as_jpeg(mask: np.ndarray) -> Image.Image:
    """A mask with the noise that JPEG leaves."""
    return Image.open(io.BytesIO(encoded(Image.fromarray(mask), "JPEG", quality=50)))


def masks_of(mask: np.ndarray) -> dict[str, tuple[str, bytes]]:
    """A mask in every way that people save them: by a name, an extension and the file's content."""
    white = Image.fromarray(greys_of(mask))
    rows = np.cumsum(mask.any(axis=1))[:, None] * mask
    clear = Image.merge("LA", [Image.new("L", white.size, 255), white])
    hollow = Image.merge("LA", [white, ImageChops.invert(white)])
    dark = Image.merge("LA", [Image.new("L", white.size, 0), white])
    colours = np.where(mask[..., None], (0, 160, 40), (0, 0, 0)).astype(np.uint8)
    three = Image.fromarray(greys_of(mask, (0, 128, 255)))
    soft = white.filter(ImageFilter.GaussianBlur(1))
    on_white = Image.fromarray(np.where(mask[..., None], (0, 0, 255), 255).astype(np.uint8))
    viridis = Image.fromarray(np.where(mask[..., None], (253, 231, 37), (68, 1, 84)).astype(np.uint8))
    twelve = np.rint(np.asarray(soft) / 255 * 4095).astype(np.uint16)
    return {
        "black and white": (".png", encoded(white, "PNG")),
        "black and white, jpeg": (".jpg", encoded(white, "JPEG")),
        "black and white, jpeg in colour": (".jpg", encoded(white.convert("RGB"), "JPEG")),
        "one bit": (".png", encoded(white.convert("1"), "PNG")),
        "one bit, tiff": (".tif", encoded(white.convert("1"), "TIFF")),
        "zero and one": (".png", encoded(Image.fromarray(mask.astype(np.uint8)), "PNG")),
        "zero and one, tiff": (".tif", tiff(mask.astype(np.uint8), photometric="minisblack")),
        "floats": (".tif", tiff(mask.astype(np.float32), photometric="minisblack")),
        "16 bits": (".png", encoded(Image.fromarray(mask.astype(np.uint16) * 65535), "PNG")),
        "labels": (".png", encoded(Image.fromarray(rows.astype(np.uint8)), "PNG")),
        "labels of 16 bits": (".png", encoded(Image.fromarray((rows * 11).astype(np.uint16)), "PNG")),
        "labels of 32 bits": (".tif", tiff((rows * 5000).astype(np.int32), photometric="minisblack")),
        "palette": (".png", encoded(in_palette(mask, ((0, 0, 0), (128, 0, 0))), "PNG")),
        "palette of greys": (".png", encoded(in_palette(mask, ((0, 0, 0), (255, 255, 255))), "PNG")),
        "palette without colours": (".png", encoded(in_palette(mask, ((0, 0, 0), (0, 0, 0))), "PNG")),
        "colours": (".png", encoded(Image.fromarray(colours), "PNG")),
        "colours, bmp": (".bmp", encoded(Image.fromarray(colours), "BMP")),
        "transparent ground": (".png", encoded(clear.convert("RGBA"), "PNG")),
        "transparent ground, grey": (".png", encoded(clear, "PNG")),
        "black on transparent ground": (".png", encoded(dark, "PNG")),
        "three greys": (".png", encoded(three, "PNG")),
        "three greys, jpeg": (".jpg", encoded(three, "JPEG")),
        "three darker greys, jpeg": (".jpg", encoded(Image.fromarray(greys_of(mask, (0, 80, 255))), "JPEG")),
        "three other greys, jpeg": (".jpg", encoded(Image.fromarray(greys_of(mask, (0, 100, 200))), "JPEG")),
        "grey and black, jpeg": (".jpg", encoded(Image.fromarray(greys_of(mask, (0, 90))), "JPEG")),
        "soft edges, 16 bits": (".png", encoded(Image.fromarray(np.asarray(soft, np.uint16) * 257), "PNG")),
        "soft edges, floats": (".tif", tiff(np.asarray(soft, np.float32) / 255, photometric="minisblack")),
        "palette, cell first": (".png", encoded(in_palette(~mask, ((255, 255, 255), (0, 0, 0))), "PNG")),
        "palette on white": (".png", encoded(in_palette(mask, ((255, 255, 255), (0, 0, 255))), "PNG")),
        "blue on white": (".png", encoded(on_white, "PNG")),
        "blue on white, jpeg": (".jpg", encoded(on_white, "JPEG")),
        "blue on white, soft edges": (".png", encoded(on_white.filter(ImageFilter.GaussianBlur(1)), "PNG")),
        "yellow on purple without black, jpeg": (".jpg", encoded(viridis, "JPEG", quality=95)),
        "colours, jpeg": (".jpg", encoded(Image.fromarray(colours), "JPEG")),
        "two greys without black, jpeg": (".jpg", encoded(Image.fromarray(greys_of(mask, (80, 200))), "JPEG")),
        "two bright greys without black, jpeg": (".jpg", encoded(Image.fromarray(greys_of(mask, (120, 240))), "JPEG")),
        "noise of jpeg in png": (".png", encoded(saved_as_jpeg(greys_of(mask, (0, 80, 255))), "PNG")),
        "transparent cell without black": (
            ".png",
            encoded(hollow, "PNG"),
        ),
        "soft edges, 12 bits": (".png", encoded(Image.fromarray(twelve), "PNG")),
        "soft edges, white is zero without black": (".tif", tiff(4095 - twelve, photometric="miniswhite")),
        "numbers from one": (".png", encoded(Image.fromarray(mask.astype(np.uint8) + 1), "PNG")),
        "inverted": (".png", encoded(Image.fromarray(255 - greys_of(mask)), "PNG")),
        "inverted, jpeg": (".jpg", encoded(Image.fromarray(255 - greys_of(mask)), "JPEG")),
        "inverted, one bit": (".png", encoded(Image.fromarray(255 - greys_of(mask)).convert("1"), "PNG")),
        "inverted, three greys, jpeg": (".jpg", encoded(Image.fromarray(255 - greys_of(mask, (0, 128, 255))), "JPEG")),
    }
