"""Blood cells of all laboratories in one light and one stain, so far as two colours tell these.

What comes through a smear is the lamp's light times the share that the dye lets pass, and the logarithm of that share
grows with the amount of dye (law of Beer and Lambert). Another lamp therefore multiplies the values of a channel, and
more dye raises them, as shares of the light, to a power. The colour of the background tells the one, that of the
nucleus the other. Black stays black, so what a mask hides with black stays hidden.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from leuko.core.parallel import imap_in_processes
from leuko.core.params.stain import Stain
from leuko.data.images import read_rgb
from leuko.data.scale import Scales
from leuko.morphology.cropping import small_copy
from leuko.morphology.segmentation import light_outside, segment

SAMPLED = 300
"""Images of a set, evenly spread, that tell its colours."""
LEAST_DENSITY = 0.05
"""A nucleus is taken to be at least so dense in every channel, so that noise of a pale channel is not blown up."""
MOST_POWER = 3.0
"""No density is multiplied or divided by more."""

Item = TypeVar("Item")
Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Colours:
    """What an image or a set looks like: red, green and blue, 0 to 255.

    Attributes:
        light: where nothing absorbs.
        nucleus: of a nucleus, its median; none if none was found.
    """

    light: Colour
    nucleus: Colour | None

    def tables(self) -> NDArray[np.uint8]:
        """What each value of each channel becomes in the reference: shape (3, 256).

        Without a nucleus only the light is corrected.
        """
        assert REFERENCE.nucleus
        light, reference = np.maximum(self.light, 1.0), np.array(REFERENCE.light)
        powers = np.ones(3)
        if self.nucleus:
            powers = _density(REFERENCE.light, REFERENCE.nucleus) / _density(self.light, self.nucleus)
            powers = powers.clip(1 / MOST_POWER, MOST_POWER)
        shares = np.arange(256) / light[:, None]
        return np.rint(reference[:, None] * shares ** powers[:, None]).clip(0, 255).astype(np.uint8)


REFERENCE = Colours(light=(240.0, 240.0, 240.0), nucleus=(90.0, 55.0, 150.0))
"""White light and the nuclei of a usual Wright-Giemsa stain, which the thresholds of `segment` suit."""


def _density(light: Colour, colour: Colour) -> NDArray[np.float64]:
    """Density of a colour in each channel."""
    density: NDArray[np.float64] = np.log(np.maximum(light, 1.0) / np.maximum(colour, 1.0))
    return np.maximum(density, LEAST_DENSITY)


def measure_colours(image: Image.Image) -> Colours:
    """Measure light and nucleus of a blood cell image of mode RGB."""
    rgb = small_copy(image)
    found = segment(rgb)
    nucleus = _colour(np.median(rgb[found.nucleus], axis=0)) if found.found else None
    return Colours(_colour(light_outside(rgb, found.cell)), nucleus)


def common_colours(measured: Iterable[Colours]) -> Colours:
    """The medians of what some images of a set, at least one, look like."""
    each = list(measured)
    nuclei = [colours.nucleus for colours in each if colours.nucleus]
    light = _colour(np.median([colours.light for colours in each], axis=0))
    return Colours(light, _colour(np.median(nuclei, axis=0)) if nuclei else None)


def _colour(values: NDArray[np.floating]) -> Colour:
    red, green, blue = values.tolist()
    return red, green, blue


@dataclass(frozen=True)
class Staining:
    """How the blood cell images of a set are shown.

    Attributes:
        kind: as the setting `stain`.
        of_set: for `set`, what it looks like; none for an image that is a set of its own.
    """

    kind: Stain = "none"
    of_set: Colours | None = None

    def __call__(self, image: Image.Image, original: Image.Image | None = None) -> Image.Image:
        """Show an image.

        Args:
            image: of mode RGB.
            original: the same before parts of it were hidden, which tells its colours; none if nothing is hidden.

        Returns:
            The image, itself if it is to stay as it is.
        """
        if self.kind == "none":
            return image
        colours = self.of_set or measure_colours(original or image)
        return image.point(colours.tables().ravel().tolist())

    def settled(self, files: Sequence[Path], depths: Scales) -> Staining:
        """The same with the colours of a set, if its images share a correction.

        Args:
            files: the image files of the set; SAMPLED of them are measured.
            depths: how images of more than eight bits per sample are brought to eight.
        """
        if self.kind != "set" or not files:
            return self
        measured = imap_in_processes(partial(_measure_file, depths=depths), sampled(files), "measuring the stain")
        return replace(self, of_set=common_colours(measured))


AS_IT_IS = Staining()


def sampled(images: Sequence[Item]) -> list[Item]:
    """At most SAMPLED of a set's images, evenly spread."""
    return [images[place] for place in np.unique(np.linspace(0, len(images) - 1, SAMPLED).astype(int))]


def _measure_file(file: Path, *, depths: Scales) -> Colours:
    """Measure light and nucleus in an image file."""
    return measure_colours(read_rgb(file, depths))
