"""What a picture that decodes may still be: blank, transparent, or out of focus."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def sharpness(grey: NDArray[np.float32]) -> float:
    """The variance of the Laplacian, which falls as a picture gets out of focus (Pech-Pacheco et al. 2000).

    Args:
        grey: shape (height, width).

    Returns:
        Of the same unit as the squared values.
    """
    inner = grey[1:-1, 1:-1]
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * inner
    return float(laplacian.var())
