"""The settings of WBC+ and its control."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from leuko.core.params.wbc import Wbc


class WbcPlus(Wbc):
    """The classifier with the frozen pre-trained networks; `cache_gb` is memory for their outputs, else in a file."""

    cache_gb: Annotated[float, Field(ge=0)]
