"""How the models do on the cells of other laboratories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from leuko.arms import Arm
from leuko.core.files import read_json
from leuko.models.foreign import RATE, SHARE
from leuko.report.blocks import Block, Cell, Row, Table


def laboratories_blocks(root: Path, names: Sequence[str], present: Sequence[Arm]) -> list[Block]:
    """What the stage `external` found, in words and a table for each laboratory.

    Args:
        root: the repository, or a copy of it.
        names: of the laboratories.
        present: the arms that were tried.
    """
    own = _first(_read(root, "own")["foreign"])
    blocks: list[Block] = [
        "A model is good for the laboratory that its images come from; stain, camera and magnification of another one "
        "can undo it, and it stays as sure of its answers. What was measured of the cells tells whether a set is "
        f"foreign: whether more than {100 * SHARE:.0f} % of them lie farther from the training cells than "
        f"{100 * RATE:.1f} % of the own ones do. Confidence is not known there."
    ]
    if own:
        blocks.append(f"Of the own test, {100 * own['beyond']:.1f} % of the cells lie beyond: {_verdict(own)}.")
    if not names:
        blocks.append("No cells of another laboratory were tried (the setting external).")
    return [*blocks, *(block for name in names for block in _laboratory(name, _read(root, name), present))]


def _laboratory(name: str, found: Mapping[str, Any], present: Sequence[Arm]) -> list[Block]:
    """One laboratory."""
    images = {label: number for label, number in found["images"].items() if number}
    counts = ", ".join(f"{number} {label}" for label, number in images.items())
    sentences = f"{name}: {sum(images.values())} cells ({counts})."
    foreign = _first({key: scores["foreign"] for key, scores in found["arms"].items() if "foreign" in scores})
    if foreign:
        sentences += f" {100 * foreign['beyond']:.0f} % of them lie beyond what the models know: {_verdict(foreign)}."
    is_foreign = bool(foreign and foreign["is_foreign"])
    rows = {}
    lines = {arm.title: found["arms"][arm.key] for arm in present}
    lines |= {f"{arm.title}, aligned": found["aligned"][arm.key] for arm in present if arm.key in found["aligned"]}
    for title, scores in lines.items():
        fall = scores["fall"]
        rows[title] = [
            Cell(scores["free"]["accuracy"], "percent"),
            Cell(scores["free"]["balanced_accuracy"], "percent"),
            Cell(scores["present"]["accuracy"], "percent"),
            Cell(scores["present"]["balanced_accuracy"], "percent"),
            _change(fall),
            Cell(scores["ece_calibrated"], "score"),
            Cell(scores["sure"], "percent"),
            Cell(scores["sure_right"], "percent"),
            Cell("not known" if is_foreign else "see its error"),
        ]
    table = Table(
        f"external_{name}",
        f"The laboratory {name}, its cells cut out at the scale of its own median nucleus. Its test has {len(images)} "
        "classes: a model may choose among all it knows, or among these only. The change is against the own test, over "
        "the same classes, with its 95 % interval, where more than one group of images is known. What confidence is "
        "worth here, its calibration error tells. Aligned: what was measured counts from the laboratory’s own median, "
        "in its own spreads; that takes dozens of cells, of all classes, but no label.",
        [
            "accuracy",
            "balanced accuracy",
            "accuracy",
            "balanced accuracy",
            "change of balanced accuracy, points",
            "calibration error",
            "more than .9 sure, %",
            "right where sure, %",
            "confidence",
        ],
        rows,
        [("free choice, %", 2), ("among present classes, %", 2), ("", 5)],
    )
    return [sentences, Row([table])]


def _change(fall: Mapping[str, Any] | None) -> Cell:
    """The change against the own test, with its interval if there is one."""
    if not fall:
        return Cell(None)
    ends = (None, None) if fall["low"] is None else (-fall["high"], -fall["low"])
    return Cell(-fall["balanced_accuracy"], "points", *ends)


def _verdict(foreign: Mapping[str, Any]) -> str:
    """What follows from the share of cells beyond the threshold."""
    if foreign["is_foreign"]:
        return "a foreign set, of which no confidence is worth anything until some of its cells are labelled"
    return "no foreign set"


def _first(of_arms: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What the first arm says; all learned of the same cells."""
    return next(iter(of_arms.values()), None)


def _read(root: Path, name: str) -> dict[str, Any]:
    return read_json(root / f"metrics/external/{name}.json")
