"""Let the disk be full, or read-only, in every stage; make room; see whether the stage recovers.

The project lies in a small file system in memory, which takes Linux and the rights of root.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.pipelines import Pipeline, print_table

ENTRIES = ("scratch", "tissue", "multitask", "blood")
STAGES = (
    *("demo", "ingest", "prepare_masks", "augment", "measure", "train_prcc", "train_cam16", "train_wbc"),
    *("train_control", "train_wbc_plus", *(f"pretrain {name}" for name in ENTRIES)),
    *(*(f"finetune {name}" for name in ENTRIES), "probe", "evaluate", "audit", "report"),
)
TRIED = tuple(stage for stage in STAGES if " " not in stage or stage.endswith("blood"))
"""Each kind of stage once."""
OUTPUTS = ("data", "models", "metrics", "plots", "reports")
SHARES = (0.0, 0.3, 0.8)
"""How much of what a stage writes there is room for."""


def main() -> None:
    """Try every stage and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--stages", nargs="+", choices=STAGES, default=TRIED, help="the stages to try (default: each kind)"
    )
    tried = parser.parse_args().stages
    if sys.platform != "linux" or os.geteuid():
        raise SystemExit("This takes Linux and the rights of root, to make a file system of a given size.")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with small_disk(folder / "disk") as disk:
            pipeline = Pipeline(disk / "project", small=True, log=folder / "log")
            for output in OUTPUTS:  # Git has the results of an earlier run
                shutil.rmtree(pipeline.folder / output, ignore_errors=True)
            rows: list[tuple[str, ...]] = []
            for stage in STAGES[: max(map(STAGES.index, tried)) + 1]:
                if stage in tried:
                    rows += trials(stage, pipeline, folder / "before")
                elif run(pipeline, stage):
                    raise SystemExit(pipeline.log.read_text(errors="replace")[-3000:])
    print()
    print_table(rows, "stage", "disk", "what it said", "half-written", "run again with room")


def trials(stage: str, pipeline: Pipeline, backup: Path) -> Iterator[tuple[str, str, str, str, str]]:
    """Run a stage with too little room, and read-only, then with room; afterwards its outputs are there.

    Args:
        stage: its name.
        pipeline: after the stages before it.
        backup: a folder on another disk, for the outputs of these.

    Yields:
        A row for every trial.
    """
    before = files(pipeline.folder)
    shutil.rmtree(backup, ignore_errors=True)
    copy_outputs(pipeline.folder, backup)
    disk = pipeline.folder.parent
    room = shutil.disk_usage(disk).free
    if run(pipeline, stage):
        raise SystemExit(pipeline.log.read_text(errors="replace")[-3000:])
    expected = files(pipeline.folder)
    n_bytes = room - shutil.disk_usage(disk).free
    for share in (*SHARES, None):
        for output in OUTPUTS:
            shutil.rmtree(pipeline.folder / output, ignore_errors=True)
        copy_outputs(backup, pipeline.folder)
        pipeline.log.unlink()
        with read_only(disk) if share is None else nearly_full(disk, int(n_bytes * share)):
            status = run(pipeline, stage)
        said = pipeline.log.read_text(errors="replace").strip().splitlines()
        outcome = "TRACEBACK" if any("Traceback" in line for line in said) else said[-1] if said else f"status {status}"
        now = files(pipeline.folder)
        partial = [name for name, content in now.items() if content not in (before.get(name), expected.get(name))]
        again = run(pipeline, stage) == 0 and files(pipeline.folder) == expected
        yield (
            stage,
            "read-only" if share is None else f"room for {share:.0%}",
            outcome if status else "FOUND ROOM",
            ", ".join(partial) or "nothing",
            "same bytes" if again else "NO",
        )
        print(stage, share, outcome, partial, again, flush=True)


def run(pipeline: Pipeline, stage: str) -> int:
    """Run a stage by itself; its exit status."""
    return pipeline.run(*f"stages.{stage}".split())


def files(folder: Path) -> dict[str, bytes]:
    """The contents of all outputs, by path."""
    found = [path for output in OUTPUTS for path in (folder / output).rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def copy_outputs(source: Path, target: Path) -> None:
    """Copy all outputs from one project folder into another."""
    for output in OUTPUTS:
        if (source / output).exists():
            shutil.copytree(source / output, target / output)


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount a file system in memory for the time of the block."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@contextmanager
def nearly_full(disk: Path, n_bytes: int) -> Iterator[None]:
    """Leave so many bytes of a disk free for the time of the block."""
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(disk).free - n_bytes)
    try:
        yield
    finally:
        ballast.unlink()


@contextmanager
def read_only(disk: Path) -> Iterator[None]:
    """Let nobody write on a disk for the time of the block."""
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)


if __name__ == "__main__":
    main()
