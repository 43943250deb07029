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
| source | for derived images the path of the original; empty for originals |
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from leuko.data.classes import CLASSES, SUBSETS
from leuko.data.images import Probe, UnreadableImageError, probe_image
from leuko.data.layout import ImageFile, Problems, discover, subset_folders
from leuko.parallel import map_images

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
    "source": "str",
}


def read_manifest(path: Path) -> pd.DataFrame:
    """Read a manifest with its columns' types; empty text stays empty text."""
    return pd.read_csv(path, dtype=COLUMNS, keep_default_na=False)


def make_manifest(
    root: Path,
    *,
    seed: int,
    val_fraction: float,
    prcc_val_fraction: float,
    prcc_test_fraction: float,
    min_side: int,
    subsets: str,
    subset_seed: int,
) -> pd.DataFrame:
    """Check a data root and divide its images into parts and subsets.

    The WBC val folder becomes validation and test set, stratified by class, unless there is a test folder. pRCC is
    divided here, before any copies are made, so that no copy of an image can reach another part.

    Args:
        root: a folder in the course layout.
        seed: of all draws.
        val_fraction: share of the WBC val folder that stays validation where there is no test folder.
        prcc_val_fraction: share of the pRCC images for validation.
        prcc_test_fraction: share of the pRCC images for the test.
        min_side: smaller images, in pixels, are refused.
        subsets: `folders` follows the data root's subset folders, if it has any; `drawn` does not.
        subset_seed: draws other subsets, and nothing else; it counts only where they are drawn.

    Returns:
        The manifest.

    Raises:
        LeukoError: with everything that is wrong with the data.
    """
    images, problems = discover(root)
    probes = _probe_all(root, images, min_side, problems)
    parts = {image.path: image.part for image in images}
    rng = np.random.default_rng([seed, 0])
    if not any(image.set == "wbc" and image.part == "test" for image in images):
        held_out = [image for image in images if image.set == "wbc" and image.part == "val"]
        parts |= _divide_held_out(held_out, val_fraction, rng, problems)
    present, missing = subset_folders(root)
    follow_folders = subsets == "folders" and bool(present)
    for folder in missing if follow_folders else []:
        problems.add("Subset folders missing beside others; add them, or set ingest.subsets to drawn", folder)
    problems.raise_if_any(root)

    prcc = [image.path for image in images if image.set == "prcc"]
    parts |= _divide_prcc(prcc, prcc_val_fraction, prcc_test_fraction, np.random.default_rng([seed, 1]))
    if follow_folders:
        memberships = {image.path: (image.subset, image.mask_subset) for image in images}
    else:
        train = [image for image in images if image.set == "wbc" and image.part == "train"]
        memberships = _draw_subsets(train, np.random.default_rng([seed, 2, subset_seed]))
    rows = [
        (
            image.set,
            parts[image.path],
            image.label,
            image.path.as_posix(),
            image.mask.as_posix() if image.mask else "",
            *memberships.get(image.path, (0, 0)),
            probes[image.path].width,
            probes[image.path].height,
            probes[image.path].sha256,
            "",
        )
        for image in images
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def _probe_all(root: Path, images: Sequence[ImageFile], min_side: int, problems: Problems) -> dict[Path, Probe]:
    """Open every image, mask and subset copy; note all that cannot be used or do not fit together."""
    paths = [path for image in images for path in (image.path, image.mask, *image.copies) if path is not None]

    def probe(path: Path) -> Probe | str:
        try:
            return probe_image(root / path)
        except UnreadableImageError as error:
            return str(error)

    probes: dict[Path, Probe] = {}
    for path, result in zip(paths, map_images(probe, paths, "checking images"), strict=True):
        if isinstance(result, Probe):
            probes[path] = result
        else:
            problems.add("Images that cannot be read; replace or remove them", f"{path.as_posix()}: {result}")

    for image in images:
        whole = probes.get(image.path)
        if whole is None:
            continue
        size = f"{whole.width} x {whole.height}"
        if min(whole.width, whole.height) < min_side:
            problems.add(
                f"Images with a side below {min_side} pixels (ingest.min_side); replace or remove them",
                f"{image.path.as_posix()}: {size}",
            )
        mask = probes.get(image.mask) if image.mask else None
        if image.mask and mask and (mask.width, mask.height) != (whole.width, whole.height):
            problems.add(
                "Masks of another size than their image; make them equal",
                f"{image.mask.as_posix()}: {mask.width} x {mask.height}, its image {size}",
            )
        for copy in image.copies:
            if copy in probes and probes[copy].sha256 != whole.sha256:
                problems.add("Images of a subset that differ from WBC_100's of the same name; make them equal", copy)
    return probes


def _divide_held_out(
    images: Sequence[ImageFile], val_fraction: float, rng: np.random.Generator, problems: Problems
) -> dict[Path, str]:
    """Divide the WBC val folder, class by class, into validation and test; each gets at least one of a class."""
    parts: dict[Path, str] = {}
    for label in CLASSES["wbc"]:
        paths = [image.path for image in images if image.label == label]
        if len(paths) == 1:
            problems.add("Classes with one image only, too few for validation and test; add some", paths[0].parent)
        n_val = int(np.clip(round(len(paths) * val_fraction), 1, max(1, len(paths) - 1)))
        for rank, index in enumerate(rng.permutation(len(paths))):
            parts[paths[index]] = "val" if rank < n_val else "test"
    return parts


def _divide_prcc(
    paths: Sequence[Path], val_fraction: float, test_fraction: float, rng: np.random.Generator
) -> dict[Path, str]:
    """Divide the pRCC images; validation and test get at least one each, training never none."""
    n_val = max(1, round(len(paths) * val_fraction))
    n_test = max(1, round(len(paths) * test_fraction))
    while n_val + n_test >= len(paths):
        n_val, n_test = max(1, n_val - 1), max(1, n_test - 1)
    parts = ["val"] * n_val + ["test"] * n_test + ["train"] * (len(paths) - n_val - n_test)
    order = rng.permutation(len(paths))
    return {paths[index]: part for index, part in zip(order, parts, strict=True)}


def _draw_subsets(images: Sequence[ImageFile], rng: np.random.Generator) -> dict[Path, tuple[int, int]]:
    """Draw nested subsets of 1, 10 and 50 % of every class, rounded down but at least one image."""
    subsets: dict[Path, tuple[int, int]] = {}
    for label in CLASSES["wbc"]:
        members = [image for image in images if image.label == label]
        sizes = [max(1, len(members) * subset // 100) for subset in SUBSETS]
        for rank, index in enumerate(rng.permutation(len(members))):
            smallest = next(subset for subset, size in zip(SUBSETS, sizes, strict=True) if rank < size)
            image = members[index]
            subsets[image.path] = (smallest, smallest if image.mask else 0)
    return subsets
