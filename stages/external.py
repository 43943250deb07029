"""Try every arm on the cells of another laboratory: `python -m stages.external NAME`."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from leuko.arms import arms
from leuko.core.errors import run
from leuko.core.files import atomic_folder, write_json, write_table
from leuko.core.params.everything import Params
from leuko.core.params.reading import load_params, named_entry
from leuko.evaluation.external import Answers, score_external
from leuko.evaluation.predictions import read_predictions, table_of
from leuko.models.foreign import is_foreign
from leuko.models.store import left_out
from leuko.packs.reading import read_rows
from leuko.training.device import set_up
from leuko.training.external import try_abroad


def main() -> None:
    """Write what every arm says of the cells, and how good that is."""
    params = load_params(Params)
    name = named_entry("external", params.external, sys.argv[1:])
    device = set_up(params.device, params.compute, params.seed)
    packs = Path("data/packs/external") / name
    rows = read_rows(packs / "wbc/test")
    classes = params.classes
    labels = _numbers(rows["class"], classes)
    present = [arm for arm in arms(params.transfer) if not left_out(arm.model)]
    answers = {arm.key: try_abroad(arm, packs, len(rows), device) for arm in present}

    found, aligned = {}, {}
    with atomic_folder(Path("plots/external") / name) as folder:
        for arm in present:
            answer = answers[arm.key]
            write_table(folder / arm.predictions.name, table_of(rows, answer.probabilities, classes))
            own = read_predictions(arm.predictions)
            here = Answers(
                own[list(classes)].to_numpy(np.float64), _numbers(own["actual"], classes), list(own["group"])
            )
            there = Answers(answer.probabilities, labels, list(rows["group"]))
            found[arm.key] = score_external(here, there, answer.temperature, classes)
            if answer.beyond is not None:
                beyond = float(answer.beyond.mean())
                found[arm.key]["foreign"] = {"beyond": beyond, "is_foreign": is_foreign(answer.beyond)}
            if answer.aligned is not None:
                there = Answers(answer.aligned, labels, list(rows["group"]))
                aligned[arm.key] = score_external(here, there, answer.temperature, classes)
    images = {label: int((rows["class"] == label).sum()) for label in classes}
    write_json(Path(f"metrics/external/{name}.json"), {"images": images, "arms": found, "aligned": aligned})
    for key, scores in found.items():
        accuracy, sure = scores["free"]["accuracy"], scores["sure"]
        foreign = f", {100 * scores['foreign']['beyond']:.0f} % foreign" if "foreign" in scores else ""
        print(f"{key:<20} accuracy {accuracy:.3f}, more than .9 sure of {100 * sure:.0f} %{foreign}")


def _numbers(labels: pd.Series, classes: tuple[str, ...]) -> np.ndarray:
    """The numbers of classes."""
    return np.array([classes.index(label) for label in labels])


if __name__ == "__main__":
    run(main)
