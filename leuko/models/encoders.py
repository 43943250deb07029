"""Encoders by name: images of cells to features, with whatever weights they start from."""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leuko.core.errors import LeukoError
from leuko.models.classifier import Classifier
from leuko.models.store import misfits, read_nested_tensors, reason
from leuko.models.wrappers import describe_prefix, fitting_prefixes

POOLED = "pooled"
"""The name of this project's own encoder; all others are torchvision's."""

CELL_MEAN = (0.78, 0.68, 0.72)
CELL_STD = 0.22
"""About those of stained blood cells on a bright background, values 0 to 1."""


MAX_WIDTH, MAX_SIDE = 256, 1024
"""A file may not ask for more memory than an encoder of this size needs."""


class Encoder(nn.Module, ABC):
    """From images to features.

    Attributes:
        n_features: how many features an image has.
    """

    n_features: int

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """Encode.

        Args:
            images: shape (image, 3, side, side), values 0 to 1, as they are: encoders normalise on their own.

        Returns:
            Features, shape (image, n_features).
        """


class _Block(nn.Module):
    """Two convolutions 3 x 3 that halve the sides, beside a shortcut that averages and mixes the channels."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride=2, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(n_out)
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(2), nn.Conv2d(n_in, n_out, 1, bias=False), nn.BatchNorm2d(n_out)
        )  # averaging first loses nothing that the stride would throw away (He et al. 2019, ResNet-D)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps of shape (image, n_in, height, width) to (image, n_out, height / 2, width / 2)."""
        inner = F.relu(self.norm1(self.conv1(maps)), inplace=True)
        return F.relu(self.norm2(self.conv2(inner)) + self.shortcut(maps), inplace=True)


class PooledEncoder(Encoder):
    """A small residual network (He et al. 2016) with global average pooling: 680 k parameters at width 24.

    A stem of stride 2 to `width` channels, then three residual blocks to 2, 4 and 8 times as many, each of stride 2.

    Args:
        width: channels of the stem.
    """

    mean: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.n_features = 8 * width
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        )
        self.blocks = nn.Sequential(
            _Block(width, 2 * width), _Block(2 * width, 4 * width), _Block(4 * width, 8 * width)
        )
        self.register_buffer("mean", torch.tensor(CELL_MEAN).view(3, 1, 1), persistent=False)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Images of shape (image, 3, side, side), values 0 to 1, the side a multiple of 16, to (image, 8 width)."""
        maps: Tensor = self.blocks(self.stem((images - self.mean) / CELL_STD))
        return maps.mean((2, 3))


class TorchvisionEncoder(Encoder):
    """One of torchvision's image classifiers without its last linear layer.

    Images are normalised as its published weights require, whatever the weights, so that files of such weights work.

    Args:
        name: as `torchvision.models.list_models` has it.
        side: of the images in pixels.

    Raises:
        LeukoError: if torchvision has no such classifier, it does not end in a linear layer, or it does not take
            images of this side.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, name: str, side: int) -> None:
        from torchvision import models  # not before it is wanted: it takes long to import

        super().__init__()
        if name not in models.list_models(module=models):
            near = difflib.get_close_matches(name, [POOLED, *models.list_models(module=models)], n=1)
            hint = f"; did you mean {near[0]}?" if near else f": it may be {POOLED} or a classifier of torchvision"
            raise LeukoError(f"there is no network {name!r}{hint}")
        self.backbone = models.get_model(name, weights=None)
        linear = [path for path, layer in self.backbone.named_modules() if isinstance(layer, nn.Linear)]
        if not linear:
            raise LeukoError(f"{name} does not end in a linear layer, so it is not known where its features are")
        last = self.backbone.get_submodule(linear[-1])
        assert isinstance(last, nn.Linear)
        self.n_features = last.in_features
        self.backbone.set_submodule(linear[-1], nn.Identity())
        preset = models.get_model_weights(name)["DEFAULT"].transforms()
        self.register_buffer("mean", torch.tensor(preset.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(preset.std).view(3, 1, 1), persistent=False)
        self._try(name, side)

    @torch.no_grad()
    def _try(self, name: str, side: int) -> None:
        """Let one image through.

        Raises:
            LeukoError: if the network cannot take it, or gives something else than features.
        """
        try:
            features = self.eval()(torch.zeros(1, 3, side, side))
        except Exception as error:  # each network has its own way to refuse
            raise LeukoError(f"{name} takes no images of {side} x {side} pixels: {error}") from error
        finally:
            self.train()
        if features.shape != (1, self.n_features):
            raise LeukoError(f"the features of {name} cannot be used: they have the shape {tuple(features.shape)}")

    def forward(self, images: Tensor) -> Tensor:
        """Images of shape (image, 3, side, side), values 0 to 1, to (image, n_features)."""
        features: Tensor = self.backbone((images - self.mean) / self.std)
        return features


def build_encoder(network: str, *, width: int, side: int) -> Encoder:
    """Make an encoder with initial weights, from PyTorch's global generator.

    Args:
        network: `pooled` for the small encoder of this project, or the name of a classifier of torchvision.
        width: channels of the pooled encoder's stem; others have widths of their own.
        side: of the images in pixels.

    Returns:
        The encoder.

    Raises:
        LeukoError: if there is no such network, or it cannot be used.
    """
    return PooledEncoder(width) if network == POOLED else TorchvisionEncoder(network, side)


def encoder_of(config: Mapping[str, Any]) -> Encoder:
    """Make the encoder that a model file's configuration describes, with initial weights.

    Args:
        config: its `encoder`, `width` and `side`.

    Returns:
        The encoder.

    Raises:
        LeukoError: as `build_encoder` does.
        KeyError: if something is missing; TypeError, if something is no number.
        ValueError: if it would be absurdly large.
    """
    width, side = config["width"], config["side"]
    if not 1 <= width <= MAX_WIDTH or not 1 <= side <= MAX_SIDE:
        raise ValueError(f"an encoder of width {width} for images of {side} pixels")
    return build_encoder(config["encoder"], width=width, side=side)


def load_encoder_weights(encoder: Encoder, network: str, weights: str) -> None:
    """Give an encoder the weights that it starts from.

    A file's tensors are found wherever a training has wrapped them: in dictionaries such as `state_dict`, under
    prefixes such as `module.` or `encoder.`, beside a last layer or another head, which is left out.

    Args:
        encoder: changed in place.
        network: its name.
        weights: `none` to leave it as it was initialised, `imagenet` for torchvision's default weights, from its cache
            or by download, or the path of a `.safetensors`, `.pth` or `.pt` file.

    Raises:
        LeukoError: if the weights cannot be had, or are not this network's.
    """
    if weights == "none":
        return
    if weights != "imagenet" and not Path(weights).is_file():
        raise LeukoError(f"{weights} is not there; weights may be none, imagenet or the path of a file")
    tensors = _imagenet_tensors(network) if weights == "imagenet" else read_nested_tensors(Path(weights))
    inner = encoder.backbone if isinstance(encoder, TorchvisionEncoder) else encoder
    expected = inner.state_dict()
    # Some files, torchvision's own among them, do not count the batches that batch norm has seen; nothing needs it.
    counts = {name: count for name, count in expected.items() if name.endswith("num_batches_tracked")}
    needed = expected.keys() - counts.keys()
    fitting = fitting_prefixes(tensors, needed)
    if len(fitting) != 1:
        found = f"several times, as {', '.join(sorted(fitting))}: keep one" if fitting else "not"
        raise LeukoError(f"{weights} holds the tensors of {network} {found}")
    own = counts | {name: tensors[fitting[0] + name] for name in expected if fitting[0] + name in tensors}
    if wrong := misfits(own, expected):
        raise LeukoError(f"{weights} does not fit {network}: {wrong}")
    n_others = sum(not name.startswith(fitting[0]) for name in tensors)
    if words := describe_prefix(weights, fitting[0], n_others):
        print(words)
    inner.load_state_dict(own)


def _imagenet_tensors(network: str) -> dict[str, Tensor]:
    """Torchvision's default weights of a network, from its cache or by download.

    Raises:
        LeukoError: if there are none, or neither works.
    """
    if network == POOLED:
        raise LeukoError(f"there are no ImageNet weights of the {POOLED} encoder; weights: none, or the path of a file")
    from torchvision.models import get_model_weights

    weights = get_model_weights(network)["DEFAULT"]
    try:
        tensors: dict[str, Tensor] = weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except Exception as error:  # a missing network and damaged files raise many kinds
        cache = Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name
        raise LeukoError(
            f"the ImageNet weights of {network} cannot be had ({reason(error)}). Three ways out:\n"
            f"  1. fetch {weights.url} on a connected machine and put it at {cache}\n"
            f"  2. set weights to the path of a .pth or .safetensors file of this network\n"
            f"  3. set weights to none, to start from random ones"
        ) from error
    return tensors


class TransferNet(Classifier):
    """A classifier of cells: an encoder and a linear layer.

    Args:
        encoder: its features are classified.
        n_classes: the number of logits.
    """

    inputs = ("cell",)

    def __init__(self, encoder: Encoder, n_classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.n_features, n_classes)
        # Small weights, so that a pre-trained encoder is not thrown about by the gradients of a random layer.
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)

    def forward(self, cells: Tensor) -> Tensor:
        """Classify.

        Args:
            cells: shape (image, 3, side, side), values 0 to 1.

        Returns:
            Logits, shape (image, class).
        """
        logits: Tensor = self.head(self.encoder(cells))
        return logits


class MultiTaskNet(nn.Module):
    """A classifier that also predicts descriptors while it is trained (Caruana 1997); only the classifier is kept.

    Args:
        classifier: its encoder and head are trained in place.
        n_descriptors: how many descriptors are predicted from the encoder's features.
    """

    def __init__(self, classifier: TransferNet, n_descriptors: int) -> None:
        super().__init__()
        self.encoder, self.head = classifier.encoder, classifier.head
        self.descriptors = nn.Linear(classifier.encoder.n_features, n_descriptors)

    def forward(self, cells: Tensor) -> Tensor:
        """Cells of shape (image, 3, side, side), values 0 to 1, to logits, then descriptors: (image, class + d)."""
        features = self.encoder(cells)
        return torch.cat([self.head(features), self.descriptors(features)], dim=1)
