"""What readable images show all the same: nothing, everything out of focus, values beyond the scale of their set."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from leuko.core.classes import SETS
from leuko.core.parallel import map_images
from leuko.data.duplicates import as_pixels
from leuko.data.images import Probe, count_beyond
from leuko.data.layout import ImageFile
from leuko.data.profiles import UNUSABLE
from leuko.data.scale import Scales, uses_fewer_bits
from leuko.data.tree import Problems

ONE_COLOUR = 6
"""How far the colours of a thumbnail may lie apart, of 255, in a frame of one colour; noise averages out in it."""
BLURRED = 16
"""A picture is out of focus beyond its set's range where its Laplacian varies so many times less than the usual one's.

Of 4,667 real images of three sets none does.
"""
FEW = 8
"""Fewer images have no range."""

BLANK = "Images of one colour, which show nothing"
HIDDEN = "Images that are transparent everywhere, which show nothing"
OUT_OF_FOCUS = "Images far more out of focus than the others of their set; look at them"
CLIPPED = "Images with values beyond the scale of their set, or that are no numbers, which are clipped"
FEWER_BITS = "Images that may have been written with fewer bits than others of their set, so that they are dark"
PROFILES = "Images whose colour profile is damaged or of other colours than theirs, which is ignored"


@dataclass
class Pictures:
    """What images show.

    Attributes:
        blank: those that show nothing.
        notes: what was found, in sentences.
    """

    blank: set[Path] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)


def judge_pictures(
    root: Path,
    images: Sequence[ImageFile],
    probes: Mapping[Path, Probe],
    scales: Mapping[str, Scales],
    warnings: Problems,
) -> Pictures:
    """Note the images that show nothing or are not what the others of their set are.

    Args:
        root: the data root.
        images: those that can be read.
        probes: what they are.
        scales: of the images, by their set.
        warnings: where to note them.
    """
    found = Pictures()
    for name in SETS:
        members = [image.path for image in images if image.set == name]
        thumbnails = as_pixels([probes[path].thumbnail(probes[path].depth.scale(scales[name])) for path in members])
        for path, spread in zip(members, np.ptp(thumbnails, axis=(1, 2)).max(axis=1, initial=0), strict=True):
            if probes[path].hidden:
                found.blank.add(path)
                warnings.add(HIDDEN, path)
            elif spread <= ONE_COLOUR:
                found.blank.add(path)
                warnings.add(BLANK, path)
        shown = [path for path in members if path not in found.blank]
        _note_blurred(
            {path: probes[path].sharpness(probes[path].depth.scale(scales[name])) for path in shown}, warnings
        )
        _note_scales(root, name, members, probes, scales[name], found, warnings)
    profiles = Counter(probes[image.path].profile for image in images)
    if profiles.keys() - {""}:
        counts = ", ".join(f"{name or 'none'} {number}" for name, number in sorted(profiles.items()))
        found.notes.append(f"Colour profiles, which are converted to sRGB: {counts}.")
    for image in images:
        if probes[image.path].profile == UNUSABLE:
            warnings.add(PROFILES, image.path)
    return found


def _note_blurred(sharpness: Mapping[Path, float], warnings: Problems) -> None:
    """Note the images of a set that are out of focus beyond its range."""
    if len(sharpness) < FEW:
        return
    least = float(np.median(list(sharpness.values()))) / BLURRED
    for path, value in sharpness.items():
        if value < least:
            warnings.add(OUT_OF_FOCUS, path)


def _note_scales(
    root: Path,
    name: str,
    paths: Sequence[Path],
    probes: Mapping[Path, Probe],
    scales: Scales,
    found: Pictures,
    warnings: Problems,
) -> None:
    """Note the scales of a set whose files do not declare them, and the images that do not fit them."""
    pools = defaultdict(list)
    for path in paths:
        if not probes[path].depth.declared:
            pools[probes[path].depth.key].append(path)
    for key, members in sorted(pools.items()):
        scale = scales[key]
        found.notes.append(
            f"Images of {name} that are {key}: {len(members)}; {scale.black:g} is black and {scale.white:g} is white "
            "(ingest.max_value)."
        )
        for path in members:
            if uses_fewer_bits(probes[path].depth, scales):
                high = probes[path].depth.high
                warnings.add(FEWER_BITS, f"{path.as_posix()}: largest value {high:g} of {scale.white:g}")
    depths = {path: probes[path].depth for path in paths}
    clipped = [
        path
        for path, depth in depths.items()
        if depth.not_finite or depth.low < depth.scale(scales).black or depth.high > depth.scale(scales).white
    ]
    beyond = map_images(lambda path: count_beyond(root / path, depths[path].scale(scales)), clipped, "counting")
    for path, number in zip(clipped, beyond, strict=True):
        warnings.add(CLIPPED, f"{path.as_posix()}: {number} values")
