"""Tissue sections as stained with haematoxylin and eosin: lymph nodes and kidney tumours."""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter, label

from leuko.demo.canvas import (
    SUPERSAMPLING,
    Array,
    Canvas,
    Colour,
    Picture,
    Stain,
    ellipse,
    inside,
    mask_of,
    smooth_noise,
)

NODE_SIZE = 144  # pixels a side, at about 2 pixels per micrometre
KIDNEY_SIZE = 192

LIGHT: Colour = (0.97, 0.95, 0.97)
EOSIN: Colour = (0.92, 0.66, 0.80)
TUMOR_CYTOPLASM: Colour = (0.86, 0.66, 0.82)
KIDNEY_CYTOPLASM: Colour = (0.84, 0.62, 0.78)
LYMPHOCYTE: Colour = (0.38, 0.28, 0.58)
VESICULAR: Colour = (0.60, 0.48, 0.74)
RED_CELL: Colour = (0.88, 0.42, 0.46)

MOST_DARTS = 4000  # thrown at a region to fill it with points


def draw_node(kind: str, rng: Generator) -> tuple[Picture, Picture]:
    """Draw a patch of lymph node, either `normal` or invaded by `tumor`.

    Returns:
        RGB picture, shape (NODE_SIZE, NODE_SIZE, 3), and mask of the tumour, shape (NODE_SIZE, NODE_SIZE),
        0 or 255: all 0 where there is no tumour.
    """
    canvas = Canvas.clear(NODE_SIZE)
    nests = _nests(canvas, rng) if kind == "tumor" else np.full(canvas.shape, np.inf)
    _fibres(canvas, rng, np.ones(canvas.shape) * 0.8)
    canvas.cover(inside(nests, 3), TUMOR_CYTOPLASM)
    canvas.tint(inside(nests, 3) * 0.25 * smooth_noise(canvas.shape, 2.5, rng), TUMOR_CYTOPLASM)
    bent = canvas.warped(0.9, 5, rng)
    spacing = rng.uniform(8.5, 10.5)
    for place in _scatter(nests > 3, spacing, rng):
        _nucleus(bent, place, spacing * rng.uniform(0.38, 0.5), rng, LYMPHOCYTE)
    size = rng.uniform(7, 10)
    for place in _scatter(nests < -0.5 * size, 2.1 * size, rng):
        _nucleus(bent, place, size * rng.uniform(0.65, 1.25), rng, VESICULAR, vesicular=True)
    return canvas.develop(Stain.random(rng, LIGHT, 1.3), rng, blur=rng.uniform(0.4, 0.8)), mask_of(nests)


def draw_kidney_tumor(rng: Generator) -> tuple[Picture, Picture]:
    """Draw papillary renal cell carcinoma: stalks of stroma, each lined by a row of cuboid cells.

    Returns:
        RGB picture, shape (KIDNEY_SIZE, KIDNEY_SIZE, 3), and mask of the papillae, shape (KIDNEY_SIZE,
        KIDNEY_SIZE), 0 or 255.
    """
    canvas = Canvas.clear(KIDNEY_SIZE)
    # The zero line of smooth noise winds and branches like a stalk; a second noise cuts it into fingers.
    ridge, cut = (smooth_noise(canvas.shape, grain, rng) for grain in (rng.uniform(44, 64), 40))
    ridge -= np.median(ridge)  # so that it is zero somewhere
    steepness = np.hypot(*np.gradient(ridge)) * SUPERSAMPLING + 0.004
    stalk_width = rng.uniform(4, 9)
    is_stalk = (np.abs(ridge) < stalk_width * steepness) & (cut > np.quantile(cut, 0.15))
    stalk = _distance_to(is_stalk)
    height = rng.uniform(11, 15)  # of the cells, in px
    stalks = np.asarray(label(is_stalk)[0], dtype=np.int32)
    cleft = _distance_to(_borders(_nearest(stalks)))  # where papillae of two stalks would touch
    papilla = np.maximum(stalk - height, 1.5 * (1 + smooth_noise(canvas.shape, 10, rng)) - cleft)

    canvas.tint(0.04 + 0.03 * smooth_noise(canvas.shape, 12, rng), EOSIN)  # a little fluid in the lumen
    _fibres(canvas, rng, 0.7 * inside(stalk - 1, 2))
    lining = inside(np.maximum(papilla, 0.5 - stalk), 1.5)
    canvas.cover(lining, KIDNEY_CYTOPLASM)
    canvas.tint(lining * 0.35 * smooth_noise(canvas.shape, 2.5, rng), KIDNEY_CYTOPLASM)
    canvas.tint(0.6 * np.exp(-((stalk - 1) ** 2)), KIDNEY_CYTOPLASM)  # basement membrane
    bent = canvas.warped(0.8, 5, rng)
    row = _scatter((np.abs(stalk - 0.45 * height) < 0.6) & (papilla < -3), rng.uniform(8, 10), rng)
    _cell_borders(canvas, row, lining)
    for place in row:
        _nucleus(bent, place + rng.normal(0, 0.8, 2), rng.uniform(3.6, 5), rng, VESICULAR, vesicular=True)
    for place in _scatter(is_stalk, 10, rng):
        if rng.random() < 0.3:
            near = bent[bent.window(place, 5)]
            near.cover(0.9 * inside(ellipse(near, place, rng.uniform(2.5, 3.5)), 1.5), RED_CELL)
        else:
            _nucleus(bent, place, rng.uniform(2, 2.8), rng, LYMPHOCYTE)
    return canvas.develop(Stain.random(rng, LIGHT, 1.3), rng, blur=rng.uniform(0.4, 0.8)), mask_of(papilla)


def _nests(canvas: Canvas, rng: Generator) -> Array:
    """Signed distance to nests of tumour, which take up about a third to nine tenths of the patch."""
    field = smooth_noise(canvas.shape, 42, rng) + 0.08 * smooth_noise(canvas.shape, 10, rng)
    is_nest = field > np.quantile(field, rng.uniform(0.1, 0.65))
    return np.asarray(_distance_to(is_nest) - _distance_to(~is_nest))


def _fibres(canvas: Canvas, rng: Generator, coverage: Array) -> None:
    """Stain stroma with eosin, in wavy fibres that run one way."""
    bent = canvas.warped(7, 30, rng).warped(1, 5, rng)
    angle = rng.uniform(0, np.pi)
    across = bent.x * np.cos(angle) + bent.y * np.sin(angle)
    fibres = np.sin(across * rng.uniform(0.8, 1.3)) + np.sin(across * rng.uniform(1.6, 2.4))
    unevenness = 0.18 * fibres + 0.25 * smooth_noise(canvas.shape, 14, rng)
    canvas.tint(coverage * (0.8 + unevenness).clip(0.1, 2), EOSIN)


def _nucleus(
    canvas: Canvas, place: Array, size: float, rng: Generator, colour: Colour, vesicular: bool = False
) -> None:
    """Draw a nucleus of radius `size` px: dense and dark, or vesicular (pale, with envelope and nucleoli)."""
    near = canvas[canvas.window(place, 2 * size)]
    disc = ellipse(near, place, size, rng.uniform(1, 1.5 if vesicular else 1.2), rng.uniform(0, np.pi))
    coverage = inside(disc, 1.6)
    near.cover(0.95 * coverage, colour)
    near.tint(coverage * (0.4 * smooth_noise(near.shape, 2, rng) + rng.uniform(-0.25, 0.3)), colour)
    if vesicular:
        near.tint(0.7 * coverage * np.exp(-((disc + 1) ** 2)), colour)
        for _ in range(rng.integers(1, 3)):
            nucleolus = ellipse(near, place + rng.normal(0, 0.28 * size, 2), rng.uniform(0.14, 0.24) * size)
            near.tint(1.2 * inside(nucleolus, 1.2), colour)


def _cell_borders(canvas: Canvas, nuclei: Array, coverage: Array) -> None:
    """Draw borders half-way between neighbouring nuclei, where `coverage` says that there are cells."""
    owners = np.zeros(canvas.shape, dtype=np.int32)
    columns, rows = (nuclei * SUPERSAMPLING).astype(int).T
    owners[rows, columns] = 1 + np.arange(len(nuclei))
    borders = gaussian_filter(_borders(_nearest(owners)).astype(float), 1)
    canvas.tint(2 * coverage * borders, EOSIN)


def _distance_to(region: NDArray[np.bool_]) -> Array:
    """Distance to a region in px, 0 inside."""
    distance: Array = distance_transform_edt(~region)
    return distance / SUPERSAMPLING


def _nearest(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """For every sample, the nearest label that is not 0."""
    rows, columns = distance_transform_edt(labels == 0, return_distances=False, return_indices=True)
    return np.asarray(labels[rows, columns])


def _borders(labels: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Where a sample's label differs from that of the sample below or to the right."""
    down = np.diff(labels, axis=0, append=labels[-1:])
    right = np.diff(labels, axis=1, append=labels[:, -1:])
    return np.asarray((down != 0) | (right != 0))


def _scatter(region: NDArray[np.bool_], spacing: float, rng: Generator) -> Array:
    """Scatter points (x, y) over a region at random, no two much closer than `spacing` px; shape (n, 2)."""
    reach = int(spacing * SUPERSAMPLING)
    disc = np.hypot(*np.ogrid[-reach : reach + 1, -reach : reach + 1]) < reach
    taken = np.zeros((region.shape[0] + 2 * reach, region.shape[1] + 2 * reach), dtype=bool)
    points = []
    darts = rng.permutation(np.flatnonzero(region))[:MOST_DARTS]
    for row, column in np.stack(np.unravel_index(darts, region.shape), axis=1).tolist():
        if not taken[row + reach, column + reach]:
            taken[row : row + 2 * reach + 1, column : column + 2 * reach + 1] |= disc
            points.append((column, row))
    return (np.array(points).reshape(-1, 2) + 0.5) / SUPERSAMPLING
