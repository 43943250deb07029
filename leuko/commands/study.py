"""Train every split with every seed, and summarise.

What is finished is kept in study/cells, as small files that can be committed; the same command goes on where an earlier
one ended, however it ended.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, chdir, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from leuko.core.classes import SUBSETS
from leuko.core.errors import LeukoError
from leuko.core.params.everything import Params
from leuko.core.params.families import Families
from leuko.core.params.reading import PARAMS, load_params
from leuko.study.cells import CELLS, Cell, Origin, cells_in, commit_of, is_complete, merge, origin_of_cell
from leuko.study.clone import locked
from leuko.study.experiments import PREPARATION, git, harvest, prepared_origin, state_of_workspace
from leuko.study.job import THREADS, Job
from leuko.study.runners import Runner, runner
from leuko.study.schedule import prepare, run_cells

LOCK = Path(".dvc/tmp/study.lock")
LOGS = Path("study/logs")
SHARED = ("train_prcc", "train_cam16", "pretrain")
"""The last of the stages that all cells share, beside the packing of other laboratories."""

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
    parser.add_argument(
        "--merge", type=Path, nargs="*", metavar="FOLDER", help="copy the cells of other clones, and summarise all"
    )
    parser.add_argument(
        "--no-report", action="store_true", help="write scores and gains only; `leuko report` writes the report later"
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--workers",
        type=_count,
        default=1,
        metavar="COUNT",
        help="run so many cells at a time on this machine, each with a GPU of its own or its share of the cores",
    )
    where.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="run cells on the workers of a Dask cluster that share this folder, such as tcp://host:8786",
    )


def _count(text: str) -> int:
    """Read a number that is at least one."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number of 1 or more")
    return int(text)


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
        _summarise(cells_in(CELLS), report=not options.no_report)
        return
    seeds = dict.fromkeys(options.seed_list or range(options.seeds))
    # All splits of a seed come before the next seed, so that a study that is cut short has something of each.
    grid = [Cell(split, seed) for seed in seeds for split in dict.fromkeys(options.splits)]
    changes = options.set
    if options.families:
        changes = [*changes, *(f"families.{name}={str(name in options.families).lower()}" for name in FAMILIES)]
    # Schedulers end a job with the first; the second is ignored by what a shell starts in the background.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    try:
        with _lock():
            params = _check_settings(changes)
            shared = (*SHARED, *(["pack_external"] if params.external else []))
            with runner(options.workers, options.scheduler) as crew:
                _study(crew, shared, grid, changes, list(seeds)[: options.published_seeds], options)
    except KeyboardInterrupt:
        goes_on = " Cells that run on the cluster end there, and are taken over." if options.scheduler else ""
        raise LeukoError(
            f"Stopped. What is finished is in {CELLS}; the same command goes on from there.{goes_on}"
        ) from None


@contextmanager
def _lock() -> Iterator[None]:
    """Allow one study at a time in this workspace.

    Raises:
        LeukoError: if another study runs.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(LOCK, wait=False))
        except BlockingIOError as error:
            raise LeukoError(f"A study is running here (process {LOCK.read_text()}). Wait for it to end.") from error
        yield


def _check_settings(changes: Sequence[str]) -> Params:
    """Check the settings of all runs as DVC will write them, before any of them takes hours.

    Args:
        changes: of the workspace's settings, as `key=value`.

    Returns:
        The settings.

    Raises:
        LeukoError: with all that cannot be used.
    """
    # Here, as `--help` needs none of it.
    from dvc.exceptions import DvcException
    from dvc.utils.hydra import apply_overrides

    workspace = Path.cwd()
    with TemporaryDirectory() as folder, chdir(folder):  # so that messages say params.yaml
        shutil.copyfile(workspace / PARAMS, PARAMS)
        try:
            apply_overrides(str(PARAMS), changes)
        except DvcException as error:
            raise LeukoError(f"--set cannot be used: {error.__cause__ or error}") from error
        params = load_params(Params)
    absent = [
        f"external.{name}: {path} is no folder" for name, path in params.external.items() if not Path(path).is_dir()
    ]
    if absent:
        raise LeukoError("\n".join(absent))
    return params


def _study(
    crew: Runner,
    shared: Sequence[str],
    grid: Sequence[Cell],
    changes: Sequence[str],
    with_published: Sequence[int],
    options: argparse.Namespace,
) -> None:
    """Run what is missing of the grid, and summarise.

    Args:
        crew: what runs cells.
        shared: the last of the stages that all cells share.
        grid: the cells.
        changes: of settings, as `key=value`.
        with_published: the seeds with which the published family is trained, if it is at all.
        options: whether to tag the experiments' commits, and to leave the report out.

    Raises:
        LeukoError: with what failed.
    """
    commit, state = state_of_workspace()
    dvc = [sys.executable, "-m", "dvc"]
    cache = subprocess.run([*dvc, "cache", "dir"], check=True, capture_output=True, text=True).stdout.strip()

    def job_of(experiment: str, own: Sequence[str], stages: Sequence[str]) -> Job:
        return Job(
            workspace=str(Path.cwd()),
            experiment=experiment,
            changes=[*changes, *own],
            stages=list(stages),
            commit=commit,
            state=state,
            cache=str(Path(cache).absolute()),
            log=str(LOGS / f"{experiment.removeprefix('study-')}.log"),
            threads={name: os.environ[name] for name in THREADS if name in os.environ},
        )

    print("Preparing what all cells share.", flush=True)
    prepare(crew, job_of(PREPARATION, [], shared))
    origin = prepared_origin()
    grid = _with_families(grid, origin.families, with_published)
    missing = [_widened(cell, origin) for cell in grid if not _is_there(cell, origin)]
    print(f"{len(grid) - len(missing)} of {len(grid)} cells are there.", flush=True)
    failures = run_cells(
        crew,
        missing,
        len(grid),
        lambda cell: job_of(
            cell.experiment, cell.changes, ["evaluate", *(["external"] if origin.laboratories else [])]
        ),
        lambda cell: harvest(cell, origin),
    )
    if options.tag:
        _tag([cell for cell in grid if _is_current(cell, origin)])
    print()
    _summarise([cell for cell in cells_in(CELLS) if _is_current(cell, origin)], report=not options.no_report)
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


def _summarise(cells: Sequence[Cell], *, report: bool) -> None:
    # Here, as scikit-learn and matplotlib take seconds to import.
    from leuko.study.summary import SUMMARY, TABLE, summarise

    if not cells:
        return
    print(f"{summarise(cells)}\n")
    if report:
        from leuko.report.study import build_report

        build_report(SUMMARY.parent, REPORT)
        print(f"The report: {REPORT / 'report.html'}    ", end="")
    print(f"numbers: {SUMMARY}, {TABLE}    cells: {CELLS}")
