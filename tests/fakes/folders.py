"""A laboratory's own tree: parts, its names of classes, patients below them, masks beside the images."""

from tests.course import noise, save, square_mask
from tests.fakes import each

NAMES = ("Basophils", "EOS", "lymph", "Monozyten 单核细胞", "segmented neutrophils")
COUNTS, LEFT_OUT = each({"train": 4, "val": 4, "test": 4}), {"files that are no images (.txt)": 1}
MASKS, GROUPS = 5, 6


def write(folder):
    source = folder / "Bilder & Ärzte"
    for first_patient, part in ((0, "Training"), (2, "valid"), (4, "test")):
        for name in NAMES:
            for patient in (first_patient, first_patient + 1):
                for cell in (1, 2):
                    place = source / part / name / f"patient {patient}" / f"zelle {cell}.png"
                    save(noise(list(str(place).encode())), place)
    for name in NAMES:
        save(square_mask(), source / "Training" / name / "patient 0" / "zelle 1_mask.png")
    (source / "notes.txt").write_text("no image")
    for clutter in ("Thumbs.db", ".hidden.png", "._zelle 1.png"):
        (source / clutter).write_text("left behind")
    return [
        str(source), "--pattern", "{part}/{class}/{group}/*", "--masks", "{stem}_mask.png",
        "--map", "Monozyten 单核细胞=Monocyte",
    ]  # fmt: skip
