"""Tasks small enough to see through, for tests of trainings."""

import itertools

import numpy as np
import torch
from torch import nn

from leuko.core.params.recipe import Recipe
from leuko.training.inputs import Images
from leuko.training.tasks import Classification, Part
from tests.conftest import TINY_RECIPE

CPU = torch.device("cpu")
SIDE = 6


def recipe(**changes) -> Recipe:
    return Recipe(**TINY_RECIPE | changes)


def part_of(labels: list[int], *, seed: int = 0, told: list[int] | None = None) -> Part:
    """Noise whose brightness tells the class.

    Args:
        labels: the class of every image.
        seed: of the noise.
        told: what the training is told instead.
    """
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 60, (len(labels), SIDE, SIDE, 3))
    pixels += 90 * np.array(labels)[:, None, None, None]
    images = Images(pixels.astype(np.uint8), np.arange(len(labels)), CPU)
    return Part(images, torch.tensor(labels if told is None else told), len(labels))


def small_net(n_classes: int = 2, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    layers = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * (SIDE - 2) ** 2, n_classes)]
    return nn.Sequential(*layers)


def task_of(train: Part, val: Part, *, seed: int = 0, orientations: bool = False) -> Classification:
    return Classification(small_net(seed=seed), train, val, orientations=orientations)


def easy(**options) -> Classification:
    return task_of(part_of([0, 1] * 12), part_of([0, 1] * 5, seed=1), **options)


def interrupt(task: Classification, step: int) -> None:
    """Stop the training at a call of its losses, counted from 1."""
    losses, calls = task.losses, itertools.count(1)

    def stop(*arguments):
        if next(calls) == step:
            raise KeyboardInterrupt
        return losses(*arguments)

    task.losses = stop


def flat(net: nn.Module) -> torch.Tensor:
    return torch.cat([parameter.grad.flatten() for parameter in net.parameters()])
