"""The manifest: a table with a row per image, born in ingest, from which every derived image can be traced.

| column | meaning |
|---|---|
| set | `wbc`, `cam16` or `prcc` |
| part | `train`, `val` or `test` |
| class | the class in its canonical spelling; empty for pRCC |
| path | the image, relative to the data root (or, for derived images, to the folder of their own manifest) |
| mask | its mask, relative to the data root; empty if there is none |
| subset | the smallest WBC training subset (1, 10, 50, 100) that it belongs to; 0 where subsets do not apply |
| mask_subset | the same for its mask |
| mask_rule | which values of the mask are kept, and how it lies, as `MaskRule` writes it; empty without a mask |
| width, height | in pixels, upright |
| sha256 | of the image file |
| scale | format and type of the samples, and which values are black and white, if the file does not declare it |
| source | for derived images the path of the original; empty for originals |
| group | the patient, smear, slide or day that it comes from; empty if unknown |
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from leuko.core.errors import LeukoError

COLUMNS = {
    "set": "str",
    "part": "str",
    "class": "str",
    "path": "str",
    "mask": "str",
    "subset": "int64",
    "mask_subset": "int64",
    "mask_rule": "str",
    "width": "int64",
    "height": "int64",
    "sha256": "str",
    "scale": "str",
    "source": "str",
    "group": "str",
}


def read_manifest(path: Path) -> pd.DataFrame:
    """Read a manifest with its columns' types; empty text stays empty text.

    Raises:
        LeukoError: if it is damaged.
    """
    try:
        return pd.read_csv(path, dtype=COLUMNS, keep_default_na=False)
    except ValueError as error:  # pandas' parser errors and bad UTF-8 are ValueErrors
        raise LeukoError(f"{path} is damaged ({error}); remove it and let dvc repro make it anew") from error


def without_subsets(manifest: pd.DataFrame) -> pd.DataFrame:
    """What a manifest says of the images themselves, whichever of their labels are used."""
    return manifest.drop(columns=["subset", "mask_subset"])
