"""Every arm at work on another laboratory's cells."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax

from leuko.arms import Arm
from leuko.core.params.transfer import Probe
from leuko.evaluation.adaptation import LEAST_UNLABELLED, align
from leuko.models.build import load_classifier
from leuko.models.feature_classifier import FeatureClassifier
from leuko.models.foreign import load_domain
from leuko.packs.reading import read_values
from leuko.training.parts import inputs_of
from leuko.training.predict import BATCH, predict_features, predict_pack


@dataclass(frozen=True)
class ArmAbroad:
    """What an arm says of another laboratory's images.

    Attributes:
        probabilities: shape (image, class).
        aligned: the same where features are measured from that laboratory's own median, which takes no label; none for
            networks, and of too few images for a median.
        temperature: fitted at home.
        beyond: which images lie beyond what the model knows; none if its file does not tell.
    """

    probabilities: NDArray[np.float64]
    aligned: NDArray[np.float64] | None
    temperature: float
    beyond: NDArray[np.bool_] | None


def try_abroad(arm: Arm, packs: Path, n_images: int, device: torch.device) -> ArmAbroad:
    """Ask an arm about packed images.

    Args:
        arm: whose model is there.
        packs: the folder of the packs, with a part `test`.
        n_images: in them.
        device: where to compute.

    Returns:
        Its answers.
    """
    model, config = load_classifier(arm.model)
    rows = np.arange(n_images)
    aligned = None
    if isinstance(model, FeatureClassifier) and n_images >= LEAST_UNLABELLED:
        features = _features(model, packs, rows)
        logits = predict_features(align(model, features, Probe.model_validate(config["settings"])), [features])
        aligned = softmax(logits.astype(np.float64), axis=1)
    domain = load_domain(arm.model)
    beyond = domain.beyond(read_values(packs / "cells/test", "descriptors")) if domain else None
    return ArmAbroad(predict_pack(model, packs, "test", rows, device), aligned, config["temperature"], beyond)


@torch.no_grad()
def _features(model: FeatureClassifier, packs: Path, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """The features of packed images, shape (image, feature), on the CPU."""
    inputs = inputs_of(packs, "test", model.inputs, rows, torch.device("cpu"))
    chunks = torch.arange(len(rows)).split(BATCH)
    features: NDArray[np.float32] = torch.cat([model.features(*inputs(chunk, None)) for chunk in chunks]).numpy()
    return features
