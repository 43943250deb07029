"""The training loop of all networks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, NoReturn

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler
from tqdm import tqdm

from leuko.core.errors import LeukoError
from leuko.core.params.recipe import Recipe
from leuko.training import distributed
from leuko.training.device import to_device
from leuko.training.recipe import (
    AveragedWeights,
    batches,
    class_weights,
    clip_gradients,
    make_optimizer,
    make_schedule,
    n_steps_per_epoch,
)
from leuko.training.resume import Checkpoint, trainable_state_dict
from leuko.training.tasks import Batch, Part, Task

EVAL_BATCH = 16


def train_one_epoch(
    task: Task,
    recipe: Recipe,
    optimizer: torch.optim.Optimizer,
    schedule: LRScheduler,
    averaged: AveragedWeights | None,
    rng: torch.Generator,
    bar: tqdm[NoReturn],
) -> dict[str, float]:
    """Train for one epoch.

    Returns:
        `train_loss` and the training score, means over the images as they were met.

    Raises:
        DivergedError: if the loss is no longer a finite number.
    """
    task.model.train()
    n_steps = n_steps_per_epoch(recipe, task.train.n_images)
    totals = torch.zeros(2, device=task.device)
    step_losses = torch.zeros(n_steps, device=task.device)
    rates = []
    order = batches(task.train.n_images, recipe.batch_size, n_steps, rng, _sampling_weights(task, recipe))
    # All at once, as small copies to a GPU in every step would make it wait.
    drawn = task.draw(torch.cat(list(order)), rng)
    # Processes take the mean of their gradients, where the sum is wanted.
    share = recipe.batch_size / distributed.world_size()
    for step, whole in enumerate(drawn.split(recipe.batch_size), start=1):
        batch = whole.map(distributed.shard)
        optimizer.zero_grad(set_to_none=True)
        micro_batches = task.micro_batches(batch)
        for micro_batch in micro_batches:
            with distributed.exchange(task.network, now=micro_batch is micro_batches[-1]):
                outputs, targets = task.outputs(task.train, micro_batch)
                losses = task.training_losses(outputs, targets)
                (losses.sum() / share).backward()
            with torch.no_grad():
                totals += torch.stack([losses.sum(), task.scores(outputs, targets, losses).sum()])
                step_losses[step - 1] += losses.sum() / recipe.batch_size
        clip_gradients(recipe, task.model)
        rates.append(float(schedule.get_last_lr()[0]))
        optimizer.step()
        schedule.step()
        if averaged:
            averaged.update()
        bar.update()
        # Reading a number waits for the device, so it is done seldom, or for somebody who looks on.
        if step % 100 == 0 or step == n_steps:
            _check(step_losses[:step], rates)
        if not bar.disable and (step % 10 == 0 or step == n_steps):
            loss, score = (totals * distributed.world_size() / (step * recipe.batch_size)).tolist()
            bar.set_postfix({"loss": f"{loss:.3f}", task.score_name: f"{score:.3f}"}, refresh=False)
    loss, score = (distributed.all_reduce(totals) / (n_steps * recipe.batch_size)).tolist()
    return {"train_loss": loss, f"train_{task.score_name}": score}


def _sampling_weights(task: Task, recipe: Recipe) -> Tensor | None:
    """How often each training image is drawn, where the recipe balances the classes."""
    if not recipe.balanced_sampling:
        return None
    labels = task.train.labels.cpu()
    return class_weights(labels, int(labels.max()) + 1, recipe.balanced_sampling)[labels]


class DivergedError(Exception):
    """A training whose loss is no longer a finite number; the message says where it stopped being one."""


def _check(losses: Tensor, rates: Sequence[float]) -> None:
    """Look for the first step whose loss is not a finite number.

    Args:
        losses: of an epoch's steps so far.
        rates: the learning rate of each.

    Raises:
        DivergedError: if there is one.
    """
    if not losses.isfinite().all():
        step = int((~losses.isfinite()).int().argmax())
        raise DivergedError(
            f"the training loss is {losses[step]:g} at step {step + 1}, learning rate {rates[step]:.3g}"
        )


@torch.no_grad()
def validate(task: Task, part: Part) -> dict[str, float]:
    """Score the network on all images of a part as they are.

    Returns:
        `loss`, the score, and what the task's `summary` adds.
    """
    task.model.eval()
    values = torch.zeros(2, part.n_images, device=task.device)
    for rows in distributed.shard(torch.arange(part.n_images, device=task.device)).split(EVAL_BATCH):
        outputs, targets = task.outputs(part, Batch(rows))
        losses = task.losses(outputs, targets)
        values[:, rows] = torch.stack([losses, task.scores(outputs, targets, losses)])
    all_losses, all_scores = distributed.all_reduce(values)
    means = {"loss": all_losses.mean().item(), task.score_name: all_scores.mean().item()}
    return means | task.summary(all_scores, part.labels)


@torch.no_grad()
def predict(task: Task, part: Part) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """Run the network on all images of a part as they are.

    Returns:
        The network's outputs and what they should be, the first dimension of each being the image.
    """
    task.model.eval()
    chunks = torch.arange(part.n_images, device=task.device).split(EVAL_BATCH)
    outputs, targets = zip(*(task.outputs(part, Batch(rows)) for rows in chunks), strict=True)
    return torch.cat(outputs).cpu().numpy(), torch.cat(targets).cpu().numpy()


def fit(task: Task, recipe: Recipe, *, seed: int, title: str, checkpoint: Checkpoint | None = None) -> pd.DataFrame:
    """Train a network; it is left with the weights of the epoch that the recipe selects, by default the best one.

    Which epoch is the best, the validation images say. Where weights are averaged, the averaged ones are validated and
    kept.

    Args:
        task: the network, its images and its aim.
        recipe: how it is trained.
        seed: of the order of the images and of how they are shown.
        title: what the progress bar says.
        checkpoint: where the state is kept after every epoch, and from where the training goes on.

    Returns:
        The history, a row per epoch: `epoch` (from 1), `lr`, training and validation scores, and `best`, which is 1
        for the epoch that was kept.

    Raises:
        LeukoError: if a loss is no longer a finite number, or there are more processes than images in a batch.
    """
    if recipe.batch_size < distributed.world_size():
        raise LeukoError(
            f"a batch of {recipe.batch_size} images cannot be shared by {distributed.world_size()} processes"
        )
    to_device(task.model, task.device)
    distributed.join_batch_norms(task.model, task.device)
    task.network = distributed.data_parallel(task.model)
    steps_per_epoch = n_steps_per_epoch(recipe, task.train.n_images)
    optimizer = make_optimizer(recipe, task.model)
    schedule = make_schedule(recipe, optimizer, recipe.epochs * steps_per_epoch)
    averaged = AveragedWeights(task.model, recipe.ema) if recipe.ema else None
    history: list[dict[str, float]] = []
    best_rank: tuple[float, ...] = (-math.inf,)
    best_epoch, best_state = 0, trainable_state_dict(task.model)
    if checkpoint and (state := checkpoint.load()):
        task.model.load_state_dict(state["model"], strict=False)  # what is frozen is not in it
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        if averaged:
            averaged.load_state_dict(state["averaged"])
        history = state["history"]
        best_rank, best_epoch, best_state = tuple(state["best_rank"]), state["best_epoch"], state["best"]
        if distributed.is_rank_zero():
            tqdm.write(f"{title} goes on after epoch {len(history)} of {recipe.epochs}.")
    if task.bfloat16 and task.device.type == "cpu" and distributed.is_rank_zero():
        tqdm.write(f"{title} is trained in bfloat16 (compute.precision).")
    done = len(history)
    with tqdm(
        total=recipe.epochs * steps_per_epoch,
        initial=done * steps_per_epoch,
        desc=title,
        unit="step",
        disable=None if distributed.is_rank_zero() else True,
    ) as bar:
        for epoch in range(done + 1, recipe.epochs + 1):
            bar.set_description(f"{title} {epoch}/{recipe.epochs}")
            # All chance of an epoch comes from here, so a training that goes on meets what it would have met.
            rng = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
            lr = float(schedule.get_last_lr()[0])
            try:
                scores = train_one_epoch(task, recipe, optimizer, schedule, averaged, rng, bar)
                distributed.broadcast_from_rank_zero(task.model)
                with averaged.applied() if averaged else nullcontext():
                    scores |= {f"val_{name}": value for name, value in validate(task, task.val).items()}
                    kept = trainable_state_dict(task.model)
                if not math.isfinite(scores["val_loss"]):
                    raise DivergedError(f"the validation loss is {scores['val_loss']}, learning rate {lr:.3g}")
            except DivergedError as error:
                raise LeukoError(_advice(title, epoch, error, recipe, checkpoint)) from None
            history.append({"epoch": epoch, "lr": lr, **scores})
            rank = (*(scores[name] for name in task.monitor), -scores["val_loss"])
            if rank > best_rank or recipe.select == "last":
                best_epoch, best_rank, best_state = epoch, rank, kept
            if checkpoint:
                checkpoint.save(
                    {
                        "model": trainable_state_dict(task.model),
                        "optimizer": optimizer.state_dict(),
                        "schedule": schedule.state_dict(),
                        "averaged": averaged.state_dict() if averaged else None,
                        "history": history,
                        "best": best_state,
                        "best_epoch": best_epoch,
                        "best_rank": list(best_rank),
                    }
                )
    task.model.load_state_dict(best_state, strict=False)
    return pd.DataFrame(history).assign(best=lambda table: (table["epoch"] == best_epoch).astype(int))


def _advice(title: str, epoch: int, error: DivergedError, recipe: Recipe, checkpoint: Checkpoint | None) -> str:
    """Say where a training went wrong, what is left of it, and what may help."""
    if epoch == 1:
        good = "No epoch was finished"
    else:
        good = (
            f"The last good state, after epoch {epoch - 1}, is {f'in {checkpoint.path}' if checkpoint else 'not kept'}"
        )
    return f"{title}, epoch {epoch}: {error}. {good}. A smaller lr, now {recipe.lr:g}, or clip: norm may help."
