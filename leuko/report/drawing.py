"""The figures, in one quiet style; an arm is told by its colour and by its marker and dashes too."""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator, NullFormatter
from numpy.typing import NDArray

from leuko.arms import Arm, Look
from leuko.core.classes import SUBSETS
from leuko.core.image_grid import INK
from leuko.evaluation.calibration import N_BINS
from leuko.report.blocks import Figure, Panel

STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#999999",
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "font.size": 8,
    "grid.color": "#e8e8e8",
    "grid.linewidth": 0.6,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.4,
    "lines.markersize": 5,
    "svg.hashsalt": "leuko",  # else the ids in a file would be drawn by chance
    "text.color": INK,
    "text.parse_math": False,  # a class may have any name
    "xtick.color": "#666666",
    "xtick.labelcolor": INK,
    "ytick.color": "#666666",
    "ytick.labelcolor": INK,
}
MOST_COLUMNS = 3
FEW_LINES = 3
"""So many find room for their legend inside a panel."""


@contextmanager
def _styled() -> Iterator[None]:
    with mpl.rc_context(STYLE):
        yield


def draw(panels: Sequence[Panel], *kinds: str) -> list[bytes]:
    """Draw panels side by side, three in a row.

    Args:
        panels: each gets as much room as the largest.
        kinds: of the files, `svg` or `png` (with 300 dpi).

    Returns:
        Each file's content, which depends on what is drawn alone.
    """
    with _styled():
        n_columns = min(len(panels), MOST_COLUMNS)
        n_rows = math.ceil(len(panels) / n_columns)
        width, height = max(panel.width for panel in panels), max(panel.height for panel in panels)
        canvas = Canvas(figsize=(n_columns * width, n_rows * height))
        axes = canvas.subplots(n_rows, n_columns, squeeze=False).flat
        for axis, panel in itertools.zip_longest(axes, panels):
            if panel:
                panel.draw(axis)
            else:
                axis.set_axis_off()
        canvas.tight_layout()  # once; a constrained layout measures all texts again for every file, in twice the time
        return [_file(canvas, kind) for kind in kinds]


def _file(canvas: Canvas, kind: str) -> bytes:
    """A drawing as a file, without a date or the name of the program."""
    metadata: dict[str, Any] = {
        "svg": dict.fromkeys(("Creator", "Date", "Format", "Type")),
        "png": {"Software": None},
    }[kind]
    content = io.BytesIO()
    canvas.savefig(content, format=kind, dpi=300, facecolor="white", metadata=metadata)
    return content.getvalue()


def legend_below(axis: Axes) -> None:
    """Put the legend below the axis's label, in two columns where its lines are many."""
    n_lines = len(axis.get_legend_handles_labels()[0])
    columns = 2 if n_lines > FEW_LINES else n_lines
    # The pad is in units of the font's size, so that the label has room however tall the panel is.
    axis.legend(
        loc="upper center", bbox_to_anchor=(0.5, 0), borderaxespad=4, ncols=columns, handlelength=2.6, columnspacing=1.2
    )


def height_below(n_lines: int) -> float:
    """The height of a legend below a panel, in inches."""
    return 0.17 * math.ceil(n_lines / 2) if n_lines > FEW_LINES else 0.0


class Gain(NamedTuple):
    """A gain and the ends of its interval, and whether it is significant."""

    value: float
    low: float
    high: float
    significant: bool


def gains_figure(caption: str, gains: Mapping[str, Mapping[str, Gain]]) -> Figure:
    """A forest plot: gains and their intervals below one another, so that all comparisons are seen at once.

    Args:
        caption: of the figure.
        gains: by panel and comparison, in percentage points.
    """
    reach = 1.1 * max(1.0, *(abs(end) for lines in gains.values() for gain in lines.values() for end in gain[:3]))

    def panel(title: str, lines: Mapping[str, Gain]) -> Panel:
        def paint(axis: Axes) -> None:
            axis.axvline(0, color=INK, linewidth=0.8)
            for place, (gain, low, high, significant) in enumerate(lines.values()):
                fill = INK if significant else "white"
                axis.plot([low, high], [place, place], color=INK, solid_capstyle="butt")
                axis.plot(gain, place, "o", color=INK, markerfacecolor=fill, markersize=6)
                text = f"{gain:+z.1f}".replace("-", "−")
                paper = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}  # keeps the line at zero off the text
                axis.annotate(
                    text, (gain, place), (0, 5), textcoords="offset points", ha="center", va="bottom", bbox=paper
                )
            axis.set(title=title, xlabel="percentage points", xlim=(-reach, reach), ylim=(len(lines) - 0.6, -0.75))
            axis.set_yticks(range(len(lines)), list(lines))
            axis.tick_params("y", length=0)
            axis.grid(visible=False, axis="y")
            axis.spines["left"].set_visible(False)

        found = "; ".join(
            f"{name} {gain:+.1f} ({low:.1f} to {high:.1f})" for name, (gain, low, high, _) in lines.items()
        )
        height = 0.9 + 0.34 * len(lines)
        return Panel(f"{title}, gains with 95 % intervals in points: {found}", paint, width=4.4, height=height)

    return Figure("gains", caption, [panel(title, lines) for title, lines in gains.items()])


def curves_panel(
    title: str, curves: Mapping[str, tuple[Look, Sequence[tuple[pd.Series[float], int]]]], label: str
) -> Panel:
    """What changed from epoch to epoch.

    Args:
        title: of the panel.
        curves: by name, the look, and for every seed the values in the order of the epochs and the index of the epoch
            that was kept.
        label: of the vertical axis.
    """

    def paint(axis: Axes) -> None:
        for name, (look, of_seeds) in curves.items():
            for values, kept in of_seeds:
                epochs = np.arange(1, len(values) + 1)
                faint = 1 / len(of_seeds) ** 0.5
                axis.plot(epochs, values, look.dashes, color=look.color, alpha=faint, linewidth=0.5 + 0.9 * faint)
                axis.plot(epochs[kept], values.iloc[kept], look.marker, color=look.color, alpha=faint)
            axis.plot([], [], look.dashes, marker=look.marker, color=look.color, markerfacecolor=look.face, label=name)
        axis.set(title=title, xlabel="epoch", ylabel=label)
        everything = np.concatenate([values for _, of_seeds in curves.values() for values, _ in of_seeds])
        if everything.max() > 20 * everything.min() > 0:
            axis.set_yscale("log")
            axis.yaxis.set_major_formatter("{x:g}")
            axis.yaxis.set_minor_formatter(NullFormatter())
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        if len(curves) > FEW_LINES:
            legend_below(axis)
        else:
            axis.legend(loc="best", handlelength=2.6)

    return Panel(
        f"{title}, {label} over the epochs: {', '.join(curves)}", paint, height=2.7 + height_below(len(curves))
    )


def reliability_panel(
    arm: Arm, before: NDArray[np.float64], after: NDArray[np.float64], right: NDArray[np.bool_]
) -> Panel:
    """How often an arm is right, by how sure it says it is.

    Args:
        arm: whose answers they are.
        before: shape (image,), the probability of the class predicted.
        after: the same with the temperature.
        right: shape (image,), whether it is right.
    """
    look = arm.look

    def paint(axis: Axes) -> None:
        axis.plot([0, 1], [0, 1], color="#999999", linewidth=0.8)
        for confidence, fill, label in ((before, "white", "as trained"), (after, look.color, "with temperature")):
            bins = np.digitize(confidence, np.linspace(0, 1, N_BINS + 1)[1:-1], right=True)
            used, counts = np.unique(bins, return_counts=True)
            said = [confidence[bins == number].mean() for number in used]
            true = [right[bins == number].mean() for number in used]
            mark: dict[str, Any] = {"marker": look.marker, "facecolor": fill, "edgecolor": look.color, "linewidth": 1.0}
            axis.scatter(said, true, 10 + 140 * counts / len(right), **mark, alpha=0.8, zorder=3)
            axis.scatter([], [], 30, **mark, label=label)  # one size in the legend
        axis.set(title=arm.title, xlabel="probability of the class predicted", ylabel="share right")
        axis.set(xlim=(0, 1.03), ylim=(0, 1.05), aspect="equal")
        axis.legend(loc="upper left")

    alt = f"Reliability of {arm.title}: the share of right answers against the probability"
    return Panel(alt, paint, width=3.1, height=3.1)


def efficiency_panel(
    title: str,
    scores: Mapping[Arm, Mapping[int, NDArray[np.float64]]],
    published: Mapping[Arm, Mapping[int, float]],
) -> Panel:
    """A score against the share of the labels.

    Args:
        title: the score's name.
        scores: by arm and percentage of the labels, the score of every seed.
        published: by arm and percentage, what the published study found, if it said.
    """

    def paint(axis: Axes) -> None:
        for arm, of_splits in scores.items():
            look, splits = arm.look, sorted(of_splits)
            places = [SUBSETS.index(split) for split in splits]
            means = np.array([100 * of_splits[split].mean() for split in splits])
            spreads = np.array(
                [100 * of_splits[split].std(ddof=1) if len(of_splits[split]) > 1 else 0 for split in splits]
            )
            axis.fill_between(
                places, means - spreads, np.minimum(means + spreads, 100), color=look.color, alpha=0.15, linewidth=0
            )
            line = axis.plot(places, means, look.dashes, marker=look.marker, color=look.color, label=arm.title)
            line[0].set_markerfacecolor(look.face)
        for arm, values in published.items():
            places = [SUBSETS.index(split) for split in values]
            axis.plot(
                places,
                [100 * value for value in values.values()],
                arm.look.marker,
                color=arm.look.color,
                markerfacecolor="white",
                label=f"{arm.title}, published",
            )
        axis.set(title=title, xlabel="labels used, %", ylabel="%", xlim=(-0.25, len(SUBSETS) - 0.75))
        axis.set_xticks(range(len(SUBSETS)), map(str, SUBSETS))
        legend_below(axis)

    found = "; ".join(
        f"{arm.title}: " + ", ".join(f"{100 * of_splits[split].mean():.1f} at {split} %" for split in sorted(of_splits))
        for arm, of_splits in scores.items()
    )
    height = 3.0 + height_below(len(scores) + len(published))
    return Panel(f"{title} against the share of the labels, mean over seeds. {found}", paint, height=height)
