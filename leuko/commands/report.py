"""Write the report of a study."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what `leuko report` takes."""
    parser.add_argument("--study", type=Path, default=Path("study"), help="the study's folder (default: study)")
    parser.add_argument("--out", type=Path, default=Path("reports/study"), help="where to (default: reports/study)")


def run(options: argparse.Namespace) -> None:
    """Write the report."""
    from leuko.report.study import build_report

    build_report(options.study, options.out)
    print(f"The report: {options.out / 'report.html'}")
