"""Labels spread over unlabelled images along a graph of neighbours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Array = NDArray[np.float64]

ALPHA = 0.95
"""Share of an image's label that comes from its neighbours in each step, the rest from its own (Zhou et al. 2004)."""
N_STEPS = 100
"""After so many steps what is left to come is below 0.95^100, 0.6 %."""


def remove_nuisance(features: Array, nuisance: Array) -> Array:
    """Take out of features what a nuisance explains of them, by least squares on its values, squares and products.

    The colour of a picture's background says how it was lit and stained, and nothing about the cell; where it differs
    within a set, cells are neighbours by their slide before they are by their kind.

    Args:
        features: shape (image, feature).
        nuisance: shape (image, value).

    Returns:
        What is left, shape (image, feature).
    """
    spread = nuisance.std(axis=0)
    scaled = ((nuisance - nuisance.mean(axis=0)) / np.where(spread > 0, spread, 1)).clip(-3, 3)
    first, second = np.triu_indices(scaled.shape[1])
    terms = np.column_stack([np.ones(len(scaled)), scaled, scaled[:, first] * scaled[:, second]])
    explained: Array = terms @ np.linalg.lstsq(terms, features, rcond=None)[0]
    return features - explained


def whiten(features: Array, n_dimensions: int) -> Array:
    """The first principal components, each with variance 1: shape (image, dimension)."""
    from sklearn.decomposition import PCA

    n_dimensions = min(n_dimensions, *features.shape)
    whitened: Array = PCA(n_dimensions, whiten=True, svd_solver="full").fit_transform(features)
    return whitened


def propagate_labels(
    features: Array, labelled: NDArray[np.int64], labels: NDArray[np.int64], n_classes: int, n_neighbours: int
) -> Array:
    """Spread labels over all images (Zhou et al. 2004, Learning with local and global consistency).

    Neighbours are nearest by direction; the weight of a pair falls with its distance in relation to that of the
    farthest neighbour (Zelnik-Manor & Perona 2004). Every class has the same mass in all, however many labels it has
    (class mass normalisation, Zhu et al. 2003).

    Args:
        features: shape (image, dimension).
        labelled: which images have labels.
        labels: their labels, in the same order.
        n_classes: how many classes there are.
        n_neighbours: of each image.

    Returns:
        Shape (image, class), rows adding up to 1: how much of each class has come to an image; a class without a label
        has none.
    """
    weights = _neighbours(features, n_neighbours)
    own = np.zeros((len(features), n_classes))
    own[labelled, labels] = 1
    own /= np.maximum(own.sum(axis=0), 1)
    spread = own
    for _ in range(N_STEPS):
        spread = ALPHA * (weights @ spread) + (1 - ALPHA) * own
    spread = spread / np.maximum(spread.sum(axis=0), np.finfo(float).tiny)
    reached = spread.sum(axis=1, keepdims=True)
    present = (own.sum(axis=0) > 0) / (own.sum(axis=0) > 0).sum()
    result: Array = np.where(reached > 0, spread / np.where(reached > 0, reached, 1), present)
    return result


def _neighbours(features: Array, n_neighbours: int) -> sparse.csr_array:
    """The graph: a sparse symmetric matrix, shape (image, image), normalised by the images' degrees."""
    from sklearn.neighbors import NearestNeighbors

    n_images = len(features)
    n_neighbours = min(n_neighbours, n_images - 1)
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    directions = features / np.where(lengths > 0, lengths, 1)
    distances, at = NearestNeighbors(n_neighbors=n_neighbours).fit(directions).kneighbors()
    farthest = np.maximum(distances[:, -1:], 1e-6)
    rows = np.repeat(np.arange(n_images), n_neighbours)
    graph = sparse.csr_array(
        (np.exp(-((distances / farthest) ** 2)).ravel(), (rows, at.ravel())), shape=(n_images, n_images)
    )
    graph = graph + graph.T
    scale = sparse.diags_array(1 / np.sqrt(graph.sum(axis=1)))
    normalized: sparse.csr_array = scale @ graph @ scale
    return normalized
