"""The drawings of classes: F1 class by class, and confusion matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from numpy.typing import NDArray

from leuko.arms import Arm
from leuko.core.image_grid import INK
from leuko.report.blocks import Panel
from leuko.report.drawing import FEW_LINES, height_below, legend_below

SHADES = LinearSegmentedColormap.from_list("shades", ["#ffffff", "#1f4e79"])


def f1_panel(
    title: str,
    scores: Mapping[Arm, Mapping[str, float | None]],
    lowest: float,
    *,
    n_arms: int,
    hollow: bool = False,
) -> Panel:
    """F1 of every class.

    Args:
        title: of the panel.
        scores: by arm and class; none for a class without test images. All arms have the same classes.
        lowest: where the axis begins.
        n_arms: the most arms that a panel of the figure has, for which there must be room.
        hollow: leave the marks empty, for what others found.
    """
    classes = list(next(iter(scores.values())))
    crowded = n_arms > 2 * FEW_LINES
    step = min(0.2, 0.84 / n_arms)

    def paint(axis: Axes) -> None:
        for line, (arm, of_classes) in enumerate(scores.items()):
            places = np.arange(len(classes)) + step * (line - (len(scores) - 1) / 2)
            axis.plot(
                [np.nan if value is None else value for value in of_classes.values()],
                places,
                arm.look.marker,
                color=arm.look.color,
                markerfacecolor="white" if hollow else arm.look.face,
                markersize=4.5 if crowded else 6,
                label=arm.title,
            )
        axis.set(title=title, xlabel="F1", xlim=(lowest, 1.02), ylim=(len(classes) - 0.5, -0.5))
        axis.set_yticks(range(len(classes)), classes)
        axis.tick_params("y", length=0)
        axis.grid(visible=False, axis="y")
        for border in np.arange(len(classes) - 1) + 0.5:
            axis.axhline(border, color="#e8e8e8", linewidth=0.6)
        legend_below(axis)

    found = "; ".join(
        f"{arm.title}: " + ", ".join(f"{label} {_share(value)}" for label, value in of_classes.items())
        for arm, of_classes in scores.items()
    )
    height = 1.2 + len(classes) * max(0.4, 0.08 * n_arms) + height_below(n_arms)
    return Panel(f"{title}, F1 by class. {found}", paint, width=4.4 if crowded else 3.6, height=height)


def _share(value: float | None) -> str:
    """A score for those who cannot see the figure."""
    return "–" if value is None else f"{value:.2f}"


def abbreviations(names: Sequence[str]) -> list[str]:
    """Short forms of names: their first letters, three of them or as many as it takes to tell all apart."""
    length = 3
    while len({name[:length] for name in names}) < len(names):
        length += 1
    return [name if len(name) <= length + 1 else name[:length] + "." for name in names]


def confusion_panel(title: str, counts: NDArray[np.int64], classes: Sequence[str]) -> Panel:
    """A confusion matrix: rows are the actual classes, the shade is the share of the row, the figure the images.

    Args:
        title: of the panel.
        counts: shape (actual class, predicted class).
        classes: their names.
    """
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    short, side = abbreviations(classes), max(3.1, 0.42 * len(classes) + 0.6)

    def paint(axis: Axes) -> None:
        axis.pcolormesh(shares, cmap=SHADES, vmin=0, vmax=1, edgecolors="#dddddd", linewidth=0.5)
        for row, column in np.ndindex(*counts.shape):
            if counts[row, column]:
                color = "white" if shares[row, column] > 0.6 else INK
                axis.text(column + 0.5, row + 0.5, f"{counts[row, column]}", ha="center", va="center", color=color)
        axis.set(title=title, xlabel="predicted", ylabel="actual", aspect="equal", ylim=(len(classes), 0))
        upright = max(map(len, short)) > 4 + 1 or len(classes) > 8
        axis.set_xticks(np.arange(len(classes)) + 0.5, short, rotation=90 if upright else 0)
        axis.set_yticks(np.arange(len(classes)) + 0.5, short)
        axis.tick_params(length=0)
        axis.grid(visible=False)
        axis.spines[:].set_visible(False)

    recalls = ", ".join(
        f"{label} {_share(share if n_images else None)}"
        for label, share, n_images in zip(classes, shares.diagonal(), counts.sum(axis=1), strict=True)
    )
    return Panel(f"Confusion matrix of {title}. Recall: {recalls}", paint, width=side, height=side - 0.1)
