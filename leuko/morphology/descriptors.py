"""The table of descriptors: what each measurement of a cell is called, its unit and what it means.

Pixels are those of a crop of MEASURED_SIDE pixels, in which the set's median nucleus is as large as a square of
TYPICAL_NUCLEUS pixels. Density is the negative natural logarithm of the share of light that comes through, relative to
the background: 0 is as bright as the background, .7 half as bright.
"""

from __future__ import annotations

from typing import NamedTuple

from leuko.morphology.cropping import FIELD

MEASURED_SIDE = 96
TYPICAL_NUCLEUS = MEASURED_SIDE / FIELD

CHANNELS = ("red", "green", "blue")
DIFFERENCES = (("red", "green"), ("blue", "green"), ("red", "blue"))
PERCENTILES = (10, 50, 90)
SCALES = {"fine": 0.7, "medium": 1.5, "coarse": 3.0}
"""Standard deviation, in pixels, of the blur that takes away detail of this scale."""
DEPTHS = (2, 4, 6)
RINGS = {"border": (0, 3), "outer": (3, 7), "middle": (7, 12), "core": (12, MEASURED_SIDE)}
"""Distance from the cell's border in pixels: above the first, up to the second."""
TOLERANCE = 0.01
"""Reflecting a crop, or rotating it by a multiple of 90 degrees, changes no descriptor by more: what rounding does."""


class Descriptor(NamedTuple):
    """A measurement: its name, unit, the region that it is taken in, and what it means in a sentence."""

    name: str
    unit: str
    region: str
    meaning: str


def _sizes() -> list[Descriptor]:
    nuclei = "median nuclei"
    return [
        Descriptor("nucleus_area", nuclei, "nucleus", "Area of the nucleus."),
        Descriptor("cell_area", nuclei, "cell", "Area of the whole cell."),
        Descriptor("nucleus_to_cell", "share", "cell", "Share of the cell's area that the nucleus takes."),
        Descriptor("nucleus_threshold", "density", "nucleus", "Red and green density from which on it is nucleus."),
        Descriptor("displacement", "cell sides", "cell", "Distance between the centroids of nucleus and cell."),
    ]


def _shapes(region: str) -> list[Descriptor]:
    sides = f"{region} sides"
    return [
        Descriptor(f"{region}_convexity", "share", region, f"Share of its convex hull that the {region} fills."),
        Descriptor(f"{region}_hull_perimeter", sides, region, f"Perimeter of the convex hull of the {region}."),
        Descriptor(f"{region}_perimeter", sides, region, f"Length of the outline of the {region}, holes included."),
        Descriptor(f"{region}_roundness", "ratio", region, f"Short axis of the {region} divided by its long axis."),
        Descriptor(f"{region}_spread", sides, region, f"Root mean square distance from the centroid of the {region}."),
    ]


def _lobes() -> list[Descriptor]:
    table = []
    for depth in DEPTHS:
        far = f"more than {depth} pixels inside its border"
        table += [
            Descriptor(f"lobes_{depth}", "count", "nucleus", f"Parts of the nucleus {far}: its lobes, up to 6."),
            Descriptor(f"lobes_{depth}_area", "share", "nucleus", f"Share of the nucleus that lies {far}."),
        ]
    return [
        *table,
        Descriptor("nucleus_depth", "nucleus sides", "nucleus", "Greatest distance from the border of the nucleus."),
        Descriptor("nucleus_mean_depth", "nucleus sides", "nucleus", "Mean distance from the border of the nucleus."),
    ]


def _colours(region: str) -> list[Descriptor]:
    table = []
    for channel in CHANNELS:
        light = f"{channel} density of the {region}"
        table += [
            Descriptor(f"{region}_{channel}_mean", "density", region, f"Mean {light}."),
            Descriptor(f"{region}_{channel}_std", "density", region, f"Standard deviation of the {light}."),
        ]
        for percentile in PERCENTILES:
            name = f"{region}_{channel}_p{percentile}"
            table.append(Descriptor(name, "density", region, f"The {percentile}th percentile of the {light}."))
    for one, other in DIFFERENCES:
        name, light = f"{region}_{one}_minus_{other}", f"{one} minus {other} density of the {region}"
        table += [
            Descriptor(f"{name}_mean", "density", region, f"Mean {light}: its hue."),
            Descriptor(f"{name}_std", "density", region, f"Standard deviation of {light}."),
        ]
    return table


def _textures(region: str) -> list[Descriptor]:
    table = []
    for scale, blur in SCALES.items():
        grain = f"detail of the {region} finer than a blur of {blur} pixels"
        table += [
            Descriptor(f"{region}_{scale}_detail", "density", region, f"Mean size of green {grain}."),
            Descriptor(f"{region}_{scale}_hue_detail", "density", region, f"Mean size of red-minus-blue {grain}."),
            Descriptor(
                f"{region}_{scale}_granules",
                "density",
                region,
                f"Dark minus bright green {grain}: high with dark granules, low with bright ones and vacuoles.",
            ),
        ]
    for run in range(10):
        of = "in no single run" if run == 9 else f"in one unbroken run of {run}"
        meaning = f"Share of the pixels of the {region} whose 8 neighbours at least as dense stand {of}."
        table.append(Descriptor(f"{region}_pattern_{run}", "share", region, meaning))
    return table


def _rings() -> list[Descriptor]:
    table = []
    for ring, (least, most) in RINGS.items():
        where = f"more than {least}" if most == MEASURED_SIDE else f"{least} to {most}"
        for channel in CHANNELS:
            meaning = f"Mean {channel} density {where} pixels inside the border of the cell."
            table.append(Descriptor(f"ring_{ring}_{channel}", "density", "cell", meaning))
    return table


DESCRIPTORS: tuple[Descriptor, ...] = (
    *_sizes(),
    *_shapes("nucleus"),
    *_shapes("cell"),
    *_lobes(),
    *_colours("nucleus"),
    *_colours("cytoplasm"),
    *_textures("nucleus"),
    *_textures("cytoplasm"),
    *_rings(),
)
"""All descriptors in the order of the packs' columns."""


def as_markdown() -> str:
    """The table for people, as `docs/descriptors.md` has it."""
    rows = [f"| {number} | `{d.name}` | {d.unit} | {d.region} | {d.meaning} |" for number, d in enumerate(DESCRIPTORS)]
    head = ["| column | name | unit | region | meaning |", "|---|---|---|---|---|"]
    return "\n".join([*head, *rows]) + "\n"
