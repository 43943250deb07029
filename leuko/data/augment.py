"""Copies of training images: turned by a few degrees, mirrored, balanced; planned first, drawn when packed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from PIL import Image


@dataclass(frozen=True)
class Pose:
    """How a copy differs from its original: turned by `angle` degrees, then mirrored."""

    angle: float = 0.0
    left_right: bool = False
    top_bottom: bool = False

    def apply(self, image: Image.Image) -> Image.Image:
        """Turn and mirror a square image; corners are filled with its own reflection, as tissue has no edge."""
        if self.angle:
            turn = math.radians(self.angle)
            # As far as the corners reach when turned, and what the interpolation needs beyond.
            margin = math.ceil(image.width / 2 * (abs(math.cos(turn)) + abs(math.sin(turn)) - 1)) + 3
            padded = np.pad(np.asarray(image), ((margin, margin), (margin, margin), (0, 0)), mode="reflect")
            turned = Image.fromarray(padded).rotate(self.angle, Image.Resampling.BICUBIC)
            image = turned.crop((margin, margin, margin + image.width, margin + image.height))
        if self.left_right:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if self.top_bottom:
            image = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
        return image

    def __str__(self) -> str:
        """In words, for the table of a pack."""
        turned = f"turned {self.angle:+.1f}" if self.angle else ""
        mirrored = "mirrored " + "x" * self.left_right + "y" * self.top_bottom
        return " ".join(word for word in (turned, mirrored.strip()) if word not in ("", "mirrored")) or "original"


def _turn(rng: np.random.Generator, most: float) -> Pose:
    """A rotation by at most `most` degrees."""
    return Pose(angle=round(float(rng.uniform(-most, most)), 1))


def _mirror(rng: np.random.Generator) -> Pose:
    """One of the three reflections that change an image."""
    left_right, top_bottom = [(True, False), (False, True), (True, True)][rng.integers(3)]
    return Pose(left_right=left_right, top_bottom=top_bottom)


def pretraining_poses(n_images: int, rotation: float, rng: np.random.Generator) -> list[list[Pose]]:
    """Four versions of every image: as it is, mirrored, turned, turned and mirrored.

    Args:
        n_images: how many images there are.
        rotation: the largest angle in degrees.
        rng: source of chance.

    Returns:
        For every image its four poses.
    """
    poses = []
    for _ in range(n_images):
        mirrored, turned, both = _mirror(rng), _turn(rng, rotation), _mirror(rng)
        both = Pose(_turn(rng, rotation).angle, both.left_right, both.top_bottom)
        poses.append([Pose(), mirrored, turned, both])
    return poses


def balancing_poses(labels: Sequence[str], rotation: float, rng: np.random.Generator) -> list[list[Pose]]:
    """Versions that balance the classes: each image of a class appears floor(largest class / class) times.

    Args:
        labels: the class of every image.
        rotation: the largest angle in degrees.
        rng: source of chance.

    Returns:
        For every image its poses, the first being the image as it is; the others alternate mirrored and turned.
    """
    counts = pd.Series(labels).value_counts()
    poses = []
    for label in labels:
        copies = int(counts.max() // counts[label]) - 1
        extra = [_mirror(rng) if copy % 2 else _turn(rng, rotation) for copy in range(copies)]
        poses.append([Pose(), *extra])
    return poses
