"""Ingest, masks and augment, against one core that merely opens and resizes the same files with Pillow."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import yaml
from PIL import Image

from bench.images import write_course
from bench.measure import Contender, Work, is_quick, median_ratio, race, show
from bench.ours import published
from stages import augment, ingest, prepare_masks

SIDES = {"WBC_100": (256, 512, 224), "CAM16_100cls_10mask": (224,), "pRCC": (512,)}
"""What each set's images are resized to: the published sizes."""


def theirs(root: Path) -> Work:
    """Open and resize every image, at the sizes that the networks want, without copies, masks or checks."""
    files = [(path, SIDES[path.relative_to(root).parts[0]]) for path in root.rglob("*.jpg") if "mask" not in path.parts]

    def resize_all() -> None:
        for path, sides in files:
            image = Image.open(path).convert("RGB")
            for side in sides:
                image.resize((side, side), Image.Resampling.BILINEAR)

    return resize_all


def ours(root: Path) -> Work:
    """The three stages, every time in a new folder: what an earlier run wrote, DVC removes before a stage starts."""
    settings = yaml.safe_dump(published().model_dump(mode="json") | {"data_root": str(root)})

    def run() -> None:
        folder = Path(tempfile.mkdtemp(dir=root.parent))
        (folder / "params.yaml").write_text(settings)
        with contextlib.chdir(folder), contextlib.redirect_stdout(None):
            for stage in (ingest, prepare_masks, augment):
                stage.main()

    return run


def main() -> None:
    """Measure."""
    quick = is_quick(__doc__ or "")
    side, cells, others = (64, 10, 1) if quick else (575, 1500, 12)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "course"
        write_course(root, side=side, cells=cells, others=others)
        n_images = sum("mask" not in path.parts for path in root.rglob("*.jpg"))
        seconds = race({"theirs": Contender(theirs, (root,)), "ours": Contender(ours, (root,))}, 1 if quick else 3)
    speeds = [n_images / sorted(seconds[name])[len(seconds[name]) // 2] for name in ("ours", "theirs")]
    show(
        [f"{n_images} images of {side} x {side}", "ours, images/s", "bare Pillow on one core, images/s", "ratio"],
        [["ingest + masks + augment", *speeds, median_ratio(seconds["theirs"], seconds["ours"])]],
    )


if __name__ == "__main__":
    main()
