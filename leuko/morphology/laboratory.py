"""The packs of another laboratory, as those of a test: whole images, and their cells."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from leuko.core.params.stain import Stain
from leuko.data.scale import from_column
from leuko.morphology.packing import find_scale, pack_cells
from leuko.morphology.staining import Staining
from leuko.packs.augmentation import Pose
from leuko.packs.writing import write_pack


def pack_laboratory(
    packs: Path, rows: pd.DataFrame, root: Path, sizes: Mapping[str, int], side: int, stain: Stain
) -> None:
    """Pack a laboratory's images as those of a test.

    Its cells are cut out at the scale of its own median nucleus, since its camera is another one; no label is needed
    for that.

    Args:
        packs: the folder of its packs.
        rows: as `leuko.data.laboratory.survey_laboratory` gives them.
        root: the folder of the images.
        sizes: sides of the whole images in pixels, by the names of their arrays.
        side: of the crops.
        stain: as the setting; the set is this laboratory's.
    """
    files = [root / path for path in rows["path"]]
    depths = from_column(rows["scale"])
    staining = Staining(stain).settled(files, depths)
    write_pack(packs / "wbc/test", rows, files, [[Pose()]] * len(files), sizes, "packing", depths, staining)
    scale = find_scale(rows, files, depths, staining)
    pack_cells(packs / "cells/test", rows, files, depths, scale, side, "measuring cells", staining)
