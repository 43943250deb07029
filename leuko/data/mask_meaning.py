"""What the values of a set's masks mean, settled once from all of them, and what each mask is worth under that rule."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import minimum_filter1d

from leuko.data.images import lay_upright, read_bytes
from leuko.data.mask_reading import MIDDLE, QUARTER, WHITE, Kind, MaskRule, is_white, kept
from leuko.data.mask_values import (
    BRIGHTEST,
    DARKEST,
    LABELS,
    MOST,
    SPREAD,
    TRANSPARENT,
    Nature,
    decode_mask,
    is_even,
    white_of,
)

TILE_SIDE = 32
"""What is compared of a mask and its image, in pixels a side; the mask is sampled at twice as many."""
MANY = 16
"""A mask of more shades than this may be a picture."""
MOSTLY = 0.85
"""A mask has so many of its pixels near black, white and a middle grey, ..."""
BLACK = 0.01
"""... and more than so many near black, which microscopy shows hardly anywhere, ..."""
CLOSE = 0.83
"""... or so many within NEAR of its greys; of 400 public pictures at most 0.81, of JPEG masks without black 0.85."""
NEAR = 2
PEAKED = 0.6
"""Of what lies near an even grey, so much lies within half as far."""
THIN = 0.02
"""Lines are no thicker than twice this share of the shorter side."""
SMALL = 0.3
"""What covers more of the picture is no line."""
FLAT_SHARE = 0.1
"""The least share of what is of another grey than most of a mask that a grey has in even patches."""
EXPLAINED = 0.8
"""A mask's greys are nearly all that has even patches; of a picture they are not."""

Setting = str | Mapping[str, Any]


@dataclass(frozen=True)
class MaskProbe:
    """What ingest needs to know of a mask, whatever its values will turn out to mean.

    Attributes:
        width: as it lies in the file, in pixels.
        height: likewise.
        sha256: of the file's content.
        orientation: as its file says that it lies, 1 to 8.
        nature: of its values.
        has_alpha: as `RawMask` has it.
        white: the value that is white among shades, by which they were read, or LABELS.
        values: its values, ascending; TRANSPARENT among them.
        counts: how many pixels have each.
        border: how many pixels of the outermost ones have each.
        greys: those that have even patches, ascending; empty if it is of labels, or of no few greys.
        lines: whether all that is bright is no thicker than lines, and whether all that is dark is.
        tile: its values at a few pixels: shape (2 * TILE_SIDE, 2 * TILE_SIDE), as it lies in the file.
    """

    width: int
    height: int
    sha256: str
    orientation: int
    nature: Nature
    has_alpha: bool
    white: float
    values: NDArray[np.int32]
    counts: NDArray[np.int64]
    border: NDArray[np.int64]
    greys: tuple[int, ...]
    lines: tuple[bool, bool]
    tile: NDArray[np.int32]

    @property
    def is_discrete(self) -> bool:
        """Whether its values are labels."""
        return self.white == LABELS

    def share(self, rule: MaskRule) -> float:
        """The share of the picture that is cell."""
        cell = kept(self.values, rule, is_discrete=self.is_discrete)
        return float(self.counts[cell].sum() / self.counts.sum())

    def border_share(self, rule: MaskRule) -> float:
        """The share of the picture's border that is cell."""
        cell = kept(self.values, rule, is_discrete=self.is_discrete)
        return float(self.border[cell].sum() / self.border.sum())

    def cell(self, rule: MaskRule) -> NDArray[np.float64]:
        """The share of each of TILE_SIDE by TILE_SIDE parts that is cell, as the mask lies in its file."""
        cell = kept(self.tile, rule, is_discrete=self.is_discrete)
        return np.asarray(cell.reshape(TILE_SIDE, 2, TILE_SIDE, 2).mean(axis=(1, 3)))

    def is_line(self, rule: MaskRule) -> bool:
        """Whether what is cell consists of lines."""
        share = self.share(rule)
        bright = self.share(MaskRule())
        return self.lines[0] if abs(share - bright) < abs(share - (1 - bright)) else self.lines[1]

    def is_picture(self, image: NDArray[np.uint8]) -> bool:
        """Whether it looks like a picture that lies the same way: a thumbnail of TILE_SIDE a side."""
        near = np.abs(self.values[:, None] - (self.greys or (0, 255))).min(axis=1) <= SPREAD
        shares = self.counts / self.counts.sum()
        has_black = shares[self.values <= SPREAD].sum() > BLACK and shares[near].sum() > MOSTLY
        if len(self.values) <= MANY or has_black or _share_close(self.values, shares) > CLOSE:
            return False
        shades = self.tile.reshape(TILE_SIDE, 2, TILE_SIDE, 2).mean(axis=(1, 3))
        return max(abs(correlation(shades, image[..., channel])) for channel in range(3)) > 0.95


def probe_mask(path: Path, whites: Mapping[str, float] | None = None) -> MaskProbe:
    """Read and describe a mask.

    Args:
        path: the file.
        whites: as settled for its set; without them the mask is a set of its own.

    Returns:
        Its description.

    Raises:
        UnreadableImageError: if it cannot be used.
    """
    content = read_bytes(path)
    mask = decode_mask(content)
    white = white_of(mask.nature, whites or {})
    levels = mask.levels(white)
    values, counts = _count(levels)
    edge = np.concatenate([levels[0], levels[-1], levels[1:-1, 0], levels[1:-1, -1]])
    border = np.zeros(len(values), np.int64)
    np.add.at(border, np.searchsorted(values, edge), 1)
    rows, columns = ((np.arange(2 * TILE_SIDE) + 0.5) / (2 * TILE_SIDE) * side for side in levels.shape)
    greys = () if white == LABELS else _greys(levels)
    bright = levels > ((greys[0] + greys[-1]) / 2 if len(greys) > 1 else 0 if white == LABELS else MIDDLE - 1)
    return MaskProbe(
        levels.shape[1],
        levels.shape[0],
        hashlib.sha256(content).hexdigest(),
        mask.orientation,
        mask.nature,
        mask.has_alpha,
        white,
        values,
        counts,
        border,
        greys,
        (_is_thin(bright), _is_thin(~bright)),
        levels[np.ix_(rows.astype(int), columns.astype(int))],
    )


def _count(levels: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The values that occur, and how often."""
    if levels.max() < 2**16:
        counts = np.bincount(levels.ravel() - TRANSPARENT)
        places = np.flatnonzero(counts)
        return (places + TRANSPARENT).astype(np.int32), counts[places].astype(np.int64)
    values, counts = np.unique(levels, return_counts=True)
    return values, counts.astype(np.int64)


def _greys(levels: NDArray[np.int32]) -> tuple[int, ...]:
    """The greys that have even patches in a mask of shades, ascending; empty if they are many."""
    corner = levels[:-1, :-1]
    counts = np.bincount(corner[is_even(levels, SPREAD) & (corner != TRANSPARENT)], minlength=256)
    all_counts = counts.copy()
    greys: list[int] = []
    n_others = 0
    while counts.any() and len(greys) < MOST:
        peak = int(counts.argmax())
        grey = 0 if peak < DARKEST else 255 if peak > BRIGHTEST else peak
        near = counts[max(0, min(peak, grey) - SPREAD) : max(peak, grey) + SPREAD + 1]
        if greys and near.sum() < FLAT_SHARE * n_others:
            break
        if 0 < grey < 255:  # the slope of a blurred edge has even patches, too, but of all greys
            inner, outer = (all_counts[max(0, peak - by) : peak + by + 1].sum() for by in (SPREAD, 2 * SPREAD))
            if inner < PEAKED * outer:
                break
        greys.append(grey)
        near[:] = 0
        n_others = n_others or int(counts.sum())
    return tuple(sorted(greys)) if counts.sum() <= (1 - EXPLAINED) * n_others else ()


def _share_close(values: NDArray[np.int32], shares: NDArray[np.float64]) -> float:
    """The share of a mask's pixels within NEAR of its most frequent greys."""
    left = np.bincount(values.clip(0, 255), shares, minlength=256)
    total = 0.0
    for _ in range(MOST):
        around = np.convolve(left, np.ones(2 * NEAR + 1), "same")
        peak = int(around.argmax())
        total += float(around[peak])
        left[max(0, peak - NEAR) : peak + NEAR + 1] = 0
    return total


def _is_thin(cell: NDArray[np.bool_]) -> bool:
    """Whether what is marked consists of lines, open or closed."""
    if not 0 < cell.mean() < SMALL:
        return False
    size = 2 * max(1, round(THIN * min(cell.shape))) + 1
    inner = minimum_filter1d(cell.astype(np.uint8), size, axis=0, mode="constant")
    return not minimum_filter1d(inner, size, axis=1, mode="constant").any()


def correlation(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Pearson's; 0 where one of them is constant."""
    a, b = (np.asarray(values, np.float64) - np.mean(values) for values in (first, second))
    lengths = np.sqrt(np.square(a).sum() * np.square(b).sum())
    return float((a * b).sum() / lengths) if lengths > 0 else 0.0


def settle_rule(masks: Sequence[MaskProbe], setting: Setting, voters: Sequence[MaskProbe]) -> MaskRule:
    """Decide what is cell in all masks of a set.

    Args:
        masks: all of the set's.
        setting: `auto`, or what is cell: `nonzero`, `bright`, `dark`, `alpha`, or values, `{"value": [1, 2]}`.
        voters: those of which most have ground at their border.

    Returns:
        The rule, for masks that lie upright.
    """
    if not isinstance(setting, str):
        return MaskRule("value", values=tuple(setting["value"]))
    if setting != "auto":
        return MaskRule(cast(Kind, setting), QUARTER if setting == "nonzero" else MIDDLE)
    layered = [mask for mask in masks if mask.has_alpha]
    shown = [mask for mask in layered if mask.values[-1] != TRANSPARENT]
    if 2 * len(layered) > len(masks) and 2 * sum(map(_is_cut_out, shown)) > len(shown):
        of_cell = [mask for mask in voters if mask.has_alpha]
        return MaskRule("transparent" if 2 * sum(map(_has_opaque_border, of_cell)) > len(of_cell) else "alpha")
    # White is 255 among shades, and so it has to be in the same set's masks of two values, whatever their depth.
    has_shades = not all(mask.is_discrete for mask in masks)
    votes = Counter(vote for mask in voters if (vote := _ground(mask, has_shades)) is not None)
    lowest = min((int(mask.values[mask.values != TRANSPARENT].min(initial=2**31 - 1)) for mask in masks), default=0)
    ground = max(votes, key=lambda vote: (votes[vote], vote == 0), default=lowest)
    return MaskRule("nonzero", _distance(masks, ground), (ground,) if ground else ())


def _distance(masks: Sequence[MaskProbe], ground: int) -> int:
    """How far from the ground cell is at least: half as far as the nearest middle grey, if some masks have one."""
    steps = [[abs(grey - ground) for grey in mask.greys if abs(grey - ground) > 2 * SPREAD] for mask in masks]
    middle = [min(of_mask) for of_mask in steps if of_mask and min(of_mask) < BRIGHTEST]
    return round(float(np.median(middle)) / 2) if middle else MIDDLE


def _is_cut_out(mask: MaskProbe) -> bool:
    """Whether only transparency tells what is cell: what is opaque is of one value, or a picture."""
    n_opaque = int((mask.values != TRANSPARENT).sum())
    return n_opaque == 1 or not mask.is_discrete or n_opaque > MANY


def _has_opaque_border(mask: MaskProbe) -> bool:
    """Whether the ground seems to be what is opaque."""
    return bool(2 * mask.border[mask.values != TRANSPARENT].sum() > mask.border.sum())


def _ground(mask: MaskProbe, has_shades: bool) -> int | None:
    """The value or grey that a mask's border says is ground, WHITE for white among shades; none if it says nothing."""
    opaque = mask.values != TRANSPARENT
    values, border = mask.values[opaque], mask.border[opaque]
    if not border.sum() or 2 * border.sum() < mask.border.sum():
        return None
    if mask.is_discrete:
        place = border.argmax()
        return WHITE if has_shades and is_white(values)[place] else int(values[place])
    greys = np.array(mask.greys or (0, 255))
    nearest = np.abs(values[:, None] - greys).argmin(axis=1)
    return int(greys[np.bincount(nearest, border).argmax()])


def relation(mask: MaskProbe, rule: MaskRule, image: NDArray[np.uint8], orientation: int) -> float:
    """How much darker an image is where a mask says cell: the correlation of cell and darkness.

    Args:
        mask: of the image.
        rule: which of its values are cell, and how it lies.
        image: a thumbnail of TILE_SIDE a side, as it lies in its file.
        orientation: how that is, as EXIF has it.
    """
    lying = mask.orientation if mask.orientation != 1 else rule.orientation
    dark = 255.0 - image[..., 1]  # both stains of blood and of tissue absorb green
    return correlation(lay_upright(mask.cell(rule), lying), lay_upright(dark, orientation))
