"""Pictures for people: grids of images with short captions, in one quiet style."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from leuko.files import whole_file

INK = "#333333"
TILE = 1.35
"""Width and height of an image in a grid, in inches."""

Caption = str


def image_grid(path: Path, rows: Sequence[tuple[Caption, Sequence[tuple[Caption, NDArray[np.generic]]]]]) -> None:
    """Write a PNG of images in rows.

    Args:
        path: where to.
        rows: each a caption, at the left, and images with captions, below them: RGB or boolean arrays.
    """
    from matplotlib.figure import Figure  # not before it is wanted: it takes long to import

    n_columns = max((len(images) for _, images in rows), default=1)
    figure = Figure(figsize=(TILE * n_columns + 1.2, (TILE + 0.2) * max(1, len(rows))), layout="constrained")
    axes = figure.subplots(max(1, len(rows)), n_columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for line, (left, images) in zip(axes, rows, strict=False):
        # An axis that is off hides its labels too, so the row's caption is a text beside the first image.
        line[0].text(-0.08, 0.5, left, transform=line[0].transAxes, ha="right", va="center", fontsize=9, color=INK)
        for axis, (below, image) in zip(line, images, strict=False):
            axis.imshow(image, cmap="gray", interpolation="nearest")
            caption = axis.text(0.5, -0.04, below, transform=axis.transAxes, ha="center", va="top", fontsize=7)
            caption.set(color=INK, in_layout=False)  # a long caption must not push its neighbours aside
    with whole_file(path) as draft:
        figure.savefig(
            draft, format="png", dpi=110, facecolor="white", bbox_inches="tight", metadata={"Software": None}
        )
