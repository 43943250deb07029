"""What the published study reported, on its own data: real blood cells, another test set for every run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from leuko.arms import Arm

ACCURACY: Final = {
    "base": {1: 0.7413, 10: 0.8703, 50: 0.9314, 100: 0.9256},
    "plus": {1: 0.7802, 10: 0.9058, 50: 0.9495, 100: 0.9479},
}
"""On its test images, by arm and percentage of the labels."""
BALANCED_ACCURACY: Final = {
    "base": {1: 0.200, 10: 0.508, 50: 0.846, 100: 0.876},
    "plus": {1: 0.576, 10: 0.765, 50: 0.919, 100: 0.895},
}
LOSS: Final = {
    "base": {1: 0.6406, 10: 0.3802, 50: 0.2502, 100: 0.2411},
    "plus": {1: 0.8494, 10: 0.4180, 50: 0.2717, 100: 0.2145},
}
RERUN_ACCURACY: Final = {"base": 0.5950, "plus": 0.8000}
"""Of a second run of the same code with 1 % of the labels."""
F1: Final = {
    "base": {"Basophil": 0.981, "Eosinophil": 0.644, "Lymphocyte": 0.955, "Monocyte": 0.769, "Neutrophil": 0.965},
    "plus": {"Basophil": 0.939, "Eosinophil": 0.795, "Lymphocyte": 0.956, "Monocyte": 0.745, "Neutrophil": 0.981},
}
"""By class, with all labels."""
CAM16: Final = {"accuracy": 0.875, "loss": 0.3302}
PRCC_DATA_RANGE_255: Final = 9.3208e-4
"""1 - SSIM of the autoencoder, computed as if pixels reached 255 although they end at 1."""


def comparable(arms: Iterable[Arm], classes: Iterable[str]) -> list[Arm]:
    """The arms that the published study had; none of them if it had none of the classes."""
    if not set(classes) & F1["base"].keys():
        return []
    return [arm for arm in arms if arm.key in F1]


def f1_of(arm: Arm, classes: Iterable[str]) -> dict[str, float | None]:
    """The published F1 of one of its arms, class by class, with all labels; none for a class that it had not."""
    return {label: F1[arm.key].get(label) for label in classes}
