"""How a pack's images were read, for whoever reads further ones of the set.

`scales.json` says how images of more than eight bits per sample were brought to eight; `stain.json` how light and dye
were evened out, and is not there if they were not.
"""

from __future__ import annotations

from pathlib import Path

from leuko.core.files import write_json
from leuko.data.scale import Scales, to_json
from leuko.morphology.staining import Staining


def write_preparation(folder: Path, scales: Scales, staining: Staining) -> None:
    """Write how a pack's images were read; `leuko.packs.reading.read_preparation` reads it.

    Args:
        folder: the pack's folder.
        scales: of images of more than eight bits per sample.
        staining: how the images are shown.
    """
    write_json(folder / "scales.json", to_json(scales))
    if staining.kind != "none":
        write_json(folder / "stain.json", {"stain": staining.kind})
