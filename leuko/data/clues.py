"""What tells images' classes or origins apart from what they show: their format, size and names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from leuko.core.params.grouping import PRESETS, compile_rule
from leuko.data.images import Probe
from leuko.data.layout import ImageFile
from leuko.data.tree import Problems

FEW = 5
"""Of fewer images nothing is said."""
NEARLY_ALL, HARDLY_ANY = 0.9, 0.1

ALONE = "Classes that differ from the others in more than the cell, by which a network can tell them; make images alike"
NAMES = "Names that seem to tell of groups (smears, days or slides); set ingest.group to take them into account"


def note_clues(images: Sequence[ImageFile], probes: Mapping[Path, Probe], group: str, warnings: Problems) -> None:
    """Note the classes of blood cells that have a format, size, depth or kind of name of their own.

    Args:
        images: those that can be read.
        probes: what they are.
        group: the rule for groups; without one, names that look as if they told groups are noted.
        warnings: where to note them.
    """
    cells = [image for image in images if image.set == "wbc"]
    traits = [(image.label, _traits(image.path, probes[image.path])) for image in cells]
    for label in dict.fromkeys(label for label, _ in traits):
        own = [of_image for of_class, of_image in traits if of_class == label]
        others = [of_image for of_class, of_image in traits if of_class != label]
        if min(len(own), len(others)) < FEW:
            continue
        telling = []
        for name in own[0]:
            value, number = Counter(of_image[name] for of_image in own).most_common(1)[0]
            n_others = sum(of_image[name] == value for of_image in others)
            if number >= NEARLY_ALL * len(own) and n_others <= HARDLY_ANY * len(others):
                telling.append(f"{name} {value} ({number} of {len(own)}, of all others {n_others} of {len(others)})")
        if telling:
            warnings.add(ALONE, f"{label}: {'; '.join(telling)}")
    if group == "none":
        for preset in PRESETS:
            pattern = compile_rule(preset)
            found = [(image.part, match["group"]) for image in cells if (match := _search(pattern, image))]
            training = {name for part, name in found if part == "train"}
            held_out = [name for part, name in found if part != "train"]
            if number := sum(name in training for name in held_out):
                total = sum(image.part != "train" for image in cells)
                share = f"{number} of {total} held-out images would be of groups in training"
                warnings.add(NAMES, f"ingest.group={preset}: {share}")


def _search(pattern: re.Pattern[str], image: ImageFile) -> re.Match[str] | None:
    """Where a pattern for groups fits an image's path."""
    return pattern.search(image.path.as_posix())


def _traits(path: Path, probe: Probe) -> dict[str, str]:
    """What an image is apart from what it shows."""
    return {
        "format": probe.depth.format,
        "size": f"{probe.width} x {probe.height}",
        "samples": f"{probe.mode} {probe.depth.sample}",
        "profile": probe.profile or "none",
        "names like": re.sub(r"[^\W\d_]+", "a", re.sub(r"\d+", "0", path.stem)),
    }
