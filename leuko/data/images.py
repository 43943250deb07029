"""Reading images and masks: every mode becomes 8-bit RGB, upright; whatever cannot be read says why."""

from __future__ import annotations

import hashlib
import io
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "BMP", "TIFF")
EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")
MAX_PIXELS = 50_000_000
"""Larger images are refused: whole slides and decompression bombs need cutting into regions first."""
MAX_BYTES = 2**28
"""Larger files are refused unread; no image of fewer than MAX_PIXELS needs as many."""
THUMBNAIL_SIDE = 32
DECODED_SIDE = 64
"""JPEG images are probed at the smallest size that their decoder can give of at least so many pixels a side."""

# Pillow warns of damaged metadata, which is ignored here, and of large images, which MAX_PIXELS judges more strictly.
warnings.filterwarnings("ignore", module=r"PIL\.")

Pixels = NDArray[np.uint8]


class UnreadableImageError(Exception):
    """An image file that cannot be used; the message says why, in a few words."""


@dataclass(frozen=True)
class Probe:
    """What ingest needs to know of an image file.

    Attributes:
        width: of the upright image, in pixels.
        height: likewise.
        sha256: of the file's content.
        thumbnail: the image as it lies in the file, as THUMBNAIL_SIDE by THUMBNAIL_SIDE RGB pixels.
    """

    width: int
    height: int
    sha256: str
    thumbnail: bytes


@dataclass(frozen=True)
class MaskProbe:
    """What ingest needs to know of a mask: sides in pixels, SHA-256, and the share of the image that it keeps."""

    width: int
    height: int
    sha256: str
    kept: float


def _content(path: Path) -> bytes:
    """Read a file.

    Raises:
        UnreadableImageError: if it cannot be read, or is too large.
    """
    try:
        if (size := path.stat().st_size) > MAX_BYTES:
            raise UnreadableImageError(f"{size:,} bytes are too many; the limit is {MAX_BYTES:,}")
        return path.read_bytes()
    except OSError as error:
        raise UnreadableImageError(f"cannot be opened ({error.strerror})") from error


def _open(content: bytes) -> Image.Image:
    """Open an image lazily.

    Raises:
        UnreadableImageError: if it is empty, of no known format, or too large.
    """
    if not content:
        raise UnreadableImageError("the file is empty")
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise UnreadableImageError(f"not an image of a known format ({', '.join(FORMATS)})") from error
    except Image.DecompressionBombError as error:
        raise UnreadableImageError(f"too many pixels; the limit is {MAX_PIXELS:,}") from error
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
    with suppress(Exception):
        ImageOps.exif_transpose(image, in_place=True)  # else it would copy the image even where nothing is to be done
    return image


def _lies_on_its_side(image: Image.Image) -> bool:
    """Whether the EXIF orientation swaps width and height."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1)) >= 5
    except Exception:
        return False


def _to_rgb(image: Image.Image) -> Image.Image:
    """A decoded image of any mode as RGB.

    Raises:
        UnreadableImageError: if Pillow cannot convert it.
    """
    try:
        return _converted(image)
    except Exception as error:
        raise UnreadableImageError(f"cannot be converted to RGB ({error})") from error


def _converted(image: Image.Image) -> Image.Image:
    """Any of Pillow's modes as RGB: 16-bit and float values scaled to 8 bits, transparency laid on white."""
    if image.mode == "F" or image.mode.startswith("I"):
        values = np.nan_to_num(np.array(image, dtype=np.float32), copy=False)
        top = 1.0 if image.mode == "F" and values.max(initial=0) <= 1 else 65535.0 if values.max() > 255 else 255.0
        values *= 255 / top  # in place, as all that follows: large images leave no room for copies
        np.clip(values, 0, 255, out=values)
        return Image.fromarray(np.rint(values, out=values).astype(np.uint8)).convert("RGB")
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "La", "RGBa"):
        layered = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), layered).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _laid_upright(content: bytes) -> Image.Image:
    """Decode a whole image, of whatever mode, and lay it upright.

    Raises:
        UnreadableImageError: if it cannot be used.
    """
    image = _open(content)
    _load(image)
    return _upright(image)


def _decoded(content: bytes) -> Image.Image:
    """Decode a whole image to upright RGB.

    Raises:
        UnreadableImageError: if it cannot be used.
    """
    return _to_rgb(_laid_upright(content))


def probe_image(path: Path) -> Probe:
    """Read a file once, check that it decodes to its end, and describe it.

    Args:
        path: the file.

    Returns:
        Its description.

    Raises:
        UnreadableImageError: if it cannot be used.
    """
    return describe_image(_content(path))


def describe_image(content: bytes) -> Probe:
    """Describe an image file by its content, which must decode to its end.

    JPEG images are decoded at down to an eighth of their size: every byte is parsed, which finds damage, while most
    of the inverse transform is saved. What is decoded becomes the thumbnail.

    Args:
        content: of the file.

    Returns:
        Its description.

    Raises:
        UnreadableImageError: if it cannot be used.
    """
    image = _open(content)
    width, height = image.size
    image.draft(None, (DECODED_SIDE, DECODED_SIDE))
    _load(image)
    if _lies_on_its_side(image):
        width, height = height, width
    thumbnail = _to_rgb(image).resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BILINEAR)
    return Probe(width, height, hashlib.sha256(content).hexdigest(), thumbnail.tobytes())


def probe_mask(path: Path) -> MaskProbe:
    """Read and describe a mask.

    Args:
        path: the file.

    Returns:
        Its description.

    Raises:
        UnreadableImageError: if it cannot be used.
    """
    content = _content(path)
    kept = _kept(content)
    return MaskProbe(kept.shape[1], kept.shape[0], hashlib.sha256(content).hexdigest(), float(kept.mean()))


def read_rgb(path: Path) -> Image.Image:
    """Read an image of any mode as upright 8-bit RGB; of an animation, the first frame.

    Args:
        path: the file.

    Returns:
        A Pillow image of mode RGB.

    Raises:
        UnreadableImageError: if it cannot be used.
    """
    return _decoded(_content(path))


def read_mask(path: Path) -> NDArray[np.bool_]:
    """Read a mask; JPEG makes its pixels only nearly 0 or 255, so the middle decides.

    Args:
        path: the file, grey or colour.

    Returns:
        Shape (height, width): true where the mask keeps the image.

    Raises:
        UnreadableImageError: if it cannot be used.
    """
    return _kept(_content(path))


def _kept(content: bytes) -> NDArray[np.bool_]:
    """Where the mask that a file's content holds keeps the image.

    Raises:
        UnreadableImageError: if it cannot be used.
    """
    mask = _laid_upright(content)
    if mask.mode != "L" or "transparency" in mask.info:
        mask = _to_rgb(mask).convert("L")
    kept: NDArray[np.bool_] = np.asarray(mask) >= 128
    return kept


def resize(image: Pixels, side: int) -> Pixels:
    """Resize to a square with antialiasing: a bilinear filter, widened where it reduces.

    PyTorch does what Pillow does in a third of the time; a few values in a thousand differ by 1.

    Args:
        image: shape (height, width, 3), 0 to 255.
        side: the new height and width in pixels.

    Returns:
        Shape (side, side, 3).
    """
    import torch  # not before it is wanted: it takes long to import
    import torch.nn.functional as F

    images = torch.from_numpy(image)[None].permute(0, 3, 1, 2)
    resized = F.interpolate(images, (side, side), mode="bilinear", antialias=True)
    pixels: Pixels = resized.permute(0, 2, 3, 1)[0].numpy()
    return pixels
