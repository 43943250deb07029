"""The parts that base and WBC+ are trained on: whole images of blood cells, and what frozen networks make of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from leuko.core.params.wbc import Wbc
from leuko.core.params.wbc_plus import WbcPlus
from leuko.training.inputs import N_ORIENTATIONS, Concat, FrozenEncoder, Inputs, Network, cached
from leuko.training.parts import images_of, labels_of, select_rows
from leuko.training.recipe import n_steps_per_epoch
from leuko.training.tasks import Part


def blood_parts(
    packs: Path,
    split: int,
    classes: Sequence[str],
    device: torch.device,
    recipe: Wbc,
    encode: Network | None = None,
) -> tuple[Part, Part]:
    """The training and validation images of blood cells.

    Args:
        packs: the folder of the WBC packs.
        split: percentage of the labels to train on.
        classes: in the order of their labels.
        device: where the inputs are wanted.
        recipe: how the network is trained.
        encode: for WBC+, the frozen networks: from images at the pRCC and the CAM16 size to their outputs, which then
            follow the images as inputs.

    Returns:
        Training and validation part.
    """
    return (
        _blood_part(packs / "train", split, classes, device, recipe, encode),
        _blood_part(packs / "val", None, classes, device, recipe, encode),
    )


def _blood_part(
    pack: Path,
    split: int | None,
    classes: Sequence[str],
    device: torch.device,
    recipe: Wbc,
    encode: Network | None,
) -> Part:
    """One part; with a split, the training part."""
    rows, table = select_rows(pack, split)
    inputs: Inputs = images_of(pack, "wbc", rows, device)
    if encode:
        assert isinstance(recipe, WbcPlus)
        frozen = FrozenEncoder(encode, *(images_of(pack, size, rows, device) for size in ("prcc", "cam16")))
        n_orientations = N_ORIENTATIONS if split and recipe.augment == "d4" else 1
        n_seen = n_steps_per_epoch(recipe, len(rows)) * recipe.batch_size if split else len(rows)
        outputs = cached(
            frozen,
            n_orientations=n_orientations,
            n_uses=n_seen * recipe.epochs,
            cache_gb=recipe.cache_gb,
            scratch=pack.parent,
        )
        inputs = Concat(inputs, outputs)
    return Part(inputs, labels_of(table, classes, device), len(rows))
