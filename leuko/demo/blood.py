"""White blood cells among red ones, as on a Wright-Giemsa-stained smear."""

import numpy as np
from numpy.random import Generator

from leuko.demo.canvas import (
    Array,
    Canvas,
    Colour,
    Picture,
    Stain,
    ellipse,
    granules,
    inside,
    mask_of,
    smooth_noise,
)

SIZE = 144  # pixels a side, at about 6 pixels per micrometre

RED_CELL: Colour = (0.92, 0.77, 0.74)
PLATELET: Colour = (0.66, 0.52, 0.74)
CHROMATIN: Colour = (0.42, 0.23, 0.57)
LACY_CHROMATIN: Colour = (0.54, 0.38, 0.68)


class _WhiteCell:
    """A cell being drawn: its window on the canvas, its centre (x, y), radius and signed distance in px."""

    def __init__(self, canvas: Canvas, centre: Array, radius: float, rng: Generator) -> None:
        self.canvas = canvas
        self.bent = canvas.warped(0.04 * radius, 0.6 * radius, rng)
        self.centre, self.radius, self.rng = centre, radius, rng
        self.body = ellipse(self.bent, centre, radius, rng.uniform(1, 1.2), rng.uniform(0, np.pi))

    def fill(self, colour: Colour) -> None:
        """Fill the cell with cytoplasm, a little uneven and denser at the membrane."""
        self.canvas.cover(inside(self.body, 2), colour)
        unevenness = 0.15 * smooth_noise(self.body.shape, 3, self.rng) + 0.4 * np.exp(-((self.body / 2) ** 2))
        self.canvas.tint(inside(self.body, 2) * unevenness, colour)

    def lobes(self, orbit: float, angles: Array, radii: Array, strand: float) -> Array:
        """Signed distance to a nucleus of lobes on an arc round the centre, joined by strands.

        Lengths are in cell radii, angles in radians.
        """
        places = np.linspace(0, len(angles) - 1, 6 * (len(angles) - 1) + 1)
        beads = np.where(places % 1 == 0, np.interp(places, range(len(radii)), radii), strand)
        arc = self.rng.uniform(0, 2 * np.pi) + np.interp(places, range(len(angles)), angles)
        path = self.centre + orbit * self.radius * np.stack([np.cos(arc), np.sin(arc)], axis=1)
        bent = self.bent.warped(0.04 * self.radius, 0.25 * self.radius, self.rng)
        melt = 0.03 * self.radius  # neighbouring beads flow into each other over this length
        nearness = np.zeros(self.body.shape)
        for bead, size in zip(path, beads, strict=True):
            distance = np.hypot(bent.x - bead[0], bent.y - bead[1]) - size * self.radius
            nearness += np.exp(-distance / melt)
        return -melt * np.log(nearness)

    def stain_nucleus(self, nucleus: Array, colour: Colour = CHROMATIN, clumps: float = 0.3) -> None:
        """Stain a nucleus, with chromatin in clumps and dense along its envelope."""
        coverage = inside(np.maximum(nucleus, self.body + 1), 1.8)
        self.canvas.cover(0.97 * coverage, colour)
        coarse, fine = (smooth_noise(nucleus.shape, grain, self.rng) for grain in (4.5, 2))
        envelope = np.exp(-(((nucleus + 1.5) / 1.5) ** 2))
        texture = clumps * (0.7 * coarse + 0.5 * fine) + 0.25 * envelope
        self.canvas.tint(coverage * texture.clip(-0.6, 0.8), colour)

    def scatter(self, where: Array, colour: Colour, spacing: float, radius: float, share: float = 1) -> None:
        """Scatter granules of about `radius` px, `spacing` px apart; only a `share` of them took the dye."""
        distance, chance = granules(self.body.shape, spacing, self.rng)
        size = radius * (0.75 + 0.5 * chance / share)
        self.canvas.cover(where * inside(distance - size, 1.5) * (chance < share), colour)


def _neutrophil(cell: _WhiteCell) -> None:
    rng = cell.rng
    count = rng.choice([2, 3, 4, 5], p=[0.08, 0.37, 0.37, 0.18])
    cell.fill(_between((0.92, 0.79, 0.83), (0.80, 0.75, 0.84), rng.beta(1, 2)))
    toxic = rng.beta(1, 3)  # in infections the granules are coarser and redder, like an eosinophil's
    granule = _between((0.80, 0.62, 0.78), (0.80, 0.50, 0.58), toxic)
    cell.scatter(inside(cell.body + 2, 3), granule, spacing=3.2 + toxic, radius=0.8 + toxic)
    gaps = rng.uniform(0.8, 1.2, count) * 4.8 / max(count, 3.2)
    strand = rng.choice([0.05, 0.1, 0.2], p=[0.6, 0.3, 0.1])  # the last resembles an unsegmented band form
    radii = rng.uniform(0.85, 1.15, count) * (0.34 - 0.024 * count)
    cell.stain_nucleus(cell.lobes(rng.uniform(0.48, 0.56), np.cumsum(gaps), radii, strand))


def _eosinophil(cell: _WhiteCell) -> None:
    rng = cell.rng
    pale = rng.beta(1.2, 1.6)  # the palest resemble a neutrophil
    cell.fill((0.90, 0.70, 0.70))
    orange = _between((0.87, 0.42, 0.30), (0.86, 0.66, 0.68), pale)
    cell.scatter(inside(cell.body + 1.5, 3), orange, spacing=4.0, radius=2.1)
    count = rng.choice([2, 3], p=[0.85, 0.15])
    angles = np.linspace(0, rng.uniform(1.7, 2.3) * (count - 1), count)
    cell.stain_nucleus(cell.lobes(rng.uniform(0.4, 0.5), angles, rng.uniform(0.3, 0.37, count), 0.09))
    cell.scatter(inside(cell.body + 3, 3), orange, spacing=5.0, radius=1.7, share=0.12)


def _basophil(cell: _WhiteCell) -> None:
    rng = cell.rng
    cell.fill((0.80, 0.70, 0.84))
    angles = np.linspace(0, rng.uniform(2.4, 3.8), 3)
    nucleus = cell.lobes(rng.uniform(0.3, 0.42), angles, rng.uniform(0.3, 0.4, 3), 0.28)
    cell.stain_nucleus(nucleus, (0.52, 0.36, 0.66), clumps=0.15)
    washed_out = rng.beta(1, 2)  # the granules dissolve in water: some are lost in staining
    granule = _between((0.20, 0.11, 0.38), (0.50, 0.36, 0.62), washed_out)
    cell.scatter(inside(cell.body + 1, 3), granule, 4.8, radius=2.2, share=1 - 0.7 * washed_out)


def _lymphocyte(cell: _WhiteCell) -> None:
    rng = cell.rng
    reactive = rng.beta(1, 2.5)  # the most reactive resemble a monocyte
    rim = rng.uniform(0.1, 0.24) + 0.16 * reactive
    cell.fill(_between((0.66, 0.78, 0.94), (0.73, 0.75, 0.85), reactive))
    place = cell.centre + rng.normal(0, 0.4 * rim * cell.radius, 2)
    size = (1 - rim) * cell.radius
    nucleus = ellipse(cell.bent, place, size, rng.uniform(1, 1.2), rng.uniform(0, np.pi))
    cell.stain_nucleus(nucleus, _between(CHROMATIN, LACY_CHROMATIN, reactive))


def _monocyte(cell: _WhiteCell) -> None:
    rng = cell.rng
    cell.fill(_between((0.74, 0.74, 0.83), (0.68, 0.76, 0.90), rng.beta(1, 1.5)))
    cell.scatter(inside(cell.body + 3, 3), (0.70, 0.62, 0.80), spacing=3.5, radius=0.7, share=0.5)
    span = rng.uniform(0.8, 4.2)  # from bean to horseshoe
    thickness = rng.uniform(0.40, 0.46) - 0.035 * span
    angles = np.linspace(0, span, 4)
    nucleus = cell.lobes(rng.uniform(0.38, 0.48), angles, thickness * rng.uniform(0.9, 1.1, 4), thickness)
    cell.stain_nucleus(nucleus, _between(LACY_CHROMATIN, CHROMATIN, rng.beta(1, 2.5)))
    if rng.random() < 0.4:
        outside_nucleus = inside(cell.body + 4, 2) * inside(3 - nucleus, 2)
        cell.scatter(outside_nucleus, (0.90, 0.90, 0.94), spacing=11, radius=2.8, share=0.4)


def _between(one: Colour, other: Colour, share: float) -> Colour:
    return tuple((1 - share) * a + share * b for a, b in zip(one, other, strict=True))


_DRAW = {
    "Basophil": (_basophil, (32, 40)),
    "Eosinophil": (_eosinophil, (35, 44)),
    "Lymphocyte": (_lymphocyte, (25, 42)),
    "Monocyte": (_monocyte, (36, 52)),
    "Neutrophil": (_neutrophil, (34, 44)),
}  # how to draw each class, and its least and greatest radius in px
CLASSES = tuple(_DRAW)


def draw_cell(kind: str, stain: Stain, rng: Generator) -> tuple[Picture, Picture]:
    """Draw one white blood cell among red cells and platelets.

    Args:
        kind: One of `CLASSES`.
        stain: Light and dye of the slide that the cell is on.
        rng: Inputs of all that varies from cell to cell.

    Returns:
        RGB picture, shape (SIZE, SIZE, 3), and mask of the whole cell, shape (SIZE, SIZE), 0 or 255.
    """
    draw, radii = _DRAW[kind]
    centre, radius = SIZE / 2 + rng.uniform(-9, 9, 2), rng.uniform(*radii)
    canvas = Canvas.clear(SIZE)
    canvas.tint(0.02 * smooth_noise(canvas.shape, 20, rng) + 0.05, RED_CELL)  # a film of plasma
    _scatter_red_cells(canvas, centre, radius, rng)
    window = canvas.window(centre, 1.35 * radius)
    cell = _WhiteCell(canvas[window], centre, radius, rng)
    draw(cell)
    outline = np.full(canvas.shape, np.inf)
    outline[window] = cell.body
    return canvas.develop(stain, rng, blur=0.4 + 1.6 * rng.beta(1, 2.5)), mask_of(outline)


def _scatter_red_cells(canvas: Canvas, centre: Array, radius: float, rng: Generator) -> None:
    """Lay red cells and platelets round the white cell, which pushes them aside."""
    bent = canvas.warped(1.2, 20, rng)
    typical = rng.uniform(18, 22)
    taken = [(centre, radius)]
    for _ in range(rng.integers(8, 40)):
        place, size = rng.uniform(-0.1, 1.1, 2) * SIZE, typical * rng.uniform(0.88, 1.1)
        crowding = rng.uniform(0.7, 1.0)  # below 1, cells may overlap a little
        if any(np.hypot(*(place - other)) < crowding * (size + reach) for other, reach in taken):
            continue
        taken.append((place, size))
        near = bent[bent.window(place, 1.3 * size)]
        disc = ellipse(near, place, size, rng.uniform(1, 1.18), rng.uniform(0, np.pi))
        pallor = rng.uniform(0.4, 0.85) * np.exp(-(((disc + size) / (0.5 * size)) ** 2))
        rim = 0.15 * np.exp(-(((disc + 3) / 3) ** 2))
        near.tint(inside(disc, 1.5) * (1 - pallor + rim), RED_CELL)
    for _ in range(rng.poisson(0.8)):
        place, size = rng.uniform(0, SIZE, 2), rng.uniform(4, 7)
        if np.hypot(*(place - centre)) > radius + size:
            near = bent[bent.window(place, 2 * size)]
            disc = ellipse(near, place, size, rng.uniform(1, 1.6), rng.uniform(0, np.pi))
            grains = 0.8 + 0.4 * smooth_noise(near.shape, 1.5, rng)
            near.tint(inside(disc, 3) * grains.clip(0.2, 2), PLATELET)
