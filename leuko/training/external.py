"""Every arm at work on another laboratory's cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from leuko.arms import Arm
from leuko.data.scale import from_column
from leuko.models.build import load_classifier
from leuko.models.foreign import load_domain
from leuko.morphology.packing import find_scale, pack_cells
from leuko.packs.augmentation import Pose
from leuko.packs.reading import read_values
from leuko.packs.writing import write_pack
from leuko.training.predict import predict_pack


def pack_laboratory(packs: Path, rows: pd.DataFrame, root: Path, sizes: Mapping[str, int], side: int) -> None:
    """Pack a laboratory's images as those of a test.

    Its cells are cut out at the scale of its own median nucleus, since its camera is another one; no label is needed
    for that.

    Args:
        packs: the folder of its packs.
        rows: as `leuko.data.laboratory.survey_laboratory` gives them.
        root: the folder of the images.
        sizes: sides of the whole images in pixels, by the names of their arrays.
        side: of the crops.
    """
    files = [root / path for path in rows["path"]]
    depths = from_column(rows["scale"])
    write_pack(packs / "wbc/test", rows, files, [[Pose()]] * len(files), sizes, "packing", depths)
    pack_cells(packs / "cells/test", rows, files, depths, find_scale(rows, files, depths), side, "measuring cells")


def answers_of(
    arms: Sequence[Arm], packs: Path, n_images: int, device: torch.device
) -> tuple[dict[str, NDArray[np.float64]], dict[str, dict[str, Any]], dict[str, NDArray[np.bool_]]]:
    """What every arm says of packed images.

    Args:
        arms: those whose models are there.
        packs: the folder of the packs, with a part `test`.
        n_images: in them.
        device: where to compute.

    Returns:
        By the arms' keys: probabilities, shape (image, class); the configurations in the model files; and which images
        lie beyond what the model knows.
    """
    descriptors = read_values(packs / "cells/test", "descriptors")
    probabilities, configs, beyond = {}, {}, {}
    for arm in arms:
        model, configs[arm.key] = load_classifier(arm.model)
        probabilities[arm.key] = predict_pack(model, packs, "test", np.arange(n_images), device)
        if domain := load_domain(arm.model):
            beyond[arm.key] = domain.beyond(descriptors)
    return probabilities, configs, beyond
