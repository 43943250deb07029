"""Tiny models of every kind of classifier, with weights that are fitted to nothing; what tests do with any model."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from leuko.core.params.transfer import Probe
from leuko.data.images import resize
from leuko.data.statistics import SIDE, picture_statistics
from leuko.evaluation.probe import fit_probe
from leuko.models.autoencoder import PrccAutoencoder
from leuko.models.base import WbcNet
from leuko.models.classifier import Classifier
from leuko.models.encoders import PooledEncoder, TransferNet
from leuko.models.foreign import PICTURES, fit_domain
from leuko.models.plus import WbcPlusNet
from leuko.models.store import save_model
from leuko.models.tissue import Cam16Net
from leuko.morphology.descriptors import DESCRIPTORS
from tests.course import WBC

KINDS = ("wbc", "wbc_plus", "transfer", "morphology", "both")
NUCLEI = {"sizes": [64.0], "nuclei": [20.0]}
ENCODER = {"encoder": "pooled", "width": 2, "side": 32}


def draw_classifier(kind: str) -> tuple[Classifier, dict[str, Any]]:
    """A network with random weights whose answers depend on the image, and the configuration of its file."""
    torch.manual_seed(1)
    config: dict[str, Any] = {"model": kind, "classes": list(WBC), "scales": {}, "temperature": 1.5}
    config |= {"split": 100, "seed": 0}
    model: Classifier
    match kind:
        case "wbc":
            model, config = WbcNet(5), config | {"network": "wbc", "size": 32}
        case "wbc_plus":
            model = WbcPlusNet(PrccAutoencoder().encoder, Cam16Net(freeze=True), 5)
            config |= {"network": "wbc_plus", "size": 32, "prcc_size": 64, "cam16_size": 32}
        case "transfer":
            model = TransferNet(PooledEncoder(2), 5)
            config |= {"network": "transfer", **ENCODER, "nuclei": NUCLEI}
        case _:
            encoder = PooledEncoder(2).eval() if kind == "both" else None
            rng = np.random.default_rng(0)
            sizes = [encoder.n_features] * bool(encoder) + [len(DESCRIPTORS)] if encoder else [len(DESCRIPTORS)]
            blocks = [rng.normal(size=(20, size)).astype(np.float32) for size in sizes]
            settings = Probe(
                regularization=0.01, gamma=0.1, few_labels="none", propagate_upto=1, dimensions=4, neighbours=3
            )
            model = fit_probe(blocks, np.arange(20), np.arange(20) % 5, 5, settings, encoder=encoder)
            known = ENCODER if encoder else {"encoder": "", "width": 0, "side": 0}
            config |= {"network": "features", **known, "nuclei": NUCLEI}
            config |= {"descriptors": len(DESCRIPTORS), "centres": 20}
    if kind in ("wbc", "wbc_plus", "transfer"):
        _spread(model)
    return model.eval(), config


def _spread(model: Classifier) -> None:
    """Make answers differ from image to image: the last layer of a network that was just made hardly does."""
    with torch.no_grad():
        last = [layer for layer in model.modules() if isinstance(layer, torch.nn.Linear)][-1]
        last.weight.mul_(20)


def write_model(folder: Path, kind: str, name: str = "", own: Sequence[Image.Image] = ()) -> Path:
    """Write a model file; with images of its own laboratory, it knows them from others."""
    model, config = draw_classifier(kind)
    path = folder / f"{name or kind}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    domain = None
    if own:
        statistics = picture_statistics(np.array([resize(image, SIDE) for image in own]))
        half = len(own) // 2
        domain = fit_domain(statistics[:half], statistics[half:]).tensors(PICTURES)
    save_model(path, model, config, domain)
    return path


def stirred(model: nn.Module, seed: int = 0) -> nn.Module:
    """The model with all parameters and buffers changed, batch norm's statistics too, as training would."""
    torch.manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.2, 0.2)
            module.num_batches_tracked += 7
    return model


def state(module: nn.Module) -> dict[str, torch.Tensor]:
    return copy.deepcopy(module.state_dict())


def assert_same(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> None:
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        assert torch.equal(tensor, after[name]), name
