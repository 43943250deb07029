"""What the tests of importers share."""

import argparse
from pathlib import Path

import pandas as pd

from leuko.data.survey import survey_data
from leuko.importers import command

FIVE = ("Basophil", "Eosinophil", "Lymphocyte", "Monocyte", "Neutrophil")
CHECKS = {
    "synonyms": {},
    "seed": 0,
    "val_fraction": 0.3,
    "prcc_val_fraction": 0.1,
    "prcc_test_fraction": 0.1,
    "min_side": 16,
    "blank": "warn",
    "max_value": "auto",
    "mask": "auto",
    "mask_name": "{stem}",
    "subsets": "folders",
    "subset_seed": 0,
    "duplicates": "warn",
    "group": "none",
    "relabel": "none",
}


def run_import(*words) -> None:
    """What `leuko import` does with these words on its command line."""
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    command.run(parser.parse_args([str(word) for word in words]))


def survey(root, classes=FIVE) -> pd.DataFrame:
    """The manifest of a data root with blood cells, which must be without problems."""
    found = survey_data(root, classes=classes, **CHECKS)
    found.problems.raise_if_any(root)
    return found.manifest


def tree(folder) -> dict[str, bytes]:
    """All files below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()
    }
