"""Leuko's own training steps, put together from its library as the stages do it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from leuko.params import Params, load_params
from leuko.runtime import placed, set_up
from leuko.training.loop import batches, clip_gradients, make_optimizer, make_schedule
from leuko.training.tasks import Classification, Part

N_STEPS = 100_000
"""Of the schedule: more than any measurement takes."""


def published() -> Params:
    """The settings of the published study."""
    return load_params(Path(__file__).parents[1] / "presets/reference.yaml")


def cpu() -> torch.device:
    """Set this process up as a stage does."""
    return set_up("cpu", 0)


class Trainer:
    """Steps of the training loop.

    Args:
        model: the network.
        part: its images.
    """

    def __init__(self, model: nn.Module, part: Part) -> None:
        self.recipe = published().wbc
        self.task = Classification(placed(model, part.labels.device).train(), part, part)
        self.optimizer = make_optimizer(self.recipe, model)
        self.schedule = make_schedule(self.recipe, self.optimizer, N_STEPS)
        self.rng = torch.Generator().manual_seed(0)

    def epoch(self) -> None:
        """Train on every image once."""
        n_steps = -(-self.task.train.n_images // self.recipe.batch_size)
        for rows in self._batches(n_steps):
            outputs, targets = self.task.outputs(self.task.train, rows)
            losses = self.task.losses(outputs, targets)
            self.optimizer.zero_grad(set_to_none=True)
            losses.mean().backward()
            clip_gradients(self.recipe, self.task.model)
            self.optimizer.step()
            self.schedule.step()

    def _batches(self, n_steps: int) -> Iterator[Tensor]:
        for rows in batches(self.task.train.n_images, self.recipe.batch_size, n_steps, self.rng):
            yield rows.to(self.task.device)
