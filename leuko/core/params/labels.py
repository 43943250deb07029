"""The classes of blood cells, and which share of their labels is used."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from leuko.core.classes import SUBSETS, normalize
from leuko.core.params.group import Text


def _is_a_subset(split: int) -> int:
    if split not in SUBSETS:
        raise ValueError(f"input should be {', '.join(map(str, SUBSETS[:-1]))} or {SUBSETS[-1]}")
    return split


Split = Annotated[int, Field(strict=True), AfterValidator(_is_a_subset)]
"""The percentage of the labels to train on."""

ValidationLabels = Literal["all", "matched"]
"""How many validation labels choose epochs and temperatures: all, or of every class no larger a share than trains."""

RESERVED = ("path", "group", "actual", "predicted")
"""The columns of the tables of predictions that are no class."""


def _are_classes(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(names) < 2:
        raise ValueError("input should be at least two names of classes")
    for place, name in enumerate(names):
        is_folder = name == name.strip() and name.isprintable() and not set(name) & set("/\\")
        if not is_folder or name.startswith("."):
            raise ValueError(f"{name!r} cannot be a class: a name has no slash, no dot first, and no space at its ends")
        if name in RESERVED:
            raise ValueError(f"{name!r} cannot be a class: a column of the predictions has that name")
        alike = [other for other in names[:place] if normalize(other) == normalize(name)]
        if alike:
            raise ValueError(f"{alike[0]!r} and {name!r} would be one class: case and plural do not tell classes apart")
    return names


Classes = Annotated[tuple[Text, ...], AfterValidator(_are_classes)]
"""The classes of blood cells, in the order of their labels."""
