"""The settings of the base classifier."""

from __future__ import annotations

from typing import Literal

from leuko.core.params.recipe import Recipe


class Wbc(Recipe):
    """The base classifier; `augment: d4` rotates and flips its training images on the fly."""

    augment: Literal["none", "d4"]
