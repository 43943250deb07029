"""What the training images of a set say of it: how large its nuclei are, and how its descriptors vary.

Whatever measures further cells of the set, be it to train on, to test on or to predict, takes this from the file.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from leuko.core.errors import LeukoError
from leuko.core.files import write_json
from leuko.morphology.cropping import FIELD, Scale
from leuko.morphology.descriptors import DESCRIPTORS
from leuko.morphology.segmentation import Floats

NAMES = [descriptor.name for descriptor in DESCRIPTORS]
CLIP = 4.0
"""Standardised descriptors beyond are outliers that should not rule."""


@dataclass(frozen=True)
class Reference:
    """What is known of a set.

    Attributes:
        scale: how large a typical nucleus is.
        mean: of each descriptor over the training images in which a cell was found, shape (len(DESCRIPTORS),).
        std: likewise; 1 where a descriptor does not vary.
    """

    scale: Scale
    mean: Floats
    std: Floats

    @classmethod
    def of(cls, scale: Scale, descriptors: Floats) -> Reference:
        """Describe a set.

        Args:
            scale: of the set.
            descriptors: of the cells that were found in its training images, shape (n, len(DESCRIPTORS)).

        Returns:
            The reference; without any cell, means are 0 and standard deviations 1.
        """
        values = descriptors.astype(np.float64) if len(descriptors) else np.zeros((1, len(DESCRIPTORS)))
        std = values.std(axis=0)
        return cls(scale, values.mean(axis=0).astype(np.float32), np.where(std > 1e-6, std, 1).astype(np.float32))

    def standardized(self, descriptors: Floats) -> Floats:
        """Descriptors of shape (n, len(DESCRIPTORS)) in standard deviations from the mean, clipped at CLIP."""
        standardized: Floats = np.clip((descriptors - self.mean) / self.std, -CLIP, CLIP)
        return standardized

    def write(self, path: Path) -> None:
        """Write everything as JSON."""
        write_json(
            path,
            {
                "field": FIELD,
                **self.scale.to_json(),
                "descriptors": {
                    name: {"mean": float(mean), "std": float(std)}
                    for name, mean, std in zip(NAMES, self.mean, self.std, strict=True)
                },
            },
        )

    @classmethod
    def read(cls, path: Path) -> Reference:
        """Read what `write` has written.

        Raises:
            LeukoError: if the file cannot be read, or was written by another version with other descriptors.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["field"] != FIELD or list(content["descriptors"]) != NAMES:
                raise LeukoError(f"{path} is of another version of the descriptors; dvc repro makes it anew")
            mean, std = (
                np.array([values[key] for values in content["descriptors"].values()], np.float32)
                for key in ("mean", "std")
            )
            return cls(Scale.from_json(content), mean, std)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise LeukoError(f"{path} cannot be read ({error}); dvc repro makes it") from error
