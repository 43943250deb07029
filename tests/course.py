"""Tiny data sets in the course layout, of noise: drawn in a moment, with any number of images of each class."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from leuko.core.classes import SUBSETS, TISSUE_CLASSES
from leuko.data.survey import survey_data

WBC = ("Basophil", "Eosinophil", "Lymphocyte", "Monocyte", "Neutrophil")
CAM16 = TISSUE_CLASSES
SIDE = 16
CAM16_FOLDER = Path("CAM16_100cls_10mask")


def noise(seed: int | Sequence[int], width: int = SIDE, height: int = SIDE) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def square_mask(width: int = SIDE, height: int = SIDE) -> Image.Image:
    """White in the middle, black around it."""
    kept = np.zeros((height, width), np.uint8)
    kept[height // 4 : -height // 4, width // 4 : -width // 4] = 255
    return Image.fromarray(kept)


def save(image: Image.Image, path: Path, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


def content(image: Image.Image, kind: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def plan_course(
    *,
    train: int | Mapping[str, int] = 4,
    val: int | Mapping[str, int] = 4,
    test: int = 0,
    masked: int = 1,
    cam16: int = 2,
    prcc: int = 5,
    subsets: Sequence[int] = SUBSETS[:-1],
    alike: bool = False,
) -> dict[str, bytes]:
    """The files of a data root, by their paths.

    Args:
        train: how many WBC training images, of every class or by class.
        val: the same for the val folder.
        test: the same for the test folder; 0 for none.
        masked: how many training images of a class have masks: the first ones.
        cam16: how many images of each class and part of CAM16.
        prcc: how many pRCC images.
        subsets: the subset folders beside WBC_100, each with the first images of every class.
        alike: whether all images are one and the same, which is faster where many are needed.
    """
    files: dict[str, bytes] = {}
    mask, black = content(square_mask()), content(Image.new("L", (SIDE, SIDE)))
    one = content(noise(0))

    def add(folder: str, label: str, count: int) -> list[str]:
        names = [f"{label.lower()}_{number:04}.jpg" for number in range(1, count + 1)]
        paths = [f"{folder}/{label}/{name}" if label else f"{folder}/{name}" for name in names]
        for path in paths:
            files[path] = one if alike else content(noise(list(path.encode())))
        return paths

    for label in WBC:
        count = train if isinstance(train, int) else train[label]
        images = add("WBC_100/train/data", label, count)
        for subset in (*subsets, 100):
            for path in images[: max(1, count * subset // 100)]:
                copy = path.replace("WBC_100", f"WBC_{subset}")
                files[copy] = files[path]
                if path in images[:masked]:
                    files[copy.replace("/data/", "/mask/")] = mask
        add("WBC_100/val/data", label, val if isinstance(val, int) else val[label])
        add("WBC_test/data", label, test)
    for part in ("train", "val", "test"):
        for label in CAM16:
            images = add(f"{CAM16_FOLDER}/{part}/data", label, cam16)
            for path in images[:masked] if part == "train" else ():
                files[path.replace("/data/", "/mask/")] = mask if label == "tumor" else black
    add("pRCC", "", prcc)
    return files


def write_course(root: Path, files: Mapping[str, bytes]) -> Path:
    for folder in {Path(path).parent for path in files}:
        (root / folder).mkdir(parents=True, exist_ok=True)
    for path, part in files.items():
        (root / path).write_bytes(part)
    return root


def draw_course(root: Path, **options) -> Path:
    """Write what `plan_course` plans."""
    return write_course(root, plan_course(**options))


def make_manifest(root: Path, **options) -> pd.DataFrame:
    """The manifest of a data root that must be without problems."""
    survey = survey_data(root, **{"classes": WBC, "synonyms": {}} | options)
    survey.problems.raise_if_any(root)
    return survey.manifest
