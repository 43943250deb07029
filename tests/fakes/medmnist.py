"""BloodMNIST of 28 pixels: eight classes, labels of shape (image, 1)."""

import numpy as np

from tests.fakes import each

COUNTS = each({"train": 4, "val": 2, "test": 3})
LEFT_OUT = {"images of erythroblast": 9, "images of ig": 9, "images of platelet": 9}
MASKS, GROUPS = 0, 0


def arrays(side=28):
    """The arrays by key."""
    rng = np.random.default_rng(0)
    found = {}
    for part, count in (("train", 4), ("val", 2), ("test", 3)):
        found[f"{part}_images"] = rng.integers(0, 256, (8 * count, side, side, 3), dtype=np.uint8)
        found[f"{part}_labels"] = np.arange(8, dtype=np.uint8).repeat(count)[:, None]
    return found


def write(folder):
    np.savez_compressed(folder / "bloodmnist.npz", **arrays())
    return [str(folder / "bloodmnist.npz")]
