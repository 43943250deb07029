"""Train every split with every seed, and summarise.

What is finished is kept in study/cells, as small files that can be committed; the same command goes on where an earlier
one ended, however it ended.
"""

from __future__ import annotations

import argparse
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from leuko.core.classes import SUBSETS
from leuko.core.errors import LeukoError
from leuko.core.params.families import Families
from leuko.study.cells import CELLS, Cell, Origin, cells_in, commit_of, is_complete, merge, origin_of_cell
from leuko.study.clone import LOGS, Clone, git, harvest, lock, tail, take_over

REPORT = Path("reports/study")
FAMILIES = tuple(Families.model_fields)

EPILOG = """\
One run is a DVC experiment, study-split<split>-seed<seed>, and trains all arms of the families that are on. Below
100 %, every seed has a subset of its own. Runs take the settings, tracked files and changes of the workspace as they
are at the start.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what `leuko study` takes."""
    parser.epilog = EPILOG
    parser.add_argument(
        "--splits", type=int, nargs="+", choices=SUBSETS, default=list(SUBSETS), help="percentages of the labels"
    )
    seeds = parser.add_mutually_exclusive_group()
    seeds.add_argument("--seeds", type=int, default=10, metavar="COUNT", help="as many seeds, from 0 (default: 10)")
    seeds.add_argument("--seed-list", type=int, nargs="+", metavar="SEED", help="these seeds")
    parser.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="other settings than in params.yaml"
    )
    parser.add_argument(
        "--families",
        type=_families,
        metavar="FAMILY[,FAMILY]",
        help=f"families of arms: {', '.join(FAMILIES)} (default: those that params.yaml switches on)",
    )
    parser.add_argument(
        "--published-seeds",
        type=int,
        metavar="COUNT",
        help="train the published family, which takes longest, with the first so many seeds only",
    )
    parser.add_argument(
        "--tag", action="store_true", help="tag every experiment's commit, study/split<split>-seed<seed>"
    )
    other = parser.add_mutually_exclusive_group()
    other.add_argument(
        "--print-commands",
        action="store_true",
        help="print a shell command for every cell, for a scheduler; run nothing",
    )
    other.add_argument(
        "--merge", type=Path, nargs="*", metavar="FOLDER", help="copy the cells of other clones, and summarise all"
    )


def _families(text: str) -> list[str]:
    """Read names with commas between them."""
    names = text.split(",")
    if unknown := sorted(set(names) - set(FAMILIES)):
        raise argparse.ArgumentTypeError(f"no family {', '.join(unknown)}; there are {', '.join(FAMILIES)}")
    return names


def run(options: argparse.Namespace) -> None:
    """Run what is missing of the study, or do what the options say instead.

    Raises:
        LeukoError: with what failed.
    """
    if options.merge is not None:
        copied = merge(options.merge)
        print(f"{len(copied)} cells were copied.\n")
        _summarise(cells_in(CELLS))
        return
    seeds = dict.fromkeys(options.seed_list or range(options.seeds))
    # All splits of a seed come before the next seed, so that a study that is cut short has something of each.
    grid = [Cell(split, seed) for seed in seeds for split in dict.fromkeys(options.splits)]
    changes = options.set
    if options.families:
        changes = [*changes, *(f"families.{name}={str(name in options.families).lower()}" for name in FAMILIES)]
    if options.print_commands:
        _print_commands(grid, changes)
        return
    # Schedulers end a job with the first; the second is ignored by what a shell starts in the background.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    try:
        _study(grid, changes, list(seeds)[: options.published_seeds], options.tag)
    except KeyboardInterrupt:
        raise LeukoError(f"Stopped. What is finished is in {CELLS}; the same command goes on from there.") from None


def _study(grid: Sequence[Cell], changes: Sequence[str], with_published: Sequence[int], tag: bool) -> None:
    """Run what is missing of the grid, and summarise.

    Args:
        grid: the cells.
        changes: of settings, as `key=value`.
        with_published: the seeds with which the published family is trained, if it is at all.
        tag: whether to tag the experiments' commits.

    Raises:
        LeukoError: with what failed.
    """
    with lock() as handle:
        clone = Clone(handle)
        print("Preparing what all cells share.", flush=True)
        origin = clone.prepare(changes)
        grid = _with_families(grid, origin.families, with_published)
        missing = [_widened(cell, origin) for cell in grid if not _is_there(cell, origin)]
        print(f"{len(grid) - len(missing)} of {len(grid)} cells are there.", flush=True)
        failures = _run_all(clone, origin, missing, len(grid), changes)
    if tag:
        _tag([cell for cell in grid if _is_current(cell, origin)])
    print()
    _summarise([cell for cell in cells_in(CELLS) if _is_current(cell, origin)])
    if failures:
        raise LeukoError("\n\n".join([f"{len(failures)} of {len(grid)} cells failed:", *failures]))


def _with_families(grid: Sequence[Cell], families: frozenset[str], with_published: Sequence[int]) -> list[Cell]:
    """Say of every cell which families it must have; cells without any are dropped."""
    cells = [
        replace(cell, families=families if cell.seed in with_published else families - {"published"}) for cell in grid
    ]
    return [cell for cell in cells if cell.families]


def _widened(cell: Cell, origin: Origin) -> Cell:
    """A cell that is to be made, with the families that it has already if nothing else is wrong with it."""
    if not _is_current(replace(cell, families=frozenset()), origin):
        return cell
    return replace(cell, families=cell.families | origin_of_cell(cell.folder).families)


def _is_current(cell: Cell, origin: Origin) -> bool:
    """Whether a cell is kept that was made with what it should be."""
    return is_complete(cell.folder) and not origin_of_cell(cell.folder).differences(origin.of(cell))


def _is_there(cell: Cell, origin: Origin) -> bool:
    """Whether a cell is kept or can be taken from an experiment; say so if it must be made anew."""
    if _is_current(cell, origin) or not harvest(cell, origin):
        return True
    if is_complete(cell.folder):
        differences = origin_of_cell(cell.folder).differences(origin.of(cell))
        print(f"{cell.name} is to be made anew: {', '.join(differences)}")
    return False


def _run_all(clone: Clone, origin: Origin, missing: Sequence[Cell], total: int, changes: Sequence[str]) -> list[str]:
    """Run cells one after the other; one that fails does not keep the others from running.

    Returns:
        For every cell that failed, what it said last.
    """
    failures: list[str] = []
    start = time.monotonic()
    with tqdm(total=total, initial=total - len(missing), desc="study", unit="cell", disable=None) as bar:
        for n_done, cell in enumerate(missing, start=1):
            log = LOGS / f"{cell.name}.log"
            cell_start = time.monotonic()
            # Later changes win, so a cell's own come last.
            succeeded = clone.run(cell.experiment, [*changes, *cell.changes], ["evaluate"], log)
            take_over()
            reasons = harvest(cell, origin) if succeeded else [f"\n{tail(log)}"]
            now = time.monotonic()
            left = (now - start) / n_done * (len(missing) - n_done)
            took, left_text = (tqdm.format_interval(seconds) for seconds in (now - cell_start, left))
            tqdm.write(
                f"{cell.name} {'failed' if reasons else 'done'} in {took}; "
                f"{len(missing) - n_done} of {total} to go, about {left_text}"
            )
            sys.stdout.flush()
            bar.update()
            if reasons:
                failures.append(f"{cell.name}, {log}: {', '.join(reasons)}")
    return failures


def _tag(cells: Sequence[Cell]) -> None:
    """Tag the commits of cells, so that clones get them and `dvc metrics diff` can compare them there."""
    lacking = []
    for cell in cells:
        try:
            git("tag", "--force", f"study/{cell.name}", commit_of(cell))
        except LeukoError:
            lacking.append(cell.name)
    if lacking:
        print(f"Not tagged, as their experiments ran in another clone: {', '.join(lacking)}")


def _summarise(cells: Sequence[Cell]) -> None:
    # Here, as scikit-learn and matplotlib take seconds to import.
    from leuko.report.study import build_report
    from leuko.study.summary import SUMMARY, TABLE, summarise

    if cells:
        words = summarise(cells)
        build_report(SUMMARY.parent, REPORT)
        print(f"{words}\n\nThe report: {REPORT / 'report.html'}    numbers: {SUMMARY}, {TABLE}    cells: {CELLS}")


def _print_commands(grid: Sequence[Cell], changes: Sequence[str]) -> None:
    """Print a shell command for every cell; each makes a clone of its own, beside the others.

    Raises:
        LeukoError: if a clone would lack something.
    """
    if git("status", "--porcelain", "--untracked-files=no", "--", ".", ":(exclude)study"):
        raise LeukoError("There are changes that are not committed, which clones would lack; commit them first.")
    dvc = [sys.executable, "-m", "dvc"]
    cache = subprocess.run([*dvc, "cache", "dir"], check=True, capture_output=True, text=True).stdout.strip()
    share_cache = shlex.join([*dvc, "cache", "dir", "--local", cache])
    settings = ["--set", *changes] if changes else []
    print("# Run the first alone, as it trains what all share; then the others, in any order or at the same time.")
    for cell in grid:
        folder = f"study-{cell.name}"
        make_clone = f"(test -d {folder} || {shlex.join(['git', 'clone', '--quiet', str(Path.cwd()), folder])})"
        one_cell = ["--splits", str(cell.split), "--seed-list", str(cell.seed)]
        study = shlex.join([sys.executable, "-m", "leuko", "study", *one_cell, *settings])
        print(f"{make_clone} && cd {folder} && {share_cache} && {study}")
    print(f"# Then, in {Path.cwd()}: python -m leuko study --merge study-split*  # wherever those clones are")
