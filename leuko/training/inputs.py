"""Where a network's inputs come from: pixels of a pack, and what the frozen networks make of them.

An orientation is one of the eight rotations and reflections of a square picture (the dihedral group D4): 0 is the
picture as it is.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from leuko.packs.reading import release
from leuko.training import distributed

Network = Callable[..., tuple[Tensor, ...]]
"""From inputs to outputs, the first dimension of each being the image."""

N_ORIENTATIONS = 8
CHUNK = 16
"""Images encoded or copied at a time: fixed, so that the outputs do not depend on the batch size of a recipe."""


def orientation_indices(side: int) -> Tensor:
    """For each orientation, which pixel of the picture comes to each place.

    Args:
        side: of the picture, in pixels.

    Returns:
        Shape (8, side * side): indices into the flattened picture.
    """
    grid = torch.arange(side * side).view(side, side)
    rotated = [torch.rot90(grid, quarter) for quarter in range(4)]
    return torch.stack([image.flatten() for image in (*rotated, *(image.flip(1) for image in rotated))])


class Inputs(Protocol):
    """Gives the inputs of some images."""

    def __call__(self, rows: Tensor, orientations: Tensor | None) -> tuple[Tensor, ...]:
        """Fetch.

        Args:
            rows: shape (image,): which images.
            orientations: shape (image,), 0 to 7; none for all as they are.

        Returns:
            The arguments for the network, the first dimension of each being the image.
        """
        ...


class Images:
    """The pixels of a pack's rows.

    On a CPU they stay in the memory-mapped file; any other device gets a copy of its own, so that no step waits for
    a transfer.

    Args:
        array: shape (row, side, side, 3), uint8.
        rows: the rows of the array that are used, in the order in which they are numbered here.
        device: where the inputs are wanted.
    """

    def __init__(self, array: NDArray[np.uint8], rows: NDArray[np.int64], device: torch.device) -> None:
        side = array.shape[1]
        self.array = array
        self.side = side
        self.device = device
        self.n_rows = len(rows)
        self.pixels = torch.from_numpy(array).view(len(array), side * side, 3)
        self.index = torch.from_numpy(rows)
        self.orientation_indices = orientation_indices(side).to(device)
        if device.type != "cpu":
            self.pixels = self._copied()
            self.index = torch.arange(len(rows), device=device)

    def _copied(self) -> Tensor:
        """The pixels on the device, with no second copy of all of them on the way."""
        copy = torch.empty(self.n_rows, *self.pixels.shape[1:], dtype=torch.uint8, device=self.device)
        for chunk in torch.arange(self.n_rows).split(CHUNK):
            copy[chunk.to(self.device)] = self.pixels[self.index[chunk]].to(self.device)
            release(self.array)
        return copy

    def __call__(self, rows: Tensor, orientations: Tensor | None) -> tuple[Tensor]:
        """Images of shape (image, 3, side, side), float, 0 to 1, stored channels last."""
        index = self.index[rows]
        if orientations is None:
            flat = self.pixels.index_select(0, index)
        else:
            flat = self.pixels[index[:, None], self.orientation_indices[orientations]]
        release(self.array)
        images = flat.view(-1, self.side, self.side, 3).permute(0, 3, 1, 2)
        return (images.float() / 255,)


class Values:
    """The values of a pack's rows, such as descriptors.

    Args:
        array: shape (row, value).
        rows: the rows of the array that are used, in the order in which they are numbered here.
        device: where the inputs are wanted.
    """

    def __init__(self, array: NDArray[np.float32], rows: NDArray[np.int64], device: torch.device) -> None:
        self.values = torch.from_numpy(array[rows]).to(device)

    def __call__(self, rows: Tensor, orientations: Tensor | None) -> tuple[Tensor]:
        """Values of shape (image, value), the same for every orientation."""
        return (self.values[rows],)


class FrozenEncoder:
    """What a frozen network makes of other sources' inputs, computed when asked.

    The network sees the very orientation of an image that the trained networks see.

    Args:
        network: takes the sources' inputs.
        sources: they share their rows.
    """

    def __init__(self, network: Network, *sources: Images) -> None:
        self.network, self.sources = network, sources
        self.n_rows, self.device = sources[0].n_rows, sources[0].device

    @torch.no_grad()
    def __call__(self, rows: Tensor, orientations: Tensor | None) -> tuple[Tensor, ...]:
        """The network's outputs."""
        return self.network(*(part for source in self.sources for part in source(rows, orientations)))


class FeatureCache:
    """A frozen network's outputs, computed once for every image and orientation; each process computes a share.

    They are kept channels last, as convolutions want them, in memory or in a memory-mapped file without a name, which
    is gone when the process ends, however it ends.

    Args:
        frozen: computes them.
        n_orientations: 1 if the images are only used as they are, else 8.
        scratch: the folder of the file; none for the memory of the device.

    Raises:
        OSError: if the file cannot be made, or the disk has no room for it, in this process or another.
    """

    def __init__(self, frozen: FrozenEncoder, n_orientations: int, scratch: Path | None = None) -> None:
        self.n_orientations = n_orientations
        self.device = frozen.device
        rows = torch.arange(frozen.n_rows, device=frozen.device).repeat_interleave(n_orientations)
        orientations = torch.arange(n_orientations, device=frozen.device).repeat(frozen.n_rows)
        samples = [part.movedim(1, -1) for part in frozen(rows[:1], None)]
        shapes = [(len(rows), *sample.shape[1:]) for sample in samples]
        kinds = [(shape, sample.cpu().numpy().dtype) for shape, sample in zip(shapes, samples, strict=True)]
        self.arrays = _scratch_arrays(scratch, kinds, frozen.device) if scratch else []
        if scratch:
            self.outputs = [torch.from_numpy(array) for array in self.arrays]
        else:
            self.outputs = [sample.new_empty(shape) for sample, shape in zip(samples, shapes, strict=True)]
        per_round = CHUNK * distributed.world_size()
        starts = range(0, len(rows), per_round)
        shown = None if distributed.is_rank_zero() else True
        for start in tqdm(starts, "encoding", unit="batch", leave=False, disable=shown):
            # The last round goes on from the beginning, so that every process always has a whole chunk.
            at = distributed.chunk(torch.arange(start, start + per_round, device=frozen.device) % len(rows))
            outputs = frozen(rows[at], orientations[at] if n_orientations > 1 else None)
            for kept, part in zip(self.outputs, outputs, strict=True):
                kept[start : start + per_round] = distributed.all_gather(part.movedim(1, -1))[: len(rows) - start]
            self._release()

    def __call__(self, rows: Tensor, orientations: Tensor | None) -> tuple[Tensor, ...]:
        """The outputs, as `FrozenEncoder` gives them."""
        entries = rows * self.n_orientations if orientations is None else rows * self.n_orientations + orientations
        chosen = (kept.index_select(0, entries.to(kept.device)) for kept in self.outputs)
        outputs = tuple(part.to(self.device).movedim(-1, 1) for part in chosen)
        self._release()
        return outputs

    def _release(self) -> None:
        for array in self.arrays:
            release(array)


def _scratch_arrays(
    folder: Path, kinds: Sequence[tuple[Sequence[int], np.dtype[Any]]], device: torch.device
) -> list[NDArray[Any]]:
    """Arrays of given shapes and types, each in a file without a name.

    Raises:
        OSError: if a file cannot be made, or would take more than half of the free disk, in this process or another.
    """
    arrays: list[NDArray[Any]] = []
    error = OSError(f"there is no room for scratch files in {folder}")
    n_bytes = sum(int(np.prod(shape)) * dtype.itemsize for shape, dtype in kinds)
    try:
        # What is written later, models above all, needs room on the disk too.
        if n_bytes > shutil.disk_usage(folder).free / 2:
            raise error
        for shape, dtype in kinds:
            with tempfile.TemporaryFile(dir=folder) as file:
                # Else the system would end the process as soon as it finds no room for a page.
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, int(np.prod(shape)) * dtype.itemsize)
                arrays.append(np.memmap(file, dtype, "w+", shape=tuple(shape)))
    except OSError as own:
        error = own
    if not distributed.all_agree(len(arrays) == len(kinds), device):
        raise error
    return arrays


def cached(
    frozen: FrozenEncoder, *, n_orientations: int, n_uses: int, cache_gb: float, scratch: Path
) -> FrozenEncoder | FeatureCache:
    """Choose between computing once, kept in memory or in a file, and computing always.

    Args:
        frozen: computes a frozen network's outputs.
        n_orientations: how many orientations of each image are used, 1 or 8.
        n_uses: for how many images, counted each time, the outputs will be asked in all.
        cache_gb: the main memory that may be spent on keeping them, in 10^9 bytes; of a GPU's, half of what is free.
        scratch: the folder of a file for what memory does not hold, if that leaves half of the free disk.

    Returns:
        A bank, if it costs less than it saves and there is room for it; else `frozen` itself.
    """
    n_entries = frozen.n_rows * n_orientations
    if n_entries > n_uses:
        return frozen
    sample = frozen(torch.zeros(1, dtype=torch.int64, device=frozen.device), None)
    n_bytes = n_entries * sum(part.nbytes for part in sample)
    on_gpu = frozen.device.type == "cuda"
    room = torch.cuda.mem_get_info(frozen.device)[0] / 2 if on_gpu else cache_gb * 1e9
    if distributed.all_agree(n_bytes <= room, frozen.device):
        return FeatureCache(frozen, n_orientations)
    with suppress(OSError):
        return FeatureCache(frozen, n_orientations, scratch)
    return frozen


class Concat:
    """Several sources side by side: all their inputs, in order.

    Args:
        sources: they share their rows.
    """

    def __init__(self, *sources: Inputs) -> None:
        self.sources = sources

    def __call__(self, rows: Tensor, orientations: Tensor | None) -> tuple[Tensor, ...]:
        """The inputs of all sources."""
        return tuple(part for source in self.sources for part in source(rows, orientations))
