"""From a report to one HTML file that needs nothing else; figures are drawn elsewhere, as not every page has some."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from leuko.report.blocks import Block, Panel, Report


def fill(report: Report, **drawing: Callable[[Panel], str]) -> str:
    """Fill the template of a page, which has no scripts.

    Args:
        report: what it says.
        drawing: of a report with figures, `svg`, which draws a panel as the end of a data URI.
    """
    folder = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"kind": _kind, **drawing}
    environment.filters["typeset"] = _typeset
    style = (folder / "page.css").read_text(encoding="utf-8")
    return environment.get_template("page.html").render(report=report, style=style)


def _typeset(text: str) -> str:
    """A true minus before digits, and no line break before a percent sign."""
    return re.sub(r"(?<!\w)-(?=\d)", "−", text).replace(" %", "\u00a0%")


def _kind(block: Block) -> str:
    """How the template tells blocks apart."""
    return type(block).__name__
