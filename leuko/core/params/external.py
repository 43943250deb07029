"""The setting that names other laboratories."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from leuko.core.params.group import Text


def _is_a_laboratory(name: str) -> str:
    if not (name.isascii() and name.isidentifier() and name == name.lower()) or name == "own":
        raise ValueError("input should be of small letters, digits and underscores, and not own, as it names files")
    return name


External = dict[Annotated[str, AfterValidator(_is_a_laboratory)], Text]
"""Other laboratories by name: folders of class folders, on which every arm is tried too."""
