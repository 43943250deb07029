"""Reading a mask: which of its values are cell is a rule, which `mask_meaning` settles once for a whole set."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from leuko.data.decode import Decoded, decode
from leuko.data.images import lay_upright, read_bytes
from leuko.data.scale import FULL, full_value

LOSSY = ("JPEG", "WEBP")
MIDDLE = 128
"""The least shade that is cell, where masks have two; JPEG makes them only nearly 0 and 255."""
QUARTER = 64
"""The same where a third shade between the two is cell, too."""
WHITE = 255
"""White among shades, and the ground of a rule by which white is ground, whatever a mask's depth."""
TRANSPARENT = -1
"""What stands for transparency among a mask's values."""
GREY = 12
"""How far red, green and blue of a grey may lie apart."""
COLOURS = 256
"""A picture of more colours is no map of classes by colours."""
COLOURED = 2**24
"""What is added to the number of a colour (red, green and blue, a byte each), so that it is none of the greys'."""
FLAT = 0.25
"""The least share of the values between the extremes that lies in even patches, where values are labels."""
SPREAD = 0.4
"""Labels have a smaller share of what is not ground in the upper quarter of their range."""

Kind = Literal["nonzero", "bright", "dark", "alpha", "value"]


@dataclass(frozen=True)
class MaskRule:
    """Which values of a mask are cell.

    Attributes:
        kind: all but the ground (`nonzero`), from half of the range (`bright`), below it (`dark`), all that is opaque
            (`alpha`), or some values alone (`value`). What is transparent is never cell.
        threshold: how far from the ground, of 255, cell is at least, in masks of shades rather than of labels.
        values: what is cell (`value`), or the one that is ground (`nonzero`; else 0); WHITE is that of every depth.
        orientation: of EXIF's, how the mask lies; 1 is upright.
    """

    kind: Kind = "nonzero"
    threshold: int = MIDDLE
    values: tuple[int, ...] = ()
    orientation: int = 1

    def lies(self, mask: RawMask) -> int:
        """How a mask lies, as EXIF has it: as its own file says, else as the rule does."""
        return mask.orientation if mask.orientation != 1 else self.orientation

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
        return cls(cast(Kind, kind), int(threshold), numbers, int(orientation or 1))


@dataclass(frozen=True)
class RawMask:
    """A mask before anything is decided.

    Attributes:
        levels: shape (height, width), integers: shades of 0 to 255, or labels; TRANSPARENT where it shows nothing.
        is_discrete: whether every value counts by itself, as labels do; shades are blurred or have noise.
        orientation: as its file says that it lies, 1 to 8.
        has_alpha: whether some of it is transparent.
    """

    levels: NDArray[np.int32]
    is_discrete: bool
    orientation: int
    has_alpha: bool


def kept(levels: NDArray[np.int32], rule: MaskRule, *, is_discrete: bool) -> NDArray[np.bool_]:
    """Which values of a mask are cell.

    Args:
        levels: of any shape, as `RawMask` has them.
        rule: what is cell.
        is_discrete: as `RawMask` has it.

    Returns:
        Of the same shape.
    """
    if rule.kind == "value":
        cell = np.isin(levels if is_discrete else _nearest(levels, rule.values), rule.values)
    elif rule.kind == "alpha":
        cell = np.ones(levels.shape, bool)
    elif rule.kind in ("bright", "dark"):
        largest = levels.max(initial=0)
        half = MIDDLE if 1 < largest <= 255 else max(largest / 2, 0.5)
        cell = (levels >= half) == (rule.kind == "bright")
    else:
        ground = (rule.values or (0,))[0]
        if not is_discrete:
            cell = np.abs(levels - ground) >= rule.threshold
        else:
            cell = ~is_white(levels) if ground == WHITE else levels != ground
    return np.asarray(cell & (levels != TRANSPARENT))


def is_white(levels: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Which values of a mask of labels are the largest of a depth: 255, 65535 and so on; 1 if it has none beyond."""
    whites = (1,) if levels.max(initial=0) <= 1 else tuple(full for full in FULL if full >= WHITE)
    return np.isin(levels, whites)


def _nearest(levels: NDArray[np.int32], values: tuple[int, ...]) -> NDArray[np.int64]:
    """For shades, the nearest one among black, white and some values."""
    shades = np.array(sorted({0, 255, *values}))
    return np.asarray(shades[np.abs(levels[..., None] - shades).argmin(axis=-1)])


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
    if not is_discrete and levels.max() > 255:
        levels = np.where(levels == TRANSPARENT, levels, np.rint(levels / levels.max() * 255).astype(np.int32))
    return RawMask(levels, is_discrete, decoded.orientation, has_alpha)


def _levels_and_alpha(decoded: Decoded) -> tuple[NDArray[np.int32], NDArray[np.uint8] | None]:
    """A mask's values as integers, and its transparency, of 0 to 255, if it has any."""
    if decoded.values is not None:
        return _deep_levels(decoded)
    image, alpha = decoded.image, None
    assert image is not None
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        layered = image.convert("RGBA")
        alpha = np.asarray(layered.getchannel("A"))
        image = image if image.mode == "P" else layered.convert("RGB")
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L")).astype(np.int32), alpha
    colours = np.asarray(image.convert("RGB"))
    brightest = colours.max(axis=2)
    if image.mode == "P":
        table = np.reshape(image.getpalette() or [0, 0, 0], (-1, 3))
        has_greys = np.ptp(table, axis=1).max() <= GREY and np.ptp(table) > GREY
        return (brightest if has_greys else np.asarray(image)).astype(np.int32), alpha
    is_grey = brightest - colours.min(axis=2) <= GREY
    codes = colours.astype(np.int32) @ np.array([65536, 256, 1], np.int32) + COLOURED
    levels = np.where(is_grey, brightest, codes)
    is_map = decoded.depth.format not in LOSSY and len(np.unique(levels)) <= COLOURS
    return (levels if is_map else brightest.astype(np.int32)), alpha


def _deep_levels(decoded: Decoded) -> tuple[NDArray[np.int32], NDArray[np.uint8] | None]:
    """The same of a file with more than eight bits per sample: labels as they are, other floats as shades."""
    values: Any = decoded.values
    alpha = None
    if decoded.mode[-1] in "Aa":
        alpha = np.where(values[..., -1] * 2 >= values[..., -1].max(initial=1), 255, 0).astype(np.uint8)
        values = values[..., :-1]
    levels = np.nan_to_num(values.max(axis=2), posinf=0, neginf=0)
    if levels.dtype.kind == "f" and (levels != np.rint(levels)).any():
        levels = levels / full_value(float(levels.max()), decoded.depth.sample) * 255
    return np.clip(np.rint(levels), 0, 2**31 - 1).astype(np.int32), alpha


def _is_discrete(levels: NDArray[np.int32]) -> bool:
    """Whether values are labels rather than shades, of which blurred edges and noise make many.

    Labels lie in even patches or spread over their range, while nearly all of a blurred shape has its greatest shade.
    """
    largest = levels.max()
    between = (levels > 0) & (levels < largest)
    if not between.any() or largest < QUARTER or largest >= COLOURED:
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
    mask = decode_mask(read_bytes(path))
    return np.ascontiguousarray(lay_upright(kept(mask.levels, rule, is_discrete=mask.is_discrete), rule.lies(mask)))
