"""Check the data root and write the manifest; with `--check`, only check, and say what there is."""

import argparse
import sys
from pathlib import Path

import pandas as pd

from leuko.core.classes import CLASSES
from leuko.core.errors import run
from leuko.core.files import write_table
from leuko.core.params import load_params
from leuko.data.duplicates import FINDINGS, RANK, in_words
from leuko.data.manifest import Survey, survey_data

MANIFEST = Path("data/manifest.csv")
DUPLICATES = Path("data/duplicates.csv")
SHOWN = 10


def main() -> None:
    """Read `data_root`, divide its images into parts and subsets, and write `data/manifest.csv`."""
    params = load_params()
    root = Path(params.data_root)
    survey = survey_data(root, **params.ingest.model_dump())
    survey.problems.raise_if_any(root)
    write_table(MANIFEST, survey.manifest)
    write_table(DUPLICATES, survey.duplicates)
    print(survey.manifest.groupby(["set", "part"], sort=False).size().to_string(header=False))
    print(describe_gaps(survey.manifest) + describe_duplicates(survey.duplicates, SHOWN, f"all: {DUPLICATES}"))


def check() -> None:
    """Report all problems of a folder, and what it holds, and write nothing."""
    parser = argparse.ArgumentParser(prog="python -m stages.ingest", description=__doc__)
    parser.add_argument("--check", nargs="?", const="", metavar="FOLDER", help="the folder; without it, data_root")
    folder = parser.parse_args().check
    params = load_params()
    root = Path(folder or params.data_root)
    survey = survey_data(root, **params.ingest.model_dump())
    print(summary(survey))
    print(describe_gaps(survey.manifest) + describe_duplicates(survey.duplicates, len(survey.duplicates), ""))
    survey.problems.raise_if_any(root)
    print(f"\nNo problems in {root}.")


def summary(survey: Survey) -> str:
    """How many images there are of every class of every part, how many have masks, and how large they are."""
    sides = survey.manifest[["width", "height"]]
    images = survey.manifest.assign(shortest=sides.min(axis=1), longest=sides.max(axis=1))
    images = images.sort_values("part", key=lambda parts: parts.map(RANK), kind="stable")
    images = images.sort_values("set", key=lambda sets: sets.map(list(CLASSES).index), kind="stable")
    table = images.groupby(["set", "part", "class"], sort=False).agg(
        images=("path", "size"),
        masks=("mask", lambda masks: (masks != "").sum()),
        shortest=("shortest", "min"),
        longest=("longest", "max"),
    )
    return f"Images that can be used, and their sides in pixels:\n\n{table.to_string()}"


def describe_gaps(manifest: pd.DataFrame) -> str:
    """The classes of blood cells without a test image; only a test folder may lack any."""
    tested = set(manifest[(manifest["set"] == "wbc") & (manifest["part"] == "test")]["class"])
    missing = [label for label in CLASSES["wbc"] if label not in tested]
    return f"\nNo test image of {', '.join(missing)}: nothing will be known of these classes.\n" if missing else ""


def describe_duplicates(duplicates: pd.DataFrame, shown: int, where: str) -> str:
    """The pictures that occur more than once, by what was found; of each finding the first ones."""
    lines = []
    for finding, pictures in in_words(duplicates).items():
        if pictures:
            lines += ["", f"{FINDINGS[finding]} ({len(pictures)}):", *(f"    {line}" for line in pictures[:shown])]
            lines += [f"    ... {where}"] * (len(pictures) > shown)
    return "\n".join(lines or ["", "No picture occurs more than once."])


if __name__ == "__main__":
    run(check if sys.argv[1:] else main)
