"""Tables of predictions, a row per image: what the image is, and the probability of every class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def table_of(rows: pd.DataFrame, probabilities: NDArray[np.float64], classes: Sequence[str]) -> pd.DataFrame:
    """Predictions as a table.

    Args:
        rows: of a pack or manifest: the images' `path`, `group` and `class`.
        probabilities: shape (image, class).
        classes: in the order of their labels.

    Returns:
        The columns `path`, `group`, `actual`, `predicted`, and one for every class.
    """
    predicted = [classes[number] for number in probabilities.argmax(axis=1)]
    what = {"path": rows["path"], "group": rows["group"], "actual": rows["class"], "predicted": predicted}
    return pd.DataFrame(what | {label: probabilities[:, number] for number, label in enumerate(classes)})


def read_predictions(path: Path) -> pd.DataFrame:
    """Read such a table; a class may be called NA, and a group 007."""
    return pd.read_csv(path, dtype={"group": "str"}, keep_default_na=False)
