"""Soft shapes on a canvas of dye: what all drawings share.

A drawing is a map of absorbance, as a stained slide is: dyes take light away, and the picture is the light
that is left. Shapes are signed distances in pixels, negative inside; `inside` gives them a soft edge.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import distance_transform_edt, gaussian_filter

Array = NDArray[np.float64]
Picture = NDArray[np.uint8]
Colour = Sequence[float]  # red, green, blue in 0..1

SUPERSAMPLING = 2  # drawn at twice the size and averaged down, which smooths every edge


class Stain(NamedTuple):
    """How one slide was stained and lit.

    Attributes:
        light: RGB colour of the empty slide, each in 0..1.
        dye: RGB factors on all absorbance, around 1: how strongly, and in which hue, the slide took the dye.
    """

    light: Array
    dye: Array

    @classmethod
    def random(cls, rng: Generator, light: Colour, spread: float = 1.0) -> Self:
        """Vary brightness, white balance, strength and hue of stain about a typical slide."""
        brightness = rng.uniform(1 - 0.08 * spread, 1 + 0.03 * spread)
        balance = 1 + spread * rng.uniform(-0.025, 0.025, 3)
        strength = 1 + spread * rng.uniform(-0.2, 0.2)
        hue = 1 + spread * rng.uniform(-0.09, 0.09, 3)
        return cls(np.minimum(np.array(light) * brightness * balance, 1), strength * hue)


@dataclass
class Canvas:
    """A picture in the making, or a window on one.

    Attributes:
        x: Column of each sample in pixels of the finished picture, shape (height, width).
        y: Row of each sample, likewise.
        absorbance: Natural-log absorbance of red, green and blue, shape (3, height, width); 0 is clear glass.
    """

    x: Array
    y: Array
    absorbance: Array

    @classmethod
    def clear(cls, size: int) -> Self:
        """A clear square canvas for a picture of `size` pixels a side."""
        samples = size * SUPERSAMPLING
        y, x = (np.indices((samples, samples)) + 0.5) / SUPERSAMPLING
        return cls(x, y, np.zeros((3, samples, samples)))

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in samples."""
        return self.x.shape[0], self.x.shape[1]

    def window(self, centre: Array, reach: float) -> tuple[slice, slice]:
        """Index of the samples within `reach` pixels of a point (x, y)."""
        left, top = np.maximum((centre - reach) * SUPERSAMPLING, 0).astype(int)
        right, bottom = np.maximum((centre + reach) * SUPERSAMPLING, 0).astype(int)
        return slice(top, bottom), slice(left, right)

    def __getitem__(self, window: tuple[slice, slice]) -> Self:
        """A window on this canvas: paint on it lands here."""
        return replace(self, x=self.x[window], y=self.y[window], absorbance=self.absorbance[:, *window])

    def warped(self, amount: float, grain: float, rng: Generator) -> Self:
        """This canvas with space bent by about `amount` pixels, so that round shapes come out irregular."""
        shift_x, shift_y = (amount * smooth_noise(self.shape, grain, rng) for _ in range(2))
        return replace(self, x=self.x + shift_x, y=self.y + shift_y)

    def cover(self, coverage: Array, colour: Colour) -> None:
        """Lay an opaque layer over what is there; coverage in 0..1, shape (height, width)."""
        for channel, level in zip(self.absorbance, -np.log(colour), strict=True):
            channel += coverage * (level - channel)

    def tint(self, amount: Array, colour: Colour) -> None:
        """Add a translucent layer to what is there; an amount of 1 turns clear glass into `colour`."""
        for channel, level in zip(self.absorbance, -np.log(colour), strict=True):
            channel += amount * level

    def develop(self, stain: Stain, rng: Generator, blur: float = 0.5, noise: float = 0.012) -> Picture:
        """Shine light through the canvas onto a camera.

        Args:
            stain: Light and dye of the slide.
            rng: Inputs of the sensor's noise.
            blur: Standard deviation of the optics' blur in pixels.
            noise: Standard deviation of the sensor's noise, where white is 1.

        Returns:
            RGB picture, shape (size, size, 3), 0..255.
        """
        channels = zip(stain.light, stain.dye, self.absorbance, strict=True)
        sharp = np.stack([shrink(light * np.exp(-dye * channel)) for light, dye, channel in channels], axis=2)
        seen = gaussian_filter(sharp, (blur, blur, 0)) + noise * rng.normal(size=sharp.shape)
        return np.asarray(np.rint(255 * seen.clip(0, 1)), dtype=np.uint8)


def shrink(samples: Array) -> Array:
    """Average samples down to pixels, a `SUPERSAMPLING`-th of both sides."""
    steps = range(SUPERSAMPLING)
    corners = [samples[row::SUPERSAMPLING, column::SUPERSAMPLING] for row in steps for column in steps]
    return np.asarray(np.mean(corners, axis=0))


def mask_of(shape: Array) -> Picture:
    """Binary mask of a shape: from signed distances in samples to 0 or 255 in pixels."""
    return np.where(shrink((shape < 0).astype(float)) >= 0.5, 255, 0).astype(np.uint8)


def inside(distance: Array, softness: float = 1.0) -> Array:
    """Coverage in 0..1 of a shape whose edge is `softness` pixels wide, given its signed distance."""
    ramp = (0.5 - distance / softness).clip(0, 1)
    return np.asarray(ramp * ramp * (3 - 2 * ramp))


def ellipse(canvas: Canvas, centre: Array, radius: float, aspect: float = 1.0, angle: float = 0.0) -> Array:
    """Signed distance (near enough) to an ellipse of the area of a disc of that radius."""
    x, y = canvas.x - centre[0], canvas.y - centre[1]
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    return np.asarray(np.hypot(along / np.sqrt(aspect), across * np.sqrt(aspect)) - radius)


def smooth_noise(shape: tuple[int, int], grain: float, rng: Generator) -> Array:
    """Noise about 0, of about unit spread, in lumps about `grain` pixels wide."""
    rows, columns = (max(2, round(side / grain / SUPERSAMPLING) + 1) for side in shape)
    coarse = Image.fromarray(rng.normal(size=(rows, columns)).astype(np.float32))
    return np.asarray(coarse.resize(shape[::-1], Image.Resampling.BICUBIC), dtype=np.float64)


def granules(shape: tuple[int, int], spacing: float, rng: Generator) -> tuple[Array, Array]:
    """Scatter points evenly, `spacing` pixels apart on average.

    Returns:
        For every sample, its distance in pixels to the nearest point, and a random number of that point's own
        in 0..1.
    """
    step = spacing * SUPERSAMPLING
    corners = np.indices([int(side / step) for side in shape]).reshape(2, -1) * step
    rows, columns = (corners + rng.uniform(0, step, corners.shape)).astype(int)
    is_point = np.zeros(shape, dtype=bool)
    is_point[rows, columns] = True
    distance, nearest = distance_transform_edt(~is_point, return_indices=True)
    return distance / SUPERSAMPLING, rng.random(shape)[tuple(nearest)]
