"""What differs between trainings: the loss, the score, and what makes one epoch better than another."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter
from typing import Protocol

import torch
import torch.nn.functional as F
from pytorch_msssim import ssim
from torch import Tensor, nn

from leuko.core.params.compute import Compute
from leuko.core.params.recipe import Recipe
from leuko.training.device import autocast, takes_bfloat16
from leuko.training.inputs import N_ORIENTATIONS, Inputs
from leuko.training.recipe import class_weights


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


@dataclass(frozen=True)
class Batch:
    """Training images, and how each is shown.

    Attributes:
        rows: shape (image,): which images of the part, on the device.
        orientations: shape (image,), 0 to 7; none for all as they are.
        augmented: shape (image, ...): what an augmentation drew for them; none for no change.
    """

    rows: Tensor
    orientations: Tensor | None = None
    augmented: Tensor | None = None

    def map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """Apply a function to all tensors."""
        return Batch(
            change(self.rows),
            None if self.orientations is None else change(self.orientations),
            None if self.augmented is None else change(self.augmented),
        )

    def split(self, size: int) -> list[Batch]:
        """Divide into batches of at most so many images."""
        starts = range(0, len(self.rows), size)
        return [self.map(itemgetter(slice(start, start + size))) for start in starts]


class Augmentation(Protocol):
    """Random changes of training images: drawn for a whole batch, applied to any part of it."""

    def draw(self, n_images: int, rng: torch.Generator) -> Tensor:
        """Draw what is done to each image, shape (image, ...), on the CPU."""
        ...

    def __call__(self, inputs: tuple[Tensor, ...], drawn: Tensor) -> tuple[Tensor, ...]:
        """Change the inputs of some images by what was drawn for them."""
        ...


class Task(ABC):
    """A network, its images and its aim.

    Args:
        model: the network, on its device.
        train: the training images.
        val: the validation images.
        orientations: whether each training image is shown in one of its eight orientations, drawn at random.
        augmentation: further random changes of the training images.
        compute: how to compute; none for single precision, layer by layer.
    """

    score_name: str
    monitor: tuple[str, ...] = ()
    """The columns of the history whose largest values, compared in order, mark the epoch that is kept; epochs equal
    in all of them are told apart by `val_loss`."""
    micro_batch: int | None = None
    """How many images of a training batch a CPU takes at a time, the gradients adding up; none for all at once, which
    batch norm needs. A GPU takes all in any case."""

    def __init__(
        self,
        model: nn.Module,
        train: Part,
        val: Part,
        *,
        orientations: bool = False,
        augmentation: Augmentation | None = None,
        compute: Compute | None = None,
    ) -> None:
        self.model, self.train, self.val = model, train, val
        self.network = model  # what is called; in training with several processes, it exchanges gradients
        self.orientations, self.augmentation = orientations, augmentation
        self.bfloat16 = compute is not None and takes_bfloat16(self.device, compute)
        if compute and compute.compile:
            model.compile()

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.model.parameters()).device

    def draw(self, rows: Tensor, rng: torch.Generator) -> Batch:
        """Draw how training images are shown.

        Args:
            rows: shape (image,): which images, on the CPU.
            rng: source of chance.

        Returns:
            A batch on the device.
        """
        orientations = torch.randint(N_ORIENTATIONS, (len(rows),), generator=rng) if self.orientations else None
        augmented = self.augmentation.draw(len(rows), rng) if self.augmentation else None
        return Batch(rows, orientations, augmented).map(lambda tensor: tensor.to(self.device))

    def micro_batches(self, batch: Batch) -> list[Batch]:
        """Divide a batch into what is computed at a time."""
        return batch.split(self.micro_batch) if self.micro_batch and self.device.type == "cpu" else [batch]

    def outputs(self, part: Part, batch: Batch) -> tuple[Tensor, Tensor]:
        """Run the network.

        Args:
            part: whose images.
            batch: which of them, and how they are shown.

        Returns:
            The network's outputs in single precision, and what they should be.
        """
        inputs = part.inputs(batch.rows, batch.orientations)
        if batch.augmented is not None:
            assert self.augmentation
            inputs = self.augmentation(inputs, batch.augmented)
        with autocast(self.device, self.bfloat16):
            outputs: Tensor = self.network(*inputs)
        return outputs.float(), self.targets(part, batch.rows, inputs)

    @abstractmethod
    def targets(self, part: Part, rows: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
        """What the network should say for these images."""

    @abstractmethod
    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss of every image, shape (image,), by which validation judges."""

    def training_losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss of every image, shape (image,), that training makes small: that of validation, unless overridden."""
        return self.losses(outputs, targets)

    @abstractmethod
    def scores(self, outputs: Tensor, targets: Tensor, losses: Tensor) -> Tensor:
        """The score of every image, shape (image,), its loss being known; the mean is what the progress bar shows."""

    def summary(self, scores: Tensor, labels: Tensor) -> dict[str, float]:
        """Scores of a whole part beside the means: from every image's score and label, both of shape (image,)."""
        return {}


class Classification(Task):
    """Tell classes apart: cross entropy; the best epoch has the highest balanced accuracy, then the lowest loss.

    Args:
        model: as for any task, like the arguments not named here.
        train: likewise.
        val: likewise.
        recipe: for what it adds to the training loss: label smoothing and weights of the classes.
        orientations: likewise.
        augmentation: likewise.
        compute: likewise.
    """

    score_name = "accuracy"
    monitor = ("val_balanced_accuracy",)

    def __init__(
        self,
        model: nn.Module,
        train: Part,
        val: Part,
        *,
        recipe: Recipe | None = None,
        orientations: bool = False,
        augmentation: Augmentation | None = None,
        compute: Compute | None = None,
    ) -> None:
        super().__init__(model, train, val, orientations=orientations, augmentation=augmentation, compute=compute)
        self.recipe = recipe

    def targets(self, part: Part, rows: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
        """The classes' numbers."""
        return part.labels[rows]

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Cross entropy."""
        return F.cross_entropy(outputs, targets, reduction="none")

    def training_losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Cross entropy with the recipe's label smoothing and class weights."""
        if self.recipe is None:
            return self.losses(outputs, targets)
        losses = F.cross_entropy(outputs, targets, reduction="none", label_smoothing=self.recipe.label_smoothing)
        if self.recipe.class_weights:
            losses = losses * class_weights(self.train.labels, outputs.shape[1], self.recipe.class_weights)[targets]
        return losses

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
    micro_batch: int | None = 4

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
