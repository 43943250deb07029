"""What an encoder can be taught without labels: to predict descriptors, to know views of one image, to paint it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from leuko.core.params.compute import Compute
from leuko.models.encoders import Encoder
from leuko.pretraining.augmentation import RandomViews
from leuko.pretraining.networks import CellAutoencoder, ContrastiveNet, DescriptorNet
from leuko.training.device import to_device
from leuko.training.tasks import Batch, Part, Reconstruction, Task

LARGEST = 4.0
"""Standardised descriptors are cut off here, in standard deviations, so that no outlier governs the loss."""
TEMPERATURE = 0.2
"""Of the contrastive loss."""


class Descriptors(Task):
    """Predict descriptors: smooth L1; the parts' labels are what `standardize` gives.

    The score is R^2, the share of a descriptor's variance among the training images that is explained, averaged over
    the descriptors that vary.
    """

    score_name = "r2"
    monitor = ("val_r2",)

    def targets(self, part: Part, rows: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
        """The standardised descriptors."""
        return part.labels[rows]

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Smooth L1, averaged over the descriptors."""
        losses: Tensor = F.smooth_l1_loss(outputs, targets, reduction="none").mean(1)
        return losses

    def scores(self, outputs: Tensor, targets: Tensor, losses: Tensor) -> Tensor:
        """What an image adds to R^2."""
        variance = self.train.labels.var(0, correction=0)
        varies = variance > 0
        unexplained: Tensor = ((outputs - targets).square() / torch.where(varies, variance, 1))[:, varies].mean(1)
        return 1 - unexplained


def standardize(train: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
    """Bring descriptors to mean 0 and standard deviation 1 on the training images, cut off at 4.

    Args:
        train: shape (image, descriptor).
        others: of other images, likewise.

    Returns:
        All of them, 0 where a descriptor is the same for all training images.
    """
    mean, std = train.mean(0), train.std(0, correction=0)
    varies = std > 1e-6 * train.abs().amax(0)
    scale = torch.where(varies, 1 / torch.where(varies, std, 1), 0)
    return tuple(((part - mean) * scale).clamp(-LARGEST, LARGEST) for part in (train, *others))


@dataclass(frozen=True)
class TwoViews:
    """Two random views of each image, as two inputs.

    Attributes:
        views: how each is made.
    """

    views: RandomViews

    def draw(self, n_images: int, rng: torch.Generator) -> Tensor:
        """Draw what is done to each image, shape (image, 2, ...)."""
        drawn: Tensor = self.views.draw(2 * n_images, rng).unflatten(0, (n_images, 2))
        return drawn

    def __call__(self, inputs: tuple[Tensor, ...], drawn: Tensor) -> tuple[Tensor, ...]:
        """From images to two views of them."""
        return tuple(self.views(inputs, some)[0] for some in drawn.unbind(1))


class Contrastive(Task):
    """Find the other view of an image among all other views of a batch: NT-Xent (Chen et al. 2020, equation 1).

    The score is the share of images whose other view is found.
    """

    score_name = "found"
    monitor = ("val_found",)

    def outputs(self, part: Part, batch: Batch) -> tuple[Tensor, Tensor]:
        """The two projections of each image; in validation the views are the same every time."""
        if batch.augmented is None:
            assert self.augmentation
            drawn = self.augmentation.draw(len(batch.rows), torch.Generator().manual_seed(0))
            batch = replace(batch, augmented=drawn.to(self.device))
        return super().outputs(part, batch)

    def targets(self, part: Part, rows: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
        """Where the other view of each view is, first views before second ones: shape (image, 2)."""
        numbers = torch.arange(len(rows), device=rows.device)
        return torch.stack([numbers + len(rows), numbers], dim=1)

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean of both views' losses."""
        return F.cross_entropy(_similarities(outputs), targets.T.flatten(), reduction="none").view(2, -1).mean(0)

    def scores(self, outputs: Tensor, targets: Tensor, losses: Tensor) -> Tensor:
        """1 where both views find each other, 0.5 where one finds the other."""
        return (_similarities(outputs).argmax(1) == targets.T.flatten()).float().view(2, -1).mean(0)


def _similarities(projections: Tensor) -> Tensor:
    """From (image, 2, dimension) to cosines by temperature between all views, none with itself: (view, view)."""
    views = F.normalize(torch.cat(projections.unbind(1)), dim=1)
    itself = torch.eye(len(views), dtype=torch.bool, device=views.device)
    return (views @ views.T / TEMPERATURE).masked_fill(itself, -torch.inf)


class CellReconstruction(Reconstruction):
    """Paint the image: 1 - SSIM, in whole batches, as there is batch norm."""

    micro_batch = None


def pretraining_task(
    name: Literal["descriptors", "contrastive", "reconstruction"],
    encoder: Encoder,
    train: Part,
    val: Part,
    *,
    side: int,
    views: RandomViews,
    compute: Compute | None = None,
) -> Task:
    """Set up the pre-training of an encoder, which the training changes in place.

    Args:
        name: what it is taught.
        encoder: the encoder, on its device.
        train: images to learn from; for `descriptors`, their labels are standardised descriptors.
        val: others to score on, likewise.
        side: of the images in pixels.
        views: the random views that it sees of them.
        compute: how to compute.

    Returns:
        The task.
    """
    device = next(encoder.parameters()).device
    match name:
        case "descriptors":
            network = to_device(DescriptorNet(encoder, train.labels.shape[1]), device)
            return Descriptors(network, train, val, augmentation=views, compute=compute)
        case "contrastive":
            network = to_device(ContrastiveNet(encoder), device)
            return Contrastive(network, train, val, augmentation=TwoViews(views), compute=compute)
        case "reconstruction":
            network = to_device(CellAutoencoder(encoder, side), device)
            return CellReconstruction(network, train, val, augmentation=views, compute=compute)
