"""What a recipe's settings do: optimiser, learning rate, clipping, sampling, class weights, averaged weights."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LinearLR, LRScheduler, OneCycleLR, SequentialLR

from leuko.core.params.recipe import Recipe
from leuko.training.resume import State, trainable_state_dict

ENCODER = "encoder."
"""Parameters of a pre-trained encoder have names that begin so."""


def n_steps_per_epoch(recipe: Recipe, n_images: int) -> int:
    """One pass over the images, or more where `min_steps` asks for more steps in all than the passes have."""
    return max(math.ceil(n_images / recipe.batch_size), math.ceil(recipe.min_steps / recipe.epochs))


def make_optimizer(recipe: Recipe, model: nn.Module) -> torch.optim.Optimizer:
    """The recipe's optimiser over the parameters that are trained, in groups that differ in rate or decay."""
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            lr = recipe.lr * (recipe.encoder_lr if name.startswith(ENCODER) else 1)
            decayed = recipe.decay == "all" or parameter.ndim > 1
            groups.setdefault((lr, recipe.weight_decay if decayed else 0.0), []).append(parameter)
    settings = [{"params": params, "lr": lr, "weight_decay": decay} for (lr, decay), params in groups.items()]
    match recipe.optimizer:
        case "adam":
            return torch.optim.Adam(settings, fused=True)
        case "adamw":
            return torch.optim.AdamW(settings, fused=True)
        case "sgd":
            return torch.optim.SGD(settings, momentum=0.9, nesterov=True, fused=True)


def make_schedule(recipe: Recipe, optimizer: torch.optim.Optimizer, n_steps: int) -> LRScheduler:
    """The recipe's learning rate over all steps; `lr` is its peak."""
    rates = [group["lr"] for group in optimizer.param_groups]
    n_warmup = round(recipe.warmup * n_steps)
    if recipe.schedule == "onecycle":
        # PyTorch's one-cycle divides by the steps of the rise, less one.
        rising = max(n_warmup, 2) / n_steps if recipe.warmup and n_steps > 2 else 0.3
        return OneCycleLR(optimizer, rates, total_steps=n_steps, pct_start=rising)
    left = max(n_steps - n_warmup, 1)
    main: LRScheduler = (
        CosineAnnealingLR(optimizer, left) if recipe.schedule == "cosine" else ConstantLR(optimizer, factor=1)
    )
    if not n_warmup:
        return main
    return SequentialLR(optimizer, [LinearLR(optimizer, 1 / (n_warmup + 1), total_iters=n_warmup), main], [n_warmup])


def clip_gradients(recipe: Recipe, model: nn.Module) -> None:
    """Bound the gradients by value or by norm, as the recipe says."""
    match recipe.clip:
        case "value":
            nn.utils.clip_grad_value_(model.parameters(), recipe.clip_at)
        case "norm":
            nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_at)


def class_weights(labels: Tensor, n_classes: int, power: float) -> Tensor:
    """Weights that make up for unequal numbers of images.

    Args:
        labels: shape (image,), the classes' numbers.
        n_classes: how many classes there are.
        power: 0 for equal weights, 1 for weights that give every class the same sum.

    Returns:
        Shape (class,): number of images to the power of minus `power`, scaled to a mean of 1 over the images; 0 for a
        class without images.
    """
    counts = torch.bincount(labels, minlength=n_classes).float()
    weights = torch.where(counts > 0, counts.clamp(min=1) ** -power, 0.0)
    return weights / weights[labels].mean()


def batches(
    n_images: int, batch_size: int, n_steps: int, rng: torch.Generator, weights: Tensor | None = None
) -> Iterator[Tensor]:
    """Full batches for one epoch: shuffled passes over the images, or draws by weight.

    Args:
        n_images: how many images there are.
        batch_size: images in every batch.
        n_steps: how many batches.
        rng: source of chance.
        weights: shape (image,): images are drawn with replacement in proportion to these; none for shuffled passes.

    Yields:
        Rows of images, shape (batch_size,); in passes, each image comes up once before any comes up again.
    """
    n_drawn = n_steps * batch_size
    if weights is None:
        n_passes = math.ceil(n_drawn / n_images)
        order = torch.cat([torch.randperm(n_images, generator=rng) for _ in range(n_passes)])[:n_drawn]
    else:
        order = torch.multinomial(weights, n_drawn, replacement=True, generator=rng)
    yield from order.view(n_steps, batch_size)


class AveragedWeights:
    """An exponential moving average of what training changes of a network (Polyak & Juditsky 1992).

    In the first steps the decay is smaller, so that the initial weights are soon forgotten.

    Args:
        model: the network.
        decay: of the average, 0 to 1.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model, self.decay = model, decay
        self.n_steps = 0
        self.state = trainable_state_dict(model)

    @torch.no_grad()
    def update(self) -> None:
        """Take in the network's weights after a step."""
        self.n_steps += 1
        decay = min(self.decay, (1 + self.n_steps) / (10 + self.n_steps))
        current = self.model.state_dict()
        for name, average in self.state.items():
            if average.is_floating_point():
                average.lerp_(current[name], 1 - decay)
            else:
                average.copy_(current[name])

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Let the network have the averaged weights for the length of a block."""
        own = trainable_state_dict(self.model)
        self.model.load_state_dict(self.state, strict=False)
        try:
            yield
        finally:
            self.model.load_state_dict(own, strict=False)

    def state_dict(self) -> State:
        """What a training that goes on needs."""
        return {"n_steps": self.n_steps, "state": self.state}

    def load_state_dict(self, state: State) -> None:
        """Go on from what `state_dict` gave."""
        self.n_steps, self.state = state["n_steps"], state["state"]
