"""Images as the pipeline sees them: upright 8-bit sRGB, whatever lies in the file; what cannot be read says why."""

from __future__ import annotations

import hashlib
import io
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops

from leuko.data.damage import sharpness
from leuko.data.decode import Decoded, decode, has_alpha, orientation_of
from leuko.data.profiles import to_srgb, understand
from leuko.data.scale import BYTE, Depth, Scale, Scales, beyond, to_bytes
from leuko.data.unreadable import UnreadableImageError, check_size

__all__ = [
    "EXTENSIONS",
    "Pixels",
    "Probe",
    "UnreadableImageError",
    "as_rgb",
    "decode_rgb",
    "describe_image",
    "probe_image",
    "read_bytes",
    "read_rgb",
    "resize",
]

EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")
MAX_BYTES = 2**28
"""Larger files are refused unread; no image that is accepted needs as many."""
THUMBNAIL_SIDE = 32
PROBED_SIDE = 64
"""What ingest looks at of an image, in pixels a side."""
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes each of EXIF's orientations upright."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Probe:
    """What ingest needs to know of an image file.

    Attributes:
        width: of the upright image, in pixels.
        height: likewise.
        sha256: of the file's content.
        depth: of its samples.
        tile: the image as it lies in the file, shape (THUMBNAIL_SIDE, THUMBNAIL_SIDE, 3): 8-bit RGB, or samples of
            another depth before scaling.
        inverted: whether the least of such samples is white.
        focus: the variance of the Laplacian of PROBED_SIDE by PROBED_SIDE pixels, in samples squared.
        orientation: as EXIF has it, 1 to 8.
        mode: Pillow's, of the samples at eight bits.
        profile: the name of its colour profile; empty if there is none.
        hidden: whether all of it is transparent.
    """

    width: int
    height: int
    sha256: str
    depth: Depth
    tile: NDArray[np.uint8] | NDArray[np.float32] = field(compare=False)  # arrays have no single answer
    inverted: bool
    focus: float
    orientation: int
    mode: str
    profile: str
    hidden: bool

    def thumbnail(self, scale: Scale = BYTE) -> Pixels:
        """The image as it lies in the file, small: shape (THUMBNAIL_SIDE, THUMBNAIL_SIDE, 3), 8-bit RGB."""
        pixels = to_bytes(self.tile, BYTE if self.tile.dtype == np.uint8 else scale)
        return 255 - pixels if self.inverted else pixels

    def sharpness(self, scale: Scale = BYTE) -> float:
        """How sharp the image is, in levels of 255 squared."""
        per_level = 1.0 if self.tile.dtype == np.uint8 else (scale.white - scale.black) / 255
        return self.focus / per_level**2


def read_bytes(path: Path) -> bytes:
    """Read a file.

    Raises:
        UnreadableImageError: if it cannot be read, or is too large.
    """
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode) and not stat.S_ISDIR(about.st_mode):
            raise UnreadableImageError("no file but a pipe, socket or device")  # which may never end
        if about.st_size > MAX_BYTES:
            raise UnreadableImageError(f"{about.st_size:,} bytes are too many; the limit is {MAX_BYTES:,}")
        return path.read_bytes()
    except OSError as error:
        raise UnreadableImageError(f"cannot be opened ({error.strerror})") from error


def read_rgb(path: Path, scales: Scales | None = None) -> Image.Image:
    """Read an image of any kind as upright 8-bit sRGB; what is transparent shows white.

    Args:
        path: the file; of an animation the first frame is read.
        scales: which values become black and white where a file has more than eight bits per sample and does not
            declare it, as settled for the set that the image belongs to, or that a model was trained on. An image
            of a kind that they do not name is a set of its own.

    Returns:
        A Pillow image of mode RGB.

    Raises:
        UnreadableImageError: if it cannot be used.
    """
    return decode_rgb(read_bytes(path), scales)


def decode_rgb(content: bytes, scales: Scales | None = None) -> Image.Image:
    """What `read_rgb` does, of a file's content.

    Raises:
        UnreadableImageError: if it cannot be used.
    """
    decoded = decode(content)
    scale = decoded.depth.scale(scales or {})
    return upright(_colours(decoded.at_eight_bits(scale), decoded.profile)[0], decoded.orientation)


def as_rgb(image: Image.Image, scales: Scales | None = None) -> Image.Image:
    """What `read_rgb` does, of an image in memory.

    Args:
        image: of any mode, with its EXIF orientation and profile if it has them. Of a file with 16 bits for each of
            several channels Pillow has kept eight; `read_rgb` takes all of them into account.
        scales: as `read_rgb` takes them.

    Returns:
        A Pillow image of mode RGB.

    Raises:
        UnreadableImageError: if it cannot be used.
    """
    check_size(image.width, image.height)
    profile = image.info.get("icc_profile") or b""
    if image.mode.startswith(("I", "F")):
        # Losslessly into a file, whose samples are then read as those of any file.
        kind, content = "PNG" if image.mode == "I;16" and image.format != "TIFF" else "TIFF", io.BytesIO()
        try:
            image.save(content, kind, exif=image.getexif(), icc_profile=profile)
        except Exception as error:
            raise UnreadableImageError(f"cannot be converted to RGB ({error})") from error
        return decode_rgb(content.getvalue(), scales)
    return upright(_colours(image, profile)[0], orientation_of(image))


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """Lay an image as its orientation says, 1 to 8."""
    return image.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else image


def lay_upright(array: NDArray[Any], orientation: int) -> NDArray[Any]:
    """The same of an array of shape (height, width, ...), as a view."""
    if orientation >= 5:
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    return array[:, ::-1] if orientation in (2, 3, 6, 7) else array


def _colours(image: Image.Image, profile: bytes) -> tuple[Image.Image, str, bool]:
    """Bring an image with eight bits per sample to sRGB.

    Returns:
        The image; the name of its profile, empty if it has none; and whether all of it is transparent.

    Raises:
        UnreadableImageError: if Pillow cannot convert it.
    """
    try:
        alpha = None
        if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "La", "RGBa"):
            is_grey = image.mode in ("L", "LA", "La")
            image = image.convert("RGBA")
            alpha = image.getchannel("A")
            image = image.getchannel("R") if is_grey else image.convert("RGB")
        elif image.mode not in ("L", "RGB", "CMYK"):
            image = image.convert("L" if image.mode == "1" else "RGB")
        meaning = understand(profile, image.mode) if profile else None
        if meaning:
            image = to_srgb(image, meaning)
        image = image if image.mode == "RGB" else image.convert("RGB")
        if alpha:
            image.paste("white", mask=ImageChops.invert(alpha))
    except Exception as error:
        raise UnreadableImageError(f"cannot be converted to RGB ({error})") from error
    hidden = alpha is not None and alpha.getextrema()[1] == 0
    return image, meaning.name if meaning else "", hidden


def probe_image(path: Path) -> Probe:
    """Read a file once, check that it decodes to its end, and describe it.

    Args:
        path: the file.

    Returns:
        Its description.

    Raises:
        UnreadableImageError: if it cannot be used.
    """
    return describe_image(read_bytes(path))


def describe_image(content: bytes) -> Probe:
    """Describe an image file by its content, which must decode to its end.

    Args:
        content: of the file.

    Returns:
        Its description.

    Raises:
        UnreadableImageError: if it cannot be used.
    """
    decoded = decode(content, PROBED_SIDE)
    width, height = decoded.width, decoded.height
    if decoded.orientation >= 5:
        width, height = height, width
    if decoded.values is None:
        image, profile, hidden = _colours(decoded.at_eight_bits(BYTE), decoded.profile)
        tile: Any = np.asarray(image.resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BILINEAR))
        grey = image.convert("L")
    else:
        channels = _as_floats(decoded)
        small = [channel.resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BILINEAR) for channel in channels]
        tile = np.stack([np.asarray(channel) for channel in small], axis=2)
        grey = channels[1]
        profile = understand(decoded.profile, decoded.mode.rstrip("Aa")).name if decoded.profile else ""
        hidden = has_alpha(decoded.mode) and not decoded.values[..., -1].any()
    probed = np.asarray(grey.resize((PROBED_SIDE, PROBED_SIDE), Image.Resampling.BILINEAR), np.float32)
    return Probe(
        width,
        height,
        hashlib.sha256(content).hexdigest(),
        decoded.depth,
        tile,
        decoded.inverted,
        sharpness(probed),
        decoded.orientation,
        decoded.mode,
        profile,
        hidden,
    )


def _as_floats(decoded: Decoded) -> list[Image.Image]:
    """Red, green and blue of samples before scaling, which may be one and the same, without what is no number."""
    assert decoded.values is not None
    colours = decoded.values[..., :3] if decoded.values.shape[2] >= 3 else decoded.values[..., [0, 0, 0]]
    finite = np.nan_to_num(colours.astype(np.float32), nan=0, posinf=0, neginf=0)
    return [Image.fromarray(np.ascontiguousarray(finite[..., channel])) for channel in range(3)]


def count_beyond(path: Path, scale: Scale) -> int:
    """Count the samples of an image that lie outside a scale, so that they are clipped.

    Args:
        path: the file.
        scale: of the image.

    Raises:
        UnreadableImageError: if it cannot be used.
    """
    values = decode(read_bytes(path)).values
    return 0 if values is None else beyond(values, scale)


def resize(image: Image.Image, side: int) -> Pixels:
    """Resize to a square with antialiasing: a bilinear filter, widened where it reduces.

    The one function that brings images to a network's size: for packs, prediction and the page. It is Pillow's, so that
    programs without PyTorch, which run an exported model, can do the same to the last bit.

    Args:
        image: of mode RGB.
        side: the new height and width in pixels.

    Returns:
        Shape (side, side, 3), 0 to 255.
    """
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR))
