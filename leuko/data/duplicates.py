"""Pictures that a data set holds more than once, also recompressed, resized, flipped or rotated by right angles.

Files of equal content are found by their hash. Other copies are found by what the images look like, in two steps. A
fingerprint, a few hundred numbers that flips and rotations by right angles do not change, finds pairs that may be the
same picture, by an index rather than a look at every pair; then the thumbnails of each such pair are compared in all
eight orientations. Blood cells look alike, so the fingerprint keeps the colours and is not rounded to bits, and only
thumbnails that agree nearly everywhere count.
`docs/reliability.md` has the figures.

| column | meaning |
|---|---|
| group | number of the picture; its copies follow one another |
| finding | `leak`: in several parts; `conflict`: under several classes; `leak and conflict`; `copy`: neither |
| kind | `exact` where all files are equal, else `near` |
| set, part, class, path | of the image, as in the manifest |
| dropped | whether the image was taken out, see `_dropped` |
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.fft import dctn
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from leuko.data.images import THUMBNAIL_SIDE, Pixels

FREQUENCIES = 8
"""The fingerprint's frequencies in each direction."""
NEAR = 0.1
"""The largest distance of fingerprints, whose length is at most one, that makes a pair worth a closer look."""
SAME = 0.98
"""The least correlation of the thumbnails of one and the same picture."""
AXES = 24
"""The principal components of the fingerprints that the index compares."""
TREE_AXES = 3
"""Those by which it sorts; by more, its boxes would be wider in the first ones and exclude less."""
SLACK = 1e-5
"""More than the rounding of squared distances, so that the index misses no pair."""
BOX = 256
PAIRS = 4096

NAMED = 4
"""Of a picture in more images than these, the first of every part and class is named."""
FINDINGS = {
    "leak": "Pictures in several parts",
    "conflict": "Pictures under several classes",
    "leak and conflict": "Pictures in several parts and under several classes",
    "copy": "Pictures several times in one part and class",
}
RANK = {"train": 0, "val": 1, "test": 2}
"""Of two parts that share a picture, the one of higher rank keeps it."""

Vectors = NDArray[np.float32]


def as_pixels(thumbnails: Sequence[Pixels]) -> Pixels:
    """Thumbnails as an array of shape (image, side, side, 3)."""
    return np.array(thumbnails, np.uint8).reshape(-1, THUMBNAIL_SIDE, THUMBNAIL_SIDE, 3)


def standardise(thumbnails: Pixels) -> Vectors:
    """Without each channel's mean, and of length one; an image of one colour, which equals nothing, becomes zero."""
    values = thumbnails.astype(np.float32)
    values -= values.mean((1, 2), keepdims=True)
    lengths = np.sqrt(np.square(values).sum((1, 2, 3), keepdims=True))
    values /= np.where(lengths > 0, lengths, 1)
    return values


def fingerprints(standardised: Vectors) -> Vectors:
    """What flips and rotations by right angles do not change: an image's low frequencies without sign and direction.

    A flip changes only signs of the cosine transform's coefficients, and transposing swaps each coefficient with
    its opposite. Of the absolute values of two opposites, the sum and the difference's size are kept.

    Args:
        standardised: shape (image, side, side, 3).

    Returns:
        Shape (image, number).
    """
    sizes = np.abs(dctn(standardised, axes=(1, 2), norm="ortho")[:, :FREQUENCIES, :FREQUENCIES])
    swapped = sizes.transpose(0, 2, 1, 3)
    rows, columns = np.triu_indices(FREQUENCIES)
    halves = [(sizes + swapped) / 2, np.abs(sizes - swapped) / 2]
    return np.concatenate([half[:, rows, columns].reshape(len(sizes), 3 * len(rows)) for half in halves], axis=1)


def correlations(first: Vectors, second: Vectors) -> Vectors:
    """The correlation of pairs of standardised thumbnails in the best of the eight orientations."""
    best = np.full(len(first), -1, np.float32)
    for turns in range(4):
        rotated = np.rot90(second, turns, (1, 2))
        for oriented in (rotated, rotated[:, :, ::-1]):
            np.maximum(best, np.einsum("nxyc,nxyc->n", first, oriented), out=best)
    return best


def candidates(prints: Vectors) -> Iterator[NDArray[np.int64]]:
    """Pairs of fingerprints that may be nearer than `NEAR`: all that are, and some that are not.

    The first principal components are never further apart than the whole fingerprints. A k-d tree sorts images into
    boxes; boxes further apart than `NEAR` hold no pair, and the others are compared by a product of matrices: in as
    many dimensions as are needed here, a search in the tree alone visits most images and is slower.

    Args:
        prints: shape (image, number).

    Yields:
        Image numbers, the lower one first, each pair once: shape (2, pair), about `PAIRS` at a time.
    """
    centred = prints - prints.mean(axis=0)
    points = centred @ np.linalg.eigh(centred.T @ centred)[1][:, : -AXES - 1 : -1]
    order = cKDTree(points[:, :TREE_AXES], leafsize=BOX).indices
    points = points[order]
    squared = np.square(points).sum(axis=1, keepdims=True)
    ones = np.ones_like(squared)
    # A row of one times a row of the other is a squared distance.
    first, second = np.hstack([points, squared, ones]), np.hstack([-2 * points, ones, squared])
    starts = np.arange(0, len(points), BOX)
    lows, highs = np.minimum.reduceat(points, starts), np.maximum.reduceat(points, starts)
    found: list[NDArray[np.int64]] = []
    n_found = 0
    for box, start in enumerate(tqdm(starts, "comparing", unit="box", delay=2, disable=None)):
        gaps = np.maximum(lows[box:] - highs[box], lows[box] - highs[box:]).clip(0)
        for other in starts[box:][np.square(gaps).sum(axis=1) < NEAR**2 + SLACK]:
            near = first[start : start + BOX] @ second[other : other + BOX].T < NEAR**2 + SLACK
            rows, columns = np.nonzero(near)
            pairs = np.stack([rows + start, columns + other])
            found.append(np.sort(order[pairs[:, pairs[0] < pairs[1]]], axis=0))
            n_found += found[-1].shape[1]
            if n_found >= PAIRS:
                yield np.concatenate(found, axis=1)
                found, n_found = [], 0
    if found:
        yield np.concatenate(found, axis=1)


def same_pictures(thumbnails: Pixels) -> NDArray[np.int64]:
    """Find out which images show the same picture.

    Pairs that are known to be the same by way of others are not looked at again, so many copies of one picture cost
    little more than many pictures. Beside the thumbnails, an image takes about a kilobyte of memory.

    Args:
        thumbnails: shape (image, side, side, 3).

    Returns:
        For every image the number of its picture.
    """
    count = len(thumbnails)
    picture = np.arange(count, dtype=np.int64)
    # An image of one colour equals nothing.
    drawn = np.flatnonzero((thumbnails != thumbnails[:, :1, :1]).any(axis=(1, 2, 3)))
    if len(drawn) < 2:
        return picture
    blocks = np.array_split(drawn, -(-len(drawn) // PAIRS))
    prints = np.concatenate([fingerprints(standardise(thumbnails[block])) for block in blocks])
    # The products are small, and threads would wait for each other more than they compute.
    with threadpool_limits(1, user_api="blas"):
        for pairs in candidates(prints):
            while (pairs := pairs[:, picture[drawn[pairs[0]]] != picture[drawn[pairs[1]]]]).size:
                closer, pairs = pairs[:, :PAIRS], pairs[:, PAIRS:]
                closer = closer[:, np.square(prints[closer[0]] - prints[closer[1]]).sum(axis=1) < NEAR**2]
                first, second = drawn[closer]
                same = correlations(standardise(thumbnails[first]), standardise(thumbnails[second])) >= SAME
                links = coo_array((np.ones(same.sum()), (picture[first[same]], picture[second[same]])), (count, count))
                picture = connected_components(links, directed=False)[1].astype(np.int64)[picture]
    return picture


def find_duplicates(rows: pd.DataFrame, thumbnails: Pixels, *, drop: bool) -> pd.DataFrame:
    """Find the pictures that occur more than once.

    Args:
        rows: of the manifest.
        thumbnails: of the images, in the same order: shape (image, side, side, 3).
        drop: whether the images that `dropped` names are taken out.

    Returns:
        The table that this module describes, a row for every image whose picture occurs more than once.
    """
    first = ~rows["sha256"].duplicated().to_numpy()
    pictures = same_pictures(thumbnails[first])
    picture_of = dict(zip(rows["sha256"][first], pictures, strict=True))
    rows = rows.assign(group=rows["sha256"].map(picture_of))
    rows = rows[rows["group"].duplicated(keep=False)].copy()
    # Numbered as they come, so that one more picture elsewhere does not renumber those before it.
    rows["group"] = pd.factorize(rows["group"])[0] + 1
    groups = rows.groupby("group")
    leaks = groups["part"].transform("nunique") > 1
    conflicts = rows.groupby(["group", "set"])["class"].transform("nunique") > 1
    conflicts = conflicts.groupby(rows["group"]).transform("any")
    rows["finding"] = [
        " and ".join(["leak"] * leak + ["conflict"] * conflict) or "copy"
        for leak, conflict in zip(leaks, conflicts, strict=True)
    ]
    rows["kind"] = np.where(groups["sha256"].transform("nunique") == 1, "exact", "near")
    rows["dropped"] = _dropped(rows, conflicts) & drop
    columns = ["group", "finding", "kind", "set", "part", "class", "path", "dropped"]
    return rows.sort_values("group", kind="stable")[columns].reset_index(drop=True)


def _dropped(rows: pd.DataFrame, conflicts: pd.Series[bool]) -> pd.Series[bool]:
    """Which images go, so that every picture is in one part and has one class; never one of a test set.

    Of several parts, the one furthest from training keeps the picture. Of a picture with several classes all goes but
    what is held out for the test, as nobody can say which class is right. Copies within a part and class stay.

    Args:
        rows: of pictures that occur more than once, with their `group`.
        conflicts: whether the picture has several classes.
    """
    rank = rows["part"].map(RANK)
    return (rank < rank.groupby(rows["group"]).transform("max")) | (conflicts & (rows["part"] != "test"))


def in_words(table: pd.DataFrame) -> dict[str, list[str]]:
    """The pictures that a table of duplicates names, a line each, by what was found; of many images only some."""
    lines: dict[str, list[str]] = {finding: [] for finding in FINDINGS}
    for _, images in table.groupby("group"):
        few = images if len(images) <= NAMED else images[~images.duplicated(["part", "class"])]
        names = " = ".join(f"{path} ({part})" for path, part in zip(few["path"], few["part"], strict=True))
        more = f" and {len(images) - len(few)} more" if len(few) < len(images) else ""
        lines[images["finding"].iloc[0]].append(f"{images['kind'].iloc[0]}: {names}{more}")
    return lines
