"""The settings of the report."""

from __future__ import annotations

from leuko.core.params.group import Group


class Report(Group):
    """The report; without `pictures` it holds no image of data, so that it can go where the images may not."""

    pictures: bool
