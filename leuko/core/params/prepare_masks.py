"""The settings of masked copies."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from leuko.core.params.group import Group, Seed

Channel = Annotated[int, Field(ge=0, le=255, strict=True)]


class PrepareMasks(Group):
    """Masked copies: the background's RGB colour, and which CAM16 classes get them."""

    fill: tuple[Channel, Channel, Channel]
    cam16: Literal["both", "tumor", "none"]
    seed: Seed
