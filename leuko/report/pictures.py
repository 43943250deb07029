"""Pictures of data for the page: those of earlier stages, and the cells on which two models disagree."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from leuko.packs.reading import read_images
from leuko.report.attention import classifier_of, heat_map
from leuko.report.blocks import Card, Gallery, Picture
from leuko.report.drawing import TITLES
from leuko.training.device import to_device

TILE = 144
"""Side of an example, in pixels."""
FAINT = 0.25
"""How much is left of an image where a model does not look."""
VIEWS = ("wbc", "prcc", "cam16")

Answer = Mapping[Any, Any]
"""A row of the table that `evaluate` writes: `path`, `actual`, `predicted`, and each class's probability."""


def picture(image: Image.Image, alt: str, label: str = "") -> Picture:
    """An image as the page holds it."""
    content = io.BytesIO()
    image.convert("RGB").save(content, "JPEG", quality=85, optimize=True)
    return Picture(base64.b64encode(content.getvalue()).decode(), alt, label)


def picture_of(path: Path, alt: str) -> Picture:
    """A picture that an earlier stage drew."""
    with Image.open(path) as image:
        return picture(image, alt)


def enlarged(image: NDArray[np.uint8]) -> Image.Image:
    """An example at the size of its tile."""
    return Image.fromarray(image).resize((TILE, TILE), Image.Resampling.BICUBIC)


def spotlight(image: NDArray[np.uint8], heat: NDArray[np.float64]) -> Image.Image:
    """Show where a model looks without any colour of its own: the rest fades to white, and a line surrounds the half.

    Args:
        image: shape (side, side, 3).
        heat: as `heat_map` gives it.

    Returns:
        The image with a side of 144 pixels.
    """
    light = Image.fromarray(np.maximum(heat, 0).astype(np.float32)).resize((TILE, TILE), Image.Resampling.BICUBIC)
    share = np.clip(np.asarray(light) / max(float(heat.max()), 1e-9), 0, 1)[..., None]
    opaque = FAINT + (1 - FAINT) * share
    pixels = np.asarray(enlarged(image), np.float32)
    lit = (opaque * pixels + (1 - opaque) * 255).round().astype(np.uint8)
    inside = share[..., 0] >= 0.5
    rim = np.zeros_like(inside)
    rim[1:] |= inside[1:] != inside[:-1]
    rim[:, 1:] |= inside[:, 1:] != inside[:, :-1]
    lit[rim] = 0
    return Image.fromarray(lit)


def disagreements(right: Sequence[Answer], wrong: Sequence[Answer]) -> list[int]:
    """The images that one model tells right and the other wrong, where they differ most first.

    Args:
        right: the answers of the first model, image by image.
        wrong: those of the other.

    Returns:
        Places in both.
    """
    places = [
        place
        for place, (first, second) in enumerate(zip(right, wrong, strict=True))
        if first["predicted"] == first["actual"] != second["predicted"]
    ]
    return sorted(places, key=lambda place: wrong[place][wrong[place]["actual"]] - right[place][right[place]["actual"]])


def examples(
    answers: Mapping[str, Sequence[Answer]],
    models: Mapping[str, nn.Module],
    pack: Path,
    device: torch.device,
    *,
    right: str,
    wrong: str,
    n_shown: int,
) -> Gallery:
    """Show images that one model tells right and the other wrong, and where both look.

    Args:
        answers: by model, image by image.
        models: the networks in evaluation mode.
        pack: the folder of the test images, in the order of the answers.
        device: where to compute.
        right: the model that is right.
        wrong: the one that is wrong.
        n_shown: at most so many images.
    """
    images = {size: read_images(pack, size) for size in VIEWS}
    found = disagreements(answers[right], answers[wrong])
    cards = []
    for place in found[:n_shown]:
        views = [torch.from_numpy(images[size][place]).permute(2, 0, 1).float().to(device) / 255 for size in VIEWS]
        cell = np.array(images["wbc"][place])
        actual, path = (answers[right][place][key] for key in ("actual", "path"))
        pictures, lines = [picture(enlarged(cell), f"A cell, {actual}", "cell")], [f"{actual}: {Path(path).name}"]
        for name in ("base", "plus"):
            answer = answers[name][place]
            heat = heat_map(classifier_of(to_device(models[name], device)), views)
            alt = f"What {TITLES[name]} looks at to call it {answer['predicted']}"
            pictures.append(picture(spotlight(cell, heat), alt, TITLES[name]))
            lines.append(_line(name, answer))
        cards.append(Card(pictures, lines))
    shown = f", {len(cards)} of them shown" if len(cards) < len(found) else ""
    caption = f"{TITLES[right]} right, {TITLES[wrong]} wrong: {len(found)} of {len(answers[right])} test images{shown}"
    return Gallery(caption, cards)


def _line(name: str, answer: Answer) -> str:
    """What a model says of an image, and how sure it is."""
    actual, predicted = answer["actual"], answer["predicted"]
    if actual == predicted:
        return f"✓ {TITLES[name]}: {predicted} {100 * answer[predicted]:.0f} %"
    return f"✗ {TITLES[name]}: {predicted} {100 * answer[predicted]:.0f} %, {actual} {100 * answer[actual]:.0f} %"
