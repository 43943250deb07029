"""Parts: those of the source, or drawn by ratios, stratified by class and with groups kept whole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from leuko.core.errors import LeukoError
from leuko.data.division import choose_groups

RATIOS = (70, 10, 20)
"""Of train, val and test, in percent."""


def divide(
    labels: Sequence[str],
    groups: Sequence[str],
    parts: Sequence[str],
    needed: Sequence[str],
    ratios: Sequence[float] | None,
    seed: int,
) -> list[str]:
    """Divide images into parts.

    The source's parts hold unless ratios are given, or all is for training. A part that is needed and that the source
    does not have is drawn from its training part, in the proportion of the two ratios.

    Args:
        labels: the images' classes.
        groups: their groups; empty where none is known.
        parts: what the source says; empty where it does not.
        needed: the parts that there must be.
        ratios: of train, val and test; without them, what the source does not say is drawn by RATIOS.
        seed: of the draws.

    Returns:
        The images' parts.

    Raises:
        LeukoError: if the source gives some images a part and others none, or none for training; or if the ratios are
            none.
    """
    if ratios and not (np.isfinite(ratios).all() and min(ratios[:2]) > 0 and ratios[2] >= 0):
        raise LeukoError("--ratios are three numbers, for train, val and test; only that for test may be 0")
    if ratios is None and any(parts) and not all(parts):
        n_without = sum(not part for part in parts)
        raise LeukoError(f"{n_without} of {len(parts)} images have no part; divide all anew with --ratios 70 10 20")
    is_divided = ratios is None and bool(set(parts) - {"", "train"})
    if is_divided and "train" not in parts:
        raise LeukoError("The source has no part for training; divide anew with --ratios 70 10 20")
    share = dict(zip(("train", "val", "test"), ratios or RATIOS, strict=True))
    drawn = np.array(parts if is_divided else ["train"] * len(labels), dtype=object)
    rng = np.random.default_rng(seed)
    left = sum(share.values())
    for part in ("test", "val"):
        if is_divided and (part in parts or part not in needed):
            continue
        whole = share["train"] + share[part] if is_divided else left
        members = np.flatnonzero(drawn == "train").tolist()
        if share[part]:
            chosen = choose_groups(
                [labels[member] for member in members], [groups[member] for member in members], share[part] / whole, rng
            )
            drawn[np.array(members)[chosen]] = part
        left -= share[part]
    return list(drawn)
