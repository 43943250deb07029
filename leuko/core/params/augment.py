"""The settings of packing."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from leuko.core.params.group import Group, Seed


class Augment(Group):
    """Image sides in pixels, and the copies made of the pre-training images."""

    wbc_size: Annotated[int, Field(ge=32, le=1024, multiple_of=16)]
    prcc_size: Annotated[int, Field(ge=64, le=2048, multiple_of=16)]
    cam16_size: Annotated[int, Field(ge=32, le=1024, multiple_of=8)]
    rotation: Annotated[float, Field(ge=0, le=180)]
    balance: bool
    balance_rotation: Annotated[float, Field(ge=0, le=180)]
    seed: Seed
