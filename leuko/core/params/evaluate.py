"""The settings of the comparison."""

from __future__ import annotations

from leuko.core.params.group import Group, PositiveInt


class Evaluate(Group):
    """The comparison; `examples` is how many images each figure shows."""

    examples: PositiveInt
