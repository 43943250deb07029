"""PBC with WBCAtt's lists: fine classes in the files' names, coarse ones in the folders'."""

from tests.course import noise, save
from tests.fakes import each

PREFIXES = {
    "basophil": ("BA",), "eosinophil": ("EO",), "erythroblast": ("ERB",), "ig": ("MMY", "MY", "PMY", "IG"),
    "lymphocyte": ("LY",), "monocyte": ("MO",), "neutrophil": ("SNE", "BNE", "NEUTROPHIL"), "platelet": ("PLATELET",),
}  # fmt: skip
COUNTS = each({"train": 3, "val": 2, "test": 2})
LEFT_OUT = {"images that no list names": 3 * 7}
MASKS, GROUPS = 0, 0


def write_images(folder):
    """Seven images in each folder."""
    paths = []
    for label, prefixes in PREFIXES.items():
        for number in range(7):
            name = f"{prefixes[number % len(prefixes)]}_{100_000 + number}.jpg"
            path = f"PBC_dataset_normal_DIB/{label}/{name}"
            save(noise(list(name.encode())), folder / path)
            paths.append((label, path))
    return paths


def write(folder):
    header = "img_name,label,cell_size,cell_shape,nucleus_shape,path"
    lists = {"train": [header], "val": [header], "test": [header]}
    five = [(label, path) for label, path in write_images(folder) if label not in ("erythroblast", "ig", "platelet")]
    for place, (label, path) in enumerate(five):
        part = "train" if place % 7 < 3 else "val" if place % 7 < 5 else "test"
        lists[part].append(f"{path.split('/')[-1]},{label.capitalize()},big,round,unsegmented-band,{path}")
    for part, lines in lists.items():
        (folder / f"pbc_attr_v1_{part}.csv").write_text("\n".join(lines) + "\n")
    return [str(folder / "PBC_dataset_normal_DIB"), *(str(folder / f"pbc_attr_v1_{part}.csv") for part in lists)]
