"""Going on with a training that was interrupted.

After every epoch all that the rest of a training depends on is kept in `.resume/<name>.pt`, which Git and DVC ignore.
The next run with the same settings, inputs and code goes on from there, and ends with the same bytes as if nothing had
happened; any other starts anew. The file goes when what the training was for is written.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn

import leuko
from leuko.core.files import write_bytes, write_table
from leuko.core.params.group import Group
from leuko.models.store import save_left_out
from leuko.training import distributed

FOLDER = Path(".resume")
EMPTY_HISTORY = pd.DataFrame(columns=["epoch", "lr", "train_loss", "val_loss", "best"])
"""Of what was not trained: the columns that every history has, and no row."""

State = dict[str, Any]


class Checkpoint:
    """Where the state of one training is kept.

    Args:
        path: the file.
        key: of the settings, inputs and code; a state with another key is ignored.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path, self.key = path, key

    def load(self) -> State | None:
        """Read the state that was kept last, if there is one for this key; a damaged file counts as none."""
        try:
            state: State = torch.load(self.path, "cpu", weights_only=True)
        except Exception:  # damaged files raise many kinds
            return None
        return state if isinstance(state, dict) and state.get("key") == self.key else None

    def save(self, state: State) -> None:
        """Keep a state in place of the one before."""
        content = io.BytesIO()
        torch.save(state | {"key": self.key}, content)
        if distributed.is_rank_zero():
            write_bytes(self.path, content.getvalue())


@contextmanager
def resumable(name: str, params: Group, device: torch.device, inputs: Sequence[Path]) -> Iterator[Checkpoint]:
    """Give a training a checkpoint, which is removed when the block ends without an error.

    Args:
        name: of the training.
        params: the settings that it reads.
        device: where it computes.
        inputs: the files and folders that it reads.

    Yields:
        The checkpoint.
    """
    checkpoint = Checkpoint(FOLDER / f"{name}.pt", _key(params, device, inputs))
    yield checkpoint
    if distributed.is_rank_zero():
        checkpoint.path.unlink(missing_ok=True)


def leave_out(reason: str, model: Path, history: Path) -> None:
    """End a training that lacks its images: write a model file and a history that say so, and one line.

    Args:
        reason: in a few words.
        model: the model's file.
        history: of the training; it gets the columns that every history has, and no row.
    """
    save_left_out(model, reason)
    write_table(history, EMPTY_HISTORY)
    print(f"{model} is left out: {reason}.")


def trainable_state_dict(model: nn.Module) -> State:
    """Copy what training changes of a network: parameters with a gradient, and the buffers beside them.

    FrozenEncoder networks stay out: they may be many times larger, and whoever goes on has them already.

    Args:
        model: the network.

    Returns:
        Tensors by name, as in its `state_dict`.
    """
    modules = dict(model.named_modules())
    moving = {
        name
        for name, module in modules.items()
        if any(parameter.requires_grad for parameter in module.parameters(recurse=False))
    }
    state = model.state_dict()
    return {name: tensor.clone() for name, tensor in state.items() if name.rpartition(".")[0] in moving}


def _key(params: Group, device: torch.device, inputs: Sequence[Path]) -> str:
    """Hash all that shapes a training: settings, inputs, code, PyTorch, device, threads and processes."""
    digest = hashlib.sha256()
    digest.update(params.model_dump_json().encode())
    digest.update(f"{torch.__version__} {device} {torch.get_num_threads()} {distributed.world_size()}".encode())
    for folder in (Path(leuko.__file__).parent, *inputs):
        files = sorted(folder.rglob("*")) if folder.is_dir() else [folder]
        for path in files:
            if path.is_file() and path.suffix != ".pyc":
                with path.open("rb") as handle:
                    content = hashlib.file_digest(handle, "sha256").hexdigest()
                digest.update(f"\n{path.name} {content}".encode())
    return digest.hexdigest()
