"""MLL23: archives that unpack to a folder within a folder of the same name, beside macOS's leftovers."""

from tests.course import noise, save
from tests.fakes import TEN, each

CLASSES = (
    "basophil", "eosinophil", "hairy_cell", "lymphocyte", "lymphocyte_large_granular", "lymphocyte_neoplastic",
    "lymphocyte_reactive", "metamyelocyte", "monocyte", "myeloblast", "myelocyte", "neutrophil_band",
    "neutrophil_segmented", "normoblast", "plasma_cell", "promyelocyte", "promyelocyte_atypical", "smudge_cell",
)  # fmt: skip
ASKED = ("lymphocyte_large_granular", "lymphocyte_neoplastic", "lymphocyte_reactive", "neutrophil_band")
OTHERS = (
    "hairy_cell", "metamyelocyte", "myeloblast", "myelocyte", "normoblast", "plasma_cell", "promyelocyte",
    "promyelocyte_atypical", "smudge_cell",
)  # fmt: skip
COUNTS, LEFT_OUT = each(TEN), {f"images of {label}": 10 for label in (*ASKED, *OTHERS)}
MASKS, GROUPS = 0, 0


def write(folder):
    for number, label in enumerate(CLASSES):
        for count in range(10):
            name = f"MLL_{10 * number + count:06}.tif"
            save(noise([number, count], 18, 18), folder / label / label / name)
            leftover = folder / label / "__MACOSX" / label / f"._{name}"
            leftover.parent.mkdir(parents=True, exist_ok=True)
            leftover.write_bytes(b"\0\5\26\7")
    return [str(folder), *(word for label in ASKED for word in ("--drop", label))]
