"""PatchCamelyon: arrays in HDF5, one file for patches and one for labels; masks of the training part; slides."""

import h5py
import numpy as np

from tests.fakes import each

COUNTS, LEFT_OUT = each({"train": 4, "val": 2, "test": 3}, ("normal", "tumor")), {}
MASKS, GROUPS = 8, 6


def write(folder):
    rng = np.random.default_rng(0)
    for part, count in (("train", 4), ("valid", 2), ("test", 3)):
        start = folder / f"camelyonpatch_level_2_split_{part}"
        labels = np.arange(2, dtype=np.uint8).repeat(count).reshape(-1, 1, 1, 1)
        save(f"{start}_x.h5", "x", rng.integers(0, 256, (2 * count, 96, 96, 3), dtype=np.uint8))
        save(f"{start}_y.h5", "y", labels)
        rows = [f"{row},{9 * row},{8 * row},{row >= count},{row >= count},camelyon16_{part}_{row % 2}" for row in
                range(2 * count)]  # fmt: skip
        table = [",coord_y,coord_x,tumor_patch,center_tumor_patch,wsi", *rows]
        (folder / f"camelyonpatch_level_2_split_{part}_meta.csv").write_text("\n".join(table) + "\n")
        if part == "train":
            masks = np.zeros((2 * count, 96, 96, 1), np.uint8)
            masks[count:, 40:56, 40:56] = 1
            masks[0, :8, :8] = 1  # tumor outside the middle, so that the label is 0
            save(f"{start}_mask.h5", "mask", masks)
    return [str(folder)]


def save(path, key, array):
    with h5py.File(path, "w") as file:
        file.create_dataset(key, data=array, compression="gzip")
