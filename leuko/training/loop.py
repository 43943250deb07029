"""The training loop of all networks."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LRScheduler, OneCycleLR
from tqdm import tqdm

from leuko.errors import LeukoError
from leuko.params import Recipe
from leuko.training.tasks import Part, Task

EVAL_BATCH = 16


def n_steps_per_epoch(recipe: Recipe, n_images: int) -> int:
    """One pass over the images, or more where `min_steps` asks for more steps in all than the passes have."""
    return max(math.ceil(n_images / recipe.batch_size), math.ceil(recipe.min_steps / recipe.epochs))


def make_optimizer(recipe: Recipe, model: nn.Module) -> torch.optim.Optimizer:
    """The recipe's optimiser over the parameters that are trained."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    match recipe.optimizer:
        case "adam":
            return torch.optim.Adam(trained, lr=recipe.lr, weight_decay=recipe.weight_decay, fused=True)
        case "adamw":
            return torch.optim.AdamW(trained, lr=recipe.lr, weight_decay=recipe.weight_decay, fused=True)
        case "sgd":
            return torch.optim.SGD(
                trained, lr=recipe.lr, weight_decay=recipe.weight_decay, momentum=0.9, nesterov=True, fused=True
            )


def make_schedule(recipe: Recipe, optimizer: torch.optim.Optimizer, n_steps: int) -> LRScheduler:
    """The recipe's learning rate over all steps; `lr` is its peak."""
    match recipe.schedule:
        case "onecycle":
            return OneCycleLR(optimizer, recipe.lr, total_steps=n_steps)
        case "cosine":
            return CosineAnnealingLR(optimizer, n_steps)
        case "constant":
            return ConstantLR(optimizer, factor=1)


def clip_gradients(recipe: Recipe, model: nn.Module) -> None:
    """Bound the gradients by value or by norm, as the recipe says."""
    match recipe.clip:
        case "value":
            nn.utils.clip_grad_value_(model.parameters(), recipe.clip_at)
        case "norm":
            nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_at)


def batches(n_images: int, batch_size: int, n_steps: int, rng: torch.Generator) -> Iterator[Tensor]:
    """Full batches for one epoch: shuffled passes over the images, one after the other.

    Args:
        n_images: how many images there are.
        batch_size: images in every batch.
        n_steps: how many batches.
        rng: source of chance.

    Yields:
        Rows of images, shape (batch_size,); each image comes up once before any comes up again.
    """
    n_passes = math.ceil(n_steps * batch_size / n_images)
    order = torch.cat([torch.randperm(n_images, generator=rng) for _ in range(n_passes)])
    yield from order[: n_steps * batch_size].view(n_steps, batch_size)


def train_one_epoch(
    task: Task,
    recipe: Recipe,
    optimizer: torch.optim.Optimizer,
    schedule: LRScheduler,
    rng: torch.Generator,
    bar: Any,  # noqa: ANN401  (a progress bar is generic over items, and this one has none)
) -> dict[str, float]:
    """Train for one epoch.

    Returns:
        `train_loss` and the training score, means over the images as they were met.

    Raises:
        LeukoError: if the loss is no longer a finite number.
    """
    task.model.train()
    n_steps = n_steps_per_epoch(recipe, task.train.n_images)
    totals = torch.zeros(2, device=task.device)
    for step, rows in enumerate(batches(task.train.n_images, recipe.batch_size, n_steps, rng), start=1):
        views = task.draw_views(len(rows), rng)
        outputs, targets = task.outputs(task.train, rows.to(task.device), views)
        losses = task.losses(outputs, targets)
        optimizer.zero_grad(set_to_none=True)
        losses.mean().backward()
        clip_gradients(recipe, task.model)
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            totals += torch.stack([losses.sum(), task.scores(outputs, targets).sum()])
        bar.update()
        # Reading a number waits for the device, so it is done only for somebody who looks on.
        if not bar.disable and (step % 10 == 0 or step == n_steps):
            loss, score = (totals / (step * recipe.batch_size)).tolist()
            bar.set_postfix({"loss": f"{loss:.3f}", task.score_name: f"{score:.3f}"}, refresh=False)
    loss, score = (totals / (n_steps * recipe.batch_size)).tolist()
    if not math.isfinite(loss):
        raise LeukoError(f"the training loss is {loss}; a smaller lr, now {recipe.lr}, or clip: norm may help")
    return {"train_loss": loss, f"train_{task.score_name}": score}


@torch.no_grad()
def validate(task: Task, part: Part) -> dict[str, float]:
    """Score the network on all images of a part as they are.

    Returns:
        `loss`, the score, and what the task's `summary` adds.
    """
    task.model.eval()
    losses, scores = [], []
    for rows in torch.arange(part.n_images, device=task.device).split(EVAL_BATCH):
        outputs, targets = task.outputs(part, rows)
        losses.append(task.losses(outputs, targets))
        scores.append(task.scores(outputs, targets))
    score = torch.cat(scores)
    means = {"loss": torch.cat(losses).mean().item(), task.score_name: score.mean().item()}
    return means | task.summary(score, part.labels)


@torch.no_grad()
def predict(task: Task, part: Part) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """Run the network on all images of a part as they are.

    Returns:
        The network's outputs and what they should be, the first dimension of each being the image.
    """
    task.model.eval()
    chunks = torch.arange(part.n_images, device=task.device).split(EVAL_BATCH)
    outputs, targets = zip(*(task.outputs(part, rows) for rows in chunks), strict=True)
    return torch.cat(outputs).cpu().numpy(), torch.cat(targets).cpu().numpy()


def fit(task: Task, recipe: Recipe, *, seed: int, title: str) -> pd.DataFrame:
    """Train a network; it is left with the weights of its best epoch on the validation images.

    Args:
        task: the network, its images and its aim.
        recipe: how it is trained.
        seed: of the order of the images and the views of them.
        title: what the progress bar says.

    Returns:
        The history, a row per epoch: `epoch` (from 1), `lr`, training and validation scores, and `best`, which is 1
        for the epoch that was kept.

    Raises:
        LeukoError: if the loss is no longer a finite number.
    """
    task.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in its stubs
    n_steps = recipe.epochs * n_steps_per_epoch(recipe, task.train.n_images)
    optimizer = make_optimizer(recipe, task.model)
    schedule = make_schedule(recipe, optimizer, n_steps)
    history: list[dict[str, float]] = []
    best_rank: tuple[float, ...] = (-math.inf,)
    best_epoch, best_state = 0, copy.deepcopy(task.model.state_dict())
    with tqdm(total=n_steps, desc=title, unit="step", disable=None) as bar:
        for epoch in range(1, recipe.epochs + 1):
            bar.set_description(f"{title} {epoch}/{recipe.epochs}")
            rng = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
            lr = float(schedule.get_last_lr()[0])
            scores = train_one_epoch(task, recipe, optimizer, schedule, rng, bar)
            scores |= {f"val_{name}": value for name, value in validate(task, task.val).items()}
            history.append({"epoch": epoch, "lr": lr, **scores})
            rank = (*(scores[name] for name in task.chosen_by), -scores["val_loss"])
            if rank > best_rank:
                best_epoch, best_rank, best_state = epoch, rank, copy.deepcopy(task.model.state_dict())
    task.model.load_state_dict(best_state)
    return pd.DataFrame(history).assign(best=lambda table: (table["epoch"] == best_epoch).astype(int))
