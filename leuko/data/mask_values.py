"""From a mask's file to its values: labels, of which each counts by itself, or shades between the ground and the cell.

Whether they are the one or the other, and which value is white among shades, is settled once for all masks of a set
that have one format and type of sample, as the scale of images is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from leuko.data.decode import Decoded, decode, has_alpha
from leuko.data.scale import FEWER_BITS, Depth, settle, to_bytes

LOSSY = ("JPEG", "WEBP")
LABELS = 0.0
"""What stands for the white of masks whose values are labels."""
TRANSPARENT = -1
"""What stands for transparency among a mask's values."""
LEAST = 64
"""Integers up to here are labels."""
LARGEST = 2**31 - 1
"""Larger labels count as this one."""
COLOURED = 2**24
"""What is added to the number of a colour (red, green and blue, a byte each), so that it is none of the greys'."""
GREY = 12
"""How far red, green and blue of a grey may lie apart."""
TINTED, CHROMA = 48, 100
"""How far those of a tint may lie apart, and how far those of one of a mask's compressed colours do at least."""
COLOURS = 256
"""A picture of more colours is no map of classes by colours."""
STEP = 64
"""Colours that compression has changed are brought to multiples of this, the same ones in all masks of a set."""
FLAT = 0.25
"""The least share of the values between the extremes that lies in even patches, where values are labels."""
OUTERMOST = 0.1
"""A blurred shape begins with less than this share of its range; labels, with any."""
BINS = 8
"""In so many parts of its range a blurred shape has values; of twice as many, a few hold most of any other shades."""
SPREAD = 16
"""How far the noise of JPEG spreads a grey or a colour."""
MOST = 4
"""A mask that has been compressed has no more greys or colours that can be told."""
NEAR, CLOSE = 4, 0.6
"""So large a share of a coloured mask's pixels lies so near its colours; of pictures with such colours at most 0.55."""
HALF = 0.5
"""So much of what is of another colour than most of a mask is roughly of a second one; of pictures at most 0.48.

Both of 500 public pictures. Also the least share of labels with even patches, and of shades that are much alike."""
LEAST_SHARE, TENTH = 0.005, 0.1
"""The least share of the pixels that a mask's colour has, and of those of another colour than most."""
COLOURFUL = 0.02
"""The least share of coloured pixels in a coloured picture."""
DARKEST, BRIGHTEST = 24, 231
"""What lies below the one or above the other is taken for black or white."""
Looks = Literal["labels", "shades", "either", "colours"]
"""What a mask's values look like; with two of them it may be either; of too many colours, they are the brightness."""


@dataclass(frozen=True)
class Nature:
    """What a mask's values are, as far as the mask itself tells.

    Attributes:
        looks: what they look like.
        is_certain: whether that is beyond doubt, whatever the other masks of the set look like.
        depth: of the samples.
    """

    looks: Looks
    is_certain: bool
    depth: Depth


@dataclass(frozen=True)
class RawMask:
    """A mask before anything is decided.

    Attributes:
        values: shape (height, width), as the file has them: integers, or floats; TRANSPARENT where it shows nothing.
        nature: what they are.
        inverted: whether the least of shades is white.
        orientation: as its file says that it lies, 1 to 8.
        has_alpha: whether some of it is transparent.
    """

    values: NDArray[Any]
    nature: Nature
    inverted: bool
    orientation: int
    has_alpha: bool

    def levels(self, white: float) -> NDArray[np.int32]:
        """The mask as integers: labels, or shades of 0 to 255; TRANSPARENT where it shows nothing.

        Args:
            white: the value that becomes 255 among shades, or LABELS.
        """
        if white == LABELS:
            levels = self.values if self.values.dtype == np.int32 else np.rint(self.values).clip(TRANSPARENT, LARGEST)
            if self.inverted and self.nature.looks == "either":
                levels = self.nature.depth.high - levels
        else:
            levels = np.rint((self.values / white).clip(0, 1) * 255)
            levels = 255 - levels if self.inverted else levels
        return np.where(self.values == TRANSPARENT, TRANSPARENT, levels).astype(np.int32)


def settle_whites(masks: Iterable[Nature]) -> dict[str, float]:
    """Settle which value is white among shades, or that values are labels, once for all masks of a set.

    Args:
        masks: all of the set's.

    Returns:
        By what `Depth.key` says of masks: their white, or LABELS.
    """
    pools = defaultdict(list)
    for mask in masks:
        pools[mask.depth.key].append(mask)
    found = {}
    for key, pool in pools.items():
        n_shades, n_labels = (sum(mask.looks == looks for mask in pool) for looks in ("shades", "labels"))
        if n_shades <= n_labels:
            found[key] = LABELS
            continue
        usual = float(np.median([mask.depth.high for mask in pool if mask.looks == "shades"]))
        # A mask of more bits than the others does not make theirs nearly black.
        shaded = [mask.depth for mask in pool if mask.looks != "labels" and FEWER_BITS * mask.depth.high <= usual]
        found[key] = shaded[0].scale(settle(shaded, None)).white
    return found


def white_of(mask: Nature, whites: Mapping[str, float]) -> float:
    """Which value is white in a mask, or LABELS.

    Args:
        mask: of a set.
        whites: what was settled for the set; a mask of a kind that it does not name is a set of its own.
    """
    own = mask.depth.scale({}).white
    settled = whites.get(mask.depth.key, own if mask.looks == "shades" else LABELS)
    if mask.looks == "either":  # zeros and ones among masks of shades are not nearly black
        return settled if settled != LABELS and mask.depth.high >= FEWER_BITS * settled else LABELS
    if mask.is_certain and mask.looks == "labels":
        return LABELS
    if settled == LABELS:
        return own if mask.is_certain else LABELS
    has_more_bits = mask.looks == "shades" and FEWER_BITS * mask.depth.high > settled
    return own if has_more_bits else settled


def decode_mask(content: bytes) -> RawMask:
    """Decode a mask of whatever kind.

    Args:
        content: of the file.

    Raises:
        UnreadableImageError: if it cannot be used.
    """
    decoded = decode(content)
    values, alpha, looks = _values(decoded)
    is_opaque = alpha >= 128 if alpha is not None else None
    has_alpha = is_opaque is not None and not is_opaque.all()
    if is_opaque is not None and has_alpha:
        values = np.where(is_opaque, values, TRANSPARENT).astype(values.dtype)
    is_shaded = values.dtype.kind == "f" or decoded.depth.format in LOSSY
    nature = Nature(looks or ("shades" if is_shaded else _looks(values)), bool(looks) or is_shaded, decoded.depth)
    return RawMask(values, nature, decoded.inverted, decoded.orientation, has_alpha)


def _values(decoded: Decoded) -> tuple[NDArray[Any], NDArray[np.uint8] | None, Looks | None]:
    """A mask's values, its transparency, of 0 to 255, if it has any, and what they look like if colours say so."""
    if decoded.values is not None:
        return _deep_values(decoded)
    image, alpha = decoded.image, None
    assert image is not None
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        layered = image.convert("RGBA")
        alpha = np.asarray(layered.getchannel("A"))
        image = image if image.mode == "P" else layered.convert("RGB")
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L")).astype(np.int32), alpha, None
    colours = np.asarray(image.convert("RGB"))
    if image.mode == "P":
        table = np.reshape(image.getpalette() or [0, 0, 0], (-1, 3))
        if np.ptp(table, axis=1).max() > GREY or np.ptp(table) <= GREY:
            return np.asarray(image).astype(np.int32), alpha, "labels"
        return colours.max(axis=2).astype(np.int32), alpha, None
    levels, looks = _of_colours(colours, is_lossy=decoded.depth.format in LOSSY)
    return levels, alpha, looks


def _deep_values(decoded: Decoded) -> tuple[NDArray[Any], NDArray[np.uint8] | None, Looks | None]:
    """The same of a file with more than eight bits per sample: integers as such, whatever their type."""
    values: Any = decoded.values
    alpha = None
    if has_alpha(decoded.mode):
        alpha = np.where(values[..., -1] * 2.0 >= values[..., -1].max(initial=1), 255, 0).astype(np.uint8)
        values = values[..., :-1]
    values = np.nan_to_num(values, posinf=0, neginf=0)
    if values.shape[2] == 3:
        colours = to_bytes(values, decoded.depth.scale({}))
        if np.ptp(colours, axis=2).max() > GREY:
            levels, looks = _of_colours(255 - colours if decoded.inverted else colours, is_lossy=False)
            return levels, alpha, looks
    values = values.max(axis=2).clip(0)
    is_whole = values.max() <= LARGEST and (values.dtype.kind != "f" or (values == np.rint(values)).all())
    return values.astype(np.int32 if is_whole else np.float32), alpha, None


def _of_colours(colours: NDArray[np.uint8], *, is_lossy: bool) -> tuple[NDArray[np.int32], Looks | None]:
    """A coloured mask's values, and what they look like unless all are greys."""
    brightest = colours.max(axis=2).astype(np.int32)
    tints = brightest - colours.min(axis=2)
    if tints.max() <= GREY:
        return brightest, None
    if not is_lossy:
        codes = np.where(tints <= GREY, brightest, _codes(colours))
        found, counts = np.unique(codes, return_counts=True)
        rest = ~np.isin(codes, found[np.argsort(counts)[-2:]])
        if len(found) <= COLOURS and (not rest.any() or _share_even(codes, rest) >= FLAT):
            return codes, "labels"
    palette = _palette(colours)
    if len(palette):
        distances = [np.square(colours.astype(np.int32) - colour).sum(axis=2) for colour in palette]
        return _steady_codes(palette)[np.argmin(distances, axis=0)], "labels"
    return brightest, "colours" if (tints > TINTED).mean() > COLOURFUL else None


def _codes(colours: NDArray[Any]) -> NDArray[np.int32]:
    """The number of each colour; the last axis is red, green and blue."""
    return np.asarray(colours.astype(np.int32) @ np.array([65536, 256, 1], np.int32) + COLOURED)


def _steady_codes(palette: NDArray[np.int32]) -> NDArray[np.int32]:
    """Values for a mask's colours that are the same in all masks of a set, although compression changes the colours."""
    rounded = ((palette + STEP // 2) // STEP * STEP).clip(0, 255)
    return np.where(np.ptp(palette, axis=1) <= TINTED, rounded.max(axis=1), _codes(rounded)).astype(np.int32)


def _palette(colours: NDArray[np.uint8]) -> NDArray[np.int32]:
    """The few colours that a coloured mask consists of, but for its edges: shape (number, 3); none of a picture."""
    left = colours.reshape(-1, 3).astype(np.int32)
    n_pixels = n_others = len(left)
    found: list[NDArray[np.int32]] = []
    n_near = n_second = 0
    while len(left) and len(found) < MOST:
        bins = _codes(left // SPREAD)
        numbers, counts = np.unique(bins, return_counts=True)
        if counts.max() < max(LEAST_SHARE * n_pixels, TENTH * n_others * bool(found)):
            break
        found.append(np.median(left[bins == numbers[counts.argmax()]], axis=0).astype(np.int32))
        distances = np.abs(left - found[-1]).max(axis=1)
        n_near += int((distances <= NEAR).sum())
        if len(found) == 1:
            left = left[distances > SPREAD]
            n_others = len(left)
        else:
            n_second += int((distances <= 2 * SPREAD).sum())
            left = left[distances > 2 * SPREAD]
    palette = np.array(found)
    is_mask = len(found) > 1 and np.ptp(palette, axis=1).max() >= CHROMA
    return palette if is_mask and n_near >= CLOSE * n_pixels and n_second >= HALF * n_others else palette[:0]


def is_even(levels: NDArray[np.int32], most: int = 0) -> NDArray[np.bool_]:
    """Where a pixel's neighbours to the right and below have its value: shape (height - 1, width - 1).

    Args:
        levels: shape (height, width).
        most: how far theirs may lie from it.
    """
    corner = levels[:-1, :-1]
    even = np.ones(corner.shape, bool)
    for neighbour in (levels[1:, :-1], levels[:-1, 1:], levels[1:, 1:]):
        even &= np.abs(corner - neighbour) <= most
    return even


def _share_even(levels: NDArray[np.int32], members: NDArray[np.bool_]) -> float:
    """Which share of some pixels begins an even patch."""
    return float((is_even(levels) & members[:-1, :-1]).sum() / members.sum())


def _looks(values: NDArray[np.int32]) -> Looks:
    """Whether integers look like labels or like shades, of which blurred edges and noise make many.

    Labels lie in even patches, each of them, or are spread over their range, while most of a shape with noise or soft
    edges has a few shades. A blurred shape of which less has begins with the least of all shades.
    """
    shown = values[values != TRANSPARENT]
    if not shown.size or not ((shown > shown.min()) & (shown < shown.max())).any():
        return "either"
    lowest, highest = int(shown.min()), int(shown.max())
    between = (values > lowest) & (values < highest)
    if highest < LEAST:
        return "labels"
    if _is_blurred(values, lowest, highest):
        return "shades"
    if _share_even(values, between) >= FLAT:
        patches = values[:-1, :-1][is_even(values) & between[:-1, :-1]]
        return "labels" if len(np.unique(patches)) >= HALF * len(np.unique(values[between])) else "shades"
    counts = np.sort(np.histogram(shown[shown > lowest], 2 * BINS)[0])
    return "labels" if counts[-MOST:].sum() < HALF * counts.sum() else "shades"


def _is_blurred(values: NDArray[np.int32], lowest: int, highest: int) -> bool:
    """Whether shapes have shades of all strengths, of which the outermost are the least: around them is ground."""
    shares = (values - lowest) / (highest - lowest)
    bins = np.histogram(shares[(shares > 0) & (shares < 1)], BINS, (0, 1))[0]
    ground = np.pad(shares <= 0, 1)
    beside = ground[:-2, 1:-1] | ground[2:, 1:-1] | ground[1:-1, :-2] | ground[1:-1, 2:]
    outermost = shares[beside & (shares > 0)]
    return bool(bins.all() and outermost.size and np.median(outermost) < OUTERMOST)
