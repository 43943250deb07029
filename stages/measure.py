"""Cut out and measure the cells of the blood images, and nuclei of the tissue to pre-train on."""

from pathlib import Path

import numpy as np
import pandas as pd

from leuko.core.errors import run
from leuko.core.params.group import Group, Text
from leuko.core.params.measure import Measure
from leuko.core.params.reading import load_params
from leuko.core.params.stain import Stain
from leuko.data.manifest import read_manifest
from leuko.data.scale import from_column
from leuko.morphology.figure import outlines_figure
from leuko.morphology.packing import describe_pictures, find_scale, pack_cells, pack_nuclei
from leuko.morphology.reference import Reference
from leuko.morphology.staining import Staining
from leuko.packs.reading import read_rows

CELLS = Path("data/packs/cells")
NUCLEI = Path("data/packs/nuclei")


class Settings(Group):
    """The settings that this stage reads."""

    data_root: Text
    stain: Stain
    measure: Measure


def main() -> None:
    """Write `data/packs/cells/<part>`, what their training part says of the set, and `data/packs/nuclei/train`."""
    from leuko.models.foreign import fit_domain, save_domains  # with PyTorch, which the processes that measure lack

    params = load_params(Settings)
    options = params.measure
    images = read_manifest(Path("data/images.csv"))

    root = Path(params.data_root)
    blood = images[images["set"] == "wbc"]
    parts = {part: blood[blood["part"] == part] for part in ("train", "val", "test")}
    depths = from_column(blood["scale"])
    files = {part: _files(rows, root) for part, rows in parts.items()}
    staining = Staining(params.stain).settled(files["train"], depths)
    scale = find_scale(parts["train"], files["train"], depths, staining)
    for part, rows in parts.items():
        title = f"measuring cells {part}"
        pack_cells(CELLS / part, rows, files[part], depths, scale, options.side, title, staining)
    found = read_rows(CELLS / "train")["found"] == 1
    descriptors = np.load(CELLS / "train" / "descriptors.npy", allow_pickle=False)
    Reference.of(scale, descriptors[found]).write(CELLS / "scale.json")
    pictures = [describe_pictures(files[part], depths, f"looking at {part}", staining) for part in ("train", "val")]
    save_domains(
        CELLS / "domain.safetensors",
        fit_domain(descriptors, np.load(CELLS / "val" / "descriptors.npy", allow_pickle=False)),
        fit_domain(*pictures),
    )

    tissue = images[images["set"].isin(["prcc", "cam16"]) & (images["part"] == "train")]
    of_set = {"prcc": options.nuclei_per_prcc_tile, "cam16": options.nuclei_per_cam16_image}
    most = [of_set[name] for name in tissue["set"]]
    pack_nuclei(NUCLEI / "train", tissue, _files(tissue, root), most, options.seed, options.side)
    outlines_figure(Path("plots/outlines.png"), CELLS / "train", n_images=8)


def _files(rows: pd.DataFrame, root: Path) -> list[Path]:
    """The files of some rows of the manifest."""
    return [root / path for path in rows["path"]]


if __name__ == "__main__":
    run(main)
