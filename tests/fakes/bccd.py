"""BCCD: boxes of WBC, RBC and Platelets in Pascal-VOC files, and a table of the types made by others."""

from tests.course import noise, save
from tests.fakes import FIVE, each

COUNTS = each({"train": 2, "val": 1, "test": 1})
LEFT_OUT = {"images without a white blood cell": 1, "cells of no or of several types in the table": 2}
MASKS, GROUPS = 0, 20
OBJECT = (
    "<object><name>{}</name><pose>Unspecified</pose><truncated>0</truncated><difficult>0</difficult>"
    "<bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"
)
WIDTH, HEIGHT = 640, 480


def write_image(root, number, boxes):
    """An image, and a file with its boxes."""
    name = f"BloodImage_{number:05}"
    save(noise(number, 64, 48).resize((WIDTH, HEIGHT)), root / "JPEGImages" / f"{name}.jpg")
    size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>"
    (root / "Annotations").mkdir(exist_ok=True)
    (root / "Annotations" / f"{name}.xml").write_text(
        f"<annotation><folder>JPEGImages</folder><filename>{name}.jpg</filename><path>/home/pi/{name}.jpg</path>{size}"
        + "".join(OBJECT.format(*box) for box in boxes)
        + "</annotation>"
    )
    return name


def write(folder):
    root = folder / "BCCD"
    parts, rows = {"train": [], "val": [], "test": []}, [",Image,Category"]
    for number in range(22):
        cell = ("WBC", 260, 177, 491, 376 + 50 * number)  # of the later ones, beyond the lower edge
        part = ("train", "train", "val", "test")[number // 5] if number < 20 else "train"
        parts[part].append(write_image(root, number, [cell, ("RBC", 1, 1, 80, 90), ("Platelets", 9, 9, 30, 30)]))
        kind = FIVE[number % 5].upper()
        rows.append(f"{number},{number},{kind}")
    rows[21:] = ["20,20,", '21,21,"EOSINOPHIL, NEUTROPHIL"']
    parts["train"].append(write_image(root, 22, [("RBC", 1, 1, 80, 90)]))
    (root / "ImageSets/Main").mkdir(parents=True)
    for part, names in parts.items():
        (root / f"ImageSets/Main/{part}.txt").write_text("\n".join(names) + "\n")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return [str(folder), "--types", str(folder / "labels.csv")]
