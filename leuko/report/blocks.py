"""What a report is made of: sections of text, tables, figures and pictures, and how a table's numbers are written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS: dict[str, Callable[[float], str]] = {
    "percent": lambda value: f"{100 * value:.1f}",
    "points": lambda value: f"{100 * value:+z.1f}",
    "score": lambda value: f"{value:.3f}",
    "difference": lambda value: f"{value:+z.3f}",
    "small": lambda value: f"{value:.6f}",
    "count": lambda value: f"{value:,.0f}".replace(",", "\u202f"),
    "p": lambda value: f"{value:.3f}" if value >= 0.001 else "< 0.001",
}
"""How a number is shown, by the kind of number it is; tables.csv has it in full, and shares between 0 and 1."""


@dataclass(frozen=True)
class Cell:
    """One entry of a table.

    Args:
        value: a number; text; or none, for what has no value here.
        form: for numbers, one of `FORMATS`.
        low: the lower end of a number's 95 % interval, if there is one.
        high: the upper end.
    """

    value: float | str | None
    form: str = "count"
    low: float | None = None
    high: float | None = None

    @property
    def text(self) -> str:
        """The value as the page shows it."""
        if self.value is None:
            return "–"
        return self.value if isinstance(self.value, str) else _shown(self.form, self.value)

    @property
    def interval(self) -> str:
        """The interval as the page shows it; empty if there is none."""
        if self.low is None or self.high is None:
            return ""
        return f"{_shown(self.form, self.low)} to {_shown(self.form, self.high)}"


def _shown(form: str, value: float) -> str:
    """A number with a typographic minus."""
    return FORMATS[form](value).replace("-", "−")


@dataclass(frozen=True)
class Table:
    """A table.

    Args:
        name: what tables.csv calls it.
        caption: what stands above it.
        columns: their heads.
        rows: each with its head.
        groups: heads over several columns, with their number; empty for none.
    """

    name: str
    caption: str
    columns: Sequence[str]
    rows: Mapping[str, Sequence[Cell]]
    groups: Sequence[tuple[str, int]] = ()

    @property
    def full_columns(self) -> list[str]:
        """The columns' heads with those of their groups before them."""
        groups = [title for title, width in self.groups for _ in range(width)] or [""] * len(self.columns)
        return [f"{group} {column}".strip() for group, column in zip(groups, self.columns, strict=True)]


@dataclass(frozen=True)
class Panel:
    """One drawing of a figure.

    Args:
        alt: what it shows, for those who cannot see it.
        draw: draws it.
        width: in inches.
        height: in inches.
    """

    alt: str
    draw: Callable[[Axes], None]
    width: float = 3.6
    height: float = 2.7


@dataclass(frozen=True)
class Figure:
    """Drawings side by side: on the page one below the other where it is narrow, for a paper in one file.

    Args:
        name: of the files.
        caption: what stands below it.
        panels: from left to right.
    """

    name: str
    caption: str
    panels: Sequence[Panel]


@dataclass(frozen=True)
class Picture:
    """An image of data: base64 of a JPEG, what it shows, and a word below it, if any."""

    jpeg: str
    alt: str
    label: str = ""


@dataclass(frozen=True)
class Card:
    """Pictures that belong together, and lines of text below them."""

    pictures: Sequence[Picture]
    lines: Sequence[str]


@dataclass(frozen=True)
class Gallery:
    """Cards in a grid under a caption."""

    caption: str
    cards: Sequence[Card]


@dataclass(frozen=True)
class Terms:
    """Words and what they mean."""

    meanings: Mapping[str, str]


@dataclass(frozen=True)
class Row:
    """Tables side by side where there is room."""

    tables: Sequence[Table]


@dataclass(frozen=True)
class Listing:
    """A file, word for word."""

    content: str


Block = str | Terms | Row | Figure | Gallery | Listing
"""A string is a paragraph."""


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading."""

    name: str
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Report:
    """All that a report says.

    Args:
        answer: one sentence.
        more: what it is owed to, and how far it holds; paragraphs.
        sections: in reading order.
        warning: what must be known before anything else; empty for nothing.
        kicker: the line above the heading.
        title: the heading.
    """

    answer: str
    more: Sequence[str]
    sections: Sequence[Section]
    warning: str = ""
    kicker: str = "Leuko · report"
    title: str = "Does pre-training on other medical images help a network tell white blood cell types apart?"

    @property
    def tables(self) -> list[Table]:
        """All tables, in reading order."""
        blocks = (block for section in self.sections for block in section.blocks)
        return [table for block in blocks if isinstance(block, Row) for table in block.tables]

    @property
    def figures(self) -> list[Figure]:
        """All figures, in reading order."""
        return [block for section in self.sections for block in section.blocks if isinstance(block, Figure)]
