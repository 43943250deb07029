"""Checking masks beside their images: which rule reads them, how they lie, and which are not what they should be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from leuko.core.classes import SETS
from leuko.data.images import Pixels, Probe
from leuko.data.layout import ImageFile
from leuko.data.mask_meaning import MaskProbe, Setting, relation, settle_rule
from leuko.data.mask_reading import MaskRule, kept
from leuko.data.mask_values import TRANSPARENT
from leuko.data.scale import Scales
from leuko.data.tree import Problems

CLEAR = 0.2
"""The least correlation of cell and darkness that says anything; of expert-drawn masks none had less than 0.6."""
CLOSER = 0.1
"""By how much the one way to lay a square mask must fit better than the other, ..."""
SLIGHTLY = 0.02
"""... and by how much it must do so in a set's usual mask to stay upright while its image is turned."""
NAMED = 8

EMPTY = "Masks that are empty, so that nothing is left; redraw or remove them, or set ingest.mask"
FULL = "Masks that are full, so that nothing is hidden; redraw or remove them, or set ingest.mask"
SWAPPED = "Masks whose ground and cell are swapped beside the others; invert or remove them"
COPIES = (
    "Masks that are copies of a picture rather than masks; redraw or remove them, or, if they are only blurred, set "
    "ingest.mask to bright or dark"
)
COLOURS = (
    "Masks of so many colours that it cannot be told which are cell; save them as PNG without smoothing, or set "
    "ingest.mask to bright or dark"
)
LINES = "Masks that are outlines or lines, within which nothing is kept; fill or remove them"
UNRELATED = "Masks that have little to do with the dark object of their image; compare the two, redraw or remove them"


@dataclass
class Masks:
    """What masks mean.

    Attributes:
        rules: how each is read, by its path.
        notes: what was decided, in sentences.
    """

    rules: dict[Path, MaskRule] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def judge_masks(
    images: Sequence[ImageFile],
    probes: Mapping[Path, Probe],
    masks: Mapping[Path, MaskProbe],
    scales: Mapping[str, Scales],
    setting: Setting,
    problems: Problems,
    warnings: Problems,
) -> Masks:
    """Settle how the masks of each set are read, and note those that do not fit their image or say nothing.

    A CAM16 mask shows the tumor, so that of a normal region is empty and that of a tumor region may be full.

    Args:
        images: those that can be read.
        probes: what they are.
        masks: what their masks are, without those that cannot be read.
        scales: of the images, by their set.
        setting: as `settle_rule` takes it.
        problems: where to note what makes a mask unusable.
        warnings: where to note what only seems wrong.
    """
    found = Masks()
    for name in SETS:
        members = [image for image in images if image.set == name and image.mask in masks]
        if not members:
            continue
        of_set = [masks[image.mask] for image in members if image.mask]
        if name == "wbc":
            voters = [mask for mask in of_set if len(mask.values) > 1]
        else:
            voters = [masks[image.mask] for image in members if image.mask and image.label == "normal"]
        rule = settle_rule(of_set, setting, voters)
        found.notes.append(_in_words(name, of_set, rule, setting))
        pictures = {
            image.path: probes[image.path].thumbnail(probes[image.path].depth.scale(scales[name])) for image in members
        }
        orientations = _orientations(members, masks, rule, probes, pictures)
        found.notes += _lying_in_words(members, masks, probes, orientations)
        relations: dict[Path, float] = {}
        for image, orientation in zip(members, orientations, strict=True):
            assert image.mask
            probe, mask, picture = probes[image.path], masks[image.mask], pictures[image.path]
            read_by = replace(rule, orientation=orientation, white=mask.white)
            found.rules[image.mask] = read_by
            unfit = _unfit(mask, read_by, picture)
            if unfit and setting == "auto":
                problems.add(unfit, image.mask)
            elif _fits(image, mask, read_by, probe, problems):
                _check_looks(image, mask, read_by, warnings)
                if unfit == COPIES:
                    warnings.add(COPIES, image.mask)
                if name == "wbc" and not mask.is_line(read_by):
                    relations[image.mask] = relation(mask, read_by, picture, probe.orientation)
        _note_unrelated(relations, warnings)
    return found


def _unfit(mask: MaskProbe, rule: MaskRule, picture: Pixels) -> str:
    """Why nothing but a setting can say what is cell in a mask; empty if something else does."""
    if rule.kind in ("alpha", "transparent"):
        return ""
    if mask.is_picture(picture):
        return COPIES
    return COLOURS if mask.nature.looks == "colours" else ""


def _in_words(name: str, masks: Sequence[MaskProbe], rule: MaskRule, setting: Setting) -> str:
    """What the masks of a set are and how they are read."""
    what = {
        "nonzero": f"all but the value {rule.values[0]} is kept" if any(rule.values) else "all but black (0) is kept",
        "bright": "what is bright, from half of the range, is kept",
        "dark": "what is dark, below half of the range, is kept",
        "alpha": "all that is opaque is kept",
        "transparent": "all that is transparent is kept",
        "value": f"the values {', '.join(map(str, rule.values))} are kept",
    }[rule.kind]
    n_shades = sum(not mask.is_discrete for mask in masks)
    if n_shades and rule.kind == "nonzero":
        what += f" (of shades those at least {rule.threshold} of 255 away from it)"
    if middles := [mask.greys[1:-1] for mask in masks if len(mask.greys) > 2]:
        is_kept = kept(np.concatenate(middles).astype(np.int32), rule, is_discrete=False).all()
        what += f"; {len(middles)} with a middle grey, which is {'kept' if is_kept else 'not kept by all'}"
    values = sorted({int(value) for mask in masks if mask.is_discrete for value in mask.values if value != TRANSPARENT})
    some = f"; values {', '.join(map(str, values[:NAMED]))}" if values else ""
    more = f" and {len(values) - NAMED} more" if len(values) > NAMED else ""
    shown = setting if isinstance(setting, str) else "value"
    return f"Masks of {name}: {len(masks)}; {what}{some}{more} (ingest.mask: {shown})."


def _orientations(
    images: Sequence[ImageFile],
    masks: Mapping[Path, MaskProbe],
    rule: MaskRule,
    probes: Mapping[Path, Probe],
    pictures: Mapping[Path, Pixels],
) -> list[int]:
    """How the masks of a set lie whose own files do not say it.

    A mask lies as its image's file does if it has that one's size. Where it has the upright image's as well, as
    squares have, what is dark in the image decides: in the set, and in a mask that clearly differs from it.
    """
    found, gains = [], {}
    for number, image in enumerate(images):
        assert image.mask
        mask, probe = masks[image.mask], probes[image.path]
        upright = (probe.width, probe.height)
        as_lying = upright[::-1] if probe.orientation >= 5 else upright
        follows = mask.orientation == 1 and (mask.width, mask.height) == as_lying
        found.append(probe.orientation if follows else 1)
        if follows and upright == as_lying and probe.orientation != 1:
            picture = pictures[image.path]
            as_file = relation(mask, replace(rule, orientation=probe.orientation), picture, probe.orientation)
            gains[number] = as_file - relation(mask, rule, picture, probe.orientation)
    usual = float(np.median(list(gains.values()))) if gains else 0.0
    for number, gain in gains.items():
        if (gain if abs(gain) > CLOSER else usual) < -SLIGHTLY:
            found[number] = 1
    return found


def _lying_in_words(
    images: Sequence[ImageFile],
    masks: Mapping[Path, MaskProbe],
    probes: Mapping[Path, Probe],
    orientations: Sequence[int],
) -> list[str]:
    """Which masks of turned images are turned with them."""
    n_turned = sum(orientation != 1 for orientation in orientations)
    n_upright = sum(
        probes[image.path].orientation != 1 and orientation == 1 and masks[image.mask].orientation == 1
        for image, orientation in zip(images, orientations, strict=True)
        if image.mask
    )
    if not n_turned and not n_upright:
        return []
    kept_upright = f"; {n_upright} of rotated images are upright already" if n_upright else ""
    return [f"{n_turned} of these masks lie as their image's file does, and are rotated with it{kept_upright}."]


def _fits(image: ImageFile, mask: MaskProbe, rule: MaskRule, probe: Probe, problems: Problems) -> bool:
    """Note a mask that does not fit its image or says nothing."""
    assert image.mask
    width, height = mask.width, mask.height
    if (mask.orientation if mask.orientation != 1 else rule.orientation) >= 5:
        width, height = height, width
    has_size = (width, height) == (probe.width, probe.height)
    if not has_size:
        problems.add(
            "Masks of another size than their image; make them equal",
            f"{image.mask.as_posix()}: {width} x {height}, its image {probe.width} x {probe.height}",
        )
    share = mask.share(rule)
    is_empty, is_full = share == 0 and image.label != "normal", share == 1 and image.set == "wbc"
    if is_empty or is_full:
        values = ", ".join(map(str, mask.values[:NAMED])).replace(str(TRANSPARENT), "transparent")
        more = f" and {len(mask.values) - NAMED} more" if len(mask.values) > NAMED else ""
        problems.add(EMPTY if is_empty else FULL, f"{image.mask.as_posix()}: values {values}{more}")
    return has_size and not is_empty and not is_full


def _check_looks(image: ImageFile, mask: MaskProbe, rule: MaskRule, warnings: Problems) -> None:
    """Note a mask that does not look like one."""
    assert image.mask
    if mask.is_line(rule):
        warnings.add(LINES, image.mask)
    elif image.set == "wbc" and mask.border_share(rule) > 0.5 and mask.share(rule) > 0.5:
        warnings.add(SWAPPED, image.mask)


def _note_unrelated(relations: Mapping[Path, float], warnings: Problems) -> None:
    """Note the masks of blood cells that mark something else than the others do: what is dark."""
    usual = float(np.median(list(relations.values()))) if relations else 0.0
    if usual < CLEAR and len(relations) > 3:
        kind = "Masks of which most keep what is no darker than the rest; look at them, and set ingest.mask if need be"
        warnings.add(kind, f"{len(relations)} masks of blood cells")
        return
    swapped = warnings.found.get(SWAPPED, set())
    for path, value in relations.items():
        if value < max(CLEAR, usual / 2) and path.as_posix() not in swapped:
            warnings.add(UNRELATED, path)
