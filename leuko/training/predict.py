"""Trained classifiers of blood cells at work."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from leuko.models.plus import WbcPlusNet
from leuko.training.device import to_device
from leuko.training.inputs import Concat, FrozenEncoder, Inputs
from leuko.training.parts import images_of

BATCH = 16


@torch.no_grad()
def predict_pack(model: nn.Module, pack: Path, rows: NDArray[np.int64], device: torch.device) -> NDArray[np.float64]:
    """Classify a pack's images, in single precision.

    Args:
        model: a base or WBC+ network in evaluation mode.
        pack: the pack's folder.
        rows: the rows to classify.
        device: where to compute.

    Returns:
        Probabilities, shape (image, class).
    """
    to_device(model, device)
    inputs: Inputs = images_of(pack, "wbc", rows, device)
    if isinstance(model, WbcPlusNet):
        frozen = (images_of(pack, size, rows, device) for size in ("prcc", "cam16"))
        inputs = Concat(inputs, FrozenEncoder(model.encode, *frozen))
    chunks = torch.arange(len(rows), device=device).split(BATCH)
    logits = torch.cat([model(*inputs(chunk, None)) for chunk in chunks])
    probabilities: NDArray[np.float64] = logits.cpu().double().softmax(1).numpy()
    return probabilities
