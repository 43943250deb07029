"""The images of another laboratory, on which models are tried that have learned nothing of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from leuko.core.errors import LeukoError
from leuko.data.duplicates import as_pixels, same_pictures
from leuko.data.images import Pixels
from leuko.data.layout import ImageFile, discover_laboratory, discover_unlabelled
from leuko.data.manifest import COLUMNS
from leuko.data.probing import probe_all
from leuko.data.scale import from_column, settle
from leuko.data.tables import read_groups
from leuko.data.tree import Problems

Found = tuple[Path, Sequence[ImageFile], Problems]
"""A folder, the images in it, and what is wrong with it."""


def survey_laboratory(
    folder: Path, *, classes: Sequence[str], synonyms: Mapping[str, str], min_side: int, max_value: float | str
) -> pd.DataFrame:
    """Check another laboratory's images.

    Args:
        folder: of class folders, which may lack some; a table `groups.csv` in it tells the images' groups.
        classes: of the blood cells, in the order of their labels.
        synonyms: further names of class folders, each with the class that it stands for.
        min_side: smaller images, in pixels, are refused.
        max_value: as `leuko.data.survey.survey_data` takes it; the laboratory is a set of its own.

    Returns:
        Rows of a manifest, all of them of the test, with paths relative to the folder.

    Raises:
        LeukoError: with all that is wrong.
    """
    (rows,) = _survey([(folder, *discover_laboratory(folder, classes, synonyms))], min_side, max_value)
    return rows


def survey_few_labels(
    labelled: Path | None,
    unlabelled: Path | None,
    *,
    classes: Sequence[str],
    synonyms: Mapping[str, str],
    min_side: int,
) -> list[pd.DataFrame]:
    """Check another laboratory's images of which few have labels, or none.

    Args:
        labelled: a folder of class folders, if there is one.
        unlabelled: a folder of images, in and below it, if there is one.
        classes: as `survey_laboratory` takes them.
        synonyms: likewise.
        min_side: likewise.

    Returns:
        Rows of a manifest for each folder that is there. Both are one set: what is white is settled by all images.

    Raises:
        LeukoError: with all that is wrong.
    """
    found = [(labelled, *discover_laboratory(labelled, classes, synonyms))] if labelled else []
    found += [(unlabelled, *discover_unlabelled(unlabelled))] if unlabelled else []
    return _survey(found, min_side, "auto")


def survey_unlabelled(folder: Path, *, min_side: int, max_value: float | str) -> pd.DataFrame:
    """Check another laboratory's images without labels.

    Args:
        folder: of images, in and below it.
        min_side: as `survey_laboratory` takes it.
        max_value: likewise.

    Returns:
        Rows of a manifest without classes.

    Raises:
        LeukoError: with all that is wrong.
    """
    (rows,) = _survey([(folder, *discover_unlabelled(folder))], min_side, max_value)
    return rows


def already_learned(folder: Path, rows: pd.DataFrame, root: Path, learned: pd.DataFrame) -> list[str]:
    """Find images of a laboratory whose picture models have learned from, also recompressed, resized or turned.

    Args:
        folder: of the laboratory.
        rows: its images, as `survey_laboratory` gives them.
        root: the data root.
        learned: the manifest's rows of training and validation images.

    Returns:
        The paths of the images, relative to the folder.

    Raises:
        LeukoError: if an image cannot be read any more.
    """
    thumbnails = [*_thumbnails(root, learned), *_thumbnails(folder, rows)]
    pictures = same_pictures(as_pixels(thumbnails))
    is_known = np.isin(pictures[len(learned) :], pictures[: len(learned)]) | rows["sha256"].isin(learned["sha256"])
    return list(rows["path"][is_known])


def _thumbnails(root: Path, rows: pd.DataFrame) -> list[Pixels]:
    """The images small, as they lie in their files."""
    problems, scales = Problems(), from_column(rows["scale"])
    images = [ImageFile("wbc", "test", "", Path(path)) for path in rows["path"]]
    probes, _ = probe_all(root, images, 0, problems)
    problems.raise_if_any(root)
    return [probe.thumbnail(probe.depth.scale(scales)) for probe in (probes[image.path] for image in images)]


def _survey(found: Sequence[Found], min_side: int, max_value: float | str) -> list[pd.DataFrame]:
    """Open all images of one set and describe them, folder by folder."""
    opened, wrong = [], []
    for folder, images, problems in found:
        probes, _ = probe_all(folder, images, min_side, problems)
        groups = read_groups(folder, "none", [image.path.as_posix() for image in images], problems)
        opened.append((images, probes, groups))
        try:
            problems.raise_if_any(folder)
        except LeukoError as error:
            wrong.append(str(error))
    if wrong:
        raise LeukoError("\n\n".join(wrong))
    depths = [probe.depth for _, probes, _ in opened for probe in probes.values()]
    scales = settle(depths, None if isinstance(max_value, str) else max_value)
    tables = []
    for images, probes, groups in opened:
        rows = [
            {
                "set": image.set,
                "part": image.part,
                "class": image.label,
                "path": image.path.as_posix(),
                "width": probes[image.path].width,
                "height": probes[image.path].height,
                "sha256": probes[image.path].sha256,
                "scale": probes[image.path].depth.recorded(scales),
                "group": groups[image.path.as_posix()],
            }
            for image in images
        ]
        blank = {name: 0 if kind == "int64" else "" for name, kind in COLUMNS.items()}
        tables.append(pd.DataFrame([blank | row for row in rows], columns=list(COLUMNS)).astype(COLUMNS))
    return tables
