"""The section of the study's report about other laboratories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from leuko.arms import Arm
from leuko.report.blocks import Block, Cell, Row, Section, Table

ABROAD = {
    "accuracy": ("accuracy, %", "percent"),
    "balanced_accuracy": ("balanced accuracy, %", "percent"),
    "change": ("change of balanced accuracy against the own test over the same classes, points", "points"),
}
"""Scores in other laboratories, as headings, and their forms."""


def laboratories_section(
    splits: Mapping[str, Any], trained: Sequence[Arm], tried: Mapping[str, Mapping[str, Any]]
) -> list[Section]:
    """How the arms do in other laboratories.

    Args:
        splits: as the summary has them.
        trained: the arms that all splits have.
        tried: what one run found in each laboratory, by name.

    Returns:
        The section; nothing if no laboratory was tried.
    """
    if not tried:
        return []
    blocks: list[Block] = []
    for name, found in tried.items():
        blocks.append(_told_of(name, found))
        blocks += [Row([_abroad_table(splits, name, score, trained)]) for score in ABROAD]
    said = (
        "Scores on the cells of other laboratories (the setting external), of which nothing was learned, by free "
        "choice among all classes: mean over the seeds, and standard deviation. That is chance in training alone, and "
        "not how certain a score on so many images is; classifiers on features have none with all labels. Cells are "
        "cut out at the scale of the laboratory’s own median nucleus. Aligned: features count from the laboratory’s "
        "own median, in its own spreads; that takes cells of all classes, but no label."
    )
    return [Section("laboratories", "Other laboratories", [said, *blocks])]


def _told_of(name: str, found: Mapping[str, Any]) -> str:
    """How many cells a laboratory has, and whether its set is foreign."""
    images = {label: number for label, number in found["images"].items() if number}
    counts = ", ".join(f"{number} {label}" for label, number in images.items())
    said = f"{name}: {sum(images.values())} cells ({counts})."
    shares = [scores["foreign"]["beyond"] for scores in found["arms"].values() if "foreign" in scores]
    if shares:
        said += f" {100 * shares[0]:.0f} % of them lie beyond what the models know."
    return said


def _abroad_table(splits: Mapping[str, Any], name: str, score: str, trained: Sequence[Arm]) -> Table:
    """Mean and standard deviation of a score in another laboratory, arm by arm, aligned ones too."""
    label, form = ABROAD[score]
    rows = {}
    for suffix, key in (("", score), (", aligned", f"aligned_{score}")):
        for arm in trained:
            found = [part["arms"][arm.key]["external"][name] for part in splits.values()]
            if any(one["mean"].get(key) is not None for one in found):
                rows[arm.title + suffix] = [
                    cell for one in found for cell in (Cell(one["mean"][key], form), Cell(one["std"][key], "percent"))
                ]
    groups = [(f"{split} % of labels", 2) for split in splits]
    return Table(
        f"external_{name} {score}", f"The laboratory {name}: {label}.", ["mean", "SD"] * len(splits), rows, groups
    )
