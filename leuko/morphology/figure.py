"""A figure to look at: outlines of nucleus and cell as they were found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from leuko.core.image_grid import TILE, image_grid
from leuko.morphology.descriptors import MEASURED_SIDE
from leuko.morphology.segmentation import Mask, Pixels, segment
from leuko.packs.reading import read_images, read_rows

CELL_COLOUR = (0, 200, 0)
NUCLEUS_COLOUR = (255, 230, 0)


def outlines_figure(path: Path, pack: Path, n_images: int) -> None:
    """Draw outlines on some cells of every class, evenly spread over a pack.

    Args:
        path: where to.
        pack: a folder written by `pack_cells`.
        n_images: how many of each class.
    """
    cells = read_images(pack, "cell")
    grid = []
    for label, members in read_rows(pack).groupby("class", sort=False):
        chosen = members.index[np.unique(np.linspace(0, len(members) - 1, n_images).astype(int))]
        grid.append((str(label), [outlined(cells[row]) for row in chosen]))
    image_grid(path, grid)


def outlined(cell: Pixels) -> tuple[str, Pixels]:
    """Draw the outlines on a nucleus-centred crop: the nucleus yellow, the cell green.

    Args:
        cell: shape (side, side, 3), 0 to 255.

    Returns:
        The share of the cell that its nucleus takes, in words, and the picture, TILE pixels a side.
    """
    from skimage.segmentation import find_boundaries

    image = Image.fromarray(np.ascontiguousarray(cell))
    found = segment(np.asarray(image.resize((MEASURED_SIDE, MEASURED_SIDE), Image.Resampling.BICUBIC)))
    picture = np.array(image.resize((TILE, TILE), Image.Resampling.BICUBIC))
    for mask, colour in ((found.cell, CELL_COLOUR), (found.nucleus, NUCLEUS_COLOUR)):
        picture[find_boundaries(_enlarged(mask), mode="inner")] = colour
    share = int(found.nucleus.sum()) / max(1, int(found.cell.sum()))
    return f"nucleus {share:.0%}" if found.found else "no cell found", picture


def _enlarged(mask: Mask) -> Mask:
    """A mask at the size of the picture, with smooth borders."""
    image = Image.fromarray((255 * mask).astype(np.uint8)).resize((TILE, TILE), Image.Resampling.BICUBIC)
    enlarged: Mask = np.asarray(image) > 127
    return enlarged
