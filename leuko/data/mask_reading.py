"""Reading a mask: which of its values are cell is a rule, which `mask_meaning` settles once for a whole set."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from leuko.data.decode import Decoded, decode
from leuko.data.images import UPRIGHT, read_bytes
from leuko.data.scale import full_value

LOSSY = ("JPEG", "WEBP")
MIDDLE = 128
"""The least shade that is cell, where masks have two; JPEG makes them only nearly 0 and 255."""
QUARTER = 64
"""The same where a third shade between the two is cell, too."""
TRANSPARENT = -1
"""What stands for transparency among a mask's values."""
GREY = 12
"""How far red, green and blue of a grey may lie apart."""
FLAT = 0.25
"""The least share of the values between the extremes that lies in even patches, where values are labels."""

SPREAD = 0.4
"""Labels have a smaller share of what is not ground in the upper quarter of their range."""

Kind = Literal["nonzero", "zero", "bright", "dark", "alpha", "value"]


@dataclass(frozen=True)
class MaskRule:
    """Which values of a mask are cell.

    Attributes:
        kind: all but the ground (`nonzero`), the ground (`zero`), from half of the range (`bright`), below it (`dark`),
            all that is opaque (`alpha`), or some values alone (`value`). What is transparent is never cell.
        threshold: the least shade of 255 that is not ground, in masks of shades rather than of labels.
        values: what is cell (`value`), or the one that is ground (`nonzero`, `zero`; else 0).
        orientation: of EXIF's, how the mask lies; 1 is upright.
    """

    kind: Kind = "nonzero"
    threshold: int = MIDDLE
    values: tuple[int, ...] = ()
    orientation: int = 1

    def __str__(self) -> str:
        """As the manifest has it."""
        values = f" of {','.join(map(str, self.values))}" if self.values else ""
        lying = f" lying {self.orientation}" if self.orientation != 1 else ""
        return f"{self.kind} from {self.threshold}{values}{lying}"

    @classmethod
    def parse(cls, text: str) -> MaskRule:
        """Read what `str` writes."""
        found = re.fullmatch(r"(\w+) from (\d+)(?: of ([\d,]+))?(?: lying (\d))?", text)
        if not found:
            raise ValueError(f"{text!r} is no rule for a mask")
        kind, threshold, values, orientation = found.groups()
        numbers = tuple(map(int, values.split(","))) if values else ()
        return cls(kind, int(threshold), numbers, int(orientation or 1))  # type: ignore[arg-type]


@dataclass(frozen=True)
class RawMask:
    """A mask before anything is decided.

    Attributes:
        levels: shape (height, width), integers: shades of 0 to 255, or labels; TRANSPARENT where it shows nothing.
        is_discrete: whether every value counts by itself, as labels do; shades are blurred or have noise.
        orientation: as its file says that it lies, 1 to 8.
        has_alpha: whether some of it is transparent.
    """

    levels: NDArray[np.int64]
    is_discrete: bool
    orientation: int
    has_alpha: bool

    def kept(self, rule: MaskRule) -> NDArray[np.bool_]:
        """Where a rule says that it is cell, as the mask lies in its file: shape (height, width)."""
        levels, is_opaque = self.levels, self.levels != TRANSPARENT
        ground = levels == (rule.values or (0,))[0] if self.is_discrete else levels < rule.threshold
        half = MIDDLE if levels.max(initial=0) <= 255 else 2**15
        kept: NDArray[np.bool_] = {
            "nonzero": ~ground,
            "zero": ground,
            "bright": levels >= half,
            "dark": levels < half,
            "alpha": is_opaque,
            "value": self._is_one_of(rule.values),
        }[rule.kind]
        return np.asarray(kept & is_opaque)

    def _is_one_of(self, values: tuple[int, ...]) -> NDArray[np.bool_]:
        """Where it has one of some values, or a shade nearest to one of them among black, white and these."""
        if self.is_discrete:
            return np.asarray(np.isin(self.levels, values))
        shades = np.array(sorted({0, 255, *values}))
        nearest = shades[np.abs(self.levels[..., None] - shades).argmin(axis=-1)]
        return np.asarray(np.isin(nearest, values))


def decode_mask(content: bytes) -> RawMask:
    """Decode a mask of whatever kind.

    Args:
        content: of the file.

    Raises:
        UnreadableImageError: if it cannot be used.
    """
    decoded = decode(content)
    levels, alpha = _levels_and_alpha(decoded)
    is_opaque = alpha >= MIDDLE if alpha is not None else None
    has_alpha = is_opaque is not None and not is_opaque.all()
    if is_opaque is not None and has_alpha:
        levels = np.where(is_opaque, levels, TRANSPARENT)
    is_discrete = decoded.depth.format not in LOSSY and _is_discrete(levels)
    return RawMask(levels, is_discrete, decoded.orientation, has_alpha)


def _levels_and_alpha(decoded: Decoded) -> tuple[NDArray[np.int64], NDArray[np.uint8] | None]:
    """A mask's values as integers, and its transparency, of 0 to 255, if it has any."""
    if decoded.values is not None:
        return _deep_levels(decoded)
    image, alpha = decoded.image, None
    assert image is not None
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        alpha = np.asarray(image.convert("RGBA").getchannel("A"))
        image = image.convert("RGBA").convert("RGB")
    if image.mode == "P":
        colours = np.asarray(image.convert("RGB")).astype(np.int64)
        if _is_grey(colours):
            return colours.max(axis=2), alpha
        return np.asarray(image).astype(np.int64), alpha
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L")).astype(np.int64), alpha
    colours = np.asarray(image.convert("RGB")).astype(np.int64)
    if decoded.depth.format not in LOSSY and not _is_grey(colours):
        codes = colours @ np.array([65536, 256, 1])
        if len(np.unique(codes)) <= 256:
            return codes, alpha
    return colours.max(axis=2), alpha


def _deep_levels(decoded: Decoded) -> tuple[NDArray[np.int64], NDArray[np.uint8] | None]:
    """The same of a file with more than eight bits per sample: labels as they are, other floats as shades."""
    values: Any = decoded.values
    alpha = None
    if decoded.mode[-1] in "Aa":
        alpha = np.where(values[..., -1] * 2 >= values[..., -1].max(initial=1), 255, 0).astype(np.uint8)
        values = values[..., :-1]
    levels = np.nan_to_num(values.max(axis=2), posinf=0, neginf=0)
    if levels.dtype.kind == "f" and (levels != np.rint(levels)).any():
        levels = levels / full_value(float(levels.max()), decoded.depth.sample) * 255
    return np.maximum(np.rint(levels), 0).astype(np.int64), alpha


def _is_grey(colours: NDArray[np.int64]) -> bool:
    """Whether an image of shape (height, width, 3) has no colours."""
    return bool((colours.max(axis=2) - colours.min(axis=2)).max() <= GREY)


def _is_discrete(levels: NDArray[np.int64]) -> bool:
    """Whether values are labels rather than shades, of which blurred edges and noise make many.

    Labels lie in even patches or spread over their range, while nearly all of a blurred shape has its greatest shade.
    """
    largest = levels.max()
    between = (levels > 0) & (levels < largest)
    if not between.any() or not QUARTER <= largest <= 255:
        return True
    corner = levels[:-1, :-1]
    is_even = (corner == levels[1:, :-1]) & (corner == levels[:-1, 1:]) & (corner == levels[1:, 1:])
    if (is_even & between[:-1, :-1]).sum() >= FLAT * between.sum():
        return True
    return bool((levels >= 0.75 * largest).sum() < SPREAD * (levels > 0).sum())


def read_mask(path: Path, rule: MaskRule) -> NDArray[np.bool_]:
    """Read a mask.

    Args:
        path: the file.
        rule: which of its values are cell, and how it lies; the manifest has it.

    Returns:
        Shape (height, width), upright: true where the mask keeps the image.

    Raises:
        UnreadableImageError: if it cannot be used.
    """
    return _upright(decode_mask(read_bytes(path)), rule)


def _upright(mask: RawMask, rule: MaskRule) -> NDArray[np.bool_]:
    """Where a mask keeps the image, upright: shape (height, width)."""
    kept = mask.kept(rule)
    orientation = mask.orientation if mask.orientation != 1 else rule.orientation
    return np.asarray(Image.fromarray(kept).transpose(UPRIGHT[orientation])) if orientation in UPRIGHT else kept


@dataclass(frozen=True)
class MaskProbe:
    """What ingest needs to know of a mask: sides in pixels, SHA-256, and the share of the image that it keeps."""

    width: int
    height: int
    sha256: str
    kept: float


def probe_mask(path: Path) -> MaskProbe:
    """Read and describe a mask.

    Args:
        path: the file.

    Returns:
        Its description.

    Raises:
        UnreadableImageError: if it cannot be used.
    """
    content = read_bytes(path)
    kept = _upright(decode_mask(content), MaskRule())
    return MaskProbe(kept.shape[1], kept.shape[0], hashlib.sha256(content).hexdigest(), float(kept.mean()))
