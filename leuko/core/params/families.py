"""Which families of arms are trained and compared."""

from __future__ import annotations

from pydantic import model_validator

from leuko.core.params.group import Group

SWITCHED_OFF = "its family is switched off in the settings"
"""Why an arm is left out that was not asked for."""


class Families(Group):
    """The families of arms; one that is off is left out.

    Attributes:
        published: `base`, `control` and `plus`, and the pre-trainings of the last.
        transfer: the encoders of `transfer`, fine-tuned or frozen, and the descriptors.
    """

    published: bool
    transfer: bool

    @model_validator(mode="after")
    def _some_family_is_on(self) -> Families:
        """Refuse a comparison of nothing."""
        if not (self.published or self.transfer):
            raise ValueError("published and transfer are both off, which leaves nothing to compare")
        return self
