"""The runs of a study, as its report reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from leuko.arms import Arm
from leuko.core.files import read_json
from leuko.evaluation.predictions import read_predictions

HISTORIES = Path("plots/history")


class Run:
    """One run of a study: one share of the labels, one seed.

    Args:
        study: the study's folder.
        split: percentage of the labels.
        seed: of the run.
    """

    def __init__(self, study: Path, split: str, seed: int) -> None:
        self.folder = study / f"cells/split{split}-seed{seed}"
        comparison = read_json(self.folder / "comparison.json")
        self.scores: dict[str, Any] = comparison["arms"]
        self.left_out: dict[str, str] = comparison["left_out"]

    def predictions(self, arm: Arm) -> pd.DataFrame:
        """What an arm says of the test images."""
        return read_predictions(self.folder / "predictions" / arm.predictions.name)

    def abroad(self, name: str) -> dict[str, Any]:
        """What the stage `external` found in the laboratory of this name."""
        return read_json(self.folder / f"external/{name}.json")

    def history(self, path: Path) -> pd.DataFrame:
        """What a training went through, epoch by epoch; `path` as the pipeline has it."""
        return pd.read_csv(self.folder / "history" / path.relative_to(HISTORIES))


Runs = Mapping[str, Sequence[Run]]
"""By percentage of the labels, a run for every seed."""


def fullest(runs: Runs) -> Run:
    """The first of the runs that have the most arms."""
    return max((run for of_split in runs.values() for run in of_split), key=lambda run: len(run.scores))


def having(arm: Arm, runs: Sequence[Run]) -> list[Run]:
    """The runs that have an arm; its family may have been trained with the first seeds alone."""
    return [run for run in runs if arm.key in run.scores]
