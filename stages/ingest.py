"""Check the data root and write the manifest."""

from pathlib import Path

from leuko.core.errors import run
from leuko.core.files import write_bytes, write_table
from leuko.core.params.group import Group, Text
from leuko.core.params.ingest import Ingest
from leuko.core.params.labels import Classes
from leuko.core.params.reading import load_params
from leuko.core.params.report import Report
from leuko.data.manifest import without_subsets
from leuko.data.summary import describe_duplicates, describe_gaps, describe_groups, describe_notes
from leuko.data.survey import survey_data
from leuko.report.data_page import data_report
from leuko.report.rendering import fill

MANIFEST = Path("data/manifest.csv")
# Apart, so that nothing is measured or pre-trained anew when other subsets are drawn.
IMAGES = Path("data/images.csv")
DUPLICATES = Path("data/duplicates.csv")
PAGE = Path("reports/data.html")
SHOWN = 10


class Settings(Group):
    """The settings that this stage reads."""

    data_root: Text
    classes: Classes
    synonyms: dict[Text, Text]
    ingest: Ingest
    report: Report


def main() -> None:
    """Read `data_root`, divide its images into parts and subsets, and write what comes of it."""
    params = load_params(Settings)
    root = Path(params.data_root)
    survey = survey_data(root, classes=params.classes, synonyms=params.synonyms, **params.ingest.model_dump())
    survey.problems.raise_if_any(root)
    write_table(MANIFEST, survey.manifest)
    write_table(IMAGES, without_subsets(survey.manifest))
    write_table(DUPLICATES, survey.duplicates)
    write_bytes(PAGE, fill(data_report(survey, root, params.classes, pictures=params.report.pictures)).encode())
    print(survey.manifest.groupby(["set", "part"], sort=False).size().to_string(header=False))
    print(
        describe_gaps(survey.manifest, params.classes)
        + describe_groups(survey.manifest, params.classes)
        + describe_notes(survey, SHOWN)
        + describe_duplicates(survey.duplicates, SHOWN, f"all: {DUPLICATES}")
    )


if __name__ == "__main__":
    run(main)
