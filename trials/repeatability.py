"""Run the demo under other circumstances and see whether every output stays the same, byte by byte."""

from __future__ import annotations

import argparse
import locale
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import yaml

from bench.pipelines import Pipeline, add_options, print_table


def main() -> None:
    """Run and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        print_table(trials(Path(name), small=options.small), "circumstance", "dvc.lock")


def trials(folder: Path, *, small: bool) -> list[tuple[str, str]]:
    """Run the pipeline once for every circumstance.

    Returns:
        Each, and how its result compares with the first.
    """
    first = Pipeline(folder / "first", small=small)
    _repro(first)
    expected = first.lock()
    rows = [("first run", "")]

    def compare(circumstance: str, pipeline: Pipeline, *options: str, **environment: str) -> None:
        _repro(pipeline, *options, environment=environment)
        rows.append((circumstance, difference(expected, pipeline.lock())))
        print(*rows[-1], flush=True)

    compare("`dvc repro --force`", first, "--force")
    compare("`dvc repro --force` again, OMP_NUM_THREADS=1", first, "--force", OMP_NUM_THREADS="1")
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    compare("on one core", first, "--force")
    os.sched_setaffinity(0, cores)
    compare("LC_ALL=C, Tokyo's time", first, "--force", LC_ALL="C", TZ="Asia/Tokyo", PYTHONUTF8="0")
    other = foreign_locale()
    if other:
        compare(f"LC_ALL={other}", first, "--force", LC_ALL=other)
    else:
        rows.append(("another locale", "not tried: none is installed"))
    compare(
        "a clone in another folder, PYTHONHASHSEED=1", Pipeline(folder / "änderer Ort", small=small), PYTHONHASHSEED="1"
    )
    return rows


def foreign_locale() -> str | None:
    """A locale with other letters, decimal signs or sorting than C's, if one is installed."""
    for name in ("tr_TR.UTF-8", "de_DE.UTF-8", "fr_FR.UTF-8"):
        try:
            locale.setlocale(locale.LC_ALL, name)
        except locale.Error:
            continue
        locale.setlocale(locale.LC_ALL, "C")
        return name
    return None


def difference(expected: bytes, found: bytes) -> str:
    """Say which stages' outputs differ between two contents of dvc.lock."""
    if found == expected:
        return "same"
    first, second = (yaml.safe_load(content)["stages"] for content in (expected, found))
    stages = [name for name in first if first[name].get("outs") != second.get(name, {}).get("outs")]
    return f"differs: {', '.join(stages) or 'not in the outputs'}"


def _repro(pipeline: Pipeline, *options: str, environment: Mapping[str, str] | None = None) -> None:
    if pipeline.run("dvc", "repro", *options, environment=environment):
        raise SystemExit(pipeline.log.read_text(errors="replace")[-3000:])


if __name__ == "__main__":
    main()
