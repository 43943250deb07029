"""The page of a check: what a folder of images holds, how it is read, and what is doubtful about it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from leuko.core.classes import SETS
from leuko.data import groups
from leuko.data.duplicates import FINDINGS, RANK, in_words
from leuko.data.images import read_rgb
from leuko.data.mask_reading import MaskRule, read_mask
from leuko.data.scale import from_column
from leuko.data.summary import describe_gaps, verdict
from leuko.data.survey import Survey
from leuko.data.tree import Problems, printable
from leuko.report.blocks import Block, Card, Cell, Gallery, Listing, Report, Row, Section, Table
from leuko.report.encoding import picture

TILE = 144
"""Side of a picture, in pixels."""
FAINT = 0.35
"""How much is left of an image where its mask hides it."""
N_OVERLAYS = 6
N_DUPLICATES = 24
N_LINES = 50


def data_report(survey: Survey, root: Path, classes: Sequence[str], *, pictures: bool) -> Report:
    """Put the page of a check together.

    Args:
        survey: what was found.
        root: the data root.
        classes: of blood cells.
        pictures: whether images are shown; the page then holds some of them, small.
    """
    number = sum(map(len, survey.problems.found.values()))
    answer = f"{number} problem{'s' * (number > 1)} in {root}." if number else verdict(survey, root, classes)
    gaps = [line for line in describe_gaps(survey.manifest, classes).splitlines() if line]
    sections = [
        Section("images", "Images", [Row([_counts(survey.manifest), _kinds(survey)]), *survey.notes]),
        Section("masks", "Masks", _masks(survey, root, pictures=pictures)),
        Section("duplicates", "Pictures more than once", _duplicates(survey, root, pictures=pictures)),
        Section("groups", "Groups", _groups(survey.manifest, classes)),
        Section("warnings", "Doubts", _found(survey.warnings, "Nothing else seems wrong.")),
    ]
    if number:
        sections.insert(0, Section("problems", "Problems", _found(survey.problems, "")))
    return Report(answer, gaps, sections, kicker="Leuko · images", title="What is in the images?")


def _counts(manifest: pd.DataFrame) -> Table:
    """Images, masks and sides by set, part and class."""
    sides = manifest[["width", "height"]]
    images = manifest.assign(
        shortest=sides.min(axis=1),
        longest=sides.max(axis=1),
        masked=manifest["mask"] != "",
        order=manifest["set"].map(SETS.index) * len(RANK) + manifest["part"].map(RANK),
    )
    images = images.sort_values("order", kind="stable")
    rows = {
        f"{name} {part} {label}".strip(): [
            Cell(len(members)),
            Cell(int(members["masked"].sum())),
            Cell(" to ".join(map(str, sorted({members["shortest"].min(), members["longest"].max()})))),
        ]
        for (name, part, label), members in images.groupby(["set", "part", "class"], sort=False)
    }
    return Table("images", "Images that can be used, and their sides in pixels.", ["images", "masks", "sides"], rows)


def _kinds(survey: Survey) -> Table:
    """How many images there are of each set, format, kind of sample and colour profile."""
    files = survey.files.merge(survey.manifest[["path", "set"]], on="path")
    columns = [name for name in SETS if (files["set"] == name).any()]
    rows = {
        f"{form}, {mode} of {sample}" + (f", {profile}" if profile else ""): [
            Cell(int((members["set"] == name).sum())) for name in columns
        ]
        for (form, mode, sample, profile), members in files.groupby(["format", "mode", "sample", "profile"])
    }
    return Table("kinds", "Formats, channels and type of samples, and colour profiles.", columns, rows)


def _masks(survey: Survey, root: Path, *, pictures: bool) -> list[Block]:
    """How masks are read, and some images with what their mask keeps, of every class of every set in turn."""
    masked = survey.manifest[survey.manifest["mask"] != ""]
    if masked.empty:
        return ["There are no masks."]
    if not pictures:
        return [*survey.mask_notes]
    turn = masked.groupby(["set", "class"]).cumcount()
    chosen = masked.assign(turn=turn, wbc=masked["set"] != "wbc").sort_values(["turn", "wbc"], kind="stable")
    cards = []
    for _, row in chosen[chosen["class"] != "normal"].head(N_OVERLAYS).iterrows():
        image = np.asarray(read_rgb(root / row["path"], from_column([row["scale"]])))
        mask = read_mask(root / row["mask"], MaskRule.parse(row["mask_rule"]))
        if mask.shape != image.shape[:2]:
            continue
        shown = [
            picture(_tile(Image.fromarray(image)), f"{row['class']}", "image"),
            picture(_tile(overlay(image, mask)), "what its mask keeps", f"kept: {100 * mask.mean():.0f} %"),
        ]
        cards.append(Card(shown, [f"{row['class']}: {printable(Path(row['path']).name)}"]))
    return [*survey.mask_notes, Gallery("What masks keep: the rest is faint, and a line runs around it", cards)]


def overlay(image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> Image.Image:
    """Show what a mask keeps.

    Args:
        image: shape (height, width, 3).
        mask: shape (height, width).
    """
    shown = np.where(mask[..., None], image, FAINT * image + (1 - FAINT) * 255).astype(np.uint8)
    width = max(1, round(min(mask.shape) / TILE))
    rim = np.zeros_like(mask)
    rim[width:] |= mask[width:] != mask[:-width]
    rim[:, width:] |= mask[:, width:] != mask[:, :-width]
    shown[rim] = 0
    return Image.fromarray(shown)


def _tile(image: Image.Image) -> Image.Image:
    """An image at the size of a tile, with its own proportions."""
    tile = image.copy()
    tile.thumbnail((TILE, TILE), Image.Resampling.BICUBIC)
    return tile


def _duplicates(survey: Survey, root: Path, *, pictures: bool) -> list[Block]:
    """The pictures that occur more than once, side by side."""
    if survey.duplicates.empty:
        return ["No picture occurs more than once."]
    lines = in_words(survey.duplicates)
    counts = "; ".join(f"{words} {len(lines[key])}" for key, words in FINDINGS.items() if lines[key])
    if not pictures:
        return [f"{counts}.", *_lines([line for of_kind in lines.values() for line in of_kind])]
    order = {finding: rank for rank, finding in enumerate(("leak and conflict", "conflict", "leak", "copy"))}
    table = survey.duplicates.assign(order=survey.duplicates["finding"].map(order))
    pictured = list(table.sort_values(["order", "group"], kind="stable").groupby("group", sort=False))
    cards = []
    for _, members in pictured[:N_DUPLICATES]:
        shown = [
            picture(
                _tile(read_rgb(root / row["path"], survey.scales(row["set"]))),
                row["path"],
                f"{row['part']}, {row['class']}".strip(", "),
            )
            for _, row in members.head(3).iterrows()
        ]
        names = [printable(path) for path in members["path"].head(3)]
        more = [f"and {len(members) - 3} more"] if len(members) > 3 else []
        cards.append(Card(shown, [f"{members['finding'].iloc[0]}, {members['kind'].iloc[0]}", *names, *more]))
    shown_of = f", {len(cards)} of {len(pictured)} shown" if len(cards) < len(pictured) else ""
    return [Gallery(f"{counts}{shown_of}", cards)]


def _groups(manifest: pd.DataFrame, classes: Sequence[str]) -> list[Block]:
    """What groups mean for the scores."""
    findings = groups.describe_groups(manifest, classes)
    if findings is None:
        return ["No patient, smear, slide or day is known (ingest.group), so divisions may tear them apart."]
    parts = findings["parts"]
    heading = f"Groups: {parts['train']} in training, {parts['val']} in validation, {parts['test']} in the test."
    return [heading, *groups.in_words(findings)]


def _found(found: Problems, nothing: str) -> list[Block]:
    """What was found, kind by kind."""
    blocks: list[Block] = []
    for kind, paths in sorted(found.found.items()):
        blocks += [f"{kind} ({len(paths)}):", *_lines([printable(path) for path in sorted(paths)])]
    return blocks or [nothing]


def _lines(lines: Sequence[str]) -> list[Block]:
    """Lines word for word; of many only the first."""
    more = [f"... and {len(lines) - N_LINES} more"] if len(lines) > N_LINES else []
    return [Listing("\n".join([*lines[:N_LINES], *more]))]
