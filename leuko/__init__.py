"""Leuko: does pre-training on other medical images help a network tell white blood cells apart?

`from leuko import load_model` gives what classifies images with a trained model: see `leuko.prediction.model`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from leuko.prediction.model import Model, Predictions, load_model

__all__ = ["Model", "Predictions", "load_model"]


def __getattr__(name: str) -> object:
    """Import PyTorch and the like only when somebody asks for what needs it."""
    if name in __all__:
        return getattr(importlib.import_module("leuko.prediction.model"), name)
    raise AttributeError(f"module 'leuko' has no attribute {name!r}")
