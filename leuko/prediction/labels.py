"""What is known of the images already, to score predictions at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from leuko.core.classes import match_class
from leuko.core.errors import LeukoError
from leuko.importers.delimited import read_table

FOLDERS = "folders"
PATHS = ("path", "file", "image", "filename", "file_name")
LABELS = ("label", "class", "actual", "cell_type")
"""What the columns of a table of labels may be called."""


def read_labels(source: str, images: Sequence[Path], classes: Sequence[str]) -> list[str]:
    """Find the labels of images.

    Args:
        source: `folders`, where the folder that an image is in is called after its class; or the path of a table with
            a path and a label in each row. Its paths are relative to the working folder or to the table's; a bare name
            will do where only one image has it.
        images: their paths.
        classes: of the model.

    Returns:
        The class of every image; empty where none is known.

    Raises:
        LeukoError: if there is no label at all, or some are no class of the model.
    """
    told = _of_folders(images) if source == FOLDERS else _of_table(Path(source), images)
    meaning = {label: match_class(label, classes, {}).label for label in set(told) - {""}}
    if source == FOLDERS:
        meaning = {label: meaning[label] or "" for label in meaning}
    elif unknown := sorted(label for label, match in meaning.items() if match is None):
        raise LeukoError(f"{source}: no class of the model is called {', '.join(unknown)}; it has {', '.join(classes)}")
    labels = [meaning.get(label) or "" for label in told]
    if not any(labels):
        raise LeukoError(f"--labels {source}: no image has a label; the model's classes are {', '.join(classes)}")
    return labels


def _of_folders(images: Sequence[Path]) -> list[str]:
    """The name of the folder that each image is in."""
    return [image.absolute().parent.name for image in images]


def _of_table(table: Path, images: Sequence[Path]) -> list[str]:
    """What a table says of each image; empty if nothing.

    Raises:
        LeukoError: if it is no table of paths and labels, or says two things of one image.
    """
    if not table.is_file():
        raise LeukoError(f"{table}: there is no such table of labels; --labels takes a table or {FOLDERS}")
    rows = read_table(table)
    columns = {name.casefold(): name for name in rows[0]}
    path_column, label_column = (
        next((columns[name] for name in names if name in columns), None) for names in (PATHS, LABELS)
    )
    if not path_column or not label_column:
        raise LeukoError(
            f"{table}: wanted are a column {' or '.join(PATHS)} and a column {' or '.join(LABELS)}; "
            f"there are {', '.join(rows[0])}"
        )
    by_path: dict[Path, str] = {}
    for row in rows:
        written = Path(row[path_column].replace("\\", "/"))
        for path in (written, table.parent / written):
            if by_path.setdefault(path.absolute(), row[label_column]) != row[label_column]:
                raise LeukoError(f"{table}: {row[path_column]} has several labels")
    by_name: Mapping[str, list[Path]] = _by_name(images)
    for row in rows:
        if row[path_column] in by_name and len(by_name[row[path_column]]) == 1:
            by_path.setdefault(by_name[row[path_column]][0].absolute(), row[label_column])
    return [by_path.get(image.absolute(), "") for image in images]


def _by_name(images: Sequence[Path]) -> dict[str, list[Path]]:
    """Images by their bare names."""
    found: dict[str, list[Path]] = defaultdict(list)
    for image in images:
        found[image.name].append(image)
    return found


def describe_scores(
    probabilities: NDArray[np.float64], labels: Sequence[str], unlike: NDArray[np.bool_], classes: Sequence[str]
) -> str:
    """Say how good predictions are.

    Args:
        probabilities: of images with labels, shape (image, class).
        labels: their classes.
        unlike: which of them are unlike the training images, shape (image,).
        classes: of the model.

    Returns:
        A few lines of text.
    """
    from leuko.evaluation.scores import score  # not before it is wanted: it takes long to import

    numbers = np.array([classes.index(label) for label in labels])
    found = score(probabilities, numbers, classes)
    headline = ", ".join(
        f"{words} {100 * found[name]:.1f} %"
        for name, words in (("accuracy", "accuracy"), ("balanced_accuracy", "balanced accuracy"), ("macro_f1", "F1"))
    )
    lines = [f"Of {len(labels)} images with labels: {headline}, calibration error {found['ece']:.3f}"]
    for name, of_class in found["classes"].items():
        if of_class["images"]:
            lines.append(
                f"    {name:<14} {of_class['images']:>6} images, "
                f"precision {of_class['precision']:.3f}, recall {of_class['recall']:.3f}, F1 {of_class['f1']:.3f}"
            )
    if unlike.any() and not unlike.all():
        right = probabilities.argmax(axis=1) == numbers
        lines.append(
            f"Accuracy is {100 * right[~unlike].mean():.1f} % of those like the training images, "
            f"{100 * right[unlike].mean():.1f} % of the {unlike.sum()} unlike them"
        )
    return "\n".join(lines)
