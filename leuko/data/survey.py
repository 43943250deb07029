"""What a data root holds: its manifest, and all that is wrong with it or seems so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from leuko.core.classes import SETS, SUBSETS
from leuko.data.clues import note_clues
from leuko.data.duplicates import FINDINGS, as_pixels, find_duplicates, in_words
from leuko.data.images import Probe
from leuko.data.layout import ImageFile, discover, subset_folders
from leuko.data.manifest import COLUMNS
from leuko.data.mask_checks import judge_masks
from leuko.data.mask_meaning import Setting
from leuko.data.parts import divide_held_out, divide_prcc, draw_subsets
from leuko.data.picture_checks import judge_pictures
from leuko.data.probing import probe_all
from leuko.data.scale import Scale, from_column, settle
from leuko.data.tables import REMOVE, read_groups, read_relabelled
from leuko.data.tree import Problems


@dataclass(frozen=True)
class Survey:
    """What a data root holds.

    Attributes:
        manifest: the images that can be used; a run may use it only if there are no problems.
        duplicates: the pictures that occur more than once, as `leuko.data.duplicates` describes them.
        problems: all that is wrong.
        warnings: all that only seems wrong.
        notes: how images are read, in sentences.
        mask_notes: how masks are read.
        files: what the images' files are: `path`, `format`, `mode` and type of `sample`, and colour `profile`.
    """

    manifest: pd.DataFrame
    duplicates: pd.DataFrame
    problems: Problems
    warnings: Problems
    notes: list[str]
    mask_notes: list[str]
    files: pd.DataFrame

    def scales(self, name: str) -> dict[str, Scale]:
        """The scales of a set's images whose files do not declare them."""
        return from_column(self.manifest[self.manifest["set"] == name]["scale"])


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
    blank: str,
    max_value: float | str,
    mask: Setting,
    mask_name: str,
    subsets: str,
    subset_seed: int,
    duplicates: str,
    group: str,
    relabel: str,
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
        blank: of images that show nothing, `warn` lists them, `drop` takes them out, and `fail` makes problems.
        max_value: what is white in images of more than eight bits per sample that do not declare it; with `auto` it is
            the full scale of the smallest usual depth that holds the largest value of all images of a set.
        mask: what of the masks' values is kept, as `leuko.data.mask_meaning.settle_rule` takes it.
        mask_name: how masks are named after their image's `{stem}`, beside those of the same name.
        subsets: `folders` follows the data root's subset folders, if it has any; `drawn` does not.
        subset_seed: draws other subsets, and nothing else; it counts only where they are drawn.
        duplicates: of pictures in several parts or under several classes, `warn` does nothing, `drop` takes them out
            of training and validation, and `fail` makes problems.
        group: how an image's group is told, as `leuko.data.tables.read_groups` has it.
        relabel: the table of other labels, as `leuko.data.tables.read_relabelled` has it; they are taken up after the
            images were divided, so that the parts stay as they are.

    Returns:
        What was found.

    Raises:
        LeukoError: if the data root is not a folder.
    """
    images, problems = discover(root, classes, synonyms, mask_name)
    probes, masks = probe_all(root, images, min_side, problems)
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
    warnings = Problems()
    note_clues(images, probes, group, warnings)
    shown = judge_pictures(root, images, probes, scales, warnings)
    for path in sorted(shown.blank) if blank == "fail" else ():
        problems.add("Images that show nothing; remove them, or set ingest.blank to drop", path)
    read_as = judge_masks(images, probes, masks, scales, mask, problems, warnings)
    rows = [
        (
            image.set,
            parts[image.path],
            image.label,
            image.path.as_posix(),
            image.mask.as_posix() if image.mask else "",
            image.subset,
            image.mask_subset,
            str(read_as.rules.get(image.mask, "")) if image.mask else "",
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
    other = read_relabelled(root, relabel, manifest[manifest["set"] == "wbc"]["path"], classes, synonyms, problems)
    labels = {path: label for path, label in other.items() if label != REMOVE}
    relabelled = [labels.get(path, label) for path, label in zip(manifest["path"], manifest["class"], strict=True)]
    manifest["class"] = pd.Series(relabelled, dtype="str")
    thumbnails = [probes[image.path].thumbnail(probes[image.path].depth.scale(scales[image.set])) for image in images]
    twice = find_duplicates(manifest, as_pixels(thumbnails), drop=duplicates == "drop")
    for finding, lines in in_words(twice).items() if duplicates == "fail" else ():
        for line in lines if finding != "copy" else ():
            problems.add(f"{FINDINGS[finding]}; remove all but one, or set ingest.duplicates to drop", line)
    dropped = set(twice[twice["dropped"]]["path"])
    dropped |= {path.as_posix() for path in shown.blank} if blank == "drop" else set()
    dropped |= {path for path, label in other.items() if label == REMOVE}
    left = manifest[~manifest["path"].isin(dropped)].reset_index(drop=True)
    if not follow_folders:
        left = draw_subsets(left, classes, np.random.default_rng([seed, 2, subset_seed]))
    _note_losses(manifest, left, problems)
    return Survey(left, twice, problems, warnings, shown.notes, read_as.notes, _describe_files(images, probes))


def _describe_files(images: Sequence[ImageFile], probes: Mapping[Path, Probe]) -> pd.DataFrame:
    """What the images' files are, as `Survey.files` has it."""
    rows = [
        (image.path.as_posix(), probe.depth.format, probe.mode, probe.depth.sample, probe.profile)
        for image in images
        for probe in [probes[image.path]]
    ]
    return pd.DataFrame(rows, columns=["path", "format", "mode", "sample", "profile"])


def _note_losses(before: pd.DataFrame, after: pd.DataFrame, problems: Problems) -> None:
    """Note the classes of which dropping images has left a part or a subset no image."""
    for subset in SUBSETS:
        had, has = (
            set(rows[rows["subset"] <= subset][["set", "part", "class"]].itertuples(index=False, name=None))
            for rows in (before, after)
        )
        for of_set, part, label in had - has:
            where = f" in the subset of {subset} %" if (of_set, part) == ("wbc", "train") else ""
            kind = "Classes left without an image by dropping (copies, blanks, labels that say remove); keep some"
            problems.add(kind, f"{of_set} {part} {label}{where}")
