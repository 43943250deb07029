"""One scale for a whole set: which value is black and which is white where samples have more than eight bits.

A camera of 12 bits writes files of 16, and most software does not say so in the file. Scaled by each image's own
largest value, a dark picture would become a bright one; scaled by 65535, a picture of 12 bits is nearly black. So the
scale is what the file declares; else what `ingest.max_value` says; else it is settled once for all images of a set that
have one format and type of sample, by the largest value among all of them. It is recorded in the manifest and in model
files.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FULL = (1, 255, 1023, 4095, 16383, 65535, 2**32 - 1)
"""The largest values of cameras and formats: of floats from 0 to 1, and of 8, 10, 12, 14, 16 and 32 bits."""
SLACK = 1.01
"""How far a set may exceed such a value and still have that scale; what exceeds it is clipped and counted."""
FEWER_BITS = 0.3
"""An image whose largest value is a smaller share of its set's may have been written with fewer bits: two make 0.25."""
NOISE = 0.1
"""Values a little below zero are noise, which is clipped; those further below belong to the picture."""
ROWS = 256
"""Rows scaled at a time, where a table of all values would be too large."""


@dataclass(frozen=True)
class Scale:
    """The values that become 0 and 255."""

    black: float
    white: float


BYTE = Scale(0.0, 255.0)

Scales = Mapping[str, Scale]
"""Of one set, by what `Depth.key` says of its images. Model files have them as `to_json` writes them."""


def to_json(scales: Scales) -> dict[str, list[float]]:
    """Scales as a model file has them: by key, the values that become black and white."""
    return {key: [scale.black, scale.white] for key, scale in sorted(scales.items())}


def from_json(content: Mapping[str, Sequence[float]]) -> dict[str, Scale]:
    """Read what `to_json` writes."""
    return {key: Scale(float(black), float(white)) for key, (black, white) in content.items()}


def from_column(texts: Iterable[str]) -> dict[str, Scale]:
    """Read the manifest's column `scale`, which has `Depth.recorded`'s text for every image of a set."""
    found = {}
    for text in sorted(set(texts) - {""}):
        key, black, white = text.rsplit(" ", 2)
        found[key] = Scale(float(black), float(white))
    return found


@dataclass(frozen=True)
class Depth:
    """The samples of an image, and what its file says of their scale.

    Attributes:
        format: of the file, such as `TIFF`.
        sample: type of the samples, such as `uint16`; `uint12` where they are packed.
        declared: the scale, if the file says it.
        stated: a largest value in the file's header that may be that of the scale or only that of this image.
        low: the smallest value among the samples.
        high: the largest.
        not_finite: the number of samples that are infinite or not a number.
    """

    format: str
    sample: str
    declared: Scale | None = None
    stated: float | None = None
    low: float = 0.0
    high: float = 0.0
    not_finite: int = 0

    @property
    def key(self) -> str:
        """What images must have in common to share a scale that no file declares."""
        return f"{self.format} {self.sample}"

    def recorded(self, scales: Scales) -> str:
        """What the manifest says of the image's scale: its key, black and white; empty if the file declares it."""
        if self.declared:
            return ""
        scale = scales[self.key]
        return f"{self.key} {scale.black!r} {scale.white!r}"

    def scale(self, scales: Scales) -> Scale:
        """The scale of the image: what its file declares, else its set's; an image without a set is a set of one."""
        return self.declared or scales.get(self.key) or settle([self], None)[self.key]


def declare(sample: str, stated: float | None) -> Scale | None:
    """The scale that a file declares: by samples of eight bits or packed ones, or by a stated value that is a full one.

    Args:
        sample: the type of its samples.
        stated: SMaxSampleValue or the like, if the file has it.
    """
    if sample.startswith("uint") and (bits := int(sample[4:])) not in (16, 32, 64):
        return Scale(0.0, 2.0**bits - 1)
    return Scale(0.0, stated) if stated in (*FULL, 32767) else None


def settle(depths: Iterable[Depth], max_value: float | None) -> dict[str, Scale]:
    """Settle the scales of a set's images that declare none.

    Args:
        depths: of all images of the set.
        max_value: what becomes white, if the settings say it.

    Returns:
        A scale for every key that occurs.
    """
    pools = defaultdict(list)
    for depth in depths:
        if not depth.declared:
            pools[depth.key].append(depth)
    return {key: _of_pool(pool, max_value) for key, pool in sorted(pools.items())}


def _of_pool(pool: list[Depth], max_value: float | None) -> Scale:
    """The scale of images that share one."""
    low = min(depth.low for depth in pool)
    stated = {depth.stated for depth in pool}
    # A value that all files state is the scale's; where it differs from file to file, it was measured on each.
    common = stated.pop() if len(stated) == 1 else None
    high = max(max(depth.high, depth.stated or 0) for depth in pool)
    white = float(max_value or common or full_value(high, pool[0].sample))
    # Samples that lie around zero, as those of signed types and of normalised floats may, have their black below it.
    return Scale(-white if low < -NOISE * white else 0.0, white)


def full_value(largest: float, sample: str) -> float:
    """The full scale of the smallest usual depth that holds a value; the value itself if it fills less than half of it.

    Args:
        largest: the largest value.
        sample: the type of the samples.
    """
    signed = {"int8": (127,), "int16": (32767,)}.get(sample, ())
    for full in sorted((*FULL, *signed)):
        if largest <= full * SLACK:
            return float(full) if largest > full / 2 or full == 1 else largest
    return largest


def uses_fewer_bits(depth: Depth, scales: Scales) -> bool:
    """Whether an image that declares no scale seems to have been written with fewer bits than others of its set."""
    return not depth.declared and depth.high < FEWER_BITS * scales[depth.key].white


def beyond(values: NDArray[Any], scale: Scale) -> int:
    """How many samples lie outside a scale, those that are not a number among them."""
    return int(values.size - np.count_nonzero((values >= scale.black) & (values <= scale.white)))


def to_bytes(values: NDArray[Any], scale: Scale) -> NDArray[np.uint8]:
    """Bring samples to eight bits; what lies outside the scale is clipped, and what is no number becomes black.

    Args:
        values: of any shape and type.
        scale: which values become 0 and 255.

    Returns:
        An array of the same shape.
    """
    if values.dtype == np.uint8 and scale == BYTE:
        return values
    if values.dtype.kind in "iu" and values.itemsize <= 2:
        # Two's complement: a table of all values, addressed by their bits.
        bits = np.arange(2 ** (8 * values.itemsize)).astype(f"u{values.itemsize}")
        table = _rounded(bits.view(values.dtype.newbyteorder("=")), scale)
        native = np.ascontiguousarray(values, values.dtype.newbyteorder("="))
        return np.asarray(table[native.view(bits.dtype)])
    pixels = np.empty(values.shape, np.uint8)
    for start in range(0, len(values), ROWS):  # a whole image of floats would need many times its memory
        pixels[start : start + ROWS] = _rounded(values[start : start + ROWS], scale)
    return pixels


def _rounded(values: NDArray[Any], scale: Scale) -> NDArray[np.uint8]:
    """Samples at eight bits, by arithmetic."""
    with np.errstate(invalid="ignore", over="ignore"):
        shares = (values.astype(np.float64) - scale.black) / (scale.white - scale.black)
    shares = np.nan_to_num(shares, copy=False, nan=0.0, posinf=1.0, neginf=0.0)
    return np.rint(np.clip(shares, 0, 1) * 255).astype(np.uint8)
