"""Where a classifier looks, found by covering places: occlusion sensitivity (Zeiler & Fergus 2014, section 4.2).

Covering asks a network about its answer alone, whatever is inside. So one map covers all of WBC+, its pre-trained
branches included, where a map of one branch's gradients would say nothing about the sum; and small inputs, whose last
feature maps are 4 x 4, get as fine a map as large ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from leuko.models.classifier import Classifier
from leuko.morphology.segmentation import segment

DESCRIPTORS = "descriptors"
"""The one input that is no picture."""
N_CELLS = 8
"""Rows and columns of a map."""
LEAST = 1e-4
"""Nats that are worth showing."""
CHUNK = 9
"""Covered images classified at a time."""


@torch.no_grad()
def heat_map(classify: Callable[..., Tensor], views: Sequence[Tensor], step: int = 1) -> NDArray[np.float64]:
    """Measure what each place of an image is worth to a classifier's answer.

    A square of 2 x 2 cells in the image's mean colour is moved over the image. A cell's heat is the mean, over the
    squares that cover it, of what the log-odds of the class predicted lose.

    Args:
        classify: from views of some images to logits, shape (image, class), as `Classifier.classify` is.
        views: the image as the classifier takes it, once or several times, each of shape (3, side, side); the sides
            are multiples of 8.
        step: by how many cells the square is moved: 1, so that each cell is covered in four ways, cells at the rim
            too; or 2 for a coarser map, with a fifth of the work.

    Returns:
        Shape (8, 8), in nats; below zero where the image speaks against the answer; zero everywhere if no place changes
        the odds by one in ten thousand, so that a map of nothing shows nothing rather than rounding.
    """
    ends = range(step - 1, N_CELLS + 1, step)
    covers = torch.zeros(len(ends), len(ends), N_CELLS, N_CELLS, dtype=torch.bool)
    for row, bottom in enumerate(ends):
        for column, right in enumerate(ends):
            covers[row, column, max(0, bottom - 1) : bottom + 1, max(0, right - 1) : right + 1] = True
    covers = covers.flatten(0, 1)
    whole = classify(*(view[None] for view in views))
    answer = int(whole.argmax())
    logits = torch.cat([classify(*(_covered(view, chunk) for view in views)) for chunk in covers.split(CHUNK)])
    losses = _log_odds(whole, answer) - _log_odds(logits, answer)
    heat: NDArray[np.float64] = (covers * losses[:, None, None]).sum(0).div(covers.sum(0)).numpy()
    return heat if np.abs(heat).max() >= LEAST else np.zeros_like(heat)


def heat_map_of(model: Classifier, arrays: Sequence[Tensor], step: int = 1) -> NDArray[np.float64]:
    """Measure what each place of a cell's pictures is worth; what was measured of the cell stays as it is.

    Args:
        model: takes at least one picture.
        arrays: of one cell, what `model.inputs` names, each of shape (1, ...).
        step: as `heat_map` takes it.

    Returns:
        As `heat_map` gives it.
    """
    is_picture = [name != DESCRIPTORS for name in model.inputs]

    def classify(*views: Tensor) -> Tensor:
        covered = iter(views)
        given = [
            next(covered) if picture else array.expand(len(views[0]), *array.shape[1:])
            for picture, array in zip(is_picture, arrays, strict=True)
        ]
        return model.classify(*given)

    return heat_map(classify, [array[0] for picture, array in zip(is_picture, arrays, strict=True) if picture], step)


@dataclass(frozen=True)
class Focus:
    """How far an answer rests on the cell.

    Attributes:
        inside: the share of what speaks for the answer, the positive part of the map, that lies in the cell.
        area: the share of the picture that the cell takes, which `inside` would be if all places were worth the same.
    """

    inside: float
    area: float


def focus(model: Classifier, arrays: Sequence[Tensor]) -> Focus | None:
    """Find how far a classifier's answer rests on the cell, which `segment` finds in the first picture that it takes.

    Args:
        model: takes at least one picture.
        arrays: of one cell, what `model.inputs` names, each of shape (1, ...); pictures have values 0 to 1.

    Returns:
        None if no cell is found, or no place speaks for the answer.
    """
    picture = next(array for name, array in zip(model.inputs, arrays, strict=True) if name != DESCRIPTORS)
    cell = segment((255 * picture[0].permute(1, 2, 0).cpu().numpy()).round().astype(np.uint8)).cell
    heat = np.maximum(heat_map_of(model, arrays, step=2), 0)
    if not cell.any() or not heat.any():
        return None
    size = len(cell) // N_CELLS
    covered = cell.reshape(N_CELLS, size, N_CELLS, size).mean(axis=(1, 3))
    return Focus(float((heat * covered).sum() / heat.sum()), float(covered.mean()))


def _covered(view: Tensor, covers: Tensor) -> Tensor:
    """Copies of an image, one for each cover, shape (cover, 3, side, side)."""
    size = view.shape[-1] // N_CELLS
    hidden = covers.repeat_interleave(size, 1).repeat_interleave(size, 2)[:, None].to(view.device)
    return torch.where(hidden, view.mean((1, 2), keepdim=True), view)


def _log_odds(logits: Tensor, answer: int) -> Tensor:
    """How much more likely a class is than all others together, as a logarithm; shape (image,), on the CPU."""
    logits = logits.cpu().double()
    others = torch.cat([logits[:, :answer], logits[:, answer + 1 :]], dim=1)
    return logits[:, answer] - others.logsumexp(1)
