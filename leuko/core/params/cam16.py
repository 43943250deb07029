"""The settings of the tissue classifier."""

from __future__ import annotations

import difflib

from pydantic import field_validator

from leuko.core.params.group import Seed
from leuko.core.params.recipe import Recipe


class Cam16(Recipe):
    """The tissue classifier; `weights` is `imagenet`, `none` or a file's path."""

    weights: str
    freeze: bool
    seed: Seed

    @field_validator("weights")
    @classmethod
    def _keyword_or_file(cls, weights: str) -> str:
        """Refuse at once what would only be missed when the training starts."""
        if weights in ("imagenet", "none") or weights.endswith((".pth", ".pt", ".safetensors")):
            return weights
        near = difflib.get_close_matches(weights, ("imagenet", "none"), n=1)
        hint = f"; did you mean `{near[0]}`?" if near else ""
        raise ValueError(f"input should be imagenet, none or the path of a .pth, .pt or .safetensors file{hint}")
