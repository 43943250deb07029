"""Where a classifier looks, found by covering places: occlusion sensitivity (Zeiler & Fergus 2014, section 4.2).

Covering asks a network about its answer alone, whatever is inside. So one map covers all of WBC+, its pre-trained
branches included, where a map of one branch's gradients would say nothing about the sum; and small inputs, whose last
feature maps are 4 x 4, get as fine a map as large ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

N_CELLS = 8
"""Rows and columns of a map."""
LEAST = 1e-4
"""Nats that are worth showing."""
CHUNK = 9
"""Covered images classified at a time."""


@torch.no_grad()
def heat_map(classify: Callable[..., Tensor], views: Sequence[Tensor]) -> NDArray[np.float64]:
    """Measure what each place of an image is worth to a classifier's answer.

    A square of 2 x 2 cells in the image's mean colour is moved over the image, so that each cell is covered in four
    ways, cells at the rim too. A cell's heat is the mean, over these four, of what the log-odds of the class predicted
    lose.

    Args:
        classify: from views of some images to logits, shape (image, class), as `Classifier.classify` is.
        views: the image as the classifier takes it, once or several times, each of shape (3, side, side); the sides
            are multiples of 8.

    Returns:
        Shape (8, 8), in nats; below zero where the image speaks against the answer; zero everywhere if no place changes
        the odds by one in ten thousand, so that a map of nothing shows nothing rather than rounding.
    """
    covers = torch.zeros(N_CELLS + 1, N_CELLS + 1, N_CELLS, N_CELLS, dtype=torch.bool)
    for row in range(N_CELLS + 1):
        for column in range(N_CELLS + 1):
            covers[row, column, max(0, row - 1) : row + 1, max(0, column - 1) : column + 1] = True
    covers = covers.flatten(0, 1)
    whole = classify(*(view[None] for view in views))
    answer = int(whole.argmax())
    logits = torch.cat([classify(*(_covered(view, chunk) for view in views)) for chunk in covers.split(CHUNK)])
    losses = _log_odds(whole, answer) - _log_odds(logits, answer)
    heat: NDArray[np.float64] = (covers * losses[:, None, None]).sum(0).div(4).numpy()
    return heat if np.abs(heat).max() >= LEAST else np.zeros_like(heat)


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
