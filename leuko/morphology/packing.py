"""Packs of cells: crops centred on the nucleus, and their descriptors.

A pack is a folder with `cell.npy`, uint8 of shape (row, side, side, 3), `descriptors.npy`, float32 of shape
(row, descriptor), and `rows.csv`, which says what each row is:

| column | meaning |
|---|---|
| class, path, group | as in the manifest |
| source | the file that the course handed out |
| found | 1, or 0 if no cell was found: the crop then shows the image's centre, and all descriptors are 0 |
| x, y | centre of the nucleus in pixels of the image |

Packs of blood cells say how they were read, as those of whole images do: `leuko.packs.preparation`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from leuko.core.files import atomic_folder, write_table
from leuko.core.parallel import imap_in_processes, map_images
from leuko.data.images import read_rgb, resize
from leuko.data.scale import Scales, from_column
from leuko.data.statistics import N_STATISTICS, SIDE, picture_statistics
from leuko.morphology.cropping import Located, Scale, locate
from leuko.morphology.descriptors import DESCRIPTORS
from leuko.morphology.measuring import Cell, measure_image
from leuko.morphology.nuclei import draw_nuclei, find_nuclei, measure_nuclei
from leuko.morphology.segmentation import Floats, Pixels
from leuko.morphology.staining import AS_IT_IS, Staining
from leuko.packs.preparation import write_preparation

Tile = tuple[Path, Scales, int, tuple[int, ...]]
"""A tissue image, how its depth becomes eight bits, how many of its nuclei are drawn, and the seed that decides."""


def find_scale(rows: pd.DataFrame, files: Sequence[Path], depths: Scales, staining: Staining = AS_IT_IS) -> Scale:
    """Decide the scale of a set by its training images.

    Args:
        rows: their rows of the manifest.
        files: the image files, in the same order.
        depths: how images of more than eight bits per sample are brought to eight.
        staining: how the set's images are shown.

    Returns:
        The scale.
    """
    locate_file = partial(_locate_file, depths=depths, staining=staining)
    located = list(imap_in_processes(locate_file, files, "finding nuclei of cells"))
    return Scale.of(list(zip(rows["width"], rows["height"], strict=True)), located)


def pack_cells(
    folder: Path,
    rows: pd.DataFrame,
    files: Sequence[Path],
    depths: Scales,
    scale: Scale,
    side: int,
    title: str,
    staining: Staining = AS_IT_IS,
) -> None:
    """Find, cut out and measure the cell of every image.

    Args:
        folder: the pack's folder.
        rows: the images' rows of the manifest.
        files: the image files, in the same order.
        depths: how images of more than eight bits per sample are brought to eight.
        scale: of the set.
        side: of the crops in pixels.
        title: what the progress bar says.
        staining: how the set's images are shown.
    """
    measure_file = partial(_measure_file, depths=depths, staining=staining, scale=scale, side=side)
    cells = imap_in_processes(measure_file, files, title)
    _write(folder, rows, ([cell] for cell in cells), side, (depths, staining))


def describe_pictures(files: Sequence[Path], depths: Scales, title: str, staining: Staining = AS_IT_IS) -> Floats:
    """The statistics of whole pictures, which tell whether further ones are like them.

    Args:
        files: the image files.
        depths: how images of more than eight bits per sample are brought to eight.
        title: what the progress bar says.
        staining: how the set's images are shown.

    Returns:
        Shape (image, N_STATISTICS).
    """

    def describe(file: Path) -> Floats:
        found: Floats = picture_statistics(resize(staining(read_rgb(file, depths)), SIDE)[None])[0]
        return found

    return np.array(map_images(describe, files, title), np.float32).reshape(-1, N_STATISTICS)


def pack_nuclei(
    folder: Path, rows: pd.DataFrame, files: Sequence[Path], most: Sequence[int], seed: int, side: int
) -> None:
    """Draw nuclei of tissue images, cut them out at the scale of their own median nucleus, and measure them.

    Args:
        folder: the pack's folder.
        rows: the images' rows of the manifest.
        files: the image files, in the same order.
        most: how many nuclei to draw of each.
        seed: decides which; those of an image do not depend on the other images.
        side: of the crops in pixels.
    """
    tiles = [
        (file, from_column([depth]), count, (seed, *path.encode()))
        for file, depth, count, path in zip(files, rows["scale"], most, rows["path"], strict=True)
    ]
    located = list(imap_in_processes(_locate_nuclei, tiles, "finding nuclei of tissue"))
    shapes = list(zip(rows["width"], rows["height"], strict=True))
    drawn = [(shape, nucleus) for shape, nuclei in zip(shapes, located, strict=True) for nucleus in nuclei]
    scale = Scale.of([shape for shape, _ in drawn], [nucleus for _, nucleus in drawn]) if drawn else Scale((), ())
    # A tile without a nucleus gives no row, and needs no scale.
    kept = np.array([len(nuclei) > 0 for nuclei in located], bool)
    chosen = [tile for tile, keep in zip(tiles, kept, strict=True) if keep]
    cells = imap_in_processes(partial(_measure_tile, scale=scale, side=side), chosen, "measuring nuclei of tissue")
    _write(folder, rows[kept], cells, side)


def _locate_file(file: Path, *, depths: Scales, staining: Staining) -> Located:
    """Find the nucleus of the cell in an image file."""
    return locate(_pixels(file, depths, staining))


def _measure_file(file: Path, *, depths: Scales, staining: Staining, scale: Scale, side: int) -> Cell:
    """Measure the cell in an image file."""
    return measure_image(_pixels(file, depths, staining), scale, side)


def _locate_nuclei(tile: Tile) -> list[Located]:
    """Draw nuclei of a tissue image."""
    file, depths, most, seed = tile
    return [
        located for _, located in draw_nuclei(find_nuclei(_pixels(file, depths)), most, np.random.default_rng(seed))
    ]


def _measure_tile(tile: Tile, *, scale: Scale, side: int) -> list[Cell]:
    """Draw the same nuclei again, and measure them."""
    file, depths, most, seed = tile
    rgb = _pixels(file, depths)
    labels = find_nuclei(rgb)
    drawn = draw_nuclei(labels, most, np.random.default_rng(seed))
    return measure_nuclei(rgb, labels, drawn, scale.nucleus(rgb.shape[1], rgb.shape[0]), side)


def _pixels(file: Path, depths: Scales, staining: Staining = AS_IT_IS) -> Pixels:
    """An image file as an array."""
    return np.asarray(staining(read_rgb(file, depths)))


def _write(
    folder: Path,
    rows: pd.DataFrame,
    cells: Iterable[Sequence[Cell]],
    side: int,
    read_as: tuple[Scales, Staining] | None = None,
) -> None:
    """Write a pack.

    Args:
        folder: its folder.
        rows: the images' rows of the manifest.
        cells: of every image.
        side: of the crops in pixels.
        read_as: how images were read, for whoever reads further ones of the set.
    """
    pixels, descriptors, table = [], [], []
    for row, found in zip(rows[["class", "path", "source", "group"]].itertuples(index=False), cells, strict=True):
        for cell in found:
            pixels.append(cell.pixels)
            descriptors.append(cell.descriptors)
            table.append((row[0], row[1], row[2] or row[1], row[3], int(cell.found), *np.round(cell.centre, 1)))
    with atomic_folder(folder) as temporary:
        np.save(temporary / "cell.npy", np.array(pixels, np.uint8).reshape(-1, side, side, 3))
        np.save(temporary / "descriptors.npy", np.array(descriptors, np.float32).reshape(-1, len(DESCRIPTORS)))
        columns = ["class", "path", "source", "group", "found", "x", "y"]
        write_table(temporary / "rows.csv", pd.DataFrame(table, columns=columns))
        if read_as:
            write_preparation(temporary, *read_as)
