"""What comes of the study: scores of every split and model over the seeds, and gains with their intervals."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from leuko.core.classes import CLASSES
from leuko.core.errors import LeukoError
from leuko.core.files import write_json, write_table
from leuko.evaluation.comparison import GAINS, NAMES, compare, holm, words
from leuko.evaluation.scores import HEADLINE
from leuko.study.cells import MODELS, Cell

SUMMARY = Path("study/summary.json")
TABLE = Path("study/table.csv")


def summarise(cells: Sequence[Cell]) -> str:
    """Write `study/table.csv`, a row per cell and model, and `study/summary.json`.

    For every split, the summary has mean and standard deviation of each model's headline scores over the seeds, and the
    gains with 95 % intervals over seeds and images. The p-values of a gain are corrected over the splits (`p_holm`).

    Args:
        cells: what to summarise, at least one.

    Returns:
        The summary in words.
    """
    table = _score_table(cells)
    splits = {
        split: _summarise_split(table[table["split"] == split], list(members))
        for split, members in itertools.groupby(sorted(cells, key=_split_of), key=_split_of)
    }
    for name in GAINS:
        for score in HEADLINE:
            intervals = [split["gains"][name]["interval"][score] for split in splits.values()]
            for interval, p in zip(intervals, holm([interval["p"] for interval in intervals]), strict=True):
                interval["p_holm"] = p
    for split in splits.values():
        for name, (first, second) in GAINS.items():
            gain = split["gains"][name]
            p = gain["interval"]["balanced_accuracy"]["p_holm"]
            corrected = f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"
            gain["words"] = (
                f"{words(gain, NAMES[first], NAMES[second])} "
                f"In balanced accuracy, corrected for {len(splits)} split{'s' * (len(splits) > 1)}: {corrected}."
            )
    write_table(TABLE, table)
    write_json(SUMMARY, {"splits": {str(number): split for number, split in splits.items()}})
    return "\n\n".join(_tell(number, split) for number, split in splits.items())


def _split_of(cell: Cell) -> int:
    return cell.split


def _score_table(cells: Sequence[Cell]) -> pd.DataFrame:
    """The headline scores, a row per cell and model."""
    rows = []
    for cell in cells:
        comparison = json.loads((cell.folder / "comparison.json").read_text(encoding="utf-8"))
        rows += [
            {"split": cell.split, "seed": cell.seed, "model": model}
            | {name: comparison[model][name] for name in HEADLINE}
            for model in MODELS
        ]
    return pd.DataFrame(rows)


def _summarise_split(table: pd.DataFrame, cells: Sequence[Cell]) -> dict[str, Any]:
    """Scores and gains of one split, without what depends on the other splits."""
    probabilities, labels = _read_predictions(cells)
    models: dict[str, Any] = {}
    for model in MODELS:
        scores = table[table["model"] == model][list(HEADLINE)]
        # One seed has no spread.
        spread = scores.std().to_dict() if len(cells) > 1 else dict.fromkeys(HEADLINE)
        models[model] = {"mean": scores.mean().to_dict(), "std": spread}
    return {
        "seeds": [cell.seed for cell in cells],
        "images": len(labels),
        "models": models,
        "gains": {
            name: compare(probabilities[first], probabilities[second], labels)
            for name, (first, second) in GAINS.items()
        },
    }


def _read_predictions(cells: Sequence[Cell]) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.int64]]:
    """The predictions of the test images.

    Returns:
        For each model the probabilities, shape (seed, image, class); and the labels, shape (image,).

    Raises:
        LeukoError: if not all cells have the same test images.
    """
    classes = CLASSES["wbc"]
    images = pd.read_csv(cells[0].folder / f"{MODELS[0]}.csv")[["path", "actual"]]
    probabilities: dict[str, NDArray[np.float64]] = {}
    for model in MODELS:
        tables = [pd.read_csv(cell.folder / f"{model}.csv") for cell in cells]
        for cell, table in zip(cells, tables, strict=True):
            if not table[["path", "actual"]].equals(images):
                raise LeukoError(f"{cell.folder / model}.csv has other test images than {cells[0].folder}")
        probabilities[model] = np.stack([table[list(classes)].to_numpy(np.float64) for table in tables])
    return probabilities, np.array([classes.index(label) for label in images["actual"]])


def _tell(number: int, split: dict[str, Any]) -> str:
    """The summary of one split in words."""
    n_seeds = len(split["seeds"])
    lines = [f"{number} % of the labels, {n_seeds} seed{'s' * (n_seeds > 1)}, {split['images']} test images"]
    for model in MODELS:
        mean, std = (split["models"][model][kind]["balanced_accuracy"] for kind in ("mean", "std"))
        lines.append(f"    {model:<8} balanced accuracy {mean:.3f}" + (f" ± {std:.3f}" if n_seeds > 1 else ""))
    return "\n".join(lines + [f"    {gain['words']}" for gain in split["gains"].values()])
