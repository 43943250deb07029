"""Rules that tell an image's group from its path."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator

PRESETS: Mapping[str, str] = {
    # 95-8-10-1_527_1.jpg is date-smear _ field _ cell; 20190527_111443_0.jpg is day _ time _ cell.
    "raabin": r"(?:^|/)(?P<group>\d{2}-\d{1,2}-\d{1,2}(?:-\d+)?|\d{8})_\d+_\d+\.[^/]*$",
    # normal_002-500-2-384ver.jpg starts with the slide; Camelyon17's names hold patient_056.
    "camelyon": r"(?i)(?:^|[/_])(?P<group>(?:normal|tumor|test|patient)_\d{3})(?!\d)[^/]*$",
}
"""Patterns for the file names of public data sets, which name what is known of patient, smear, slide or day."""


def compile_rule(rule: str) -> re.Pattern[str]:
    """Compile a preset or a regular expression for groups.

    Raises:
        ValueError: if it is neither, or has no part named `group`.
    """
    try:
        pattern = re.compile(PRESETS.get(rule, rule))
    except re.error as error:
        raise ValueError(f"{rule!r} is not a regular expression ({error})") from error
    if "group" not in pattern.groupindex:
        raise ValueError(
            f"{rule!r} should be none, {', '.join(PRESETS)}, the path of a .csv file below data_root, or a regular "
            "expression with a part named group, such as (?P<group>slide\\d+)_"
        )
    return pattern


def _is_a_rule(rule: str) -> str:
    """Refuse at once what would only be missed when the images are read."""
    if rule != "none" and not rule.casefold().endswith(".csv"):
        compile_rule(rule)
    return rule


Rule = Annotated[str, AfterValidator(_is_a_rule)]
"""`none`, a preset, the path of a CSV file below the data root, or a pattern."""
