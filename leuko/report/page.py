"""From a report to files: the page, the tables as CSV, and the figures for a paper."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from leuko.core.files import write_bytes, write_table
from leuko.report.blocks import Panel, Report, Table
from leuko.report.drawing import draw
from leuko.report.rendering import fill


def write_report(report: Report, out: Path) -> None:
    """Write `report.html`, `tables.csv` and, for every figure, `figures/<name>.svg` and `.png` with 300 dpi.

    Args:
        report: what to write.
        out: a folder.
    """
    write_bytes(out / "report.html", render(report).encode())
    write_table(out / "tables.csv", tidy(report.tables))
    for figure in report.figures:
        kinds = ("svg", "png")
        for kind, content in zip(kinds, draw(figure.panels, *kinds), strict=True):
            write_bytes(out / f"figures/{figure.name}.{kind}", content)


def render(report: Report) -> str:
    """Make the page: one HTML file that needs nothing else, without scripts."""
    return fill(report, svg=_svg)


def tidy(tables: list[Table]) -> pd.DataFrame:
    """Lay tables out with a row per entry: `table`, `row`, `column`, `value` and the ends of its interval."""
    entries = [
        (table.name, head, column, cell.value, cell.low, cell.high)
        for table in tables
        for head, cells in table.rows.items()
        for column, cell in zip(table.full_columns, cells, strict=True)
        if cell.value is not None
    ]
    return pd.DataFrame(entries, columns=["table", "row", "column", "value", "low", "high"])


def _svg(panel: Panel) -> str:
    """A panel's drawing as the end of a data URI; escaped, since as base64 Git could not compress it."""
    drawing = draw([panel], "svg")[0].decode()
    return quote(re.sub(r"\s+", " ", drawing[drawing.index("<svg") :]), safe=" /:;=,()")
