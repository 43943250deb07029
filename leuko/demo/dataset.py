"""The demo data set: the folders and files of the real one, filled with drawings."""

import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from numpy.random import Generator, default_rng
from PIL import Image
from tqdm import tqdm

from leuko.demo.blood import draw_cell
from leuko.demo.canvas import Picture, Stain
from leuko.demo.tissue import draw_kidney_tumor, draw_node

# Images by part and class; in training sets, a tenth of each class also have a mask.
CELLS = {
    "train": {"Basophil": 10, "Eosinophil": 30, "Lymphocyte": 70, "Monocyte": 24, "Neutrophil": 150},
    "val": {"Basophil": 12, "Eosinophil": 24, "Lymphocyte": 44, "Monocyte": 22, "Neutrophil": 88},
}
NODES = {
    "train": {"normal": 40, "tumor": 40},
    "val": {"normal": 14, "tumor": 14},
    "test": {"normal": 20, "tumor": 20},
}
KIDNEY_TUMORS, LEAST_KIDNEY_TUMORS = 48, 3
LEAST = {"train": 1, "val": 2, "test": 1}  # of a class; ingest divides the val cells into validation and test
SUBSETS = (1, 10, 50)  # percentages of the cells to train on

SLIDES = {"train": range(1, 13), "val": range(13, 25)}  # so that those of the test are new to a network
SMEAR_LIGHT = (0.93, 0.89, 0.88)

JPEG_QUALITY = 92
MOST_PROCESSES = 8  # more would take longer to start than they save

# All randomness comes from lists of numbers: the user's seed, one of these, and which slide or image it is.
_SLIDE, _SUBSET, _CELL, _NODE, _KIDNEY = range(5)

README = """\
# Synthetic demo images

Every image in this folder is synthetic: drawn by a program (`leuko/demo`) with seed {seed}. No patient, cell
or tissue was photographed. The images show that the pipeline runs; they support no claim about real cells.
"""

_Draw = Callable[[Generator], tuple[Picture, Picture]]


@dataclass(frozen=True)
class _Drawing:
    """An image to be drawn, and its mask if it gets one: where to save them and all that they depend on."""

    image: Path
    mask: Path | None
    draw: _Draw
    rng: Generator

    def save(self) -> None:
        for picture, path in zip(self.draw(self.rng), (self.image, self.mask), strict=True):
            if path:
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(picture).save(path, quality=JPEG_QUALITY)


def draw_demo(root: Path, *, seed: int, fraction: float = 1.0) -> None:
    """Draw the demo data set: white blood cells, lymph nodes and kidney tumours, all synthetic.

    Each image depends on the seed and its own number only, not on the order of drawing or the number of
    processes. Drawing a fraction gives the first images of each class and part of the full set.

    Args:
        root: Folder to draw into; made if missing.
        seed: Non-negative seed of all randomness.
        fraction: Share of the full number of images, in (0, 1], of each class and part.

    Raises:
        FileExistsError: If `root` has anything in it.
        ValueError: If `fraction` is out of range.
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction must be above 0 and at most 1, not {fraction}")
    root.mkdir(parents=True, exist_ok=True)
    if any(root.iterdir()):
        raise FileExistsError(f"{root} is not an empty folder: remove it, or draw the demo data elsewhere")

    cell_root = root / "WBC_100"
    drawings = [
        *_labelled(cell_root, CELLS, partial(_plan_cell, _slides(seed)), fraction, [seed, _CELL]),
        *_labelled(root / "CAM16_100cls_10mask", NODES, _plan_node, fraction, [seed, _NODE]),
        *_kidney_tumors(root / "pRCC", fraction, [seed, _KIDNEY]),
    ]
    # New ("spawned") processes, as forking is unsafe where the caller has threads.
    processes = min(MOST_PROCESSES, os.cpu_count() or 1)
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        saved = pool.map(_Drawing.save, drawings, chunksize=8)
        for _ in tqdm(saved, desc="Drawing", total=len(drawings), unit="image", disable=None):
            pass
    for label, kind in enumerate(CELLS["train"]):
        _copy_subsets(root, kind, default_rng([seed, _SUBSET, label]))
    images = [drawing.image for drawing in drawings]
    # The slides are the groups of the cells, in the table that Leuko reads at a data root.
    cells = [path.relative_to(root).as_posix() for path in images if path.is_relative_to(cell_root)]
    rows = [f"{path},{Path(path).name.partition('_')[0]}" for path in cells]
    (root / "groups.csv").write_text("\n".join(["path,group", *rows, ""]), encoding="utf-8")
    (root / "README.md").write_text(README.format(seed=seed), encoding="utf-8")


def _labelled(
    folder: Path,
    counts: dict[str, dict[str, int]],
    plan: Callable[[str, str, int], tuple[str, _Draw]],
    fraction: float,
    seeds: list[int],
) -> Iterator[_Drawing]:
    """Plan a data set with classes: `plan` gives the name and drawing of an image of a part and class, by its rank.

    Images are numbered within their class, through all parts, as if the set were drawn in full.
    """
    for label, kind in enumerate(counts["train"]):
        first = 1
        for part in counts:
            numbers = range(first, first + max(LEAST[part], _scaled(counts[part][kind], fraction)))
            first += counts[part][kind]
            # Seeded as image number 0 would be, which does not exist.
            masked = default_rng([*seeds, label, 0]).choice(numbers, max(1, len(numbers) // 10), replace=False)
            for number in numbers:
                rng = default_rng([*seeds, label, number])
                name, draw = plan(part, kind, number - numbers.start)
                file = Path(kind, f"{name}_{number:04}.jpg")
                mask = folder / part / "mask" / file if part == "train" and number in masked else None
                yield _Drawing(folder / part / "data" / file, mask, draw, rng)


def _plan_cell(slides: dict[int, Stain], part: str, kind: str, rank: int) -> tuple[str, _Draw]:
    """Cells of a class lie on the slides of their part by turns, so that even few of them are on several."""
    slide = SLIDES[part][rank % len(SLIDES[part])]
    return f"slide{slide:02}_{kind.lower()}", partial(draw_cell, kind, slides[slide])


def _plan_node(part: str, kind: str, rank: int) -> tuple[str, _Draw]:
    return f"node_{kind}", partial(draw_node, kind)


def _kidney_tumors(folder: Path, fraction: float, seeds: list[int]) -> Iterator[_Drawing]:
    for number in range(1, 1 + max(LEAST_KIDNEY_TUMORS, _scaled(KIDNEY_TUMORS, fraction))):
        yield _Drawing(folder / f"prcc_{number:04}.jpg", None, draw_kidney_tumor, default_rng([*seeds, number]))


def _slides(seed: int) -> dict[int, Stain]:
    numbers = {number for slides in SLIDES.values() for number in slides}
    return {number: Stain.random(default_rng([seed, _SLIDE, number]), SMEAR_LIGHT) for number in numbers}


def _scaled(count: int, fraction: float) -> int:
    return int(count * fraction)


def _copy_subsets(root: Path, kind: str, rng: Generator) -> None:
    """Copy random shares of a class's training images, each within the next, with the masks they have."""
    train = root / "WBC_100" / "train"
    images = rng.permutation(sorted(path.name for path in (train / "data" / kind).iterdir()))
    for percentage in SUBSETS:
        for name in images[: max(1, len(images) * percentage // 100)]:
            for part in ("data", "mask"):
                source = train / part / kind / name
                if source.exists():
                    target = root / f"WBC_{percentage}" / "train" / part / kind / name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(source, target)
