"""What stands behind an encoder while it is pre-trained, and is left behind afterwards."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from leuko.models.encoders import Encoder


class DescriptorNet(nn.Module):
    """An encoder and a linear layer that predicts descriptors.

    Args:
        encoder: is trained in place.
        n_descriptors: how many there are.
    """

    def __init__(self, encoder: Encoder, n_descriptors: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.n_features, n_descriptors)

    def forward(self, images: Tensor) -> Tensor:
        """Images of shape (image, 3, side, side), values 0 to 1, to (image, descriptor)."""
        descriptors: Tensor = self.head(self.encoder(images))
        return descriptors


class ContrastiveNet(nn.Module):
    """An encoder and the projection of SimCLR (Chen et al. 2020).

    Args:
        encoder: is trained in place.
        n_projected: the projection's dimensions.
    """

    def __init__(self, encoder: Encoder, n_projected: int = 64) -> None:
        super().__init__()
        self.encoder = encoder
        n = encoder.n_features
        self.head = nn.Sequential(nn.Linear(n, n), nn.ReLU(inplace=True), nn.Linear(n, n_projected))

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Two views of each image, both of shape (image, 3, side, side), to (image, 2, n_projected)."""
        projected: Tensor = self.head(self.encoder(torch.cat([first, second])))
        return torch.stack(projected.chunk(2), dim=1)


class CellAutoencoder(nn.Module):
    """An encoder, and a small decoder that paints the image from its features alone.

    Args:
        encoder: is trained in place.
        side: of the images in pixels, a multiple of 16.
    """

    def __init__(self, encoder: Encoder, side: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.start = side // 16
        widths = (64, 64, 32, 16, 16)
        self.spread = nn.Linear(encoder.n_features, widths[0] * self.start**2)
        layers: list[nn.Module] = []
        for n_in, n_out in itertools.pairwise(widths):
            layers += [nn.Upsample(scale_factor=2), nn.Conv2d(n_in, n_out, 3, padding=1, bias=False)]
            layers += [nn.BatchNorm2d(n_out), nn.ReLU(inplace=True)]
        self.decoder = nn.Sequential(*layers, nn.Conv2d(widths[-1], 3, 3, padding=1), nn.Sigmoid())

    def forward(self, images: Tensor) -> Tensor:
        """Images of shape (image, 3, side, side), values 0 to 1, to their like."""
        maps = self.spread(self.encoder(images)).unflatten(1, (-1, self.start, self.start))
        painted: Tensor = self.decoder(maps)
        return painted
