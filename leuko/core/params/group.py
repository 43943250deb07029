"""What a group of settings is, and the kinds of values that several groups share.

The models have no defaults on purpose, but for options of a recipe that are off unless asked for: a setting that is not
in `params.yaml` does not exist, so what DVC records is everything that shaped a run.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from leuko.core.classes import SUBSETS, normalize

Fraction = Annotated[float, Field(gt=0, lt=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
PositiveInt = Annotated[int, Field(ge=1, le=1_000_000)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Text = Annotated[str, Field(min_length=1)]
Device = Literal["auto", "cpu", "cuda", "mps"]


def _is_a_subset(split: int) -> int:
    if split not in SUBSETS:
        raise ValueError(f"input should be {', '.join(map(str, SUBSETS[:-1]))} or {SUBSETS[-1]}")
    return split


Split = Annotated[int, AfterValidator(_is_a_subset)]
"""The percentage of the labels to train on."""

RESERVED = ("path", "actual", "predicted")
"""The columns of the tables of predictions that are no class."""


def _are_classes(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(names) < 2:
        raise ValueError("input should be at least two names of classes")
    for place, name in enumerate(names):
        if not name.strip() or name != name.strip() or not name.isprintable() or set(name) & set("/\\"):
            raise ValueError(f"{name!r} cannot be a class: a name has no slash, and no space at its ends")
        if name in RESERVED:
            raise ValueError(f"{name!r} cannot be a class: a column of the predictions has that name")
        alike = [other for other in names[:place] if normalize(other) == normalize(name)]
        if alike:
            raise ValueError(f"{alike[0]!r} and {name!r} would be one class: case and plural do not tell classes apart")
    return names


Classes = Annotated[tuple[Text, ...], AfterValidator(_are_classes)]
"""The classes of blood cells, in the order of their labels."""


class Group(BaseModel):
    """A group of settings: frozen, and closed to keys that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_no_number(cls, value: object, info: ValidationInfo) -> object:
        """Refuse what Python would take for 0 or 1."""
        assert info.field_name
        if isinstance(value, bool) and cls.model_fields[info.field_name].annotation is not bool:
            raise ValueError("input should be something else than true or false")
        return value
