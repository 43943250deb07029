"""Tiny fakes of public data sets: noise, in exactly the folders, names, keys and tables of what is published.

Each module's `write(folder)` gives what follows `leuko import KIND` on the command line. COUNTS is what must come of
it, images of every class by part; LEFT_OUT what must not; MASKS and GROUPS how many there are.
"""

FIVE = ("Basophil", "Eosinophil", "Lymphocyte", "Monocyte", "Neutrophil")
TEN = {"train": 7, "val": 1, "test": 2}
"""How ten images of every class are divided where the source does not do it."""


def each(counts, classes=FIVE):
    """The same numbers for every class."""
    return {part: dict.fromkeys(classes, count) for part, count in counts.items()}
