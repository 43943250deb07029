"""Reading images and masks: every mode becomes 8-bit RGB, upright; whatever cannot be read says why."""

from __future__ import annotations

import hashlib
import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "BMP", "TIFF")
EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")
MAX_PIXELS = 100_000_000
"""Larger images are refused: whole slides and decompression bombs need cutting into regions first."""

Pixels = NDArray[np.uint8]


class UnreadableImageError(Exception):
    """An image file that cannot be used; the message says why, in a few words."""


@dataclass(frozen=True)
class Probe:
    """What ingest needs to know of a file: the upright image's sides in pixels and the content's SHA-256."""

    width: int
    height: int
    sha256: str


def _open(content: bytes) -> Image.Image:
    """Open an image lazily.

    Raises:
        UnreadableImageError: if it is empty, of no known format, or too large.
    """
    if not content:
        raise UnreadableImageError("the file is empty")
    try:
        with warnings.catch_warnings():
            # Pillow warns of images that MAX_PIXELS judges more strictly.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise UnreadableImageError(f"not an image of a known format ({', '.join(FORMATS)})") from error
    except Exception as error:
        raise UnreadableImageError(f"damaged header ({error})") from error
    if image.width * image.height > MAX_PIXELS:
        raise UnreadableImageError(f"{image.width} x {image.height} pixels are too many; the limit is {MAX_PIXELS:,}")
    return image


def _load(image: Image.Image) -> None:
    """Decode an opened image.

    Raises:
        UnreadableImageError: if its data are damaged or end too early.
    """
    try:
        image.load()
    except Exception as error:  # Pillow's decoders raise many kinds on damaged data
        raise UnreadableImageError(f"damaged or truncated ({error})") from error


def _upright(image: Image.Image) -> Image.Image:
    """The image as its EXIF orientation says it should be seen; a damaged EXIF block is ignored."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception:
        return image


def _lies_on_its_side(image: Image.Image) -> bool:
    """Whether the EXIF orientation swaps width and height."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1)) >= 5
    except Exception:
        return False


def _to_rgb(image: Image.Image) -> Image.Image:
    """Any of Pillow's modes as RGB: 16-bit and float values scaled to 8 bits, transparency laid on white."""
    if image.mode == "F" or image.mode.startswith("I"):
        values = np.asarray(image, dtype=np.float64)
        top = 1.0 if image.mode == "F" and values.max(initial=0) <= 1 else 65535.0 if values.max() > 255 else 255.0
        scaled = np.clip(np.nan_to_num(values) / top, 0, 1) * 255
        return Image.fromarray(np.rint(scaled).astype(np.uint8)).convert("RGB")
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "La", "RGBa"):
        layered = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), layered).convert("RGB")
    return image.convert("RGB")


def probe_image(path: Path) -> Probe:
    """Read a file once, check that it decodes to its end, and describe it.

    JPEG images are decoded at an eighth of their size: every byte is parsed, which finds damage, while most of
    the inverse transform is saved.

    Args:
        path: the file.

    Returns:
        Its description.

    Raises:
        UnreadableImageError: if it cannot be used.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnreadableImageError(f"cannot be opened ({error.strerror})") from error
    image = _open(content)
    width, height = image.size
    image.draft(None, (max(1, width // 8), max(1, height // 8)))
    _load(image)
    if _lies_on_its_side(image):
        width, height = height, width
    return Probe(width, height, hashlib.sha256(content).hexdigest())


def read_rgb(path: Path) -> Image.Image:
    """Read an image of any mode as upright 8-bit RGB; of an animation, the first frame.

    Args:
        path: the file.

    Returns:
        A Pillow image of mode RGB.

    Raises:
        UnreadableImageError: if it cannot be used.
    """
    try:
        image = _open(path.read_bytes())
    except OSError as error:
        raise UnreadableImageError(f"cannot be opened ({error.strerror})") from error
    _load(image)
    return _to_rgb(_upright(image))


def read_mask(path: Path) -> NDArray[np.bool_]:
    """Read a mask; JPEG makes its pixels only nearly 0 or 255, so the middle decides.

    Args:
        path: the file, grey or colour.

    Returns:
        Shape (height, width): true where the mask keeps the image.

    Raises:
        UnreadableImageError: if it cannot be used.
    """
    kept: NDArray[np.bool_] = np.asarray(read_rgb(path).convert("L")) >= 128
    return kept


def resize(image: Image.Image, side: int) -> Image.Image:
    """Resize to a square with antialiasing (Pillow widens the bilinear filter when it reduces).

    Args:
        image: any size.
        side: the new width and height in pixels.

    Returns:
        An image of `side` by `side` pixels.
    """
    return image.resize((side, side), Image.Resampling.BILINEAR)
