"""What differs between trainings: the loss, the score, and what makes one epoch better than another."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from pytorch_msssim import ssim
from torch import Tensor, nn

from leuko.core.params import Compute
from leuko.training.device import autocast
from leuko.training.inputs import N_ORIENTATIONS, Inputs


@dataclass(frozen=True)
class Part:
    """The training or the validation images.

    Attributes:
        inputs: gives the network's inputs.
        labels: shape (image,), the classes' numbers, on the device; empty for an autoencoder.
        n_images: how many there are.
    """

    inputs: Inputs
    labels: Tensor
    n_images: int


class Task(ABC):
    """A network, its images and its aim.

    Args:
        model: the network, on its device.
        train: the training images.
        val: the validation images.
        turn: whether training images are laid at random, in one of eight views.
        compute: how to compute; none for single precision, layer by layer.
    """

    score_name: str
    monitor: tuple[str, ...] = ()
    """The columns of the history whose largest values, compared in order, mark the epoch that is kept; epochs equal
    in all of them are told apart by `val_loss`."""
    portion: int | None = None
    """How many images of a training batch a CPU takes at a time, the gradients adding up; none for all at once, which
    batch norm needs. A GPU takes all in any case."""

    def __init__(
        self, model: nn.Module, train: Part, val: Part, *, turn: bool = False, compute: Compute | None = None
    ) -> None:
        self.model, self.train, self.val, self.turn = model, train, val, turn
        self.precision = compute.precision if compute else "float32"
        if compute and compute.compile:
            model.compile()

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.model.parameters()).device

    def portions(self, batch: Tensor) -> tuple[Tensor, ...]:
        """Divide what is known of a batch, dimension 0 being the image, into what is computed at a time."""
        return batch.split(self.portion) if self.portion and self.device.type == "cpu" else (batch,)

    def draw_views(self, n_images: int, rng: torch.Generator) -> Tensor | None:
        """Views for a training batch, or none if images are used as they are."""
        return torch.randint(N_ORIENTATIONS, (n_images,), generator=rng).to(self.device) if self.turn else None

    def outputs(self, part: Part, rows: Tensor, views: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Run the network.

        Args:
            part: whose images.
            rows: shape (image,): which of them, on the device.
            views: how they are laid.

        Returns:
            The network's outputs in single precision, and what they should be.
        """
        inputs = part.inputs(rows, views)
        with autocast(self.device, self.precision):
            outputs: Tensor = self.model(*inputs)
        return outputs.float(), self.targets(part, rows, inputs)

    @abstractmethod
    def targets(self, part: Part, rows: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
        """What the network should say for these images."""

    @abstractmethod
    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss of every image, shape (image,)."""

    @abstractmethod
    def scores(self, outputs: Tensor, targets: Tensor, losses: Tensor) -> Tensor:
        """The score of every image, shape (image,), its loss being known; the mean is what the progress bar shows."""

    def summary(self, scores: Tensor, labels: Tensor) -> dict[str, float]:
        """Scores of a whole part beside the means: from every image's score and label, both of shape (image,)."""
        return {}


class Classification(Task):
    """Tell classes apart: cross entropy; the best epoch has the highest balanced accuracy, then the lowest loss."""

    score_name = "accuracy"
    monitor = ("val_balanced_accuracy",)

    def targets(self, part: Part, rows: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
        """The classes' numbers."""
        return part.labels[rows]

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Cross entropy."""
        return F.cross_entropy(outputs, targets, reduction="none")

    def scores(self, outputs: Tensor, targets: Tensor, losses: Tensor) -> Tensor:
        """1 where the class is right."""
        return (outputs.argmax(1) == targets).float()

    def summary(self, scores: Tensor, labels: Tensor) -> dict[str, float]:
        """Balanced accuracy: the share found of each class that occurs, averaged over these classes."""
        recalls = torch.stack([scores[labels == label].mean() for label in labels.unique()])
        return {"balanced_accuracy": recalls.mean().item()}


class Reconstruction(Task):
    """Give the image back: 1 - SSIM (structural similarity, Wang et al. 2004) on values from 0 to 1."""

    score_name = "ssim"
    data_range = 1.0
    # The network has no batch norm; its 16 images of 512 x 512 at once would take three times the memory.
    portion = 4

    def targets(self, part: Part, rows: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
        """The images themselves."""
        return inputs[0]

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """1 - SSIM."""
        similarity: Tensor = ssim(outputs, targets, data_range=self.data_range, size_average=False)
        return 1 - similarity

    def scores(self, outputs: Tensor, targets: Tensor, losses: Tensor) -> Tensor:
        """SSIM, structural similarity, from the loss: computing it anew would take as long."""
        return 1 - losses
