"""The command line of imports: what it takes, what it prints, and the record that it leaves."""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from leuko.data.summary import describe_duplicates
from leuko.data.survey import Survey, survey_data
from leuko.importers.base import check_sources
from leuko.importers.kinds import KINDS
from leuko.importers.labels import FIVE_TYPES
from leuko.importers.planning import MIN_SIDE, Plan, make_plan
from leuko.importers.writing import check_room, check_target, write_images, write_records, write_whole

NOT_RECORDED = ("run", "kind", "sources", "out", "add", "dry_run", "copy")
"""What does not shape what is imported, or is recorded elsewhere."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the kinds, each with the options of all and those of its own."""
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND", title="kinds of sources")
    for kind in KINDS.values():
        of_kind = kinds.add_parser(
            kind.name,
            help=kind.reads,
            description=sys.modules[kind.find.__module__].__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        of_kind.add_argument("sources", nargs="+", type=Path, metavar="SOURCE", help="what to import")
        of_kind.add_argument("--out", required=True, type=Path, metavar="FOLDER", help="new or empty")
        of_kind.add_argument("--add", action="store_true", help="into a data root that has other sets already")
        of_kind.add_argument("--dry-run", action="store_true", help="show what would be written, and write nothing")
        of_kind.add_argument("--copy", action="store_true", help="copy even where hard links are possible")
        of_kind.add_argument(
            "--group", metavar="WHAT", help="patients or smears: a pattern with (?P<group>...) on paths, or a column"
        )
        of_kind.add_argument(
            "--limit", type=_at_least(1), metavar="N", help="at most N images of each class in each part"
        )
        of_kind.add_argument("--skip-unusable", action="store_true", help="leave out files that cannot be used")
        of_kind.add_argument("--seed", type=_at_least(0), default=0, metavar="N", help="of all draws (0 as it comes)")
        if kind.of_set != "prcc":
            _add_labels(of_kind)
        if not kind.is_published and kind.of_set == "wbc":
            of_kind.add_argument("--tissue", action="store_true", help="labelled tissue, normal and tumor, not cells")
        kind.add_arguments(of_kind)


def _add_labels(parser: argparse.ArgumentParser) -> None:
    """Add the options for classes and parts."""
    parser.add_argument("--classes", metavar="A,B,...", help=f"the classes; without it {','.join(FIVE_TYPES)}")
    parser.add_argument("--all-classes", action="store_true", help="all classes of the source, under its names")
    parser.add_argument("--map", action="append", default=[], metavar="LABEL=CLASS", help="count LABEL as CLASS")
    parser.add_argument("--drop", action="append", default=[], metavar="LABEL", help="leave out the images of LABEL")
    parser.add_argument(
        "--ratios",
        nargs=3,
        type=float,
        metavar=("TRAIN", "VAL", "TEST"),
        help="divide by these, whatever parts the source has (70 10 20 where it has none)",
    )


def _at_least(least: int) -> Callable[[str], int]:
    """What reads a whole number that must not be smaller."""

    def read(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text}: should be a whole number from {least}")
        return int(text)

    return read


def run(options: argparse.Namespace) -> None:
    """Import, and say what was imported.

    Args:
        options: what the command line says.

    Raises:
        LeukoError: if something is wrong with the source, or a person has to decide something.
    """
    kind = KINDS[options.kind]
    check_sources(options.sources)
    check_target(options.out, options.sources, add=options.add)
    plan = make_plan(kind, options.sources, options)
    check_room(options.out, plan.placed)
    print(describe(plan))
    if options.dry_run:
        print("\nNothing was written (--dry-run).")
        return
    write_whole(options.out, lambda folder: fill(folder, plan, options))
    print(f"\nWritten to {options.out}. In params.yaml, set data_root to it", end="")
    others = plan.of_set == "wbc" and tuple(plan.classes) != FIVE_TYPES
    print(f", and classes to {', '.join(plan.classes)}." if others else ".")


def describe(plan: Plan) -> str:
    """What is to be written: images by class and part, masks, groups, and what is left out."""
    counts = plan.counts()
    lines = [f"set {plan.of_set}", "", pd.concat([counts, counts.sum().to_frame("all").T]).to_string()]
    masks = sum(entry.mask is not None for entry in plan.placed)
    unread = sum(entry.item.mask is not None for entry in plan.placed) - masks
    groups = [entry.item.group for entry in plan.placed]
    lines += ["", f"masks: {masks}" + f" (of training images; {unread} of others are not needed)" * bool(unread)]
    known = len(set(groups) - {""})
    without = f"; {groups.count('')} images of no known one" if "" in groups else ""
    lines += [f"groups: {known}{without}" if known else "groups: none known (--group)"]
    if left_out := {reason: number for reason, number in sorted(plan.left_out.items()) if number}:
        lines += ["left out:", *(f"    {number} {reason}" for reason, number in left_out.items())]
    return "\n".join(lines)


def fill(folder: Path, plan: Plan, options: argparse.Namespace) -> None:
    """Write a plan into an empty folder, and check what was written as ingest does.

    Raises:
        LeukoError: with all that ingest would refuse.
    """
    origins = write_images(folder, plan.placed, copy=options.copy)
    survey = check(folder, plan)
    survey.problems.raise_if_any(options.out)
    print("\nChecked as ingest does it: no problems.")
    print(describe_duplicates(survey.duplicates, 5, "leuko check names all"))
    groups = [(entry.path.as_posix(), entry.item.group) for entry in plan.placed if entry.item.group]
    record = {
        "kind": options.kind,
        "sources": [str(source) for source in options.sources],
        "options": {
            name: str(value) if isinstance(value, Path) else value
            for name, value in sorted(vars(options).items())
            if name not in NOT_RECORDED
        },
        "set": plan.of_set,
        "classes": list(plan.classes),
        "counts": plan.counts().to_dict(),
        "masks": sum(entry.mask is not None for entry in plan.placed),
        "groups": len({group for _, group in groups}),
        "left_out": {reason: number for reason, number in sorted(plan.left_out.items()) if number},
        "sha256": hashlib.sha256(origins.to_csv(index=False).encode()).hexdigest(),
    }
    write_records(folder, options.out, record, origins, pd.DataFrame(groups, columns=["path", "group"]))


def check(folder: Path, plan: Plan) -> Survey:
    """The checks that ingest makes; what is missing of sets that were not to be imported is no problem."""
    survey = survey_data(
        folder,
        classes=plan.classes or FIVE_TYPES,
        synonyms={},
        seed=0,
        val_fraction=0.3,
        prcc_val_fraction=0.1,
        prcc_test_fraction=0.1,
        min_side=MIN_SIDE,
        blank="warn",
        max_value="auto",
        mask="auto",
        mask_name="{stem}",
        subsets="drawn",
        subset_seed=0,
        duplicates="warn",
        group="none",
        relabel="none",
    )
    if plan.of_set != "wbc":
        found = survey.problems.found
        for kind, paths in list(found.items()):
            found[kind] = {path for path in paths if not path.startswith("WBC_100")}
            if not found[kind]:
                del found[kind]
    return survey
