"""LISC: bitmaps of five types and of mixed cells, the experts' masks beside them in a tree of their own."""

from tests.course import noise, save, square_mask
from tests.fakes import TEN, each

COUNTS, LEFT_OUT = each(TEN), {"images of mixt": 10}
MASKS, GROUPS = 35, 0


def write(folder):
    for number, label in enumerate(("baso", "eosi", "lymp", "mixt", "mono", "neut")):
        for count in range(1, 11):
            save(noise([number, count], 36, 28), folder / "Main_Dataset" / label / f"{count}.bmp")
            save(square_mask(36, 28), folder / "Ground_Truth" / label / f"{count}_expert.bmp")
    return [str(folder)]
