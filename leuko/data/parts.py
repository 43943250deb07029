"""Dividing what comes undivided: validation and test of the blood cells, their subsets, and the kidney tissue.

Images of one group (patient, smear or day) stay together, so that no network is tested on groups that it has seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from leuko.core.classes import SUBSETS
from leuko.data.division import choose_groups, order_by_group
from leuko.data.layout import ImageFile
from leuko.data.tree import Problems

Groups = Mapping[str, str]
"""The images' groups by path; empty where unknown."""


def divide_held_out(
    images: Sequence[ImageFile],
    groups: Groups,
    classes: Sequence[str],
    val_fraction: float,
    rng: np.random.Generator,
    problems: Problems,
) -> dict[Path, str]:
    """Divide the WBC val folder into validation and test, each with its share of every class and whole groups.

    Args:
        images: of the folder.
        groups: of the images.
        classes: the classes.
        val_fraction: the share that stays validation.
        rng: decides.
        problems: where to note a class that cannot be in both parts.

    Returns:
        The parts by path.
    """
    for label in classes:
        paths = [image.path for image in images if image.label == label]
        if len(paths) == 1:
            problems.add("Classes with one image only, too few for validation and test; add some", paths[0].parent)
    of_images = [groups[image.path.as_posix()] for image in images]
    if not any(of_images):
        return _divide_by_class(images, classes, val_fraction, rng)
    chosen = choose_groups([image.label for image in images], of_images, val_fraction, rng)
    parts = {image.path: "val" if side else "test" for image, side in zip(images, chosen, strict=True)}
    # A class that too few groups hold is in both parts all the same, even if that tears them apart.
    one_sided = [label for label in classes if len({parts[image.path] for image in images if image.label == label}) < 2]
    return parts | _divide_by_class(images, one_sided, val_fraction, rng)


def _divide_by_class(
    images: Sequence[ImageFile], classes: Sequence[str], val_fraction: float, rng: np.random.Generator
) -> dict[Path, str]:
    """Divide images of no known group class by class; each part gets at least one of a class."""
    parts: dict[Path, str] = {}
    for label in classes:
        paths = [image.path for image in images if image.label == label]
        n_val = int(np.clip(round(len(paths) * val_fraction), 1, max(1, len(paths) - 1)))
        for rank, index in enumerate(rng.permutation(len(paths))):
            parts[paths[index]] = "val" if rank < n_val else "test"
    return parts


def divide_prcc(
    paths: Sequence[Path], groups: Groups, val_fraction: float, test_fraction: float, rng: np.random.Generator
) -> dict[Path, str]:
    """Divide the pRCC images, keeping groups whole; validation and test get at least one each, training never none.

    Fewer than three, which have been noted as a problem, are not divided. Groups are
    torn where there are too few of them.
    """
    if len(paths) < 3:
        return dict.fromkeys(paths, "train")
    of_images = [groups[path.as_posix()] for path in paths]
    if len(set(of_images)) >= 3:
        is_val = choose_groups([""] * len(paths), of_images, val_fraction, rng)
        rest = np.flatnonzero(~is_val)
        others = [of_images[index] for index in rest]
        if len(set(others)) >= 2:
            is_test = choose_groups([""] * len(rest), others, test_fraction / (1 - val_fraction), rng)
            parts = {
                paths[index]: "test" if side else "train" for index, side in zip(rest.tolist(), is_test, strict=True)
            }
            return dict.fromkeys(paths, "val") | parts
    n_val = max(1, round(len(paths) * val_fraction))
    n_test = max(1, round(len(paths) * test_fraction))
    while n_val + n_test >= len(paths):
        n_val, n_test = max(1, n_val - 1), max(1, n_test - 1)
    in_order = ["val"] * n_val + ["test"] * n_test + ["train"] * (len(paths) - n_val - n_test)
    order = rng.permutation(len(paths))
    return {paths[index]: part for index, part in zip(order, in_order, strict=True)}


def draw_subsets(manifest: pd.DataFrame, classes: Sequence[str], rng: np.random.Generator) -> pd.DataFrame:
    """Draw nested subsets of 1, 10 and 50 % of every class, rounded down but at least one image.

    Groups come in one random order for all classes, so that a subset holds whole groups but for the last of a class.
    """
    train = np.flatnonzero((manifest["set"] == "wbc") & (manifest["part"] == "train"))
    order = train[order_by_group(list(manifest["group"].iloc[train]), rng)]
    subsets = np.zeros(len(manifest), np.int64)
    for label in classes:
        members = order[(manifest["class"] == label).to_numpy()[order]]
        sizes = [max(1, len(members) * subset // 100) for subset in SUBSETS]
        smallest = np.searchsorted(sizes, np.arange(len(members)), side="right")
        subsets[members] = np.array(SUBSETS)[smallest]
    return manifest.assign(subset=subsets, mask_subset=np.where(manifest["mask"] != "", subsets, 0))
