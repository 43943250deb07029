"""Opening every file of a data root once: what the images and masks are, and which cannot be used."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from leuko.core.classes import SETS
from leuko.core.parallel import imap_in_processes, map_images
from leuko.data.images import Probe, UnreadableImageError, probe_image
from leuko.data.layout import ImageFile
from leuko.data.mask_meaning import MaskProbe, probe_mask
from leuko.data.mask_values import settle_whites, white_of
from leuko.data.tree import Problems

MAX_ELONGATION = 5
MANY = 2_000
"""So many files are worth starting processes: threads that open small images mostly wait for Python's lock."""

Found = TypeVar("Found", Probe, MaskProbe)


def probe_all(
    root: Path, images: Sequence[ImageFile], min_side: int, problems: Problems
) -> tuple[dict[Path, Probe], dict[Path, MaskProbe]]:
    """Open every image, mask and subset copy; note all that cannot be used or do not fit together.

    Args:
        root: the data root.
        images: in it.
        min_side: smaller images, in pixels, are noted.
        problems: where to note.

    Returns:
        What the images and their masks are, without those that cannot be read.
    """
    pictures = [path for image in images for path in (image.path, *image.copies)]
    masks = [path for image in images if image.mask for path in (image.mask, *image.mask_copies)]
    probes = _probe(probe_image, root, pictures, "checking images", problems)
    mask_probes = _probe(probe_mask, root, masks, "checking masks", problems)
    for name in SETS:
        of_set = [image.mask for image in images if image.set == name and image.mask in mask_probes]
        mask_probes |= _as_settled(root, [mask for mask in of_set if mask], mask_probes, problems)
    for image in images:
        if image.path in probes:
            _check_image(image, probes, min_side, problems)
        whole = mask_probes.get(image.mask) if image.mask else None
        for copy in image.mask_copies:
            if whole and copy in mask_probes and mask_probes[copy].sha256 != whole.sha256:
                problems.add("Masks of a subset that differ from the largest's of the same name; make them equal", copy)
    return (
        {image.path: probes[image.path] for image in images if image.path in probes},
        {image.mask: mask_probes[image.mask] for image in images if image.mask and image.mask in mask_probes},
    )


def _as_settled(
    root: Path, paths: Sequence[Path], probes: Mapping[Path, MaskProbe], problems: Problems
) -> dict[Path, MaskProbe]:
    """Probe again the masks of a set that have to be read otherwise than each of them alone suggests."""
    whites = settle_whites(probes[path].nature for path in paths)
    others = [path for path in paths if white_of(probes[path].nature, whites) != probes[path].white]
    return _probe(partial(probe_mask, whites=whites), root, others, "checking masks again", problems)


def _probe(
    probe: Callable[[Path], Found], root: Path, paths: Sequence[Path], title: str, problems: Problems
) -> dict[Path, Found]:
    """Probe files; note those that cannot be read."""
    attempt = partial(_attempt, probe, root)
    results = (imap_in_processes if len(paths) >= MANY else map_images)(attempt, paths, title)
    found = {}
    for path, result in zip(paths, results, strict=True):
        if isinstance(result, str):
            problems.add("Images that cannot be read; replace or remove them", f"{path.as_posix()}: {result}")
        else:
            found[path] = result
    return found


def _attempt(probe: Callable[[Path], Found], root: Path, path: Path) -> Found | str:
    """Probe a file, or say why it cannot be read."""
    try:
        return probe(root / path)
    except UnreadableImageError as error:
        return str(error)


def _check_image(image: ImageFile, probes: Mapping[Path, Probe], min_side: int, problems: Problems) -> None:
    """Note an image of unusable size, and subset copies that differ from it."""
    whole = probes[image.path]
    shorter, longer = sorted((whole.width, whole.height))
    described = f"{image.path.as_posix()}: {whole.width} x {whole.height}"
    if shorter < min_side:
        kind = f"Images with a side below {min_side} pixels (ingest.min_side); replace or remove them"
        problems.add(kind, described)
    if longer > MAX_ELONGATION * shorter:
        kind = f"Images more than {MAX_ELONGATION} times as long as wide, which a square distorts; cut or remove them"
        problems.add(kind, described)
    for copy in image.copies:
        if copy in probes and probes[copy].sha256 != whole.sha256:
            problems.add("Images of a subset that differ from WBC_100's of the same name; make them equal", copy)
