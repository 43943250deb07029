"""The manifest: a table with a row per image, born in ingest, from which every derived image can be traced.

| column | meaning |
|---|---|
| set | `wbc`, `cam16` or `prcc` |
| part | `train`, `val` or `test` |
| class | the class in its canonical spelling; empty for pRCC |
| path | the image, relative to the data root (or, for derived images, to the folder of their own manifest) |
| mask | its mask, relative to the data root; empty if there is none |
| subset | the smallest WBC training subset (1, 10, 50, 100) that it belongs to; 0 where subsets do not apply |
| mask_subset | the same for its mask |
| width, height | in pixels, upright |
| sha256 | of the image file |
| scale | format and type of the samples, and which values are black and white, if the file does not declare it |
| source | for derived images the path of the original; empty for originals |
| group | the patient, smear, slide or day that it comes from; empty if unknown |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from leuko.core.classes import SETS, SUBSETS
from leuko.core.parallel import map_images
from leuko.data.duplicates import FINDINGS, as_pixels, find_duplicates, in_words
from leuko.data.groups import read_groups
from leuko.data.images import Probe, UnreadableImageError, probe_image
from leuko.data.layout import ImageFile, Problems, discover, subset_folders
from leuko.data.mask_reading import MaskProbe, probe_mask
from leuko.data.parts import divide_held_out, divide_prcc, draw_subsets
from leuko.data.scale import settle

MAX_ELONGATION = 5

COLUMNS = {
    "set": "str",
    "part": "str",
    "class": "str",
    "path": "str",
    "mask": "str",
    "subset": "int64",
    "mask_subset": "int64",
    "width": "int64",
    "height": "int64",
    "sha256": "str",
    "scale": "str",
    "source": "str",
    "group": "str",
}

Found = TypeVar("Found", Probe, MaskProbe)


def read_manifest(path: Path) -> pd.DataFrame:
    """Read a manifest with its columns' types; empty text stays empty text."""
    return pd.read_csv(path, dtype=COLUMNS, keep_default_na=False)


@dataclass(frozen=True)
class Survey:
    """What a data root holds.

    Attributes:
        manifest: the images that can be used; a run may use it only if there are no problems.
        duplicates: the pictures that occur more than once, as `leuko.data.duplicates` describes them.
        problems: all that is wrong.
    """

    manifest: pd.DataFrame
    duplicates: pd.DataFrame
    problems: Problems


def survey_data(
    root: Path,
    *,
    classes: Sequence[str],
    synonyms: Mapping[str, str],
    seed: int,
    val_fraction: float,
    prcc_val_fraction: float,
    prcc_test_fraction: float,
    min_side: int,
    max_value: float | str,
    subsets: str,
    subset_seed: int,
    duplicates: str,
    group: str,
) -> Survey:
    """Check a data root and divide its images into parts and subsets.

    The WBC val folder becomes validation and test set, stratified by class, unless there is a test folder. pRCC is
    divided here, before any copies are made, so that no copy of an image can reach another part. What is dropped as a
    duplicate is dropped after that, so the test sets do not depend on it; subsets are drawn of what is left. All of
    these keep groups whole.

    Args:
        root: a folder in the course layout; its tissue sets, masks and subset folders may be missing.
        classes: of the blood cells, in the order of their labels.
        synonyms: further names of class folders, each with the class that it stands for.
        seed: of all draws.
        val_fraction: share of the WBC val folder that stays validation where there is no test folder.
        prcc_val_fraction: share of the pRCC images for validation.
        prcc_test_fraction: share of the pRCC images for the test.
        min_side: smaller images, in pixels, are refused.
        max_value: what is white in images of more than eight bits per sample that do not declare it; with `auto` it is
            the full scale of the smallest usual depth that holds the largest value of all images of a set.
        subsets: `folders` follows the data root's subset folders, if it has any; `drawn` does not.
        subset_seed: draws other subsets, and nothing else; it counts only where they are drawn.
        duplicates: of pictures in several parts or under several classes, `warn` does nothing, `drop` takes them out
            of training and validation, and `fail` makes problems.
        group: how an image's group is told, as `leuko.data.groups.read_groups` has it.

    Returns:
        What was found.

    Raises:
        LeukoError: if the data root is not a folder.
    """
    images, problems = discover(root, classes, synonyms)
    probes = _probe_all(root, images, min_side, problems)
    groups = read_groups(root, group, [image.path.as_posix() for image in images], problems)
    parts = {image.path: image.part for image in images}
    rng = np.random.default_rng([seed, 0])
    if not any(image.set == "wbc" and image.part == "test" for image in images):
        held_out = [image for image in images if image.set == "wbc" and image.part == "val"]
        parts |= divide_held_out(held_out, groups, classes, val_fraction, rng, problems)
    prcc = [image.path for image in images if image.set == "prcc"]
    parts |= divide_prcc(prcc, groups, prcc_val_fraction, prcc_test_fraction, np.random.default_rng([seed, 1]))
    present, missing = subset_folders(root)
    follow_folders = subsets == "folders" and bool(present)
    for folder in missing if follow_folders else []:
        problems.add("Subset folders missing beside others; add them, or set ingest.subsets to drawn", folder)

    images = [image for image in images if image.path in probes]
    scales = {
        name: settle(
            [probes[image.path].depth for image in images if image.set == name],
            None if isinstance(max_value, str) else max_value,
        )
        for name in SETS
    }
    rows = [
        (
            image.set,
            parts[image.path],
            image.label,
            image.path.as_posix(),
            image.mask.as_posix() if image.mask else "",
            image.subset,
            image.mask_subset,
            probes[image.path].width,
            probes[image.path].height,
            probes[image.path].sha256,
            probes[image.path].depth.recorded(scales[image.set]),
            "",
            groups[image.path.as_posix()],
        )
        for image in images
    ]
    manifest = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    thumbnails = [probes[image.path].thumbnail(probes[image.path].depth.scale(scales[image.set])) for image in images]
    twice = find_duplicates(manifest, as_pixels(thumbnails), drop=duplicates == "drop")
    for finding, lines in in_words(twice).items() if duplicates == "fail" else ():
        for line in lines if finding != "copy" else ():
            problems.add(f"{FINDINGS[finding]}; remove all but one, or set ingest.duplicates to drop", line)
    left = manifest[~manifest["path"].isin(twice[twice["dropped"]]["path"])].reset_index(drop=True)
    if not follow_folders:
        left = draw_subsets(left, classes, np.random.default_rng([seed, 2, subset_seed]))
    _note_losses(manifest, left, problems)
    return Survey(left, twice, problems)


def _probe_all(root: Path, images: Sequence[ImageFile], min_side: int, problems: Problems) -> dict[Path, Probe]:
    """Open every image, mask and subset copy; note all that cannot be used or do not fit together.

    Returns:
        What the images are, without those that cannot be read.
    """
    pictures = [path for image in images for path in (image.path, *image.copies)]
    masks = [path for image in images if image.mask for path in (image.mask, *image.mask_copies)]
    probes = _probe(probe_image, root, pictures, "checking images", problems)
    mask_probes = _probe(probe_mask, root, masks, "checking masks", problems)
    for image in images:
        if image.path in probes:
            _check_image(image, probes, min_side, problems)
            if image.mask in mask_probes:
                _check_mask(image, mask_probes, probes[image.path], problems)
    return {image.path: probes[image.path] for image in images if image.path in probes}


def _probe(
    probe: Callable[[Path], Found], root: Path, paths: Sequence[Path], title: str, problems: Problems
) -> dict[Path, Found]:
    """Probe files; note those that cannot be read."""

    def attempt(path: Path) -> Found | str:
        try:
            return probe(root / path)
        except UnreadableImageError as error:
            return str(error)

    found = {}
    for path, result in zip(paths, map_images(attempt, paths, title), strict=True):
        if isinstance(result, str):
            problems.add("Images that cannot be read; replace or remove them", f"{path.as_posix()}: {result}")
        else:
            found[path] = result
    return found


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


def _check_mask(image: ImageFile, masks: Mapping[Path, MaskProbe], whole: Probe, problems: Problems) -> None:
    """Note a mask that does not fit its image or says nothing, and subset copies that differ from it.

    A CAM16 mask shows the tumor, so that of a normal region is empty and that of a tumor region may be full.
    """
    assert image.mask
    mask = masks[image.mask]
    if (mask.width, mask.height) != (whole.width, whole.height):
        problems.add(
            "Masks of another size than their image; make them equal",
            f"{image.mask.as_posix()}: {mask.width} x {mask.height}, its image {whole.width} x {whole.height}",
        )
    if mask.kept == 0 and image.label != "normal":
        problems.add("Masks that are empty (all black), so that nothing is left; redraw or remove them", image.mask)
    if mask.kept == 1 and image.set == "wbc":
        problems.add("Masks that are full (all white), so that nothing is hidden; redraw or remove them", image.mask)
    for copy in image.mask_copies:
        if copy in masks and masks[copy].sha256 != mask.sha256:
            problems.add("Masks of a subset that differ from the largest's of the same name; make them equal", copy)


def _note_losses(before: pd.DataFrame, after: pd.DataFrame, problems: Problems) -> None:
    """Note the classes of which dropping duplicates has left a part or a subset no image."""
    for subset in SUBSETS:
        had, has = (
            set(rows[rows["subset"] <= subset][["set", "part", "class"]].itertuples(index=False, name=None))
            for rows in (before, after)
        )
        for of_set, part, label in had - has:
            where = f" in the subset of {subset} %" if (of_set, part) == ("wbc", "train") else ""
            kind = "Classes that dropping duplicates leaves without an image; remove the copies yourself"
            problems.add(kind, f"{of_set} {part} {label}{where}")
