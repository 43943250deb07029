"""The settings of the comparison."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from leuko.core.params.group import Group, PositiveInt


class Evaluate(Group):
    """The comparison.

    `examples` is how many images each figure shows; `occluded` of how many test images of each class it is asked where
    they are looked at, which takes 17 answers of every network for each.
    """

    examples: PositiveInt
    occluded: Annotated[int, Field(ge=0)]
