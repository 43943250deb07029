"""Write the report of a study: `python -m leuko.report --help`."""

import argparse
from pathlib import Path

from leuko.core.errors import run
from leuko.report.study import build_report


def main() -> None:
    """Read the command line and write the report."""
    parser = argparse.ArgumentParser("python -m leuko.report", description="Write the report of a study.")
    parser.add_argument("--study", type=Path, default=Path("study"), help="the study's folder (default: study)")
    parser.add_argument("--out", type=Path, default=Path("reports/study"), help="where to (default: reports/study)")
    options = parser.parse_args()
    build_report(options.study, options.out)
    print(f"The report: {options.out / 'report.html'}")


if __name__ == "__main__":
    run(main)
