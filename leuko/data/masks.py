"""Masked copies: image times mask, as new training images beside the originals."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from leuko.core.image_grid import image_grid
from leuko.core.parallel import map_images
from leuko.data.images import read_rgb
from leuko.data.manifest import COLUMNS
from leuko.data.mask_reading import MaskRule, read_mask
from leuko.data.scale import from_column


def apply_mask(image: Image.Image, mask: NDArray[np.bool_], fill: Sequence[int]) -> Image.Image:
    """Keep what the mask keeps; the rest takes one colour.

    Args:
        image: RGB, width by height.
        mask: shape (height, width), true where the image is kept.
        fill: RGB, 0 to 255.

    Returns:
        The masked image.
    """
    return Image.composite(image, Image.new("RGB", image.size, tuple(fill)), Image.fromarray(mask))


def plan_masks(manifest: pd.DataFrame, root: Path, cam16: str, seed: int) -> pd.DataFrame:
    """Choose the images that get a masked copy, and the mask of each.

    CAM16's normal masks are all black, since nothing in them is tumor. A black picture would give the class away,
    and so would a black background on tumor images alone. A normal image therefore borrows the outline of a tumor
    mask, drawn by the seed: then the background says nothing about the class.

    Args:
        manifest: all images.
        root: the data root.
        cam16: `both` classes of CAM16 get masked copies, only `tumor`, or `none`.
        seed: of the draw of borrowed masks.

    Returns:
        The rows of the manifest that get a masked copy, with the mask to use in `mask`; normal images with an empty
        mask are left out if there is none to borrow.
    """
    masked = manifest[manifest["mask"] != ""]
    labels = {"both": ("normal", "tumor"), "tumor": ("tumor",), "none": ()}[cam16]
    masked = masked[(masked["set"] == "wbc") | masked["class"].isin(labels)].reset_index(drop=True)
    normal = masked["class"] == "normal"  # other empty masks have been refused by ingest

    def keeps_something(row: pd.Series) -> bool:
        return bool(_mask_of(row, root).any())

    keeps = map_images(keeps_something, [row for _, row in masked[normal].iterrows()], "reading masks")
    masked["kept"] = True
    masked.loc[normal, "kept"] = np.array(keeps, dtype=bool)

    lenders = masked[(masked["class"] == "tumor") & masked["kept"]][["mask", "mask_rule"]].to_numpy()
    borrows = normal & ~masked["kept"]
    if len(lenders):
        draws = np.random.default_rng([seed, 0]).permutation(np.arange(borrows.sum()) % len(lenders))
        masked.loc[borrows, ["mask", "mask_rule"]] = lenders[draws]
        masked.loc[borrows, "kept"] = True
    return masked[masked["kept"]].drop(columns="kept").reset_index(drop=True)


def _mask_of(row: pd.Series, root: Path) -> NDArray[np.bool_]:
    """The mask of a row of the manifest."""
    return read_mask(root / row["mask"], MaskRule.parse(row["mask_rule"]))


def write_masked(plan: pd.DataFrame, root: Path, folder: Path, fill: Sequence[int]) -> pd.DataFrame:
    """Write the masked copies as packed TIFF files, which take a tenth of the time of PNG, and describe them.

    Args:
        plan: what `plan_masks` chose.
        root: the data root.
        folder: where the copies go, in a folder per set and class; of `atomic_folder`.
        fill: RGB colour of what a mask hides, 0 to 255.

    Returns:
        The copies' manifest: training rows that name their source, with paths relative to `folder`.
    """

    def write(row: pd.Series) -> tuple[str, str]:
        image = read_rgb(root / row["path"], from_column([row["scale"]]))
        mask = _mask_of(row, root)
        if mask.shape[::-1] != image.size:  # only a borrowed mask can differ in size
            mask = np.asarray(Image.fromarray(mask).resize(image.size, Image.Resampling.NEAREST))
        content = io.BytesIO()
        apply_mask(image, mask, fill).save(content, "TIFF", compression="packbits")
        path = Path(row["set"]) / row["class"] / f"{Path(row['path']).stem}.tif"
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content.getvalue())
        return path.as_posix(), hashlib.sha256(content.getvalue()).hexdigest()

    written = map_images(write, [row for _, row in plan.iterrows()], "masking images")
    copies = plan.assign(
        source=plan["path"],
        path=[path for path, _ in written],
        sha256=[sha256 for _, sha256 in written],
        mask="",
        mask_rule="",
        scale="",
        subset=plan["mask_subset"],
        mask_subset=0,
    )
    return copies[list(COLUMNS)].astype(COLUMNS)


def masked_examples(path: Path, plan: pd.DataFrame, copies: pd.DataFrame, root: Path, folder: Path) -> None:
    """Write the first masked copy of every class: the image, its mask and the copy.

    Args:
        path: where to.
        plan: what `plan_masks` chose.
        copies: the manifest of its masked copies, in the same order.
        root: the data root.
        folder: the copies' own root.
    """
    firsts = plan.assign(copy=list(copies["path"])).groupby(["set", "class"], sort=False).head(1)
    rows = [
        (
            f"{row['class']}",
            [
                ("image", np.asarray(read_rgb(root / row["path"], from_column([row["scale"]])))),
                ("mask", _mask_of(row, root)),
                ("masked", np.asarray(read_rgb(folder / row["copy"]))),
            ],
        )
        for _, row in firsts.iterrows()
    ]
    image_grid(path, rows)
