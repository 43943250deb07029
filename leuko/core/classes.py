"""The sets, their classes and the subsets of labels."""

CLASSES: dict[str, tuple[str, ...]] = {
    "wbc": ("Basophil", "Eosinophil", "Lymphocyte", "Monocyte", "Neutrophil"),
    "cam16": ("normal", "tumor"),
    "prcc": (),
}
"""The classes of each set, in the order of their labels; pRCC has none."""

SUBSETS = (1, 10, 50, 100)
"""The percentages of the WBC training labels, each subset holding the smaller ones."""
