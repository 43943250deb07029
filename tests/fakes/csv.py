"""A table as a spreadsheet program saves it: semicolons, a byte order mark, backslashes, Windows' line ends."""

from tests.course import noise, save, square_mask
from tests.fakes import FIVE, TEN, each

COUNTS, LEFT_OUT = each(TEN), {}
MASKS, GROUPS = 35, 50


def write(folder):
    lines = ["Image Path;Cell Type;Patient;Mask"]
    for label in FIVE:
        mask = f"masks\\{label}.png"
        save(square_mask(), folder / "masks" / f"{label}.png")
        for number in range(10):
            save(noise([FIVE.index(label), number]), folder / "cells" / label[:3] / f"{number}.jpg")
            lines.append(f"cells\\{label[:3]}\\{number}.jpg;{label.upper()};{label}{number};{mask}")
    table = folder / "cells.csv"
    table.write_text("\r\n".join([*lines, lines[-1], ""]), "utf-8-sig", newline="")
    return [str(table)]
