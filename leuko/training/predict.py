"""Trained classifiers of blood cells at work on a pack."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from leuko.models.classifier import Classifier
from leuko.models.feature_classifier import FeatureClassifier
from leuko.training.device import to_device
from leuko.training.parts import inputs_of

BATCH = 16


@torch.no_grad()
def predict_pack(
    model: Classifier, packs: Path, part: str, rows: NDArray[np.int64], device: torch.device
) -> NDArray[np.float64]:
    """Classify images of the packs, in single precision.

    Args:
        model: a classifier in evaluation mode.
        packs: the folder of all packs.
        part: `val` or `test`.
        rows: the rows to classify.
        device: where to compute.

    Returns:
        Probabilities, shape (image, class).
    """
    to_device(model, device)
    inputs = inputs_of(packs, part, model.inputs, rows, device)
    chunks = torch.arange(len(rows), device=device).split(BATCH)
    logits = torch.cat([model.classify(*inputs(chunk, None)) for chunk in chunks])
    probabilities: NDArray[np.float64] = logits.cpu().double().softmax(1).numpy()
    return probabilities


@torch.no_grad()
def predict_features(model: FeatureClassifier, blocks: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Classify cells by features that are known already, on the CPU.

    Args:
        model: a classifier on features.
        blocks: the features that it takes, as `read_features` gives them.

    Returns:
        Logits, shape (image, class).
    """
    features = torch.from_numpy(np.concatenate(blocks, axis=1))
    logits: NDArray[np.float32] = model.classify_features(features).numpy()
    return logits
