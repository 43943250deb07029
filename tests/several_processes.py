"""What any number of processes do alike."""

import contextlib
import os
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.multiprocessing import start_processes

from leuko.training import distributed
from leuko.training.inputs import FeatureCache, FrozenEncoder, Images, cached
from leuko.training.loop import fit
from leuko.training.resume import Checkpoint, State
from leuko.training.tasks import Classification, Task
from tests.trainings import CPU, part_of, recipe, small_net

N_ENCODED = 37
RECIPE = recipe(epochs=3, batch_size=8, lr=1e-2, optimizer="sgd", schedule="constant")


class PartlyUsed(nn.Module):
    """A network with a layer that takes no part, and without batch norm, as micro-batches want it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.used = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(180, 2))
        self.unused = nn.Linear(7, 7)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.used(images)
        return result


class StopsAfterOneEpoch(Checkpoint):
    """As if a training were interrupted, in all processes at once."""

    def save(self, state: State) -> None:
        super().save(state)
        raise KeyboardInterrupt


def tasks() -> dict[str, Task]:
    """One with batch norm, and one whose batches of three images or more come in micro-batches."""
    parts = part_of([0, 1] * 12), part_of([0, 1] * 5, seed=1)
    in_micro_batches = Classification(PartlyUsed(), *parts, orientations=True)
    in_micro_batches.micro_batch = 2
    return {"batch norm": Classification(small_net(), *parts, orientations=True), "micro-batches": in_micro_batches}


def trained(name: str, folder: Path) -> dict[str, object]:
    """Train undisturbed, and interrupted after an epoch.

    Returns:
        The weights of both, the history, and for every backward pass whether gradients were exchanged.
    """
    task, stopped, again = (tasks()[name] for _ in range(3))
    exchanges: list[bool] = []

    def note(*_: object) -> None:
        if task.model.training:
            exchanges.append(getattr(task.network, "require_backward_grad_sync", False))

    task.model.register_forward_hook(note)
    history = fit(task, RECIPE, seed=1, title="test")
    path = folder / f"{name}.pt"
    with contextlib.suppress(KeyboardInterrupt):
        fit(stopped, RECIPE, seed=1, title="test", checkpoint=StopsAfterOneEpoch(path, name))
    fit(again, RECIPE, seed=1, title="test", checkpoint=Checkpoint(path, name))
    states = [net.model.state_dict() for net in (task, again)]
    return {"states": states, "history": history.to_dict("list"), "exchanges": exchanges}


def encoded(folder: Path) -> dict[str, object]:
    """Encode images, in eight orientations and in one.

    Returns:
        All outputs, and how many images this process encoded for them.
    """
    pixels = np.random.default_rng(0).integers(0, 256, (N_ENCODED, 8, 8, 3), dtype=np.uint8)
    n_encoded = 0

    def network(images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        nonlocal n_encoded
        n_encoded += len(images)
        return (images * 2).half(), images.mean((1, 2, 3))[:, None]

    frozen = FrozenEncoder(network, Images(pixels, np.arange(N_ENCODED), CPU))
    banks = [FeatureCache(frozen, 8), FeatureCache(frozen, 1, folder)]
    n_for_banks = n_encoded - 2  # one image was for the shapes, of either
    # The first process has no room for it: then none keeps anything, instead of one waiting for the others.
    room = 0 if distributed.is_rank_zero() else 1
    assert cached(frozen, n_orientations=1, n_uses=100, cache_gb=room, scratch=Path("missing")) is frozen
    return {"outputs": [part for bank in banks for part in bank.outputs], "n_encoded": n_for_banks}


def main(folder: Path) -> None:
    """Do both, and write what this process has in the end."""
    rank = int(distributed.chunk(torch.arange(distributed.world_size())))
    torch.save({name: trained(name, folder) for name in tasks()} | {"bank": encoded(folder)}, folder / f"{rank}.pt")


def _process(rank: int, folder: Path) -> None:
    """Be one of several processes."""
    os.environ["RANK"] = str(rank)
    distributed.join("cpu")
    main(folder)


def together(folder: Path, n_processes: int) -> None:
    """Let several processes do it, as torchrun would.

    They are started anew, as autograd's threads, which earlier tests can have started, do not survive a fork.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.MonkeyPatch.context() as environment:
        for name, value in {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": n_processes}.items():
            environment.setenv(name, str(value))
        start_processes(_process, (folder,), n_processes, start_method="spawn")
