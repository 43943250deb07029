"""A classifier on frozen features and descriptors, as plain arrays in a model file."""

from __future__ import annotations

import torch
from torch import Tensor

from leuko.models.classifier import Classifier
from leuko.models.encoders import Encoder

LARGEST = 4.0
"""Standardised features are cut off here, in standard deviations, so that no single one decides."""


class FeatureClassifier(Classifier):
    """Kernel ridge regression on an encoder's features, on descriptors, or on both side by side.

    Features are standardised; those of the encoder and the descriptors have the same weight in all, however many there
    are. The logits are weighted sums of Gaussian kernels between a cell's features and those of the training cells. The
    encoder is frozen, and its features are averaged over the eight orientations, so that they depend on none.

    Args:
        encoder: takes the cells; none for descriptors alone.
        n_descriptors: how many descriptors a cell has; 0 for the encoder's features alone.
        n_centres: how many training cells there are.
        n_classes: the number of logits.

    Attributes:
        mean: shape (feature,), of the training cells.
        std: likewise, their standard deviation.
        share: likewise, the weight of a standardised feature.
        centres: shape (centre, feature), the training cells' standardised and weighted features.
        weights: shape (centre, class).
        gamma: the kernel of two cells is exp(-gamma d^2), d being their features' distance.
    """

    mean: Tensor
    std: Tensor
    share: Tensor
    centres: Tensor
    weights: Tensor
    gamma: Tensor

    def __init__(self, encoder: Encoder | None, n_descriptors: int, n_centres: int, n_classes: int) -> None:
        super().__init__()
        self.encoder = encoder.requires_grad_(False).eval() if encoder else None
        self.inputs = ("cell",) * (encoder is not None) + ("descriptors",) * (n_descriptors > 0)
        n_encoded = encoder.n_features if encoder else 0
        for name in ("mean", "std", "share"):
            self.register_buffer(name, torch.ones(n_encoded + n_descriptors))
        self.register_buffer("centres", torch.zeros(n_centres, n_encoded + n_descriptors))
        self.register_buffer("weights", torch.zeros(n_centres, n_classes))
        self.register_buffer("gamma", torch.ones(()))

    def train(self, mode: bool = True) -> FeatureClassifier:
        """Switch between training and evaluation; the encoder stays in evaluation."""
        super().train(mode)
        if self.encoder:
            self.encoder.eval()
        return self

    def features(self, *arrays: Tensor) -> Tensor:
        """The features as they are, shape (image, feature): the encoder's, then the descriptors.

        Args:
            arrays: what `inputs` names: cells of shape (image, 3, side, side), values 0 to 1, and descriptors of shape
                (image, descriptor).
        """
        if self.encoder is None:
            return arrays[0]
        cells, *descriptors = arrays
        return torch.cat([encode(self.encoder, cells), *descriptors], dim=1)

    def standardize(self, features: Tensor) -> Tensor:
        """Features as they are to what kernels compare, both of shape (image, feature)."""
        return ((features - self.mean) / self.std).clamp(-LARGEST, LARGEST) * self.share

    def forward(self, *arrays: Tensor) -> Tensor:
        """Classify.

        Args:
            arrays: as `features` takes them.

        Returns:
            Logits, as `classify_features` gives them.
        """
        return self.classify_features(self.features(*arrays))

    def classify_features(self, features: Tensor) -> Tensor:
        """Classify by what `features` gives.

        Args:
            features: shape (image, feature).

        Returns:
            Logits, shape (image, class).
        """
        standardized = self.standardize(features)
        # In double precision where there is one: the weights are large and of both signs, and nearly cancel out.
        precise = torch.float32 if standardized.device.type == "mps" else torch.float64
        points, centres = standardized.to(precise), self.centres.to(precise)
        squared = points.square().sum(1, keepdim=True) + centres.square().sum(1) - 2 * points @ centres.T
        logits = (-self.gamma * squared).exp() @ self.weights.to(precise)
        return logits.float()


def encode(encoder: Encoder, cells: Tensor) -> Tensor:
    """Features of cells, averaged over the eight rotations and reflections.

    Args:
        encoder: in evaluation mode.
        cells: shape (image, 3, side, side), values 0 to 1.

    Returns:
        Shape (image, feature).
    """
    quarters = [torch.rot90(cells, quarter, (2, 3)) for quarter in range(4)]
    orientations = [*quarters, *(cells.flip(3) for cells in quarters)]
    return torch.stack([encoder(cells) for cells in orientations]).mean(0)
