"""From an image to what a classifier takes, by the same functions that made the packs it was trained on.

No PyTorch is imported here, so that processes that only prepare images start at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from leuko.core.errors import LeukoError
from leuko.core.parallel import map_images
from leuko.core.params.stain import Stain
from leuko.data.images import UnreadableImageError, as_rgb, decode_rgb, read_rgb, resize
from leuko.data.scale import Scale as Depth
from leuko.data.scale import from_json
from leuko.data.statistics import SIDE
from leuko.morphology.cropping import Located, Scale, crop, locate
from leuko.morphology.measuring import measure_image
from leuko.morphology.staining import Colours, Staining, common_colours, measure_colours, sampled

Array = NDArray[Any]
ImageLike = str | Path | bytes | Image.Image | Array
"""The path of an image file, or its content; an image that Pillow has opened; or an array of 8 bits per sample, shape
(height, width) or (height, width, channel) with 1, 3 or 4 channels: grey, RGB or RGBA. Arrays of uint16 are grey, and
their scale is that of the training images."""

SIDE_OF = {"wbc": "size", "prcc": "prcc_size", "cam16": "cam16_size", "cell": "side"}
"""By the input of a classifier, the key of its side in the configuration of the model file."""
PICTURE = "picture"
"""The name of a small copy beside the inputs of a classifier; it tells whether a picture is like those of training."""
LEAST_ELSEWHERE = 30
"""Fewer cells have no median nucleus worth the name."""
MAX_SIDE = 4096
"""A file may not ask for more memory than an image of this side needs."""


@dataclass(frozen=True)
class Preparation:
    """How an image becomes the inputs of a classifier, as its model file says.

    Attributes:
        inputs: the names of its inputs, as `leuko.models.classifier.Classifier` has them.
        sides: by name, the side of an image in pixels.
        nuclei: how large nuclei are in the training images; none if no input needs that.
        depths: which values become black and white in images of more than 8 bits per sample.
        staining: how images are shown.
    """

    inputs: tuple[str, ...]
    sides: Mapping[str, int]
    nuclei: Scale | None
    depths: Mapping[str, Depth]
    staining: Staining

    @classmethod
    def of(cls, inputs: Sequence[str], config: Mapping[str, Any]) -> Preparation:
        """Read how images are prepared.

        Args:
            inputs: of a classifier.
            config: of its model file.

        Raises:
            LeukoError: if the configuration lacks something, or it is absurd.
        """
        try:
            sides = {name: config[SIDE_OF[name]] for name in inputs if name in SIDE_OF}
            if not all(type(side) is int and 1 <= side <= MAX_SIDE for side in sides.values()):
                raise ValueError(f"images of {sides} pixels a side")
            on_nucleus = bool({"cell", "descriptors"} & set(inputs))
            nuclei = Scale.from_json(config["nuclei"]) if on_nucleus else None
            stain = config.get("stain", "none")
            if stain not in get_args(Stain):
                raise ValueError(f"stain {stain!r}")
            return cls(tuple(inputs), sides, nuclei, from_json(config["scales"]), Staining(stain))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise LeukoError(
                f"the file does not say how its images are prepared ({type(error).__name__}: {error}); "
                "dvc repro trains it anew"
            ) from error

    def settled(self, images: Sequence[ImageLike]) -> Preparation:
        """The same with one correction of light and dye for all of some images, if that is how the model saw its own.

        Args:
            images: the set; what cannot be read of it does not count.
        """
        if self.staining.kind != "set":
            return self
        measured = [
            colours for colours in map_images(self._measured, sampled(images), "measuring the stain") if colours
        ]
        of_set = common_colours(measured) if measured else None
        return replace(self, staining=replace(self.staining, of_set=of_set))

    def elsewhere(self, images: Sequence[ImageLike]) -> Preparation:
        """The same for images of one other laboratory: as its camera is another one, their nuclei tell the scale.

        Args:
            images: the set, after `settled`; what cannot be read of it does not count.

        Raises:
            LeukoError: if they are too few for that.
        """
        if not self.nuclei:
            return self
        read = [one for one in map_images(self._located, images, "finding nuclei of cells") if one]
        found = [(shape, located) for shape, located in read if located.nucleus_area]
        if len(found) < LEAST_ELSEWHERE:
            raise LeukoError(
                f"{len(found)} images with a nucleus do not tell how large nuclei are elsewhere; give at least "
                f"{LEAST_ELSEWHERE} of one laboratory at once, or leave out --elsewhere"
            )
        shapes, located = zip(*found, strict=True)
        return replace(self, nuclei=Scale.of(shapes, located))

    def _located(self, image: ImageLike) -> tuple[tuple[int, int], Located] | None:
        """The shape of an image and where its nucleus is; none if it cannot be read."""
        try:
            shown = self.staining(self.read(image))
        except (UnreadableImageError, MemoryError):
            return None
        return shown.size, locate(np.asarray(shown))

    def _measured(self, image: ImageLike) -> Colours | None:
        """The colours of an image; none if it cannot be read."""
        try:
            return measure_colours(self.read(image))
        except (UnreadableImageError, MemoryError):
            return None

    def read(self, image: ImageLike) -> Image.Image:
        """Read an image of any kind as upright 8-bit sRGB, as those in the packs were read.

        Raises:
            UnreadableImageError: if it cannot be used.
        """
        if isinstance(image, str | Path):
            return read_rgb(Path(image), self.depths)
        if isinstance(image, bytes):
            return decode_rgb(image, self.depths)
        return as_rgb(image if isinstance(image, Image.Image) else _as_image(image), self.depths)

    def arrays(self, image: Image.Image) -> dict[str, Array]:
        """What the classifier takes, and what tells whether it has learned from images like this one.

        Args:
            image: upright, of mode RGB.

        Returns:
            By the name of the input: images of shape (side, side, 3), 0 to 255, and descriptors of shape (descriptor,);
            as PICTURE a copy of shape (SIDE, SIDE, 3), as `leuko.data.statistics.picture_statistics` takes it.
        """
        image = self.staining(image)
        whole = {name: self.sides[name] for name in self.inputs if name not in ("cell", "descriptors")}
        copies = {side: resize(image, side) for side in {SIDE, *whole.values()}}
        arrays: dict[str, Array] = {name: copies[side] for name, side in whole.items()}
        arrays[PICTURE] = copies[SIDE]
        if self.nuclei:
            pixels = np.asarray(image)
            if "descriptors" in self.inputs:
                cell = measure_image(pixels, self.nuclei, self.sides.get("cell", 1))
                arrays["descriptors"] = cell.descriptors
                if "cell" in self.inputs:
                    arrays["cell"] = cell.pixels
            else:
                nucleus = self.nuclei.nucleus(image.width, image.height)
                arrays["cell"] = crop(pixels, locate(pixels).centre, nucleus, self.sides["cell"])
        return arrays

    def __call__(self, image: ImageLike) -> dict[str, Array]:
        """Read an image and make of it what the classifier takes.

        Raises:
            UnreadableImageError: if it cannot be used.
        """
        return self.arrays(self.read(image))


def _as_image(array: Array) -> Image.Image:
    """An array as an image.

    Raises:
        UnreadableImageError: if it has another type or shape than those of images.
    """
    is_deep_grey = array.dtype == np.uint16 and array.ndim == 2
    is_image = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3, 4))
    if not is_image or not (array.dtype == np.uint8 or is_deep_grey) or not array.size:
        raise UnreadableImageError(
            f"an array of {array.dtype} of shape {array.shape}; wanted is uint8 of shape (height, width), "
            "(height, width, 3) or (height, width, 4), or uint16 of shape (height, width)"
        )
    return Image.fromarray(array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array)
