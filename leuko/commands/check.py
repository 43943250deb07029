"""Report all that is wrong with a folder of images, and what it holds; nothing is written but a page, if asked for.

Exits with 0 if the folder can be used.
"""

import argparse
from pathlib import Path

from leuko.core.errors import LeukoError
from leuko.core.files import write_bytes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what `leuko check` takes."""
    parser.add_argument("folder", type=Path, nargs="?", help="the folder (default: data_root of the settings)")
    parser.add_argument(
        "--params", type=Path, default=Path("params.yaml"), metavar="FILE", help="the settings (default: params.yaml)"
    )
    parser.add_argument(
        "--page", type=Path, metavar="FILE", help="write what was found as a page too, such as data.html"
    )


def run(options: argparse.Namespace) -> None:
    """Report all problems of a folder, and what it holds.

    Raises:
        LeukoError: with all that is wrong.
    """
    from leuko.core.params.everything import Params
    from leuko.core.params.reading import load_params
    from leuko.data.summary import describe_duplicates, describe_gaps, describe_groups, describe_notes, summary, verdict
    from leuko.data.survey import survey_data
    from leuko.importers.recognition import in_another_layout

    params = load_params(Params, options.params)
    root = options.folder or Path(params.data_root)
    if words := in_another_layout(root, params.classes):
        raise LeukoError(words)
    survey = survey_data(root, classes=params.classes, synonyms=params.synonyms, **params.ingest.model_dump())
    print(summary(survey))
    print(
        describe_gaps(survey.manifest, params.classes)
        + describe_groups(survey.manifest, params.classes)
        + describe_notes(survey)
        + describe_duplicates(survey.duplicates)
    )
    if options.page:
        from leuko.report.data_page import data_report
        from leuko.report.rendering import fill

        write_bytes(
            options.page, fill(data_report(survey, root, params.classes, pictures=params.report.pictures)).encode()
        )
        print(f"\nThe page: {options.page}")
    survey.problems.raise_if_any(root)
    print(f"\n{verdict(survey, root, params.classes)}")
