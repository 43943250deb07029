"""Reading a mask: which of its values are cell is a rule, which `mask_meaning` settles once for a whole set."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from leuko.data.images import lay_upright, read_bytes
from leuko.data.mask_values import LABELS, TRANSPARENT, RawMask, decode_mask, white_of
from leuko.data.scale import FULL

MIDDLE = 128
"""The least shade that is cell, where masks have two; JPEG makes them only nearly 0 and 255."""
QUARTER = 64
"""The same where a third shade between the two is cell, too."""
WHITE = 255
"""White among shades, and the ground of a rule by which white is ground, whatever a mask's depth."""
Kind = Literal["nonzero", "bright", "dark", "alpha", "transparent", "value"]


@dataclass(frozen=True)
class MaskRule:
    """Which values of a mask are cell.

    Attributes:
        kind: all but the ground (`nonzero`), from half of the range (`bright`), below it (`dark`), all that is opaque
            (`alpha`), all that is not (`transparent`), or some values alone (`value`). Else nothing that is transparent
            is cell.
        threshold: how far from the ground, of 255, cell is at least, in masks of shades rather than of labels.
        values: what is cell (`value`), or the one that is ground (`nonzero`; else 0); WHITE is that of every depth.
        orientation: of EXIF's, how the mask lies; 1 is upright.
        white: which value is white among shades, or LABELS; none where the mask is not of a set, and tells itself.
    """

    kind: Kind = "nonzero"
    threshold: int = MIDDLE
    values: tuple[int, ...] = ()
    orientation: int = 1
    white: float | None = None

    def lies(self, mask: RawMask) -> int:
        """How a mask lies, as EXIF has it: as its own file says, else as the rule does."""
        return mask.orientation if mask.orientation != 1 else self.orientation

    def __str__(self) -> str:
        """As the manifest has it."""
        values = f" of {','.join(map(str, self.values))}" if self.values else ""
        lying = f" lying {self.orientation}" if self.orientation != 1 else ""
        white = "" if self.white is None else " of labels" if self.white == LABELS else f" of shades to {self.white!r}"
        return f"{self.kind} from {self.threshold}{values}{lying}{white}"

    @classmethod
    def parse(cls, text: str) -> MaskRule:
        """Read what `str` writes."""
        found = re.fullmatch(
            r"(\w+) from (\d+)(?: of ([\d,]+))?(?: lying (\d))?(?: of (labels)| of shades to (\S+))?", text
        )
        if not found:
            raise ValueError(f"{text!r} is no rule for a mask")
        kind, threshold, values, orientation, labels, white = found.groups()
        numbers = tuple(map(int, values.split(","))) if values else ()
        read_as = LABELS if labels else float(white) if white else None
        return cls(cast(Kind, kind), int(threshold), numbers, int(orientation or 1), read_as)


def kept(levels: NDArray[np.int32], rule: MaskRule, *, is_discrete: bool) -> NDArray[np.bool_]:
    """Which values of a mask are cell.

    Args:
        levels: of any shape, as `RawMask.levels` makes them.
        rule: what is cell.
        is_discrete: whether they are labels.

    Returns:
        Of the same shape.
    """
    if rule.kind == "transparent":
        return np.asarray(levels == TRANSPARENT)
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
    white = white_of(mask.nature, {}) if rule.white is None else rule.white
    cell = kept(mask.levels(white), rule, is_discrete=white == LABELS)
    return np.ascontiguousarray(lay_upright(cell, rule.lies(mask)))
