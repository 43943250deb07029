"""Where a model looks, as a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from leuko.evaluation.occlusion import DESCRIPTORS, heat_map_of
from leuko.prediction.model import Model, Prepared
from leuko.report.pictures import spotlight


def draw_heat_map(model: Model, prepared: Prepared) -> Image.Image:
    """Draw where a model looks to classify an image: the rest fades to white.

    Args:
        model: that looks at pictures.
        prepared: the image, as `model.preparation` gives it.

    Returns:
        A picture of what the model is shown, 144 pixels a side: the whole image, or the crop around the nucleus.
    """
    names = model.preparation.inputs
    pictures = [name for name in names if name != DESCRIPTORS]
    heat = heat_map_of(model.network, model.tensors([prepared]))
    return spotlight(np.asarray(prepared[pictures[0]]), heat)


def write_heat_map(path: Path, model: Model, prepared: Prepared) -> None:
    """Write what `draw_heat_map` draws, as PNG."""
    with torch.no_grad():
        draw_heat_map(model, prepared).save(path, "PNG")
