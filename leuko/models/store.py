"""Model files: safetensors with their configuration inside, and tensors from elsewhere; nothing is ever unpickled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from leuko.errors import LeukoError
from leuko.files import whole_file

KEY = "leuko"
"""The one key of a file's metadata; several would be written in no fixed order."""


def save_model(path: Path, model: nn.Module, config: Mapping[str, Any]) -> None:
    """Write a model's parameters and buffers, with its configuration as JSON in the file's metadata.

    Args:
        path: a `.safetensors` file.
        model: the model.
        config: what is needed to build it again and to feed it.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    with whole_file(path) as draft:
        save_file(tensors, draft, metadata={KEY: json.dumps(dict(config), sort_keys=True)})


def load_config(path: Path) -> dict[str, Any]:
    """Read the configuration in a model file.

    Raises:
        LeukoError: if the file is missing, damaged or not ours.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        config: dict[str, Any] = json.loads(metadata[KEY])
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise LeukoError(f"{path} is not a model of this project: {type(error).__name__}: {error}") from error
    return config


def load_weights(path: Path, model: nn.Module) -> None:
    """Give a model the parameters and buffers of a file.

    Raises:
        LeukoError: if the file is missing or damaged, or its tensors are not the model's.
    """
    try:
        model.load_state_dict(read_tensors(path))
    except RuntimeError as error:
        raise LeukoError(f"{path} does not fit the model: {error}") from error


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a `.safetensors` or PyTorch file, without executing anything in it.

    Args:
        path: the file.

    Returns:
        Tensors by name, on the CPU.

    Raises:
        LeukoError: if it is missing, damaged, or holds anything but tensors by name.
    """
    try:
        tensors: Any = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except Exception as error:  # damaged files raise many kinds
        raise LeukoError(f"{path} cannot be read as tensors: {type(error).__name__}: {error}") from error
    if not isinstance(tensors, dict) or not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
        raise LeukoError(f"{path} holds something else than tensors by name")
    return tensors
