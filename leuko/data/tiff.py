"""TIFF as the file says it is: planes, pages, white as zero, deep colour; what cannot be told is refused by name."""

from __future__ import annotations

import io
import itertools
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from leuko.data.unreadable import INSTALL, UnreadableImageError, check_size

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage

STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
MAX_PAGES = 1000
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK = 0, 1, 2, 3, 5
"""Photometric interpretations."""
PLAIN = (1, 2, 3, 4, 5, 7, 8, 32773, 32946)
"""Compressions that any Pillow reads: none, fax, LZW, JPEG, deflate and PackBits."""
COLOURS = {WHITE_IS_ZERO: "L", BLACK_IS_ZERO: "L", RGB: "RGB", PALETTE: "P", CMYK: "CMYK"}
"""The Pillow mode of each at eight bits, a letter for a channel."""
BYTES = 256
"""A palette's colours have 16 bits; those of some writers have eight."""
SIGNED = 2
"""The sample format of signed integers."""
PREMULTIPLIED, TRANSPARENCY = 1, 2
"""What an extra sample may be."""

# fmt: off
(BITS_PER_SAMPLE, COMPRESSION, PHOTOMETRIC, DESCRIPTION, SAMPLES_PER_PIXEL, PLANAR, COLOR_MAP, SAMPLE_FORMAT, SMAX,
 ORIENTATION, PROFILE) = (258, 259, 262, 270, 277, 284, 320, 339, 341, 274, 34675)
# fmt: on

logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what it finds wrong is reported by us


@dataclass(frozen=True)
class Samples:
    """What a TIFF holds.

    Attributes:
        values: shape (height, width, channel).
        mode: the Pillow mode that they have at eight bits.
        sample: their type in the file, such as `uint16`, or `uint12` where they are packed.
        stated: the largest value of the scale, or of this image, as the header has it; none if it has none.
        inverted: whether the least value is white.
        orientation: as EXIF has it, 1 to 8.
        profile: the colour profile (ICC); empty if there is none.
    """

    values: NDArray[Any]
    mode: str
    sample: str
    stated: float | None
    inverted: bool
    orientation: int = 1
    profile: bytes = b""


def is_tiff(content: bytes) -> bool:
    """Whether a file begins like a TIFF, BigTIFF included."""
    return content.startswith(STARTS)


def pillow_reads(image: Image.Image) -> bool:
    """Whether Pillow reads a TIFF rightly: one page, as it lies; and if there are several channels, 8 bits, together.

    Args:
        image: a TIFF, opened, but not yet decoded.
    """
    assert isinstance(image, TiffImageFile)
    tags = image.tag_v2
    if image.n_frames > 1 or tags.get(ORIENTATION, 1) != 1 or tags.get(COMPRESSION, 1) not in PLAIN:
        return False
    photometric = tags.get(PHOTOMETRIC, RGB)
    if photometric == PALETTE and max(tags.get(COLOR_MAP, (BYTES,))) < BYTES:
        return False
    return tags.get(SAMPLES_PER_PIXEL, 1) == 1 or (
        tags.get(PLANAR, 1) == 1
        and max(tags.get(BITS_PER_SAMPLE, (1,))) <= 8
        and photometric not in (WHITE_IS_ZERO, BLACK_IS_ZERO)
        and tags[SAMPLES_PER_PIXEL] - len(COLOURS.get(photometric, "RGB")) <= 1
    )


def stored(image: Image.Image) -> Samples | None:
    """The samples of a grey TIFF as they are in the file, if they are others than Pillow's eight bits.

    Pillow takes unsigned integers of 32 bits for signed ones and signed ones of eight for unsigned ones, and follows a
    scale on which 0 is white up to eight bits only.

    Args:
        image: a TIFF, decoded by Pillow.
    """
    assert isinstance(image, TiffImageFile)
    tags, values = image.tag_v2, np.asarray(image)
    bits, is_signed = tags.get(BITS_PER_SAMPLE, (1,))[0], tags.get(SAMPLE_FORMAT, (1,))[0] == SIGNED
    if values.ndim > 2 or image.mode == "P" or (bits <= 8 and not is_signed):
        return None
    if image.mode != "F" and bits in (8, 16, 32):
        values = values.astype(f"{'i' if is_signed else 'u'}{bits // 8}", casting="unsafe")
    sample = values.dtype.name if bits in (8, 16, 32) else f"uint{bits}"
    stated = _stated(tags.get(DESCRIPTION), tags.get(SMAX))
    return Samples(values[..., None], "L", sample, stated, tags.get(PHOTOMETRIC) == WHITE_IS_ZERO)


def read_tiff(content: bytes) -> Samples:
    """Read what Pillow cannot.

    Args:
        content: of the file.

    Raises:
        UnreadableImageError: if it is damaged, too large, or holds something else than one grey or coloured picture.
    """
    from tifffile import TiffFile  # rarely wanted

    try:
        with TiffFile(io.BytesIO(content)) as file:
            pages = _picture(file)
            return _samples(pages, [_channels(page) for page in pages])
    except UnreadableImageError:
        raise
    except Exception as error:  # damaged files raise many kinds
        if "imagecodecs" in str(error):
            raise UnreadableImageError(f"compressed or packed; to read it, {INSTALL}") from error
        raise UnreadableImageError(f"damaged or truncated ({error})") from error


def _picture(file: TiffFile) -> list[TiffPage]:
    """The pages that make up the picture: one, or red, green and blue; previews and masks are none of them."""
    from tifffile import TiffPage

    pages = [page for page in itertools.islice(file.pages, MAX_PAGES) if isinstance(page, TiffPage)]
    if not pages:
        raise UnreadableImageError("damaged or truncated (no page)")
    pages = [page for page in pages if not page.is_reduced and not page.is_mask] or pages
    width, height = max(((page.imagewidth, page.imagelength) for page in pages), key=lambda sides: sides[0] * sides[1])
    check_size(width, height)
    pages = [page for page in pages if (page.imagewidth, page.imagelength) == (width, height)]
    if len(pages) == 1:
        return pages
    if (order := _red_green_blue(file)) and len(pages) == 3:
        return [pages[number] for number in order]
    raise UnreadableImageError(
        f"{len(pages)} pages of one size, which the file does not call red, green and blue; save the one that is meant"
    )


def _red_green_blue(file: TiffFile) -> Sequence[int]:
    """Which of three pages is red, green and blue, as OME's or ImageJ's header says; empty if neither says so."""
    header, imagej = file.ome_metadata or "", file.imagej_metadata or {}
    if header:
        sizes = [re.search(rf'\bSize{axis}="(\d+)"', header) for axis in "CZT"]
        channels, *others = (int(size[1]) if size else 1 for size in sizes)
        names = re.findall(r'<Channel\b[^>]*\bName="([^"]*)"', header)
    else:
        channels, others = imagej.get("channels", 1), [imagej.get("slices", 1), imagej.get("frames", 1)]
        names = []
    if channels != 3 or others != [1, 1]:
        return ()
    initials = [name.strip().casefold()[:1] for name in names] or ["r", "g", "b"]
    if sorted(initials) != ["b", "g", "r"]:
        raise UnreadableImageError(f"channels that are not red, green and blue: {', '.join(names)}")
    return [initials.index(initial) for initial in "rgb"]


def _channels(page: TiffPage) -> NDArray[Any]:
    """A page's samples, shape (height, width, channel)."""
    if page.photometric not in COLOURS:
        raise UnreadableImageError(f"colours of a kind that cannot be read ({page.photometric!s})")
    if page.axes not in ("YX", "YXS", "SYX"):
        raise UnreadableImageError(f"more dimensions than a picture has ({page.axes})")
    if page.samplesperpixel > 5:
        raise UnreadableImageError(f"{page.samplesperpixel} channels, where a picture has one or three")
    values = page.asarray(maxworkers=1)
    channels: NDArray[Any] = np.moveaxis(values, 0, -1) if page.axes == "SYX" else values
    return channels if channels.ndim == 3 else channels[..., None]


def _samples(pages: Sequence[TiffPage], parts: Sequence[NDArray[Any]]) -> Samples:
    """Put a picture's channels together and say what they are."""
    page, values = pages[0], np.concatenate(parts, axis=2)
    sample = f"uint{page.bitspersample}" if values.dtype.kind == "u" else values.dtype.name
    if values.dtype.kind not in "buif":
        raise UnreadableImageError(f"samples of a type that pictures do not have ({sample})")
    if values.dtype.kind == "b":
        values, sample = values.astype(np.uint8) * 255, "uint8"
    mode = COLOURS[page.photometric]
    n_channels, extra = values.shape[2], [int(kind) for kind in page.extrasamples]
    if mode == "P":
        table = np.asarray(page.colormap)
        table = (table if table.max() < BYTES else table >> 8).astype(np.uint8)
        values, mode, sample = np.moveaxis(table[:, values[..., 0]], 0, -1), "RGB", "uint8"
    elif mode == "L" and n_channels == 3 and not any(extra):
        mode = "RGB"  # what else three channels that belong together would be, nobody writes
    elif n_channels == len(mode) + 1 and extra[:1] in ([PREMULTIPLIED], [TRANSPARENCY]) and mode != "CMYK":
        mode += "a" if extra[0] == PREMULTIPLIED else "A"
    elif n_channels == len(mode) + 1 and mode == "RGB":
        values = values[..., :3]
    elif n_channels != len(mode):
        raise UnreadableImageError(f"{n_channels} channels, where a picture has one or three")
    tags = page.tags
    return Samples(
        values,
        mode,
        sample,
        _stated(page.description, tags.valueof(SMAX)),
        page.photometric == WHITE_IS_ZERO,
        int(tags.valueof(ORIENTATION, 1)),
        bytes(tags.valueof(PROFILE, b"")),
    )


def _stated(description: object, largest: object) -> float | None:
    """The largest value of the scale, by OME's header or SMaxSampleValue; none if neither says it."""
    if bits := re.search(r'<Pixels\b[^>]*\bSignificantBits="(\d{1,2})"', str(description)):
        return 2.0 ** int(bits[1]) - 1
    values = largest if isinstance(largest, Sequence) else (largest,)
    numbers = [float(value) for value in values if isinstance(value, int | float)]
    return max(numbers, default=None)
