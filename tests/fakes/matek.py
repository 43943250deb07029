"""AML-Cytomorphology_LMU: codes of classes, deep in a package whose name has spaces."""

from tests.course import noise, save
from tests.fakes import TEN, each

CODES = ("BAS", "EBO", "EOS", "KSC", "LYA", "LYT", "MMZ", "MOB", "MON", "MYB", "MYO", "NGB", "NGS", "PMB", "PMO")
COUNTS = each(TEN)
LEFT_OUT = {f"images of {code}": 10 for code in CODES if code not in ("BAS", "EOS", "LYT", "MON", "NGS")} | {
    "files that are no images (.dat)": 1,
    "files that are no images (.txt)": 1,
}
MASKS, GROUPS = 0, 0


def write(folder):
    root = folder / "PKG - AML-Cytomorphology_LMU" / "AML-Cytomorphology_LMU"
    for number, code in enumerate(CODES):
        for count in range(1, 11):
            save(noise([number, count], 20, 20), root / "AML-Cytomorphology" / code / f"{code}_{count:04}.tiff")
    (root / "annotations.dat").write_text("AML-Cytomorphology/BAS/BAS_0001.tiff BAS nan nan\n")
    (root / "abbreviations.txt").write_text("BAS\tBasophil\n")
    return [str(folder / "PKG - AML-Cytomorphology_LMU"), "--drop", "LYA", "--drop", "NGB"]
