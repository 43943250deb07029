"""What would make a score worth little: shortcuts past the cell, and labels that are suspect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from leuko.arms import Arm
from leuko.core.files import read_json
from leuko.evaluation.suspects import WORTH_SAYING
from leuko.packs.reading import read_images, read_rows
from leuko.report.blocks import Block, Card, Cell, Gallery, Picture, Row, Table
from leuko.report.encoding import picture
from leuko.report.pictures import enlarged

WITHOUT = {
    "surroundings": ("what surrounds the cell", "The background differs between the classes, by"),
    "files": ("facts about the files", "The files of the classes differ, by"),
}
"""By the name of a shortcut, what it looks at, and how it is told of."""
MOST_TOLD = 3
N_SUSPECTS = 24


def audit_blocks(root: Path, *, pictures: bool) -> list[Block]:
    """What the stage `audit` found, with a warning for each shortcut.

    Args:
        root: the repository, or a copy of it.
        pictures: whether images may be shown.
    """
    found = read_json(root / "metrics/audit.json")
    return [*_shortcuts(root, found["shortcuts"], pictures), *_suspects(root, found["labels"], pictures)]


def focus_blocks(found: Mapping[str, Mapping[str, Mapping[str, float]]], present: Sequence[Arm]) -> list[Block]:
    """What the arms' answers rest on: the cell, or what surrounds it; nothing if that was not asked.

    Args:
        found: as comparison.json has it, by arm and class.
        present: the arms.
    """
    told = {arm: found[arm.key] for arm in present if found.get(arm.key)}
    if not told:
        return []
    classes = list(dict.fromkeys(label for of_arm in told.values() for label in of_arm))
    rows, beside = {}, []
    for arm, of_arm in told.items():
        inside, area = (_mean(of_arm, name) for name in ("inside", "area"))
        shares = [of_arm[label]["inside"] if label in of_arm else None for label in classes]
        rows[arm.title] = [Cell(share, "percent") for share in (*shares, inside, area)]
        beside += [arm.title] if inside <= area else []
    n_images = max(of_class["images"] for of_arm in told.values() for of_class in of_arm.values())
    blocks: list[Block] = [
        "What do answers rest on? Places of the picture are covered one after the other; the table has how much of "
        "what then weakens an answer lies in the cell, which is found by its colour. If all places were worth the same "
        "it would be the cell's share of the picture, the last column.",
    ]
    if beside:
        blocks.append(
            f"Warning: the answers of {', '.join(beside)} rest on the cell no more than on any other place. Something "
            "beside it may give the classes away."
        )
    caption = f"Share of the occlusion map inside the cell, %, means of at most {n_images} test images of each class."
    heads = [*classes, "all classes", "the cell's share of the picture"]
    return [*blocks, Row([Table("focus", caption, heads, rows)])]


def _mean(of_arm: Mapping[str, Mapping[str, float]], name: str) -> float:
    """The mean over the classes."""
    return float(np.mean([of_class[name] for of_class in of_arm.values()]))


def shortcut_warning(name: str, found: Mapping[str, Any]) -> str:
    """What a shortcut means, in words; empty where there is none.

    Args:
        name: which, of `WITHOUT`.
        found: as `leuko.evaluation.shortcuts.find_shortcut` gives it.
    """
    if not found["above_chance"]:
        return ""
    what, differ = WITHOUT[name]
    recalls = sorted(found["recalls"], key=lambda label: -found["recalls"][label])[:MOST_TOLD]
    told = ", ".join(f"{label} ({100 * found['recalls'][label]:.0f} %, {found['tells'][label]})" for label in recalls)
    return (
        f"Warning, a shortcut: {what} alone tell{'s' * (name == 'surroundings')} the classes better than chance, with "
        f"a balanced accuracy of {100 * found['balanced_accuracy']:.0f} % ({100 * found['low']:.0f} to "
        f"{100 * found['high']:.0f} %) against {100 * found['chance']:.0f} %. {differ}, most of all, what stands in "
        f"brackets: {told}. A network can learn this in place of the cell, and will be wrong where other images differ "
        "otherwise; look where these images come from."
    )


def label_warning(found: Mapping[str, int]) -> str:
    """What suspect labels mean, in words; empty where they are too few to speak of.

    Args:
        found: how many images were `asked` about, and how many are `suspect`.
    """
    if not found["asked"] or found["suspect"] / found["asked"] <= WORTH_SAYING:
        return ""
    return (
        f"Warning, suspect labels: {found['suspect']} of {found['asked']} images to train and choose on "
        f"({100 * found['suspect'] / found['asked']:.1f} %) look like another class than they are labelled. Some will "
        "be right all the same. Let a person who knows cells go through data/suspects.csv, write into the column label "
        "the class, or remove, and name the table in ingest.relabel; nothing is changed without that."
    )


def _shortcuts(root: Path, shortcuts: Mapping[str, Any], pictures: bool) -> list[Block]:
    """How well the classes can be told without the cell."""
    if not shortcuts:
        return []
    rows = {
        f"by {WITHOUT[name][0]}": [
            Cell(found["balanced_accuracy"], "percent", found["low"], found["high"]),
            Cell(found["chance"], "percent"),
        ]
        for name, found in shortcuts.items()
    }
    blocks: list[Block] = [
        "Can the classes be told without the cell? A logistic regression on the corners and the border of the images, "
        "with a disc over the rest, and one on the sides, format and form of the name of the files. Chance is the good "
        "answer: then a network has nothing to learn there.",
        *filter(None, (shortcut_warning(name, found) for name, found in shortcuts.items())),
        Row([Table("shortcuts", "Test images told without the cell.", ["balanced accuracy, %", "chance, %"], rows)]),
    ]
    around = shortcuts["surroundings"]
    if pictures and around["above_chance"]:
        pack = root / "data/packs/wbc/test"
        shown = [example["path"] for example in around["examples"]]
        cards = [
            Card([tile], [f"{example['class']}: {100 * example['probability']:.0f} %"])
            for tile, example in zip(_tiles(pack, "wbc", shown), around["examples"], strict=True)
        ]
        blocks.append(Gallery("The test images whose class their corners and border tell most surely", cards))
    return blocks


def _suspects(root: Path, found: Mapping[str, int], pictures: bool) -> list[Block]:
    """The images whose labels are suspect."""
    table = pd.read_csv(root / "data/suspects.csv", keep_default_na=False)
    blocks: list[Block] = [
        label_warning(found)
        or f"Of {found['asked']} labels to train and choose on, {found['suspect']} are suspect (confident learning, "
        "Northcutt et al. 2021, by classifiers on descriptors that had not learned from them): no more than such a "
        "classifier errs. They stand in data/suspects.csv."
    ]
    if pictures and len(table):
        table = table[:N_SUSPECTS]
        cards = []
        for part in ("train", "val"):
            pack = root / "data/packs/cells" / part
            here = table[table["path"].isin(read_rows(pack)["path"])]
            for tile, row in zip(_tiles(pack, "cell", list(here["path"])), here.to_dict("records"), strict=True):
                lines = [
                    f"{row['given']}? {row['suggested']} ({100 * row['p_suggested']:.0f} % to "
                    f"{100 * row['p_given']:.0f} %)",
                    Path(str(row["path"])).name,
                ]
                cards.append((row["p_given"] - row["p_suggested"], Card([tile], lines)))
        caption = "The most suspect labels: the given class, and the one that is suggested, with their probabilities"
        blocks.append(Gallery(caption, [card for _, card in sorted(cards, key=lambda pair: pair[0])]))
    return blocks


def _tiles(pack: Path, name: str, paths: Sequence[str]) -> list[Picture]:
    """Pictures of some of a pack's images."""
    images, rows = read_images(pack, name), read_rows(pack)
    first = {path: place for place, path in reversed(list(enumerate(rows["path"])))}
    places = [first[path] for path in paths]
    return [
        picture(enlarged(np.array(images[place])), f"A cell, labelled {rows['class'][place]}", "") for place in places
    ]
