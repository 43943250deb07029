"""The settings of the autoencoder of kidney tumour tissue."""

from __future__ import annotations

from leuko.core.params.group import Seed
from leuko.core.params.recipe import Recipe


class Prcc(Recipe):
    """The autoencoder."""

    seed: Seed
