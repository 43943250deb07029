"""Report all that is wrong with a folder of images, and what it holds; nothing is written.

Exits with 0 if the folder can be used.
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what `leuko check` takes."""
    parser.add_argument("folder", type=Path, nargs="?", help="the folder (default: data_root of the settings)")
    parser.add_argument(
        "--params", type=Path, default=Path("params.yaml"), metavar="FILE", help="the settings (default: params.yaml)"
    )


def run(options: argparse.Namespace) -> None:
    """Report all problems of a folder, and what it holds, and write nothing.

    Raises:
        LeukoError: with all that is wrong.
    """
    from leuko.core.params.everything import Params
    from leuko.core.params.reading import load_params
    from leuko.data.manifest import survey_data
    from leuko.data.summary import describe_duplicates, describe_gaps, describe_groups, describe_notes, summary, verdict

    params = load_params(Params, options.params)
    root = options.folder or Path(params.data_root)
    survey = survey_data(root, classes=params.classes, synonyms=params.synonyms, **params.ingest.model_dump())
    print(summary(survey))
    print(
        describe_gaps(survey.manifest, params.classes)
        + describe_groups(survey.manifest, params.classes)
        + describe_notes(survey)
        + describe_duplicates(survey.duplicates)
    )
    survey.problems.raise_if_any(root)
    print(f"\n{verdict(survey, root, params.classes)}")
