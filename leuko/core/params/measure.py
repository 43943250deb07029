"""The settings of measuring cells and nuclei."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from leuko.core.params.group import Group, PositiveInt, Seed


class Measure(Group):
    """Side of the nucleus-centred crops in pixels, and how many nuclei to draw of each tissue image, by which seed."""

    side: Annotated[int, Field(ge=32, le=512, multiple_of=16)]
    nuclei_per_prcc_tile: PositiveInt
    nuclei_per_cam16_image: PositiveInt
    seed: Seed
