"""WBC+: the base classifier plus two frozen networks that were trained on other medical images."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from leuko.models.autoencoder import LATENT_CHANNELS
from leuko.models.base import WbcNet, pool_to
from leuko.models.classifier import Classifier
from leuko.models.tissue import N_FEATURES, Cam16Net


def head_block(n_in: int, n_out: int, *, pool: bool) -> nn.Sequential:
    """Convolution 3 x 3, ReLU, batch norm and, if wanted, 2 x 2 max pooling.

    Args:
        n_in: channels of the latents.
        n_out: channels of the result.
        pool: whether the sides are halved.
    """
    layers = [nn.Conv2d(n_in, n_out, 3, padding=1), nn.ReLU(inplace=True), nn.BatchNorm2d(n_out)]
    return nn.Sequential(*layers, *([nn.MaxPool2d(2)] if pool else []))


class PrccHead(nn.Module):
    """From the pRCC encoder's latent to one value per class: four convolutions, each halving the side.

    Args:
        n_classes: the number of values.
    """

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            head_block(LATENT_CHANNELS, 256, pool=True),
            head_block(256, 128, pool=True),
            head_block(128, 64, pool=True),
            head_block(64, 32, pool=False),  # `forward` pools, to fit latents of any side
        )
        self.linear = nn.Linear(512, n_classes)

    def forward(self, latents: Tensor) -> Tensor:
        """Latents of shape (image, 128, side, side) to (image, class)."""
        pooled = pool_to(self.blocks(latents), 4)
        values: Tensor = self.linear(torch.flatten(pooled, 1))
        return values


class WbcPlusNet(Classifier):
    """Three looks at a cell, added: the pRCC latent through a head, CAM16's five features, and a base network.

    The study added CAM16's five features to the values of its five classes as they are; for any other number of
    classes a linear layer brings them to that number. With five classes 861,552 parameters are trained; `encoder` and
    `cam16` are frozen, parameters and buffers.

    Args:
        encoder: the pRCC autoencoder's encoder.
        cam16: the tissue classifier.
        n_classes: the number of logits.
    """

    inputs = ("wbc", "prcc", "cam16")

    def __init__(self, encoder: nn.Module, cam16: Cam16Net, n_classes: int) -> None:
        super().__init__()
        self.encoder = encoder.requires_grad_(False)
        self.cam16 = cam16.requires_grad_(False)
        self.base = WbcNet(n_classes)
        self.prcc_head = PrccHead(n_classes)
        self.cam16_head = nn.Identity() if n_classes == N_FEATURES else nn.Linear(N_FEATURES, n_classes)
        self.combine = nn.Linear(n_classes, n_classes)

    def train(self, mode: bool = True) -> WbcPlusNet:
        """Switch between training and evaluation; the frozen networks stay in evaluation.

        In training mode their batch norm would move its statistics, although no parameter is trained.
        """
        super().train(mode)
        self.encoder.eval()
        self.cam16.eval()
        return self

    def encode(self, prcc_images: Tensor, cam16_images: Tensor) -> tuple[Tensor, Tensor]:
        """What the frozen networks say, in half precision, as it is kept.

        Args:
            prcc_images: shape (image, 3, side, side) at the pRCC size, values 0 to 1.
            cam16_images: the same at the CAM16 size.

        Returns:
            The latents, shape (image, 128, side / 8, side / 8), and the features, shape (image, 5).
        """
        return self.encoder(prcc_images).half(), self.cam16.features(cam16_images).half()

    def forward(self, images: Tensor, latents: Tensor, features: Tensor) -> Tensor:
        """Classify.

        Args:
            images: shape (image, 3, side, side), values 0 to 1; the side a multiple of 16.
            latents: of the same images, from `encode`.
            features: likewise.

        Returns:
            Logits, shape (image, class).
        """
        values = self.prcc_head(latents.float()) + self.cam16_head(features.float()) + self.base(images)
        logits: Tensor = self.combine(values)
        return logits

    def classify(self, *arrays: Tensor) -> Tensor:
        """Classify images that nothing has been encoded of yet."""
        images, prcc_images, cam16_images = arrays
        logits: Tensor = self(images, *self.encode(prcc_images, cam16_images))
        return logits
