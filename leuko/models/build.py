"""From a model file to a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from leuko.core.errors import LeukoError
from leuko.models.autoencoder import PrccAutoencoder
from leuko.models.base import WbcNet
from leuko.models.classifier import Classifier
from leuko.models.encoders import Encoder, TransferNet, encoder_of
from leuko.models.feature_classifier import FeatureClassifier
from leuko.models.plus import WbcPlusNet
from leuko.models.store import load_config, load_weights
from leuko.models.tissue import Cam16Net

MAX_CLASSES = 1000
"""A file may not ask for more memory than a network of so many classes needs."""
MAX_FEATURES, MAX_CENTRES = 10_000, 10_000
"""Nor of so many descriptors or training cells."""


def build(config: dict[str, Any]) -> nn.Module:
    """Make the network that a configuration describes, with initial weights.

    Args:
        config: `network`, and what that network needs: `classes`, `freeze`; `encoder`, `width`, `side`;
            `descriptors`, `centres`.

    Returns:
        The network.

    Raises:
        LeukoError: if the configuration describes none.
    """
    try:
        match config["network"]:
            case "prcc":
                return PrccAutoencoder()
            case "cam16":
                return Cam16Net(freeze=config["freeze"] is True, n_classes=_n_classes(config))
            case "wbc":
                return WbcNet(_n_classes(config))
            case "wbc_plus":
                return WbcPlusNet(PrccAutoencoder().encoder, Cam16Net(freeze=True), _n_classes(config))
            case "encoder":
                return encoder_of(config)
            case "transfer":
                return TransferNet(encoder_of(config), _n_classes(config))
            case "features":
                return _feature_classifier(config)
            case other:
                raise LeukoError(f"there is no network {other!r}")
    except (KeyError, TypeError, ValueError) as error:
        raise LeukoError(f"the model's configuration cannot be used: {type(error).__name__}: {error}") from error


def _feature_classifier(config: dict[str, Any]) -> FeatureClassifier:
    """A classifier on features; without an `encoder` it is one on descriptors alone.

    Raises:
        LeukoError: if there is no encoder of that name.
        ValueError: if it would be absurdly large.
    """
    encoder = encoder_of(config) if config["encoder"] else None
    n_descriptors, n_centres = config["descriptors"], config["centres"]
    if not (encoder or n_descriptors) or not 0 <= n_descriptors <= MAX_FEATURES or not 1 <= n_centres <= MAX_CENTRES:
        raise ValueError(f"{n_centres} centres with {n_descriptors} descriptors")
    return FeatureClassifier(encoder, n_descriptors, n_centres, _n_classes(config))


def _n_classes(config: dict[str, Any]) -> int:
    """The number of classes.

    Raises:
        ValueError: if the classes are not a few different names.
    """
    classes = config["classes"]
    if (
        not isinstance(classes, list | tuple)
        or not all(isinstance(label, str) for label in classes)
        or not 1 <= len(set(classes)) == len(classes) <= MAX_CLASSES
    ):
        raise ValueError(f"the classes must be up to {MAX_CLASSES} different names")
    return len(classes)


def load_model(path: Path) -> tuple[nn.Module, dict[str, Any]]:
    """Read a network with its weights.

    Args:
        path: a file that `save_model` wrote.

    Returns:
        The network, in evaluation mode on the CPU, and its configuration.

    Raises:
        LeukoError: if the file is missing, damaged, or does not fit the network that it names.
    """
    config = load_config(path)
    try:
        model = build(config)
    except LeukoError as error:
        raise LeukoError(f"{path}: {error}") from error
    load_weights(path, model)
    return model.eval(), config


def load_classifier(path: Path) -> tuple[Classifier, dict[str, Any]]:
    """Read a classifier of blood cells with its weights.

    Args:
        path: a file that `save_model` wrote.

    Returns:
        The classifier, in evaluation mode on the CPU, and its configuration.

    Raises:
        LeukoError: as `load_model` does, and if the file holds another kind of network.
    """
    model, config = load_model(path)
    if not isinstance(model, Classifier):
        raise LeukoError(f"{path} is no classifier of blood cells, but a network called {config['network']}")
    return model, config


def load_encoder(path: Path) -> tuple[Encoder, dict[str, Any]]:
    """Read an encoder with its weights.

    Args:
        path: a file that `save_model` wrote.

    Returns:
        The encoder, in evaluation mode on the CPU, and its configuration.

    Raises:
        LeukoError: as `load_model` does, and if the file holds another kind of network.
    """
    model, config = load_model(path)
    if not isinstance(model, Encoder):
        raise LeukoError(f"{path} is no encoder, but a network called {config['network']}")
    return model, config
