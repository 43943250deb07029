"""Foreign images: cells unlike those that a model learned from, of which its confidence says nothing.

A classifier is as sure of cells from another laboratory as of its own, and wrong about many. What was measured of a
cell tells the laboratories apart: how far a cell's descriptors lie from those of the training images, as the
Mahalanobis distance counts it (Lee et al. 2018, NeurIPS), and which distance few cells of the own laboratory exceed.
So do the statistics of a whole picture (`leuko.data.statistics`), of which prediction asks the same, since they cost
next to nothing, and a picture may show no cell at all. A model file has both domains, `CELLS` and `PICTURES`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from torch import Tensor

from leuko.core.files import atomic_file
from leuko.models.store import ASIDE, read_tensors

RATE = 0.005
"""The share of the own laboratory's cells that may lie beyond the threshold: the false alarms."""
SHARE = 0.1
"""A set of which a larger share lies beyond the threshold is foreign."""
FOLDS = 5
CELLS, PICTURES = "cells", "pictures"
"""What a domain is of: descriptors of cells, or statistics of pictures."""

Values = NDArray[np.float32]


@dataclass(frozen=True)
class Domain:
    """Where the cells lie that a model learned from.

    Attributes:
        mean: of each descriptor, or each of a picture's statistics, shape (descriptor,).
        whitening: brings descriptors to unit covariance, shape (descriptor, descriptor).
        threshold: the distance that a share `RATE` of the own cells exceeds.
    """

    mean: NDArray[np.float64]
    whitening: NDArray[np.float64]
    threshold: float

    def distances(self, descriptors: Values | NDArray[np.float64]) -> NDArray[np.float64]:
        """The Mahalanobis distances of cells; `descriptors` has shape (cell, descriptor)."""
        distances: NDArray[np.float64] = np.linalg.norm((descriptors - self.mean) @ self.whitening, axis=1)
        return distances

    def beyond(self, descriptors: Values) -> NDArray[np.bool_]:
        """Which cells lie beyond the threshold; one that was not found, with all descriptors 0, does.

        Args:
            descriptors: shape (cell, descriptor).

        Returns:
            Shape (cell,).
        """
        beyond: NDArray[np.bool_] = (self.distances(descriptors) > self.threshold) | ~descriptors.any(axis=1)
        return beyond

    def tensors(self, of: str = CELLS) -> dict[str, Tensor]:
        """The domain as a model file has it; what it is `of`, CELLS or PICTURES, stands in the names."""
        values = {"mean": self.mean, "whitening": self.whitening, "threshold": np.array([self.threshold])}
        return {f"{ASIDE}{of}.{name}": torch.from_numpy(value.copy()) for name, value in values.items()}

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, Tensor], of: str = CELLS) -> Domain | None:
        """The domain of CELLS or PICTURES among the tensors of a file; none if there is none."""
        start = f"{ASIDE}{of}."
        found = {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}
        if not found:
            return None
        mean, whitening, threshold = (found[name].double().numpy() for name in ("mean", "whitening", "threshold"))
        return cls(mean, whitening, float(threshold[0]))


def is_foreign(beyond: NDArray[np.bool_]) -> bool:
    """Whether a set of cells is foreign, by which of them lie beyond the threshold."""
    return bool(beyond.mean() > SHARE)


def fit_domain(train: Values, val: Values) -> Domain:
    """Learn where the own cells lie.

    Cells that shaped the covariance lie closer than others do, so the distances of training images are taken to
    covariances of the other training images (cross-validation), and pooled with those of the validation images.

    Args:
        train: the descriptors of training images, shape (cell, descriptor).
        val: the same of validation images.

    Returns:
        The domain. Of fewer than two cells nothing can be learned, and no distance is beyond the threshold.
    """
    from sklearn.model_selection import KFold

    cells, val = train[train.any(axis=1)].astype(np.float64), val[val.any(axis=1)]
    if len(cells) < 2:
        n_descriptors = train.shape[1]
        return Domain(np.zeros(n_descriptors), np.zeros((n_descriptors, n_descriptors)), np.inf)
    with threadpool_limits(1, user_api="blas"):  # with more threads sums have other last digits
        mean, whitening = _whitening(cells)
        whole = Domain(mean, whitening, np.inf)
        distances = [whole.distances(val)]
        if len(cells) > FOLDS:
            for inner, outer in KFold(FOLDS, shuffle=True, random_state=0).split(cells):
                distances.append(Domain(*_whitening(cells[inner]), np.inf).distances(cells[outer]))
    own = np.concatenate(distances)
    return Domain(mean, whitening, float(np.quantile(own, 1 - RATE)) if len(own) else np.inf)


def _whitening(cells: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean, and the matrix that brings cells to unit covariance, which is shrunk as Ledoit & Wolf (2004) do."""
    from sklearn.covariance import ledoit_wolf

    mean, std = cells.mean(axis=0), cells.std(axis=0)
    std = np.where(std > 1e-6 * np.abs(cells).max(axis=0), std, 1)
    covariance, _ = ledoit_wolf((cells - mean) / std, assume_centered=True)
    values, vectors = np.linalg.eigh(covariance)
    return mean, (vectors / np.sqrt(np.maximum(values, 1e-3))) / std[:, None]


def save_domains(path: Path, cells: Domain, pictures: Domain) -> None:
    """Write the domains as a file of their own, from which trainings take them into their model files."""
    from safetensors.torch import save_file

    with atomic_file(path) as temporary:
        save_file(cells.tensors() | pictures.tensors(PICTURES), temporary)


def load_domain(path: Path, of: str = CELLS) -> Domain | None:
    """Read the domain of CELLS or PICTURES in a model file; none if it has none.

    Raises:
        LeukoError: if the file is missing or damaged.
    """
    return Domain.of_tensors(read_tensors(path), of)
