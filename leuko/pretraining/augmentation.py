"""Random views of images, made for a whole batch at once on the device."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

N_CHANCES = 8
"""Uniform numbers, 0 to 1, that decide about one view."""

UNMOVED = 0.5
"""Share of the views that show the image pixel by pixel; resampled ones are smoother than the images of the test."""


LEAST_LIGHT = 1e-3
"""A channel without light stays black."""


@dataclass(frozen=True)
class RandomViews:
    """Any rotation, a reflection in half of the views, and a little zoom, shift and change of light and stain.

    Half of the views are turned by right angles only, which needs no resampling. A network that never sees an image as
    sharp as those it will classify is worse at these than at its own views.

    What is drawn is apart from what is done with it, so that views are the same on every device and in any division
    of a batch.

    Attributes:
        zoom: smallest share of the image's side that a view shows; the centre moves as far as that leaves room.
        jitter: how much brightness and contrast change, as a share of themselves.
        stain_jitter: how differently cells are stained: standard deviation of the logarithm of each channel's density.
    """

    zoom: float = 0.85
    jitter: float = 0.1
    stain_jitter: float = 0.0

    def draw(self, n_images: int, rng: torch.Generator) -> Tensor:
        """Draw what is done to each image.

        Returns:
            Shape (image, N_CHANCES), 0 to 1; if the stain is to change, followed by the factors of the densities of
            red, green and blue.
        """
        chances = torch.rand(n_images, N_CHANCES, generator=rng)
        if not self.stain_jitter:
            return chances
        return torch.cat([chances, (self.stain_jitter * torch.randn(n_images, 3, generator=rng)).exp()], dim=1)

    def __call__(self, inputs: tuple[Tensor, ...], drawn: Tensor) -> tuple[Tensor, ...]:
        """Change images by what was drawn for them; further inputs stay as they are.

        Args:
            inputs: images of shape (image, 3, side, side), values 0 to 1, then whatever else the network takes.
            drawn: as `draw` gives it.

        Returns:
            The inputs, images in the same layout and range.
        """
        images, *others = inputs
        moved = self._moved(images, drawn[:, :6])
        if self.stain_jitter:
            moved = _restained(moved, drawn[:, N_CHANCES:])
        return (self._relit(moved, drawn[:, 6:N_CHANCES]), *others)

    def _moved(self, images: Tensor, drawn: Tensor) -> Tensor:
        """Rotate, reflect, zoom and shift; what lies beyond the border is the image's reflection."""
        unmoved = drawn[:, 5] < UNMOVED
        turns = torch.where(unmoved, (4 * drawn[:, 0]).floor() / 4, drawn[:, 0])
        reflection = torch.where(drawn[:, 1] < 0.5, -1.0, 1.0)
        scale = torch.where(unmoved, 1.0, self.zoom + (1 - self.zoom) * drawn[:, 2])
        x, y = (2 * drawn[:, 3:5].T - 1) * (1 - scale)
        cos, sin = scale * (2 * math.pi * turns).cos(), scale * (2 * math.pi * turns).sin()
        to_source = torch.stack([cos * reflection, -sin, x, sin * reflection, cos, y], dim=1).view(-1, 2, 3)
        grid = F.affine_grid(to_source, list(images.shape), align_corners=False)
        return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)

    def _relit(self, images: Tensor, drawn: Tensor) -> Tensor:
        """Change brightness, and contrast about each image's mean."""
        brightness, contrast = (1 + self.jitter * (2 * drawn[:, :2].T - 1))[:, :, None, None, None]
        mean = images.mean((1, 2, 3), keepdim=True)
        relit: Tensor = ((images - mean) * contrast + mean).mul(brightness).clamp(0, 1)
        return relit


def _restained(images: Tensor, factors: Tensor) -> Tensor:
    """Multiply the density of each channel by a factor, shape (image, 3), where its brightest pixel has none."""
    light = images.amax((2, 3), keepdim=True).clamp(min=LEAST_LIGHT)
    restained: Tensor = light * (images / light).clamp(0, 1) ** factors[:, :, None, None]
    return restained
