"""Pack the images of every set and part into arrays, with copies of the pre-training images."""

from pathlib import Path

import numpy as np
import pandas as pd

from leuko.core.errors import run
from leuko.core.files import atomic_folder
from leuko.core.params.augment import Augment
from leuko.core.params.group import Group, Text
from leuko.core.params.reading import load_params
from leuko.core.params.stain import Stain
from leuko.data.manifest import read_manifest
from leuko.data.scale import from_column
from leuko.morphology.staining import Staining
from leuko.packs.augmentation import Pose, balancing_poses, pretraining_poses
from leuko.packs.writing import contact_sheet, write_pack

PACKS = Path("data/packs")
MASKED = Path("data/masked")


class Settings(Group):
    """The settings that this stage reads."""

    data_root: Text
    stain: Stain
    augment: Augment


def main() -> None:
    """Write `data/packs/<set>/<part>` and a contact sheet of what is in them."""
    params = load_params(Settings)
    options = params.augment
    sizes = {"wbc": options.wbc_size, "prcc": options.prcc_size, "cam16": options.cam16_size}
    # WBC+ looks at a blood cell through both pre-trained networks too, each at its own size.
    sizes_of = {"prcc": {"prcc": sizes["prcc"]}, "cam16": {"cam16": sizes["cam16"]}, "wbc": sizes}
    originals = read_manifest(Path("data/manifest.csv")).assign(root=params.data_root)
    masked = read_manifest(MASKED / "manifest.csv").assign(root=str(MASKED))
    images = pd.concat([originals, masked], ignore_index=True)

    blood = originals[(originals["set"] == "wbc") & (originals["part"] == "train")]
    of_blood = [Path(params.data_root) / path for path in blood["path"]]
    staining = Staining(params.stain).settled(of_blood, from_column(blood["scale"]))
    for stream, name in enumerate(sizes_of):
        rng = np.random.default_rng([options.seed, stream])
        scales = from_column(images[images["set"] == name]["scale"])
        for part in ("train", "val", "test"):
            rows = images[(images["set"] == name) & (images["part"] == part)]
            if part == "train" and name != "wbc":
                poses = pretraining_poses(len(rows), options.rotation, rng)
            elif part == "train" and options.balance:
                poses = balancing_poses(list(rows["class"]), options.balance_rotation, rng)
            else:
                poses = [[Pose()]] * len(rows)
            files = [Path(root) / path for root, path in zip(rows["root"], rows["path"], strict=True)]
            sources = rows["source"].where(rows["source"] != "", rows["path"])
            # A masked copy has the colours of its original.
            look = (staining, [Path(params.data_root) / path for path in sources]) if name == "wbc" else ()
            with atomic_folder(PACKS / name / part) as folder:
                write_pack(folder, rows, files, poses, sizes_of[name], f"packing {name} {part}", scales, *look)
    contact_sheet(Path("plots/augment.png"), PACKS, n_images=8)


if __name__ == "__main__":
    run(main)
