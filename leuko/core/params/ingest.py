"""The settings of checking and dividing the images."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from leuko.core.params.group import Fraction, Group, PositiveInt, Seed
from leuko.core.params.grouping import Rule


def _is_a_pattern(name: str) -> str:
    if name.count("{stem}") != 1 or set(name.replace("{stem}", "")) & set("{}/\\"):
        raise ValueError("input should hold {stem} once, for the image's name, such as '{stem}_mask'")
    return name


def _is_none_or_a_table(name: str) -> str:
    if name != "none" and not name.casefold().endswith(".csv"):
        raise ValueError("input should be none, or a .csv file below the data root")
    return name


def _as_list(value: object) -> object:
    return [value] if isinstance(value, int) else value


class MaskValues(Group):
    """What of a mask's values is kept, one by one."""

    value: Annotated[tuple[Annotated[int, Field(ge=0)], ...], BeforeValidator(_as_list), Field(min_length=1)]


class Ingest(Group):
    """How the images are divided; `seed` is apart from the trainings' so that all of them share one test set.

    The WBC subsets of 1, 10 and 50 % are those of the data root's `folders`, if it has any; otherwise, or if `subsets`
    is `drawn`, they are drawn. Another `subset_seed` draws others and changes nothing else. `duplicates` decides about
    pictures in several parts or under several classes. `max_value` is what is white in images of more than eight bits
    per sample whose files do not say it; `mask` is what of the masks' values is kept, `auto` for what all of them
    tell; `mask_name` says how masks are named after their image's `{stem}`, if not alike. `group` tells which patient,
    smear, slide or day an image is of: `none`, a preset, a table or a pattern; the data root's `groups.csv` counts in
    any case. `blank` decides about images that show nothing. `relabel` is a table of what a person decided about
    suspect labels, relative to the data root, or `none`.
    """

    seed: Seed
    val_fraction: Fraction
    prcc_val_fraction: Fraction
    prcc_test_fraction: Fraction
    min_side: PositiveInt
    blank: Literal["warn", "drop", "fail"]
    max_value: Annotated[float, Field(gt=0)] | Literal["auto"]
    mask: Literal["auto", "nonzero", "bright", "dark", "alpha"] | MaskValues
    mask_name: Annotated[str, AfterValidator(_is_a_pattern)]
    subsets: Literal["folders", "drawn"]
    subset_seed: Seed
    duplicates: Literal["warn", "drop", "fail"]
    group: Rule
    relabel: Annotated[str, AfterValidator(_is_none_or_a_table)]

    @model_validator(mode="after")
    def _something_is_left_to_train_on(self) -> Ingest:
        """Refuse shares that add up to everything."""
        if self.prcc_val_fraction + self.prcc_test_fraction >= 1:
            raise ValueError(
                f"prcc_val_fraction {self.prcc_val_fraction} and prcc_test_fraction {self.prcc_test_fraction} leave "
                "nothing to train on; together they should be less than 1"
            )
        return self
