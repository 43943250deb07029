"""Kill the demo run again and again, at random moments, and see whether it ends as an undisturbed run does."""

from __future__ import annotations

import argparse
import random
import re
import tempfile
import time
from pathlib import Path
from subprocess import TimeoutExpired

from bench.pipelines import Pipeline, add_options, kill, print_table


def main() -> None:
    """Run, kill, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--kills", type=int, default=3, help="in each run, before it may end")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    add_options(parser)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        print_table(trials(options, Path(name)), "run", "killed in", "after, s", "same dvc.lock", "left over")


def trials(options: argparse.Namespace, folder: Path) -> list[tuple[str, ...]]:
    """Run the pipeline once undisturbed, then as often as wanted with kills.

    Returns:
        A row for every run that was killed.
    """
    undisturbed = Pipeline(folder / "undisturbed", small=options.small)
    start = time.monotonic()
    if undisturbed.run("dvc", "repro"):
        raise SystemExit(undisturbed.log.read_text(errors="replace"))
    whole = time.monotonic() - start
    print(f"An undisturbed run took {whole:.0f} s.\n", flush=True)
    rng = random.Random(options.seed)
    rows: list[tuple[str, ...]] = []
    for number in range(1, options.runs + 1):
        pipeline = Pipeline(folder / f"run{number}", small=options.small)
        moments: list[str] = []
        stages: list[str] = []
        left = whole
        while len(moments) < options.kills:
            moment = rng.uniform(0, left)
            process = pipeline.start("dvc", "repro")
            try:
                process.wait(moment)
                break  # it was faster
            except TimeoutExpired:
                kill(process)
            moments.append(f"{moment:.0f}")
            stages.append(last_stage(pipeline.log))
            left = max(left - moment, whole / 10)
            pipeline.run("tools.workspace")  # as `make repro` starts
        succeeded = pipeline.run("dvc", "repro") == 0
        same = succeeded and pipeline.lock() == undisturbed.lock()
        rows.append(
            (
                str(number),
                ", ".join(stages),
                ", ".join(moments),
                "yes" if same else "NO",
                ", ".join(pipeline.leftovers()),
            )
        )
        print(*rows[-1], flush=True)
        if not same:
            print(pipeline.log.read_text(errors="replace")[-3000:])
    n_same = sum(row[3] == "yes" for row in rows)
    print(f"\n{n_same} of {len(rows)} ended with the dvc.lock of the undisturbed run.\n")
    return rows


def last_stage(log: Path) -> str:
    """The stage that was running last, by what DVC said."""
    found = re.findall(r"Running stage '(\w+)'", log.read_text(errors="replace"))
    return found[-1] if found else "start"


if __name__ == "__main__":
    main()
