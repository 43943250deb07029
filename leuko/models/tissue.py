"""The classifier of tissue regions, normal or tumor: a ResNet-18 whose features become five, then two logits."""

from __future__ import annotations

import itertools
from pathlib import Path

import torch
from torch import Tensor, nn

from leuko.core.errors import LeukoError
from leuko.models.store import misfits, read_nested_tensors, reason
from leuko.models.wrappers import describe_prefix, fitting_prefixes

N_FEATURES = 5
"""The values that the classifier of blood cells is handed."""

N_RESNET_FEATURES = 512


class Cam16Net(nn.Module):
    """Torchvision's ResNet-18 without its last layer, a bottleneck to five features between 0 and 1, and the logits.

    Images are normalised as torchvision's ImageNet weights require, whatever the weights, so that a file of such
    weights works too.

    Args:
        freeze: keep the ResNet as it is: no gradients, and its batch norm uses its stored statistics.
        n_classes: the number of logits.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, *, freeze: bool, n_classes: int = 2) -> None:
        from torchvision.models import ResNet18_Weights, resnet18  # not before it is wanted: it takes long to import

        super().__init__()
        self.freeze = freeze
        self.backbone = resnet18()
        self.backbone.fc = nn.Identity()
        self.backbone.requires_grad_(not freeze)
        widths = (N_RESNET_FEATURES, 128, 64, 32, 32, N_FEATURES)
        layers: list[nn.Module] = []
        for n_in, n_out in itertools.pairwise(widths):
            layers += [nn.Linear(n_in, n_out), nn.ReLU()]
        self.bottleneck = nn.Sequential(*layers[:-1], nn.Sigmoid())
        self.head = nn.Linear(N_FEATURES, n_classes)
        preset = ResNet18_Weights.DEFAULT.transforms()
        self.register_buffer("mean", torch.tensor(preset.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(preset.std).view(3, 1, 1), persistent=False)

    def train(self, mode: bool = True) -> Cam16Net:
        """Switch between training and evaluation; a frozen ResNet stays in evaluation."""
        super().train(mode)
        if self.freeze:
            self.backbone.eval()
        return self

    def backbone_features(self, images: Tensor) -> Tensor:
        """Images of shape (image, 3, side, side), values 0 to 1, to (image, 512)."""
        features: Tensor = self.backbone((images - self.mean) / self.std)
        return features

    def features(self, images: Tensor) -> Tensor:
        """Images of shape (image, 3, side, side), values 0 to 1, to (image, 5), values 0 to 1."""
        features: Tensor = self.bottleneck(self.backbone_features(images))
        return features

    def forward(self, images: Tensor) -> Tensor:
        """Classify.

        Args:
            images: shape (image, 3, side, side), values 0 to 1.

        Returns:
            Logits, shape (image, class).
        """
        logits: Tensor = self.head(self.features(images))
        return logits


def load_backbone(backbone: nn.Module, weights: str) -> None:
    """Give a ResNet-18 without its last layer its weights.

    Args:
        backbone: the network, changed in place.
        weights: `imagenet` for torchvision's, `none` to leave it as it was initialised, or the path of a
            `.safetensors` or `.pth` file with ResNet-18's tensors, wherever a training has wrapped them; this
            project's own tissue classifier is such a file.

    Raises:
        LeukoError: if the weights cannot be had, or are not a ResNet-18's.
    """
    if weights == "none":
        return
    if weights != "imagenet" and not Path(weights).is_file():
        raise LeukoError(f"cam16.weights: {weights} is not there; it may be imagenet, none or the path of a file")
    tensors = _imagenet_tensors() if weights == "imagenet" else read_nested_tensors(Path(weights))
    expected = backbone.state_dict()
    needed = [name for name in expected if not name.endswith("num_batches_tracked")]
    fitting = fitting_prefixes(tensors, needed)
    if len(fitting) > 1:
        places = ", ".join(prefix.removesuffix(".") or "the file itself" for prefix in fitting)
        raise LeukoError(f"cam16.weights: {weights} holds a ResNet-18 several times, under {places}; keep one")
    prefix = fitting[0] if fitting else ""
    inside = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    if words := describe_prefix(weights, prefix, len(tensors) - len(inside)):
        print(f"cam16.weights: {words}")
    tensors = {name: tensor for name, tensor in inside.items() if not name.startswith("fc.")}
    # Older files, torchvision's own among them, do not count the batches that batch norm has seen; nothing needs it.
    tensors = {name: count for name, count in expected.items() if name.endswith("num_batches_tracked")} | tensors
    if wrong := misfits(tensors, expected):
        raise LeukoError(f"cam16.weights: {weights} does not hold a ResNet-18: {wrong}")
    backbone.load_state_dict(tensors)


def _imagenet_tensors() -> dict[str, Tensor]:
    """Torchvision's ImageNet weights, from its cache or by download.

    Raises:
        LeukoError: if neither works.
    """
    from torchvision.models import ResNet18_Weights

    weights = ResNet18_Weights.DEFAULT
    try:
        tensors: dict[str, Tensor] = weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except Exception as error:  # a missing network and damaged files raise many kinds
        cache = Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name
        raise LeukoError(
            f"cam16.weights: imagenet cannot be had ({reason(error)}). Three ways out:\n"
            f"  1. fetch {weights.url} on a connected machine and put it at {cache}\n"
            f"  2. set cam16.weights to the path of a ResNet-18's .pth or .safetensors file\n"
            f"  3. set cam16.weights to none and cam16.freeze to false, to train from scratch"
        ) from error
    return tensors
