"""Pictures for people: grids of images with short captions, in one quiet style."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps

from leuko.core.files import atomic_file

INK = "#333333"
TILE = 148
"""Width and height of an image in a grid, in pixels."""
GAP = 10
CAPTION = 24
"""Height of the line below an image, in pixels."""

Caption = str


def image_grid(
    path: Path, rows: Sequence[tuple[Caption, Sequence[tuple[Caption, NDArray[np.uint8 | np.bool_]]]]]
) -> None:
    """Write a PNG of images in rows.

    Args:
        path: where to.
        rows: each a caption, at the left, and images with captions, below them: RGB arrays, 0 to 255, or boolean ones.
    """
    large, small = _font(14), _font(11)
    n_columns = max((len(images) for _, images in rows), default=1)
    margin = 2 * GAP + round(max((large.getlength(left) for left, _ in rows), default=0))
    size = (margin + n_columns * (TILE + GAP), GAP + len(rows) * (TILE + CAPTION))
    page = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(page)
    for row, (left, images) in enumerate(rows):
        y = GAP + row * (TILE + CAPTION)
        draw.text((margin - GAP, y + TILE // 2), left, INK, large, anchor="rm")
        for column, (below, image) in enumerate(images):
            x = margin + column * (TILE + GAP)
            page.paste(_tile(image), (x, y))
            draw.text((x + TILE // 2, y + TILE + CAPTION // 2), below, INK, small, anchor="mm")
    with atomic_file(path) as temporary:
        page.save(temporary, "PNG", compress_level=3)  # a third of the usual time, a tenth more bytes


def _tile(image: NDArray[np.uint8 | np.bool_]) -> Image.Image:
    """An image in the middle of a white tile; small ones keep their pixels as squares."""
    picture = Image.fromarray(image).convert("RGB")
    method = Image.Resampling.NEAREST if max(picture.size) < TILE else Image.Resampling.BILINEAR
    return ImageOps.pad(picture, (TILE, TILE), method, color="white")


def _font(size: int) -> ImageFont.FreeTypeFont:
    """Matplotlib's font, which knows the letters of many languages; to find it nothing need be imported."""
    package = find_spec("matplotlib")
    assert package is not None
    assert package.origin is not None
    path = Path(package.origin).parent / "mpl-data/fonts/ttf/DejaVuSans.ttf"
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)
