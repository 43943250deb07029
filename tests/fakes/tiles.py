"""Tissue tiles in folders of slides."""

from tests.course import noise, save

COUNTS, LEFT_OUT = {"all": {"images": 12}}, {"files that are no images (.svs)": 1}
MASKS, GROUPS = 0, 3


def write(folder):
    for slide in range(3):
        for tile in range(4):
            save(noise([slide, tile], 64, 64), folder / f"TCGA-{slide}" / f"tile_{tile}.png")
    (folder / "slide.svs").write_bytes(b"II*\0")
    return [str(folder), "--group", "(?P<group>TCGA-\\d)/"]
