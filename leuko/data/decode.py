"""From a file's bytes to its samples, whatever the format, depth and layout; or a few words on why not.

Pillow reads what has eight bits per sample. What it reads wrongly, or in silence although it is damaged, goes to
others: JPEG to libjpeg-turbo by way of simplejpeg, which passes its warnings on; TIFF of
several pages, planes or deep colour to tifffile; and PNG of deep colour to imagecodecs.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError
from simplejpeg import decode_jpeg

from leuko.data.jpeg import has_hole
from leuko.data.scale import BYTE, Depth, Scale, declare, full_value, to_bytes
from leuko.data.tiff import Samples, is_tiff, pillow_reads, read_tiff, stored
from leuko.data.unreadable import INSTALL, MAX_PIXELS, UnreadableImageError, check_size, foreign

FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF")
DAMAGE = ("Corrupt JPEG data", "Premature end", "Inconsistent progression")
"""How libjpeg's warnings of lost data begin; its others are of no consequence."""
DEEP_COLOURS = (2, 4, 6)
"""The colour types of PNG whose samples of 16 bits Pillow cuts to eight."""
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}

# Pillow warns of damaged metadata, which is ignored here, and of large images, which MAX_PIXELS judges more strictly.
warnings.filterwarnings("ignore", module=r"PIL\.")

Result = TypeVar("Result")


@dataclass(frozen=True)
class Decoded:
    """An image as its file holds it, not yet upright.

    Attributes:
        image: the samples, if they have eight bits or fewer.
        values: otherwise: shape (height, width, channel).
        mode: the Pillow mode of the image, or of the values at eight bits.
        width: of the whole image in pixels, also where it was decoded at a smaller size.
        height: likewise.
        orientation: as EXIF has it, 1 to 8.
        depth: of the samples, and what the file says of their scale.
        profile: the colour profile (ICC); empty if there is none.
        inverted: whether the least value is white.
    """

    image: Image.Image | None
    values: NDArray[Any] | None
    mode: str
    width: int
    height: int
    orientation: int
    depth: Depth
    profile: bytes = b""
    inverted: bool = False

    def at_eight_bits(self, scale: Scale) -> Image.Image:
        """The image with eight bits per sample, in whatever mode.

        Args:
            scale: which values become black and white, where there are more bits than that.
        """
        if self.image is not None:
            return self.image
        assert self.values is not None
        pixels = to_bytes(self.values, scale)
        pixels = 255 - pixels if self.inverted else pixels
        if has_alpha(self.mode):
            alpha = self.values[..., -1:]
            # Opaque is as much as the type of sample holds, also where a camera's colours have fewer bits than that.
            most = float(alpha.max())
            white = full_value(most, self.depth.sample) if most > scale.white else scale.white
            pixels[..., -1:] = to_bytes(alpha, Scale(0.0, white))
        return _as_image(pixels, self.mode)


def decode(content: bytes, least_side: int = 0) -> Decoded:
    """Decode an image file to its end.

    Args:
        content: of the file.
        least_side: JPEG images are decoded at the smallest size that their decoder can give of at least so many pixels
            a side, which saves most of the inverse transform while every byte is still parsed; 0 for the whole size.

    Returns:
        The image; of an animation the first frame.

    Raises:
        UnreadableImageError: if it is no image, damaged, too large, or of a kind that cannot be read rightly.
    """
    image = _open(content)
    if image is None:
        return _of_samples(read_tiff(content))
    check_size(image.width, image.height)
    kind, profile, orientation = image.format or "", image.info.get("icc_profile") or b"", orientation_of(image)
    if kind == "PNG":
        _check_png(content)
        if content[24] == 16 and content[25] in DEEP_COLOURS:
            values = _deep_png(content)
            return _of_samples(
                Samples(values, MODES[values.shape[2]], "uint16", None, False, orientation, profile), kind
            )
    if kind == "TIFF" and not _tried(pillow_reads, image):
        return _of_samples(read_tiff(content))
    width, height = image.size
    if kind in ("JPEG", "MPO"):
        image, kind = _jpeg(content, image, least_side), "JPEG"
    else:
        _tried(_load, image)
    samples = _tried(stored, image) if kind == "TIFF" else None
    if samples is None and image.mode.startswith("I"):
        samples = Samples(_grey_png(image), "L", "uint16", None, inverted=False)
    if samples:
        return _of_samples(replace(samples, orientation=orientation, profile=profile), kind)
    return Decoded(image, None, image.mode, width, height, orientation, Depth(kind, "uint8", BYTE), profile)


def _open(content: bytes) -> Image.Image | None:
    """Open an image lazily; none if it is a TIFF of a kind that Pillow does not know.

    Raises:
        UnreadableImageError: if it is empty, of no known format, or too large.
    """
    if not content:
        raise UnreadableImageError("the file is empty")
    try:
        return Image.open(io.BytesIO(content), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise UnreadableImageError(f"too many pixels; the limit is {MAX_PIXELS:,}") from error
    except Exception as error:
        if is_tiff(content):
            return None
        if words := foreign(content):
            raise UnreadableImageError(f"no image but {words}") from error
        if isinstance(error, UnidentifiedImageError):
            if content.startswith(b"\xff\xd8\xff"):
                raise UnreadableImageError("a JPEG whose header is damaged, or of a rare kind; convert it") from error
            raise UnreadableImageError(f"not an image of a known format ({', '.join(FORMATS)})") from error
        raise UnreadableImageError(f"damaged header ({error})") from error


def _tried(function: Callable[[Image.Image], Result], image: Image.Image) -> Result:
    """Do what finds damage.

    Raises:
        UnreadableImageError: if it does.
    """
    try:
        return function(image)
    except Exception as error:  # Pillow's decoders raise many kinds on damaged data
        raise UnreadableImageError(f"damaged or truncated ({error})") from error


def _load(image: Image.Image) -> None:
    """Decode an opened image."""
    image.load()


def orientation_of(image: Image.Image) -> int:
    """How an opened image lies, by its EXIF block, of which a damaged one says nothing."""
    try:
        orientation = int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:
        return 1
    return orientation if 1 <= orientation <= 8 else 1


def _jpeg(content: bytes, image: Image.Image, least_side: int) -> Image.Image:
    """Decode a JPEG image; what libjpeg finds missing or wrong in its data makes it damaged.

    Raises:
        UnreadableImageError: if it is.
    """
    if has_hole(content):
        raise UnreadableImageError("damaged or truncated (zeros in its data, as an interrupted copy leaves them)")
    colours = {"L": "GRAY", "RGB": "RGB"}.get(image.mode, "CMYK")
    try:
        pixels = decode_jpeg(content, colours, min_height=least_side, min_width=least_side)
    except Exception as error:
        if str(error).startswith(DAMAGE):
            raise UnreadableImageError(f"damaged or truncated ({error})") from error
        colours = "CMYK"
    if colours == "CMYK":  # Pillow knows that Adobe's ink is the other way round, and some things that are rare
        _tried(_load, image)
        return image
    return Image.fromarray(pixels[..., 0] if colours == "GRAY" else pixels)


def _check_png(content: bytes) -> None:
    """Compare the check sums of a PNG file's parts, which Pillow does not for those that hold the pixels.

    Raises:
        UnreadableImageError: if one differs, or the end is missing.
    """
    view, place = memoryview(content), 8
    while place + 12 <= len(content):
        length, name = struct.unpack_from(">I4s", content, place)
        end = place + 8 + length
        if end + 4 > len(content):
            break
        is_needed = not name[0] & 32
        if is_needed and zlib.crc32(view[place + 4 : end]) != int.from_bytes(view[end : end + 4]):
            raise UnreadableImageError("damaged or truncated (a check sum differs)")
        if name == b"IEND":
            return
        place = end + 4
    raise UnreadableImageError("damaged or truncated (the end is missing)")


def _deep_png(content: bytes) -> NDArray[np.uint16]:
    """Decode a PNG with 16 bits for each of several channels: shape (height, width, channel).

    Raises:
        UnreadableImageError: if it is damaged, or the library that can is not installed.
    """
    try:
        from imagecodecs import png_decode  # an extra, and rarely wanted
    except ImportError as error:
        raise UnreadableImageError(f"a PNG with 16 bits per colour; to read it, {INSTALL}") from error
    try:
        values: NDArray[np.uint16] = png_decode(content)
    except Exception as error:
        raise UnreadableImageError(f"damaged or truncated ({error})") from error
    return values


def _grey_png(image: Image.Image) -> NDArray[np.uint16]:
    """A decoded grey PNG of 16 bits, with a second channel if one of its values is transparent."""
    values = np.asarray(image).astype(np.uint16)[..., None]
    hidden = image.info.get("transparency")
    return values if hidden is None else np.concatenate([values, np.where(values == hidden, 0, 65535)], axis=2)


def _of_samples(samples: Samples, kind: str = "TIFF") -> Decoded:
    """An image that another library than Pillow decoded."""
    values = samples.values
    height, width, _ = values.shape
    if samples.sample == "uint8":
        pixels = 255 - values if samples.inverted else values
        if samples.inverted and has_alpha(samples.mode):
            pixels[..., -1] = values[..., -1]  # greys are inverted, their transparency is not
        image, depth = _as_image(pixels, samples.mode), Depth(kind, "uint8", BYTE)
        return Decoded(image, None, samples.mode, width, height, samples.orientation, depth, samples.profile)
    colours = values[..., :-1] if has_alpha(samples.mode) else values
    is_finite = np.isfinite(colours)
    finite = colours if is_finite.all() else colours[is_finite]
    if not finite.size:
        raise UnreadableImageError("no value is a number")
    depth = Depth(
        kind,
        samples.sample,
        declare(samples.sample, samples.stated),
        samples.stated,
        float(finite.min()),
        float(finite.max()),
        int(colours.size - finite.size),
    )
    return Decoded(
        None,
        values,
        samples.mode,
        width,
        height,
        samples.orientation,
        depth,
        samples.profile,
        samples.inverted,
    )


def has_alpha(mode: str) -> bool:
    """Whether the last channel of a Pillow mode is transparency."""
    return mode[-1] in "Aa"


def _as_image(pixels: NDArray[np.uint8], mode: str) -> Image.Image:
    """An array of shape (height, width, channel) as a Pillow image."""
    height, width, _ = pixels.shape
    return Image.frombuffer(mode, (width, height), np.ascontiguousarray(pixels), "raw", mode, 0, 1)
