"""Learning classes and descriptors together."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from leuko.core.params.compute import Compute
from leuko.core.params.recipe import Recipe
from leuko.models.encoders import MultiTaskNet
from leuko.training.tasks import Augmentation, Classification, Part


class MultiTask(Classification):
    """Tell classes apart, and predict descriptors on the way; validation judges by the classes alone.

    Args:
        model: gives logits, then descriptors.
        train: as for any classification, like the arguments not named here.
        val: likewise.
        descriptors: standardised, of the training and of the validation images, shape (image, descriptor).
        weight: of the descriptors' loss, smooth L1, beside the classes'.
        recipe: likewise.
        orientations: likewise.
        augmentation: likewise.
        compute: likewise.
    """

    def __init__(
        self,
        model: MultiTaskNet,
        train: Part,
        val: Part,
        *,
        descriptors: tuple[Tensor, Tensor],
        weight: float,
        recipe: Recipe,
        orientations: bool = False,
        augmentation: Augmentation | None = None,
        compute: Compute | None = None,
    ) -> None:
        super().__init__(
            model, train, val, recipe=recipe, orientations=orientations, augmentation=augmentation, compute=compute
        )
        self.descriptors = descriptors
        self.weight = weight

    def targets(self, part: Part, rows: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
        """The classes' numbers, then the descriptors: shape (image, 1 + descriptor)."""
        descriptors = self.descriptors[0] if part is self.train else self.descriptors[1]
        return torch.cat([part.labels[rows, None].to(descriptors), descriptors[rows]], dim=1)

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Cross entropy of the classes."""
        return super().losses(*self._classes(outputs, targets))

    def training_losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The recipe's cross entropy, and the weighted loss of the descriptors."""
        n_descriptors = targets.shape[1] - 1
        distances = F.smooth_l1_loss(outputs[:, -n_descriptors:], targets[:, 1:], reduction="none").mean(1)
        return super().training_losses(*self._classes(outputs, targets)) + self.weight * distances

    def scores(self, outputs: Tensor, targets: Tensor, losses: Tensor) -> Tensor:
        """1 where the class is right."""
        return super().scores(*self._classes(outputs, targets), losses)

    @staticmethod
    def _classes(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and the classes' numbers."""
        n_descriptors = targets.shape[1] - 1
        return outputs[:, :-n_descriptors], targets[:, 0].long()
