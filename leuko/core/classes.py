"""The sets, the subsets of labels, and how the name of a folder tells a class."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

SETS = ("wbc", "cam16", "prcc")
"""Blood cells, which are the task; tissue regions, normal or tumor; and tissue without labels."""

TISSUE_CLASSES = ("normal", "tumor")
"""The classes of the tissue regions, in the order of their labels. Those of blood cells are a setting, `classes`."""

SUBSETS = (1, 10, 50, 100)
"""The percentages of the WBC training labels, each subset holding the smaller ones."""

SHORT = 3
"""Names of so few letters are near many others."""

SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "basophil": ("baso", "basophile", "ba", "bas", "bazofil"),
    "eosinophil": ("eosi", "eosinophile", "eo", "eos", "acidophil"),
    "lymphocyte": ("lymp", "lymph", "ly", "lyt", "lymphocyte_typical"),
    "monocyte": ("mono", "mo", "mon"),
    "neutrophil": (
        "neut",
        "neutro",
        "neutrophile",
        "ne",
        "neu",
        "ngs",
        "sne",
        "seg",
        "pmn",
        "segmented_neutrophil",
        "neutrophil_segmented",
        "neutrophil_segment",
        "neutrophile_segment",
    ),
}
"""What public data sets call the five types, as `normalize` writes it."""

AMBIGUOUS: Mapping[str, tuple[str, ...]] = {
    "lymphocyte": (
        "lya",
        "vly",
        "lgl",
        "lymphocyte_atypical",
        "lymphocyte_reactive",
        "lymphocyte_variant",
        "lymphocyte_large_granular",
        "lymphocyte_neoplastic",
        "atypical_lymphocyte",
        "reactive_lymphocyte",
    ),
    "neutrophil": (
        "bne",
        "ngb",
        "band",
        "rod",
        "stab",
        "neutrophil_band",
        "neutrophile_band",
        "band_neutrophil",
    ),
}
"""Names that some count as the type and some do not, so that a person has to decide."""

# fmt: off
OTHER_CELLS = frozenset((
    "ig", "mmy", "mmz", "my", "myb", "myo", "pmy", "pmo", "pmb", "erb", "ebo", "plt", "platelet",
    "thrombocyte", "bla", "blast", "mob", "ksc", "smudge", "smudge_cell", "art", "oth", "nif", "mixt",
    "mixed", "erythroblast", "normoblast", "myelocyte", "metamyelocyte", "promyelocyte", "myeloblast",
    "monoblast", "lymphoblast", "plasma_cell", "hairy_cell", "immature_granulocyte", "promyelocyte_atypical",
))
# fmt: on
"""Names of what is none of the five types."""


@dataclass(frozen=True)
class Match:
    """What a folder's name says.

    Attributes:
        label: the class; none if the name tells none.
        question: what a person has to decide or should know; empty if nothing.
    """

    label: str | None
    question: str = ""


def normalize(name: str) -> str:
    """A name without regard to case, to what stands between its words, to plural and to Unicode's ways of spelling."""
    words = re.sub(r"[\s\-/\\._]+", "_", unicodedata.normalize("NFC", name).strip().casefold()).strip("_")
    return words.removesuffix("s") if len(words) > 3 else words


def match_class(name: str, classes: Sequence[str], synonyms: Mapping[str, str]) -> Match:
    """Tell which class a folder's name means.

    A class's own name wins, then what the settings say, then what public data sets call the five types. Names are
    compared whole, never in part, and what is ambiguous is asked about instead of being guessed.

    Args:
        name: of a folder or a label.
        classes: the classes of the task.
        synonyms: further names, each with the class that it stands for.

    Returns:
        The class, or why there is none.
    """
    wanted = normalize(name)
    for label in classes:
        if normalize(label) == wanted:
            return Match(label)
    for other, label in synonyms.items():
        if normalize(other) == wanted:
            return Match(label)
    kind = _type_of(wanted)
    for label in classes:
        if kind and _type_of(normalize(label)) == kind:
            return Match(label)
    for kind, names in AMBIGUOUS.items():
        if wanted in names:
            return Match(None, f"{name} may or may not count as {kind}; say so in synonyms, or remove it")
    if wanted in OTHER_CELLS:
        return Match(None, f"{name} is none of the classes {', '.join(classes)}")
    return Match(None)


def nearest_class(name: str, classes: Sequence[str]) -> str:
    """The class that a name may be a misspelling or an abbreviation of; empty if none comes near.

    Args:
        name: of a folder or a label that means no class.
        classes: the classes of the task.
    """
    wanted = normalize(name)
    if starts := [label for label in classes if len(wanted) > 1 and normalize(label).startswith(wanted)]:
        return starts[0] if len(starts) == 1 else ""
    known = {normalize(label): label for label in classes}
    known |= {other: label for label in classes for other in SYNONYMS.get(normalize(label), ()) if len(other) > SHORT}
    near = difflib.get_close_matches(wanted, known, n=1, cutoff=0.7)
    return known[near[0]] if near else ""


def _type_of(normalized: str) -> str | None:
    """Which of the five types a name means, if it is one of theirs."""
    return next((kind for kind, names in SYNONYMS.items() if normalized in (kind, *names)), None)
