"""Raabin-WBC, first edition, cropped and double-labelled; TestB has two types."""

from tests.course import noise, save
from tests.fakes import FIVE, each

COUNTS = each({"train": 6, "val": 2, "test": 3})
LEFT_OUT = {"images of TestB (two types, another microscope)": 4}
MASKS, GROUPS = 0, 6


def write(folder):
    for part, smears, classes in (("Train", 4, FIVE), ("TestA", 3, FIVE), ("TestB", 2, (FIVE[4], FIVE[2]))):
        for label in classes:
            for smear in range(smears):
                for field in (1, 2) if part == "Train" else (1,):
                    day = f"2019052{smear}_11144{field}" if smear % 2 else f"95-8-{smear}{part == 'Train':d}-1_{field}"
                    path = folder / part / label / f"{day}_{FIVE.index(label)}.jpg"
                    save(noise(list(str(path).encode())), path)
    return [str(folder)]
