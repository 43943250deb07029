"""The settings of the demo data."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from leuko.core.params.group import Group, Seed


class Demo(Group):
    """The synthetic data set; `fraction` scales how many images are drawn."""

    seed: Seed
    fraction: Annotated[float, Field(gt=0, le=1)]
