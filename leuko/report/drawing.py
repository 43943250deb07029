"""The figures, in one quiet style; a model is told by its colour and by its marker and dashes too."""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator, NullFormatter
from numpy.typing import NDArray

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
    "figure.constrained_layout.use": True,
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
    "xtick.color": "#666666",
    "xtick.labelcolor": INK,
    "ytick.color": "#666666",
    "ytick.labelcolor": INK,
}
SHADES = LinearSegmentedColormap.from_list("shades", ["#ffffff", "#1f4e79"])
MOST_COLUMNS = 3
TITLES = {"base": "base", "control": "control", "plus": "WBC+"}
"""What readers call the models."""


@dataclass(frozen=True)
class Look:
    """How a model's line is drawn; the colours are Okabe and Ito's and a grey."""

    color: str
    marker: str
    dashes: str


LOOKS = {"base": Look("#0072B2", "o", "-."), "control": Look("#767676", "s", ":"), "plus": Look("#D55E00", "^", "-")}


@contextmanager
def _styled() -> Iterator[None]:
    with mpl.rc_context(STYLE):
        yield


def draw(panels: Sequence[Panel], kind: str, dpi: int = 300) -> bytes:
    """Draw panels side by side, three in a row.

    Args:
        panels: all of one size.
        kind: `svg` or `png`.
        dpi: of a PNG, in dots per inch.

    Returns:
        The file's content, which depends on what is drawn alone.
    """
    metadata: dict[str, Any] = {
        "svg": dict.fromkeys(("Creator", "Date", "Format", "Type")),
        "png": {"Software": None},
    }[kind]
    with _styled():
        n_columns = min(len(panels), MOST_COLUMNS)
        n_rows = math.ceil(len(panels) / n_columns)
        canvas = Canvas(figsize=(n_columns * panels[0].width, n_rows * panels[0].height))
        axes = canvas.subplots(n_rows, n_columns, squeeze=False).flat
        for axis, panel in itertools.zip_longest(axes, panels):
            if panel:
                panel.draw(axis)
            else:
                axis.set_axis_off()
        content = io.BytesIO()
        canvas.savefig(content, format=kind, dpi=dpi, facecolor="white", metadata=metadata)
    return content.getvalue()


class Gain(NamedTuple):
    """A gain and the ends of its interval, and whether it is significant."""

    value: float
    low: float
    high: float
    significant: bool


def gains_figure(caption: str, gains: Mapping[str, Mapping[str, Gain]]) -> Figure:
    """Gains and their intervals, a panel for every comparison.

    Args:
        caption: of the figure.
        gains: by comparison and line, in percentage points.
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
        return Panel(f"{title}, gains with 95 % intervals in points: {found}", paint, height=0.9 + 0.38 * len(lines))

    return Figure("gains", caption, [panel(title, lines) for title, lines in gains.items()])


def f1_panel(title: str, scores: Mapping[str, Mapping[str, float]], lowest: float, *, hollow: bool = False) -> Panel:
    """F1 of every class.

    Args:
        title: of the panel.
        scores: by model and class.
        lowest: where the axis begins.
        hollow: leave the marks empty, for what others found.
    """

    def paint(axis: Axes) -> None:
        for line, (name, of_classes) in enumerate(scores.items()):
            look = LOOKS[name]
            places = np.arange(len(of_classes)) + 0.2 * (line - (len(scores) - 1) / 2)
            fill = "white" if hollow else look.color
            axis.plot(
                list(of_classes.values()),
                places,
                look.marker,
                color=look.color,
                markerfacecolor=fill,
                markersize=6,
                label=TITLES[name],
            )
        classes = list(next(iter(scores.values())))
        axis.set(title=title, xlabel="F1", xlim=(lowest, 1.02), ylim=(len(classes) - 0.5, -0.5))
        axis.set_yticks(range(len(classes)), classes)
        axis.tick_params("y", length=0)
        axis.grid(visible=False, axis="y")
        for border in np.arange(len(classes) - 1) + 0.5:
            axis.axhline(border, color="#e8e8e8", linewidth=0.6)
        axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3, handletextpad=0.1)

    found = "; ".join(
        f"{TITLES[name]}: " + ", ".join(f"{label} {value:.2f}" for label, value in of_classes.items())
        for name, of_classes in scores.items()
    )
    return Panel(f"{title}, F1 by class. {found}", paint, height=3.2)


def confusion_panel(title: str, counts: NDArray[np.int64], classes: Sequence[str]) -> Panel:
    """A confusion matrix: rows are the actual classes, the shade is the share of the row, the figure the images.

    Args:
        title: of the panel.
        counts: shape (actual class, predicted class).
        classes: their names.
    """
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    short = [label[:3] + "." for label in classes]

    def paint(axis: Axes) -> None:
        axis.pcolormesh(shares, cmap=SHADES, vmin=0, vmax=1, edgecolors="#dddddd", linewidth=0.5)
        for row, column in np.ndindex(*counts.shape):
            if counts[row, column]:
                color = "white" if shares[row, column] > 0.6 else INK
                axis.text(column + 0.5, row + 0.5, f"{counts[row, column]}", ha="center", va="center", color=color)
        axis.set(title=title, xlabel="predicted", ylabel="actual", aspect="equal", ylim=(len(classes), 0))
        axis.set_xticks(np.arange(len(classes)) + 0.5, short)
        axis.set_yticks(np.arange(len(classes)) + 0.5, short)
        axis.tick_params(length=0)
        axis.grid(visible=False)
        axis.spines[:].set_visible(False)

    recalls = ", ".join(f"{label} {share:.2f}" for label, share in zip(classes, shares.diagonal(), strict=True))
    return Panel(f"Confusion matrix of {title}. Recall: {recalls}", paint, width=3.1, height=3.0)


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
            axis.plot([], [], look.dashes, marker=look.marker, color=look.color, label=name)
        axis.set(title=title, xlabel="epoch", ylabel=label)
        everything = np.concatenate([values for _, of_seeds in curves.values() for values, _ in of_seeds])
        if everything.max() > 20 * everything.min() > 0:
            axis.set_yscale("log")
            axis.yaxis.set_major_formatter("{x:g}")
            axis.yaxis.set_minor_formatter(NullFormatter())
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.legend(loc="best", handlelength=2.6)

    return Panel(f"{title}, {label} over the epochs: {', '.join(curves)}", paint)


def reliability_panel(
    name: str, before: NDArray[np.float64], after: NDArray[np.float64], right: NDArray[np.bool_]
) -> Panel:
    """How often a model is right, by how sure it says it is.

    Args:
        name: of the model.
        before: shape (image,), the probability of the class predicted.
        after: the same with the temperature.
        right: shape (image,), whether it is right.
    """
    look = LOOKS[name]

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
        axis.set(title=TITLES[name], xlabel="probability of the class predicted", ylabel="share right")
        axis.set(xlim=(0, 1.03), ylim=(0, 1.05), aspect="equal")
        axis.legend(loc="upper left")

    alt = f"Reliability of {TITLES[name]}: the share of right answers against the probability"
    return Panel(alt, paint, width=3.1, height=3.1)


def efficiency_panel(
    title: str,
    scores: Mapping[str, Mapping[int, NDArray[np.float64]]],
    published: Mapping[str, Mapping[int, float]] | None,
) -> Panel:
    """A score against the share of the labels.

    Args:
        title: the score's name.
        scores: by model and percentage of the labels, the score of every seed.
        published: by model and percentage, what the published study found; none if it did not say.
    """

    def paint(axis: Axes) -> None:
        for name, of_splits in scores.items():
            look, splits = LOOKS[name], sorted(of_splits)
            places = [SUBSETS.index(split) for split in splits]
            means = np.array([100 * of_splits[split].mean() for split in splits])
            spreads = np.array(
                [100 * of_splits[split].std(ddof=1) if len(of_splits[split]) > 1 else 0 for split in splits]
            )
            axis.fill_between(
                places, means - spreads, np.minimum(means + spreads, 100), color=look.color, alpha=0.15, linewidth=0
            )
            axis.plot(places, means, look.dashes, marker=look.marker, color=look.color, label=TITLES[name])
        for name, values in (published or {}).items():
            places = [SUBSETS.index(split) for split in values]
            axis.plot(
                places,
                [100 * value for value in values.values()],
                LOOKS[name].marker,
                color=LOOKS[name].color,
                markerfacecolor="white",
                label=f"{TITLES[name]}, published",
            )
        axis.set(title=title, xlabel="labels used, %", ylabel="%", xlim=(-0.25, len(SUBSETS) - 0.75))
        axis.set_xticks(range(len(SUBSETS)), map(str, SUBSETS))
        axis.legend(loc="lower right")

    found = "; ".join(
        f"{TITLES[name]}: "
        + ", ".join(f"{100 * of_splits[split].mean():.1f} at {split} %" for split in sorted(of_splits))
        for name, of_splits in scores.items()
    )
    return Panel(f"{title} against the share of the labels, mean over seeds. {found}", paint)
