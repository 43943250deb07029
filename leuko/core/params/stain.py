"""Whether blood cells are shown as they were stained, or all in one stain."""

from typing import Literal

Stain = Literal["none", "set", "image"]
"""Pixels as they are (`none`), or light and dye brought to a fixed reference: those of a whole `set`, by one
correction for all its images, or of each `image`, by its own."""
