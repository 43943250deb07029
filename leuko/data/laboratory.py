"""The images of another laboratory, on which models are tried that have learned nothing of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from leuko.data.layout import ImageFile, discover_laboratory, discover_unlabelled
from leuko.data.manifest import COLUMNS
from leuko.data.probing import probe_all
from leuko.data.scale import settle
from leuko.data.tables import read_groups
from leuko.data.tree import Problems


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
    images, problems = discover_laboratory(folder, classes, synonyms)
    return _survey(folder, images, problems, min_side, max_value)


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
    images, problems = discover_unlabelled(folder)
    return _survey(folder, images, problems, min_side, max_value)


def _survey(
    folder: Path, images: Sequence[ImageFile], problems: Problems, min_side: int, max_value: float | str
) -> pd.DataFrame:
    """Open all images and describe them."""
    probes, _ = probe_all(folder, images, min_side, problems)
    groups = read_groups(folder, "none", [image.path.as_posix() for image in images], problems)
    problems.raise_if_any(folder)
    depths = [probes[image.path].depth for image in images]
    scales = settle(depths, None if isinstance(max_value, str) else max_value)
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
    return pd.DataFrame([blank | row for row in rows], columns=list(COLUMNS)).astype(COLUMNS)
