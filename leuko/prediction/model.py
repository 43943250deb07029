"""A trained classifier that takes images as they are: what `from leuko import load_model` gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from leuko.core.errors import LeukoError
from leuko.core.memory import keep_freed_memory
from leuko.core.parallel import imap_bounded
from leuko.data.images import UnreadableImageError
from leuko.data.statistics import N_STATISTICS, picture_statistics
from leuko.evaluation.calibration import apply_temperature
from leuko.models.build import load_classifier
from leuko.models.classifier import Classifier
from leuko.models.foreign import PICTURES, Domain, load_domain
from leuko.models.store import check_config, left_out
from leuko.prediction.folding import fold_norms
from leuko.prediction.preparing import PICTURE, Array, ImageLike, Preparation
from leuko.training.device import to_device

BATCH = 8
"""Images classified at a time by a processor's core; more do not fit its cache, and the same work takes longer."""
LARGE_BATCH = 32
"""Images classified at a time by a graphics processor, or by all cores together."""
IN_FLIGHT = 96
"""Images that are worked on or wait at a time: memory is bounded however many there are."""
WORTH_PROCESSES = 100
"""Fewer images are measured by threads, as processes take as long to start."""

Prepared = Mapping[str, Array]
"""The inputs of one image by name."""


@dataclass(frozen=True)
class Outcome:
    """What became of one image.

    Attributes:
        prepared: its inputs; none if it cannot be read.
        error: why it cannot be read, in a few words; else empty.
        probabilities: shape (class,), adding up to 1, calibrated; empty if it cannot be read.
        unlike: whether it is unlike the training images; none if it cannot be read or the model file cannot tell.
    """

    prepared: Prepared | None
    error: str
    probabilities: NDArray[np.float64]
    unlike: bool | None


@dataclass(frozen=True)
class Predictions:
    """What a model says of some images.

    Attributes:
        classes: the names of the classes.
        probabilities: shape (image, class), 0 to 1, rows adding up to 1; calibrated by the model's temperature, that
            is, on images like those of its validation.
        unlike: shape (image,): which images are unlike those of the training, so that their probabilities say nothing;
            of images like them a share of `leuko.models.foreign.RATE` is expected among these. All false if the model
            file cannot tell.
    """

    classes: tuple[str, ...]
    probabilities: NDArray[np.float64]
    unlike: NDArray[np.bool_]

    @property
    def labels(self) -> list[str]:
        """The likeliest class of every image."""
        return [self.classes[number] for number in self.probabilities.argmax(axis=1)]

    @property
    def margins(self) -> NDArray[np.float64]:
        """By how much the likeliest class of every image is ahead of the second: shape (image,), 0 to 1."""
        return margins(self.probabilities)


def margins(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """The largest minus the second largest of every row: shape (image, class) to (image,)."""
    ordered = np.sort(probabilities, axis=1)
    return ordered[:, -1] - (ordered[:, -2] if ordered.shape[1] > 1 else 0.0)


class Model:
    """A trained classifier with all that it takes to feed it.

    Args:
        network: in evaluation mode on the CPU; changed in place to compute fast.
        config: of its model file.
        domain: of the pictures that it learned from; none if that is not known.
        device: where to compute.

    Attributes:
        classes: their names, in the order of the probabilities.
        config: of its model file.
        network: the classifier.
        preparation: how images become its inputs.

    Raises:
        LeukoError: if the configuration does not say how images are prepared.
    """

    def __init__(
        self, network: Classifier, config: dict[str, Any], domain: Domain | None, device: str | torch.device = "cpu"
    ) -> None:
        self.classes = tuple(config["classes"])
        self.config = config
        self.domain = domain
        self.preparation = Preparation.of(network.inputs, config)
        self.device = torch.device(device)
        self.network = network
        if self.device.type == "cpu":
            fold_norms(network)
        to_device(network, self.device)

    @property
    def looks_at_pictures(self) -> bool:
        """Whether it sees images, rather than what was measured of them alone."""
        return self.preparation.inputs != ("descriptors",)

    def predict(self, images: ImageLike | Iterable[ImageLike], *, elsewhere: bool = False) -> Predictions:
        """Classify images.

        Args:
            images: one or many, each the path of an image file, a Pillow image, or an array: uint8 of shape
                (height, width, 3) in RGB, (height, width) in grey or (height, width, 4) with transparency, 0 to 255; or
                uint16 of shape (height, width). Any size will do; an image shows one cell, as those of the training
                did. Several arrays of one shape may be one array with a dimension more in front.
            elsewhere: whether they are the images of one other laboratory, whose nuclei tell how large cells are there,
                as in the stage `external`; it takes dozens.

        Returns:
            What the model says of each, in their order.

        Raises:
            LeukoError: if an image cannot be used, which one and why; or if they are too few to be from elsewhere.
        """
        many = _as_list(images)
        found, unlike = [], []
        for place, (image, outcome) in enumerate(zip(many, self.outcomes(many, elsewhere=elsewhere), strict=True)):
            if outcome.error:
                name = image if isinstance(image, str | Path) else f"image {place}"
                raise LeukoError(f"{name}: {outcome.error}")
            found.append(outcome.probabilities)
            unlike.append(bool(outcome.unlike))
        return Predictions(self.classes, np.array(found).reshape(-1, len(self.classes)), np.array(unlike, bool))

    def outcomes(
        self, images: Sequence[ImageLike], *, processes: bool = False, elsewhere: bool = False
    ) -> Iterator[Outcome]:
        """Classify images one batch after the other, while the next ones are read.

        Args:
            images: as `predict` takes them.
            processes: whether images may be prepared in processes of their own, which is worth while for networks on
                crops and descriptors, if the main module can be imported without doing anything.
            elsewhere: as `predict` takes it.

        Yields:
            What became of each, in their order.
        """
        keep_freed_memory()
        processes = processes and self.preparation.nuclei is not None and len(images) >= WORTH_PROCESSES
        side_by_side = self.device.type == "cpu" and not processes
        size = BATCH if side_by_side else LARGE_BATCH
        batches = (images[start : start + size] for start in range(0, len(images), size))
        preparation = self.preparation.settled(images)
        prepare = partial(_prepare, preparation.elsewhere(images) if elsewhere else preparation)
        if side_by_side:
            yield from self._outcomes_side_by_side(prepare, batches)
            return
        for batch in imap_bounded(prepare, batches, IN_FLIGHT // size, processes=processes):
            yield from self._outcomes_of(batch)

    def _outcomes_side_by_side(
        self,
        prepare: Callable[[Sequence[ImageLike]], list[Prepared | str]],
        batches: Iterable[Sequence[ImageLike]],
    ) -> Iterator[Outcome]:
        """Read and classify each batch on one core, and as many at a time as there are cores.

        No core waits for another then, as they do several times in every layer that they compute together.
        """
        n_threads = torch.get_num_threads()

        def work(batch: Sequence[ImageLike]) -> list[Outcome]:
            torch.set_num_threads(1)  # of this thread, and of those that are started from now on
            return list(self._outcomes_of(prepare(batch)))

        try:
            for outcomes in imap_bounded(work, batches, IN_FLIGHT // BATCH, processes=False):
                yield from outcomes
        finally:
            torch.set_num_threads(n_threads)

    def _outcomes_of(self, batch: Sequence[Prepared | str]) -> Iterator[Outcome]:
        """Classify a batch, in which text stands for an image that cannot be read."""
        readable = [prepared for prepared in batch if not isinstance(prepared, str)]
        rows = zip(self.classify(readable), self.are_unlike(readable), strict=True) if readable else iter(())
        for prepared in batch:
            if isinstance(prepared, str):
                yield Outcome(None, prepared, np.empty(0), None)
            else:
                yield Outcome(prepared, "", *next(rows))

    def are_unlike(self, prepared: Sequence[Prepared]) -> list[bool | None]:
        """Which images, at least one, are unlike the training images; none for each if the model file cannot tell."""
        if not self.domain:
            return [None] * len(prepared)
        unlike: list[bool | None] = self.domain.beyond(
            picture_statistics(np.stack([one[PICTURE] for one in prepared]))
        ).tolist()
        return unlike

    @torch.no_grad()
    def classify(self, prepared: Sequence[Prepared]) -> NDArray[np.float64]:
        """Classify images that are prepared already, all at once.

        Args:
            prepared: at least one, as `preparation` gives them.

        Returns:
            Calibrated probabilities, shape (image, class).
        """
        logits = self.network.classify(*self.tensors(prepared))
        probabilities = logits.cpu().double().softmax(1).numpy()
        return apply_temperature(probabilities, self.config["temperature"])

    def tensors(self, prepared: Sequence[Prepared]) -> tuple[torch.Tensor, ...]:
        """The network's inputs: images of shape (image, 3, side, side), 0 to 1, and descriptors (image, descriptor)."""
        tensors = []
        for name in self.preparation.inputs:
            values = torch.from_numpy(np.stack([one[name] for one in prepared])).to(self.device)
            tensors.append(values if name == "descriptors" else values.permute(0, 3, 1, 2).float() / 255)
        return tuple(tensors)


def _as_list(images: ImageLike | Iterable[ImageLike]) -> list[ImageLike]:
    """Images one by one; one alone makes a list of one."""
    if isinstance(images, np.ndarray):
        return [images] if images.ndim < 4 else list(images)
    if isinstance(images, str | bytes | Image.Image):
        return [images]
    return [Path(images)] if isinstance(images, PathLike) else list(images)


def _prepare(preparation: Preparation, images: Sequence[ImageLike]) -> list[Prepared | str]:
    """Prepare images; for those that cannot be read, say why."""
    return [_attempt(preparation, image) for image in images]


def _attempt(preparation: Preparation, image: ImageLike) -> Prepared | str:
    """Prepare an image; if it cannot be read, say why."""
    try:
        return preparation(image)
    except UnreadableImageError as error:
        return str(error)
    except MemoryError:
        return "needs more memory than there is"


def load_model(path: str | PathLike[str], device: str | torch.device = "cpu") -> Model:
    """Read a classifier that the pipeline has trained.

    Args:
        path: its file, such as `models/wbc.safetensors`; any arm's will do. Nothing in it is executed.
        device: where to compute: `cpu`, `cuda` or `mps`.

    Returns:
        The model, ready to predict.

    Raises:
        LeukoError: if the file is missing, damaged or of something else, or holds no model since an arm was left out.
    """
    path = Path(path)
    if reason := left_out(path):
        raise LeukoError(f"{path} holds no model: {reason}")
    network, config = load_classifier(path)
    check_config(path, config, {})
    try:
        domain = load_domain(path, PICTURES)
        if domain and not domain.whitening.shape == 2 * domain.mean.shape == (N_STATISTICS, N_STATISTICS):
            raise LeukoError("it knows of other statistics of pictures; dvc repro trains it anew")
        return Model(network, config, domain, device)
    except (LeukoError, KeyError, IndexError) as error:
        raise LeukoError(f"{path}: {error}") from error
