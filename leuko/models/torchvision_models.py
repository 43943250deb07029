"""What this project uses of torchvision, which here can be imported on a PyTorch without CUDA too.

The torchvision wheels on PyPI are built for CUDA. Beside a PyTorch without CUDA their compiled operators cannot be
loaded, and importing torchvision fails where it registers shape functions for two operators that then do not exist.
Declaring those two, without code (nothing here uses them), is enough for all of torchvision that is written in Python.
Where the compiled operators can be loaded, they are, just as torchvision would do it, and nothing is declared.
"""

import importlib.util
from pathlib import Path

import torch

_spec = importlib.util.find_spec("torchvision")
_folders = _spec.submodule_search_locations if _spec else None
for _library in (library for folder in _folders or [] for library in Path(folder).glob("_C*")):
    try:
        torch.ops.load_library(_library)
    except OSError:
        continue

_declared = torch.library.Library("torchvision", "FRAGMENT")
for _name in ("nms", "qnms"):
    if not hasattr(torch.ops.torchvision, _name):
        _declared.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

from torchvision.models import ResNet18_Weights, resnet18  # noqa: E402  (only now can it be imported)

__all__ = ["ResNet18_Weights", "resnet18"]
