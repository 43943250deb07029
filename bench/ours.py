"""Leuko's own training steps, put together from its library as the stages do it."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

from leuko.core.params.compute import Compute
from leuko.core.params.everything import Params
from leuko.core.params.reading import load_params
from leuko.training.device import set_up, to_device
from leuko.training.loop import train_one_epoch
from leuko.training.recipe import make_optimizer, make_schedule
from leuko.training.tasks import Classification, Part

N_STEPS = 100_000
"""Of the schedule: more than any measurement takes."""


def published() -> Params:
    """The settings of the published study."""
    return load_params(Params, Path(__file__).parents[1] / "presets/reference.yaml")


def cpu() -> torch.device:
    """Set this process up as a stage does."""
    return set_up("cpu", published().compute, 0)


class Trainer:
    """Steps of the training loop.

    Args:
        model: the network.
        part: its images.
        compute: how to compute; none for single precision.
    """

    def __init__(self, model: nn.Module, part: Part, compute: Compute | None = None) -> None:
        self.recipe = published().wbc
        self.task = Classification(to_device(model, part.labels.device).train(), part, part, compute=compute)
        self.optimizer = make_optimizer(self.recipe, model)
        self.schedule = make_schedule(self.recipe, self.optimizer, N_STEPS)
        self.rng = torch.Generator().manual_seed(0)

    def epoch(self) -> None:
        """Train on every image once."""
        with tqdm(disable=True) as bar:
            train_one_epoch(self.task, self.recipe, self.optimizer, self.schedule, None, self.rng, bar)
