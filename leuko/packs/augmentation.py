"""Copies of training images: rotated by a few degrees, flipped, balanced; planned first, drawn when packed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Pose:
    """How a copy differs from its original: rotated by `angle` degrees, then flipped."""

    angle: float = 0.0
    left_right: bool = False
    top_bottom: bool = False

    def apply(self, image: Pixels) -> Pixels:
        """Rotate and flip a square image; corners are filled with its own reflection, as tissue has no edge.

        Args:
            image: shape (side, side, 3), 0 to 255.

        Returns:
            An array of the same shape, which may be a view of the image.
        """
        if self.angle:
            cos, sin = (round(f(math.radians(self.angle)), 15) for f in (math.cos, math.sin))
            centre = len(image) / 2
            # As far as the corners reach when rotated, and what the interpolation needs beyond.
            margin = math.ceil(centre * (abs(cos) + abs(sin) - 1)) + 3
            padded = np.pad(image, ((margin, margin), (margin, margin), (0, 0)), mode="reflect")
            x, y = (centre + margin - centre * (cos + sign * sin) for sign in (-1, 1))
            lay = (cos, -sin, x, sin, cos, y)  # from places in the rotated image to places in the padded one
            rotated = Image.fromarray(padded).transform(
                image.shape[:2], Image.Transform.AFFINE, lay, Image.Resampling.BICUBIC
            )
            image = np.asarray(rotated)
        if self.left_right:
            image = image[:, ::-1]
        if self.top_bottom:
            image = image[::-1]
        return image

    def __str__(self) -> str:
        """In words, for the table of a pack."""
        rotated = f"rotated {self.angle:+.1f}" if self.angle else ""
        flipped = "flipped " + "x" * self.left_right + "y" * self.top_bottom
        return " ".join(word for word in (rotated, flipped.strip()) if word not in ("", "flipped")) or "original"


def _rotate(rng: np.random.Generator, most: float) -> Pose:
    """A rotation by at most `most` degrees."""
    return Pose(angle=round(float(rng.uniform(-most, most)), 1))


def _flip(rng: np.random.Generator) -> Pose:
    """One of the three reflections that change an image."""
    left_right, top_bottom = [(True, False), (False, True), (True, True)][rng.integers(3)]
    return Pose(left_right=left_right, top_bottom=top_bottom)


def pretraining_poses(n_images: int, rotation: float, rng: np.random.Generator) -> list[list[Pose]]:
    """Four versions of every image: as it is, flipped, rotated, rotated and flipped.

    Args:
        n_images: how many images there are.
        rotation: the largest angle in degrees.
        rng: source of chance.

    Returns:
        For every image its four poses.
    """
    poses = []
    for _ in range(n_images):
        flipped, rotated, both = _flip(rng), _rotate(rng, rotation), _flip(rng)
        both = Pose(_rotate(rng, rotation).angle, both.left_right, both.top_bottom)
        poses.append([Pose(), flipped, rotated, both])
    return poses


def balancing_poses(labels: Sequence[str], rotation: float, rng: np.random.Generator) -> list[list[Pose]]:
    """Versions that balance the classes: each image of a class appears floor(largest class / class) times.

    Args:
        labels: the class of every image.
        rotation: the largest angle in degrees.
        rng: source of chance.

    Returns:
        For every image its poses, the first being the image as it is; the others alternate flipped and rotated.
    """
    counts = pd.Series(labels).value_counts()
    poses = []
    for label in labels:
        copies = int(counts.max() // counts[label]) - 1
        extra = [_flip(rng) if copy % 2 else _rotate(rng, rotation) for copy in range(copies)]
        poses.append([Pose(), *extra])
    return poses
