"""What comes of the study: scores of every split and model over the seeds, and gains with their intervals."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from leuko.arms import Arm, GainOf, ablations, arms, gains
from leuko.core.errors import LeukoError
from leuko.core.files import read_json, write_json, write_table
from leuko.core.params.everything import Params
from leuko.core.params.reading import load_params
from leuko.evaluation.comparison import compare, correct_together, is_overruled, words
from leuko.evaluation.predictions import read_predictions
from leuko.evaluation.scores import HEADLINE
from leuko.study.cells import Cell

SUMMARY = Path("study/summary.json")
TABLE = Path("study/table.csv")
ABROAD = ("accuracy", "balanced_accuracy", "change", "aligned_accuracy", "aligned_balanced_accuracy")
"""Scores in another laboratory, by free choice among all classes: the change is that of balanced accuracy against the
own test, and there is none if that lacks a class; aligned ones count features from the laboratory's own median, which
networks cannot."""


def summarise(cells: Sequence[Cell]) -> str:
    """Write `study/table.csv`, a row per cell and model, and `study/summary.json`.

    For every split, the summary has mean and standard deviation of each arm's headline scores over the seeds, in the
    own test and in other laboratories, and the gains with 95 % intervals over seeds and images. An arm counts where at
    least one seed has it, and a gain is taken over the seeds that have both arms. The p-values of all gains and splits
    are corrected together (`p_holm`), and so are those of all ablations.

    Args:
        cells: what to summarise, at least one.

    Returns:
        The summary in words.
    """
    every = arms(load_params(Params, cells[0].folder / "params.yaml").transfer)
    table = _score_table(cells)
    splits = {
        split: _summarise_split(table[table["split"] == split], list(members), every)
        for split, members in itertools.groupby(sorted(cells, key=_split_of), key=_split_of)
    }
    for family in (gains(every), ablations(every)):
        _correct(splits, family, {arm.key: arm.phrase for arm in every})
    write_table(TABLE, table)
    write_json(SUMMARY, {"splits": {str(number): split for number, split in splits.items()}})
    return "\n\n".join(_tell(number, split) for number, split in splits.items())


def _correct(splits: Mapping[int, Any], family: Sequence[GainOf], phrase: Mapping[str, str]) -> None:
    """Correct the p-values of some comparisons together, those of all splits, and say in words what they found."""
    made = [split["gains"][gain.name] for split in splits.values() for gain in family if gain.name in split["gains"]]
    correct_together(made)
    n_tests = len(made)
    for split in splits.values():
        for gain in family:
            if gain.name in split["gains"]:
                comparison = split["gains"][gain.name]
                ends = comparison["interval"]["balanced_accuracy"]
                corrected = f"p = {ends['p_holm']:.3f}" if ends["p_holm"] >= 0.001 else "p < 0.001"
                if is_overruled(ends):
                    corrected += ", so it is not significant"
                comparison["words"] = (
                    f"{words(comparison, phrase[gain.better], phrase[gain.than])} "
                    f"In balanced accuracy, corrected for {n_tests} comparison{'s' * (n_tests > 1)}: {corrected}."
                )


def _split_of(cell: Cell) -> int:
    return cell.split


def _score_table(cells: Sequence[Cell]) -> pd.DataFrame:
    """The scores, a row per cell and arm; of another laboratory, in columns such as `external.bern.accuracy`."""
    rows = []
    for cell in cells:
        comparison = read_json(cell.folder / "comparison.json")
        abroad = {name: read_json(cell.folder / f"external/{name}.json") for name in _laboratories(cell)}
        for key, scores in comparison["arms"].items():
            row = {"split": cell.split, "seed": cell.seed, "model": key} | {name: scores[name] for name in HEADLINE}
            for name, found in abroad.items():
                row |= {f"external.{name}.{score}": value for score, value in _scores_abroad(found, key).items()}
            rows.append(row)
    return pd.DataFrame(rows)


def _laboratories(cell: Cell) -> list[str]:
    """The names of the other laboratories that a cell was tried in."""
    return list(load_params(Params, cell.folder / "params.yaml").external)


def _scores_abroad(found: Mapping[str, Any], arm: str) -> dict[str, float | None]:
    """The scores `ABROAD` of an arm, from what the stage `external` wrote of a laboratory."""
    scores, aligned = found["arms"][arm], found["aligned"].get(arm)
    fall = scores["fall"]
    values = (
        scores["free"]["accuracy"],
        scores["free"]["balanced_accuracy"],
        -fall["balanced_accuracy"] if fall else None,
        aligned and aligned["free"]["accuracy"],
        aligned and aligned["free"]["balanced_accuracy"],
    )
    return dict(zip(ABROAD, values, strict=True))


def _summarise_split(table: pd.DataFrame, cells: Sequence[Cell], every: Sequence[Arm]) -> dict[str, Any]:
    """Scores and gains of one split, without what depends on the other splits."""
    seeds = {arm.key: [int(seed) for seed in table[table["model"] == arm.key]["seed"]] for arm in every}
    present = [arm for arm in every if seeds[arm.key]]
    laboratories = _laboratories(cells[0])
    summary: dict[str, Any] = {}
    for arm in present:
        of_arm = table[table["model"] == arm.key]
        summary[arm.key] = {
            "seeds": seeds[arm.key],
            **_mean_and_spread(of_arm, {name: name for name in HEADLINE}),
            "external": {
                name: _mean_and_spread(of_arm, {score: f"external.{name}.{score}" for score in ABROAD})
                for name in laboratories
            },
        }
    compared = {}
    for gain in (*gains(present), *ablations(present)):
        common = [cell for cell in cells if cell.seed in seeds[gain.better] and cell.seed in seeds[gain.than]]
        if common:
            better, labels, groups = _read_predictions(common, gain.better)
            than, _, _ = _read_predictions(common, gain.than)
            compared[gain.name] = compare(better, than, labels, groups)
    _, labels, _ = _read_predictions([cell for cell in cells if cell.seed in seeds[present[0].key]], present[0].key)
    return {
        "seeds": [cell.seed for cell in cells],
        "images": len(labels),
        "arms": summary,
        "gains": compared,
    }


def _mean_and_spread(table: pd.DataFrame, columns: Mapping[str, str]) -> dict[str, dict[str, float | None]]:
    """Mean and standard deviation over rows, by score; none where no row has it, and one row has no spread."""
    scores = {name: table[column].dropna().to_numpy(np.float64) for name, column in columns.items()}
    return {
        "mean": {name: float(values.mean()) if len(values) else None for name, values in scores.items()},
        "std": {name: float(values.std(ddof=1)) if len(values) > 1 else None for name, values in scores.items()},
    }


def _read_predictions(
    cells: Sequence[Cell], arm: str
) -> tuple[NDArray[np.float64], NDArray[np.int64], list[str] | None]:
    """The predictions of an arm for the test images.

    Returns:
        Probabilities, shape (seed, image, class); the labels, shape (image,); and the images' groups, or none if none
        is known.

    Raises:
        LeukoError: if not all cells have the same test images.
    """
    tables = [read_predictions(cell.folder / f"predictions/{arm}.csv") for cell in cells]
    images = tables[0][["path", "group", "actual"]]
    for cell, table in zip(cells, tables, strict=True):
        if not table[["path", "group", "actual"]].equals(images):
            raise LeukoError(f"{cell.folder}/predictions/{arm}.csv has other test images than {cells[0].folder}")
    classes = load_params(Params, cells[0].folder / "params.yaml").classes
    probabilities = np.stack([table[list(classes)].to_numpy(np.float64) for table in tables])
    labels = np.array([classes.index(label) for label in images["actual"]])
    return probabilities, labels, list(images["group"]) if images["group"].any() else None


def _tell(number: int, split: dict[str, Any]) -> str:
    """The summary of one split in words."""
    n_seeds = len(split["seeds"])
    lines = [f"{number} % of the labels, {n_seeds} seed{'s' * (n_seeds > 1)}, {split['images']} test images"]
    for key, arm in split["arms"].items():
        mean, std = (arm[kind]["balanced_accuracy"] for kind in ("mean", "std"))
        lines.append(f"    {key:<18} balanced accuracy {mean:.3f}" + ("" if std is None else f" ± {std:.3f}"))
    lines += [f"    {gain['words']}" for gain in split["gains"].values()]
    for name in next(iter(split["arms"].values()))["external"]:
        told = [f"{key} {arm['external'][name]['mean']['balanced_accuracy']:.3f}" for key, arm in split["arms"].items()]
        lines.append(f"    Balanced accuracy in the laboratory {name}: {', '.join(told)}.")
    return "\n".join(lines)
