"""Model files: safetensors with their configuration inside, and tensors from elsewhere; nothing is ever unpickled."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from leuko.core.errors import LeukoError, repro
from leuko.core.files import write_bytes

KEY = "leuko"
"""The one key of a file's metadata; several would be written in no fixed order."""
LEFT_OUT = "left_out"
"""In the configuration of a file without a model, the reason."""


ASIDE = "foreign."
"""What the names of tensors begin with that lie in a model file beside the model's own, see `leuko.models.foreign`."""


def save_model(
    path: Path, model: nn.Module, config: Mapping[str, Any], aside: Mapping[str, Tensor] | None = None
) -> None:
    """Write a model's parameters and buffers, with its configuration as JSON in the file's metadata.

    Args:
        path: a `.safetensors` file.
        model: the model.
        config: what is needed to build it again and to feed it.
        aside: tensors that lie beside the model's own, with names that begin with `ASIDE`.
    """
    whole = {**model.state_dict(), **(aside or {})}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in whole.items()}
    _write(path, tensors, config)


def save_left_out(path: Path, reason: str) -> None:
    """Write in place of a model that there is none, and why: a stage's outputs must be there.

    Args:
        path: a `.safetensors` file.
        reason: in a few words, such as "there are no tissue images".
    """
    _write(path, {}, {LEFT_OUT: reason})


def _write(path: Path, tensors: dict[str, Tensor], config: Mapping[str, Any]) -> None:
    """Write a model file, whole or not at all, by Python, whose errors say what lacks room; safetensors' do not."""
    write_bytes(path, save(tensors, {KEY: json.dumps(dict(config), sort_keys=True)}))


def left_out(path: Path) -> str:
    """Why there is no model in a file; empty if there is one.

    Raises:
        LeukoError: if the file is missing, damaged or not this project's.
    """
    return str(load_config(path).get(LEFT_OUT, ""))


def load_config(path: Path) -> dict[str, Any]:
    """Read the configuration in a model file.

    Raises:
        LeukoError: if the file is missing, damaged or not this project's.
    """
    if not path.is_file():
        raise LeukoError(f"{path} is not there, as the stage that trains it has not run; type {repro()}")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        config: Any = json.loads(metadata[KEY])
    except Exception as error:  # damaged and hostile files raise many kinds
        raise LeukoError(f"{path} is not a model of this project: {type(error).__name__}: {error}") from error
    if not isinstance(config, dict):
        raise LeukoError(f"{path} is not a model of this project: its configuration has no keys")
    return config


def check_config(path: Path, config: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Make sure that a classifier is what it is taken for.

    Args:
        path: its file.
        config: the configuration in it.
        expected: what the configuration must say.

    Raises:
        LeukoError: if it says otherwise, or its temperature is none; with all that differs.
    """
    wrong = [
        f"its {key} is {config.get(key)!r}, not {value!r}"
        for key, value in expected.items()
        if config.get(key) != value
    ]
    temperature = config.get("temperature")
    if type(temperature) is not float or not 0 < temperature < math.inf:
        wrong.append(f"its temperature is {temperature!r}, not a positive number")
    if wrong:
        raise LeukoError(f"{path} is not what it is taken for: {'; '.join(wrong)}. Let dvc repro train it anew.")


def load_weights(path: Path, model: nn.Module) -> None:
    """Give a model the parameters and buffers of a file.

    Raises:
        LeukoError: if the file is missing or damaged, or its tensors are not the model's.
    """
    tensors = {name: tensor for name, tensor in read_tensors(path).items() if not name.startswith(ASIDE)}
    expected = model.state_dict()
    if wrong := misfits(tensors, expected):
        raise LeukoError(f"{path} does not fit the model: {wrong}")
    model.load_state_dict(tensors)


def misfits(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> str:
    """What keeps tensors from taking the place of others, in words; empty if nothing does.

    A number may have another precision than expected, but not another kind, and it must be finite.
    """
    wrong = [
        name
        for name in sorted(expected.keys() | tensors.keys())
        if name not in tensors
        or name not in expected
        or tensors[name].shape != expected[name].shape
        or tensors[name].is_floating_point() != expected[name].is_floating_point()
        or tensors[name].is_complex()
    ]
    if wrong:
        return f"{len(wrong)} tensors are missing, unknown, or of another shape or type, the first of them {wrong[0]}"
    if endless := [name for name, tensor in sorted(tensors.items()) if not tensor.isfinite().all()]:
        return f"{len(endless)} tensors hold values that are not finite, the first of them {endless[0]}"
    return ""


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a `.safetensors` or PyTorch file, without executing anything in it.

    Args:
        path: the file.

    Returns:
        Tensors by name, on the CPU.

    Raises:
        LeukoError: if it is missing, damaged, or holds anything but plain tensors by name.
    """
    tensors = _read(path)
    if not isinstance(tensors, dict) or not all(map(_is_named_tensor, tensors.items())):
        raise LeukoError(f"{path} holds something else than tensors by name")
    return tensors


def read_nested_tensors(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a `.safetensors` or PyTorch file in which dictionaries may lie in dictionaries.

    Args:
        path: the file; a training's whole state, for example. Nothing in it is executed.

    Returns:
        Tensors on the CPU by the keys that lead to them, joined by dots; whatever else the file holds is left out.

    Raises:
        LeukoError: if it is missing or damaged, or holds no dictionary.
    """
    content = _read(path)
    if not isinstance(content, dict):
        raise LeukoError(f"{path} holds something else than tensors by name")
    tensors = {}
    waiting: list[tuple[str, dict[Any, Any]]] = [("", content)]
    met = {id(content)}  # a hostile file can hold a dictionary inside itself
    while waiting:
        prefix, folder = waiting.pop()
        for name, value in folder.items():
            if isinstance(value, dict):
                if id(value) not in met:
                    met.add(id(value))
                    waiting.append((f"{prefix}{name}.", value))
            elif _is_named_tensor((name, value)):
                tensors[prefix + name] = value
    return tensors


def _read(path: Path) -> object:
    """Read a file of tensors, without executing anything in it.

    Raises:
        LeukoError: if it is missing, damaged, or holds Python objects.
    """
    try:
        return load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except Exception as error:  # damaged files raise many kinds
        raise LeukoError(f"{path} cannot be read as tensors: {reason(error)}") from error


def reason(error: Exception) -> str:
    """Why a file could not be read, without PyTorch's advice on reading it all the same, which executes its content."""
    if isinstance(error, pickle.UnpicklingError) or "weights_only" in str(error):
        return (
            "it is damaged, or holds Python objects, which could execute code and are never loaded; "
            "a .safetensors file holds tensors alone"
        )
    return f"{type(error).__name__}: {error}"


def _is_named_tensor(item: tuple[Any, Any]) -> bool:
    """Whether a key is text and its value a tensor with its values in memory, neither sparse nor quantised."""
    name, tensor = item
    return (
        isinstance(name, str)
        and isinstance(tensor, Tensor)
        and tensor.layout == torch.strided
        and tensor.device.type == "cpu"
        and not tensor.is_quantized
    )
