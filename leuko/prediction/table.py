"""`leuko predict`: from what a command line means to a table of predictions, a summary and pictures."""

from __future__ import annotations

import csv
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import IO

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from leuko.core.errors import LeukoError
from leuko.core.files import atomic_file, atomic_folder, check_file_place, check_folder_place
from leuko.models.foreign import RATE, SHARE
from leuko.prediction.choosing import choose_model
from leuko.prediction.finding import find_images
from leuko.prediction.heat import write_heat_map
from leuko.prediction.labels import describe_scores, read_labels
from leuko.prediction.model import Model, Outcome, load_model, margins

STANDARD_OUTPUT = "-"
MAX_STEM = 60
"""Characters of an image's name in that of its heat map, which no file system finds too long."""


class Summary:
    """What became of the images, in numbers that take little memory however many there are.

    Args:
        model: that classified them.
    """

    def __init__(self, model: Model) -> None:
        self.classes = model.classes
        self.knows_its_own = model.domain is not None
        self.predicted: Counter[str] = Counter()
        self.errors = 0
        self.unlike = 0
        self.labelled: list[tuple[NDArray[np.float64], str, bool]] = []

    def add(self, outcome: Outcome, label: str) -> None:
        """Count an image; its label is empty if it is not known."""
        if outcome.error:
            self.errors += 1
            return
        self.predicted[self.classes[int(outcome.probabilities.argmax())]] += 1
        self.unlike += bool(outcome.unlike)
        if label:
            self.labelled.append((outcome.probabilities, label, bool(outcome.unlike)))

    def __str__(self) -> str:
        """In a few lines."""
        read = self.predicted.total()
        counts = ", ".join(f"{label} {self.predicted[label]}" for label in self.classes)
        lines = [f"{read} images classified: {counts}"]
        if self.errors:
            lines.append(f"{self.errors} images could not be read; the column error says why")
        if not self.knows_its_own:
            lines.append("This model file cannot tell which images are unlike those of its training")
        elif self.unlike:
            lines.append(
                f"{self.unlike} of them are unlike the training images, where {100 * RATE:g} % are expected of images "
                "like those; their probabilities say nothing"
            )
            if self.unlike > max(1, SHARE * read):
                lines.append(
                    "So many come from elsewhere: another laboratory, stain or camera, or no cells. How sure the "
                    "model is of such images is not known"
                )
        if self.labelled:
            probabilities, labels, unlike = zip(*self.labelled, strict=True)
            lines.append(describe_scores(np.array(probabilities), labels, np.array(unlike), self.classes))
        return "\n".join(lines)


def predict_to_table(
    words: Sequence[str],
    *,
    model: str | None = None,
    out: str = "predictions.csv",
    labels: str | None = None,
    heatmaps: str | None = None,
    device: str = "auto",
    elsewhere: bool = False,
) -> int:
    """Classify images and write a table with a row for each.

    Args:
        words: files, folders or `-`, as `find_images` takes them.
        model: as `choose_model` takes it.
        out: the path of the table, or `-` for standard output.
        labels: as `read_labels` takes it; none to score nothing.
        heatmaps: a new or empty folder for pictures of where the model looks; none for no pictures.
        device: `auto` for the best there is, or `cpu`, `cuda`, `mps`.
        elsewhere: as `Model.predict` takes it.

    Returns:
        How many images could not be read.

    Raises:
        LeukoError: if there is no model, no image or no such device, the labels are none, images from elsewhere are too
            few, or the results cannot be written where they should; then nothing is.
    """
    if heatmaps is not None:
        _check_heatmaps(Path(heatmaps), out, words)
    images = find_images(words)
    if not images:
        raise LeukoError(f"There are no images in {', '.join(words)}.")
    path = choose_model(model)
    if out != STANDARD_OUTPUT:
        _check_out(out, [*images, path, *([Path(labels)] if labels else [])])
    network = load_model(path, _device(device))
    known = read_labels(labels, images, network.classes) if labels else [""] * len(images)
    if heatmaps and not network.looks_at_pictures:
        raise LeukoError(
            f"{path} goes by measurements alone, so there is no map of where it looks; leave out --heatmaps"
        )
    print(f"Model: {path}", file=sys.stderr)
    summary = Summary(network)
    with ExitStack() as stack:
        file = stack.enter_context(_opened(out))
        maps = stack.enter_context(atomic_folder(Path(heatmaps).resolve())) if heatmaps else None
        actual = ["actual"] if labels else []
        _write_row(file, ["path", *actual, "predicted", "margin", "unlike", *network.classes, "error"])
        said = network.outcomes(images, processes=True, elsewhere=elsewhere)
        outcomes = tqdm(said, "predicting", len(images), unit="image", disable=None)
        for number, (image, label, outcome) in enumerate(zip(images, known, outcomes, strict=True), start=1):
            _write_row(file, [str(image), *[label][: len(actual)], *_row(outcome, network.classes)])
            summary.add(outcome, label)
            if maps and outcome.prepared:
                write_heat_map(maps / f"{number:05} {image.stem[:MAX_STEM]}.png", network, outcome.prepared)
    print(summary, file=sys.stderr if out == STANDARD_OUTPUT else sys.stdout)
    if out != STANDARD_OUTPUT:
        print(f"The table: {out}")
    return summary.errors


def _row(outcome: Outcome, classes: Sequence[str]) -> list[str]:
    """What the table says of an image after its path and label."""
    if outcome.error:
        return ["", "", "", *[""] * len(classes), outcome.error]
    predicted = classes[int(outcome.probabilities.argmax())]
    margin = margins(outcome.probabilities[None])[0]
    unlike = {True: "yes", False: "no", None: ""}[outcome.unlike]
    return [predicted, f"{margin:.7f}", unlike, *(f"{value:.7f}" for value in outcome.probabilities), ""]


def _write_row(file: IO[str], row: Sequence[str]) -> None:
    """Write a row of the table, in quotes if a value has a lone carriage return, which Python's module leaves bare."""
    if any("\r" in value for value in row):
        csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL).writerow(row)
    else:
        csv.writer(file, lineterminator="\n").writerow(row)


def _device(name: str) -> str:
    """The device of that name, or for `auto` the one that computes fastest here.

    Raises:
        LeukoError: if this computer lacks it.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return next(device for device, is_there in there.items() if is_there)
    if not there[name]:
        raise LeukoError(f"--device {name}: PyTorch finds no such device here; leave it out")
    return name


def _check_out(out: str, read: Sequence[Path]) -> None:
    """Refuse a place of the table where it cannot be written, or would replace what is read.

    Raises:
        LeukoError: if so.
    """
    check_file_place(Path(out), "--out")
    if Path(out).resolve() in {path.resolve() for path in read}:
        raise LeukoError(f"--out {out}: the table would take the place of a file that is read; name another file")


def _check_heatmaps(folder: Path, out: str, words: Sequence[str]) -> None:
    """Refuse a folder for pictures that cannot be made, is to hold the table, or lies among the images.

    Raises:
        LeukoError: if so.
    """
    check_folder_place(folder, "--heatmaps")
    place = folder.resolve()
    if out != STANDARD_OUTPUT and place in Path(out).resolve().parents:
        raise LeukoError(f"--out {out}: the table cannot lie in the folder of the heat maps; name another place")
    if {place, *place.parents} & {Path(word).resolve() for word in words if Path(word).is_dir()}:
        raise LeukoError(
            f"--heatmaps {folder}: in a folder that is read, the next run would take them for images; name another"
        )


@contextmanager
def _opened(out: str) -> Iterator[IO[str]]:
    """Open the table for writing, so that it appears whole or not at all; names that are no text keep their bytes."""
    if out == STANDARD_OUTPUT:
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(errors="surrogateescape")
        yield sys.stdout
        return
    with (
        atomic_file(Path(out)) as temporary,
        temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        yield file
