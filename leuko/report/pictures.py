"""Pictures of data for the page: those of earlier stages, and the cells on which two models disagree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from leuko.arms import Arm
from leuko.evaluation.occlusion import heat_map
from leuko.models.classifier import Classifier
from leuko.packs.reading import read_images
from leuko.report.blocks import Card, Gallery, Picture
from leuko.report.encoding import picture
from leuko.training.device import to_device
from leuko.training.parts import PACK_OF

TILE = 144
"""Side of an example, in pixels."""
FAINT = 0.25
"""How much is left of an image where a model does not look."""

Answer = Mapping[Any, Any]
"""A row of the table that `evaluate` writes: `path`, `actual`, `predicted`, and each class's probability."""


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
    """The images that one model classifies correctly and the other wrongly, where they differ most first.

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
    answers: Mapping[Arm, Sequence[Answer]],
    models: Mapping[Arm, Classifier],
    packs: Path,
    device: torch.device,
    *,
    right: Arm,
    wrong: Arm,
    n_shown: int,
) -> Gallery:
    """Show images that one model classifies correctly and the other wrongly, and where the models look.

    Args:
        answers: by arm, image by image.
        models: the networks in evaluation mode.
        packs: the folder of all packs, whose test images are in the order of the answers.
        device: where to compute.
        right: the arm that is right.
        wrong: the one that is wrong.
        n_shown: at most so many images.
    """
    for model in models.values():
        to_device(model, device)
    names = {"wbc", *(name for model in models.values() for name in model.inputs)}
    images = {name: read_images(packs / PACK_OF[name] / "test", name) for name in names}
    found = disagreements(answers[right], answers[wrong])
    cards = []
    for place in found[:n_shown]:
        actual, path = (answers[right][place][key] for key in ("actual", "path"))
        whole = enlarged(np.array(images["wbc"][place]))
        pictures, lines = [picture(whole, f"A cell, {actual}", "cell")], [f"{actual}: {Path(path).name}"]
        for arm in models:
            answer = answers[arm][place]
            lines.append(_line(arm, answer))
            shown = [np.array(images[name][place]) for name in models[arm].inputs]
            sizes = [torch.from_numpy(image).permute(2, 0, 1).float().to(device) / 255 for image in shown]
            heat = heat_map(models[arm].classify, sizes)
            looks = f"What {arm.title} looks at to call it {answer['predicted']}"
            label = arm.title
            if not heat.any():
                looks, label = f"No place matters to {arm.title}", f"{arm.title}: no place matters"
            pictures.append(picture(spotlight(shown[0], heat), looks, label))
        cards.append(Card(pictures, lines))
    some = f", {len(cards)} of them shown" if len(cards) < len(found) else ""
    caption = f"{right.title} right, {wrong.title} wrong: {len(found)} of {len(answers[right])} test images{some}"
    return Gallery(caption, cards)


def _line(arm: Arm, answer: Answer) -> str:
    """What a model says of an image, and how sure it is."""
    actual, predicted = answer["actual"], answer["predicted"]
    if actual == predicted:
        return f"✓ {arm.title}: {predicted} {100 * answer[predicted]:.0f} %"
    return f"✗ {arm.title}: {predicted} {100 * answer[predicted]:.0f} %, {actual} {100 * answer[actual]:.0f} %"
