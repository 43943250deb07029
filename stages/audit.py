"""Look for what would make scores worth little: shortcuts past the cell, and suspect labels."""

from pathlib import Path

import numpy as np
import pandas as pd

from leuko.core.errors import run
from leuko.core.files import write_json, write_table
from leuko.core.params.group import Group
from leuko.core.params.labels import Classes
from leuko.core.params.reading import load_params
from leuko.core.params.transfer import Probe
from leuko.data.manifest import read_manifest
from leuko.evaluation.shortcuts import AROUND, file_facts, find_shortcut, surroundings
from leuko.evaluation.suspects import FOLDS, find_suspects, out_of_fold
from leuko.packs.reading import read_images, read_rows, read_values

PACKS = Path("data/packs")
SUSPECTS = Path("data/suspects.csv")


class Settings(Group):
    """The settings that this stage reads."""

    classes: Classes
    probe: Probe


def main() -> None:
    """Write what was found, and the table of suspect labels for a person to fill in."""
    params = load_params(Settings)
    manifest = read_manifest(Path("data/manifest.csv"))
    cells = manifest[manifest["set"] == "wbc"].set_index("path", drop=False)
    (train, train_images), (test, test_images) = (_originals(part) for part in ("train", "test"))
    facts = file_facts(cells)
    parts = {
        "surroundings": (surroundings(train_images), surroundings(test_images), list(AROUND)),
        "files": (facts.loc[train["path"]].to_numpy(), facts.loc[test["path"]].to_numpy(), list(facts.columns)),
    }
    shortcuts = {
        name: find_shortcut(of_train, list(train["class"]), of_test, test, names)
        for name, (of_train, of_test, names) in parts.items()
        if len(set(train["class"])) > 1
    }
    suspects, n_asked = _suspects(params)
    write_table(SUSPECTS, suspects)
    write_json(
        Path("metrics/audit.json"), {"shortcuts": shortcuts, "labels": {"asked": n_asked, "suspect": len(suspects)}}
    )
    for name, found in shortcuts.items():
        print(
            f"by {name} alone: balanced accuracy {found['balanced_accuracy']:.3f} "
            f"({found['low']:.3f} to {found['high']:.3f}), chance {found['chance']:.3f}"
        )
    print(f"suspect labels: {len(suspects)} of {n_asked} images, in {SUSPECTS}")


def _originals(part: str) -> tuple[pd.DataFrame, np.ndarray]:
    """The whole images of a part, without copies, and what they are."""
    rows = read_rows(PACKS / "wbc" / part)
    rows = rows[rows["path"] == rows["source"]].drop_duplicates("path")
    return rows, read_images(PACKS / "wbc" / part, "wbc")[rows.index.to_numpy()]


def _suspects(params: Settings) -> tuple[pd.DataFrame, int]:
    """The table of suspect labels among training and validation images, and how many were asked about."""
    packs = [PACKS / "cells" / part for part in ("train", "val")]
    rows = pd.concat([read_rows(pack) for pack in packs], ignore_index=True)
    descriptors = np.concatenate([read_values(pack, "descriptors") for pack in packs])
    labels = np.array([params.classes.index(label) for label in rows["class"]])
    # A class of fewer images would be missing where its images are asked about.
    common = np.bincount(labels, minlength=len(params.classes))[labels] >= FOLDS
    found = pd.DataFrame(columns=["image", "given", "suggested", "p_given", "p_suggested"])
    asked = np.flatnonzero(common)
    if len(np.unique(labels[asked])) > 1:
        settings = params.probe
        probabilities = out_of_fold(
            descriptors[asked], labels[asked], list(rows["group"][asked]), len(params.classes), settings
        )
        found = find_suspects(probabilities, labels[asked])
    names = np.array(params.classes)
    table = pd.DataFrame(
        {
            "path": rows["path"].to_numpy()[asked[found["image"].astype(int)]],
            "given": names[found["given"].astype(int)],
            "suggested": names[found["suggested"].astype(int)],
            "p_given": found["p_given"].astype(float).round(4),
            "p_suggested": found["p_suggested"].astype(float).round(4),
            "label": "",
        }
    )
    return table, len(asked)


if __name__ == "__main__":
    run(main)
