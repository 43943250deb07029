"""Packing: from image files to the arrays that `packs` reads."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd

from leuko.core.files import atomic_file, write_table, written_meanwhile
from leuko.core.image_grid import image_grid
from leuko.core.parallel import map_images
from leuko.data.images import read_rgb, resize
from leuko.data.scale import Scales
from leuko.morphology.staining import AS_IT_IS, Staining
from leuko.packs.augmentation import Pose
from leuko.packs.preparation import write_preparation
from leuko.packs.reading import read_images, read_rows


def write_pack(
    folder: Path,
    rows: pd.DataFrame,
    files: Sequence[Path],
    poses: Sequence[Sequence[Pose]],
    sizes: Mapping[str, int],
    title: str,
    scales: Scales | None = None,
    staining: Staining = AS_IT_IS,
    originals: Sequence[Path] | None = None,
) -> None:
    """Decode every image once, resize it from the original, and write all its copies at all sizes.

    Args:
        folder: the pack's folder.
        rows: the images' rows of the manifest.
        files: the image files, in the same order.
        poses: for every image the copies to make.
        sizes: for every array its name and its images' side in pixels.
        title: what the progress bar says.
        scales: of the set that the images belong to, see `leuko.data.scale`.
        staining: how the set's images are shown.
        originals: for every image the file that tells its colours; none for the image itself.
    """
    counts = [len(versions) for versions in poses]
    starts = np.concatenate([[0], np.cumsum(counts)])
    table = rows[["class", "subset", "path", "source", "group"]].iloc[np.repeat(np.arange(len(rows)), counts)]
    table = table.assign(pose=[str(pose) for versions in poses for pose in versions])
    # A copy's source is the file that the course handed out, however many steps lie between.
    table["source"] = table["source"].where(table["source"] != "", table["path"])

    with ExitStack() as stack:
        arrays: dict[str, BinaryIO] = {}
        for name, side in sizes.items():
            temporary = stack.enter_context(atomic_file(folder / f"{name}.npy"))
            arrays[name] = stack.enter_context(temporary.open("wb"))
            header = {"descr": "|u1", "fortran_order": False, "shape": (int(starts[-1]), side, side, 3)}
            np.lib.format.write_array_header_1_0(arrays[name], header)
        offsets = {name: file.tell() for name, file in arrays.items()}
        lock = threading.Lock()

        def fill(index: int) -> None:
            image, original = read_rgb(files[index], scales), None
            if originals and originals[index] != files[index]:
                original = read_rgb(originals[index], scales)
            image = staining(image, original)
            for name, side in sizes.items():
                resized = resize(image, side)
                for row, pose in enumerate(poses[index], start=int(starts[index])):
                    pixels = np.ascontiguousarray(pose.apply(resized))
                    with lock:  # at its place, whichever thread is first; through a memory map it would take longer
                        arrays[name].seek(offsets[name] + row * pixels.nbytes)
                        arrays[name].write(pixels.data)

        with written_meanwhile(list(arrays.values())):
            map_images(fill, range(len(files)), title)
    write_table(folder / "rows.csv", table)
    write_preparation(folder, scales or {}, staining)


def contact_sheet(path: Path, packs: Path, n_images: int) -> None:
    """Write what training sees: some rows of every class of every set, evenly spread over the pack.

    Args:
        path: where to.
        packs: the folder of all packs.
        n_images: how many of each class.
    """
    rows = []
    for name in ("wbc", "cam16", "prcc"):
        pack = packs / name / "train"
        images = read_images(pack, name)
        for label, members in read_rows(pack).groupby("class", sort=False):
            spread = np.unique(np.linspace(0, len(members) - 1, n_images).astype(int))
            chosen = members.iloc[spread]
            rows.append(
                (
                    str(label) or "pRCC",
                    [(pose, images[row]) for row, pose in zip(chosen.index.to_numpy(), chosen["pose"], strict=True)],
                )
            )
    image_grid(path, rows)
