"""Whether probabilities can be believed, and how one number makes them more so."""

from __future__ import annotations

from math import exp, log

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax

N_BINS = 15
LOWEST, HIGHEST = 0.05, 20.0
"""Between these the temperature is sought."""


def expected_calibration_error(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """The gap between how sure a classifier is and how often it is right (Guo et al. 2017, equation 3).

    The images are put into 15 equally wide bins by the probability of the predicted class; a value on a border belongs
    to the lower bin.

    Args:
        probabilities: shape (image, class), rows adding up to 1.
        labels: shape (image,), the classes' numbers.

    Returns:
        The mean over the images of their bin's |accuracy - mean probability|, 0 to 1.
    """
    confidence = probabilities.max(axis=1)
    surplus = (probabilities.argmax(axis=1) == labels) - confidence
    bins = np.digitize(confidence, np.linspace(0, 1, N_BINS + 1)[1:-1], right=True)
    return float(np.abs(np.bincount(bins, weights=surplus)).sum() / len(labels))


def fit_temperature(logits: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """Find what to divide logits by, so that their softmax is as likely as can be (Guo et al. 2017, section 4.2).

    Where every image is told right, the likeliest temperature is zero and every answer certain, which n images cannot
    show. So the targets are smoothed in the manner of Platt (1999): with probability 1 / (n + 1) a label is taken to be
    wrong, any class standing in for it. With many images this changes next to nothing.

    Args:
        logits: shape (image, class), of images that the network was not trained on.
        labels: shape (image,), the classes' numbers.

    Returns:
        The temperature, 0.05 to 20; above 1 if the network is too sure.
    """
    from scipy.optimize import minimize_scalar  # not before it is wanted: it takes long to import

    n_images, n_classes = logits.shape
    doubt = 1 / (n_images + 1)
    targets = (1 - doubt) * np.eye(n_classes)[labels] + doubt / n_classes

    def loss(log_temperature: float) -> float:
        """The cross entropy, which has one minimum: it is convex in 1 / temperature."""
        return float(-(targets * log_softmax(logits / exp(log_temperature), axis=1)).sum(axis=1).mean())

    return exp(minimize_scalar(loss, bounds=(log(LOWEST), log(HIGHEST)), method="bounded").x)


def apply_temperature(probabilities: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Temper probabilities as if their logits had been divided; which class is the likeliest stays the same.

    Args:
        probabilities: shape (image, class), rows adding up to 1.
        temperature: as `fit_temperature` gives it.

    Returns:
        Probabilities, shape (image, class).
    """
    # Logarithms of probabilities are logits up to a number per image, which the softmax takes out again.
    logits = np.log(np.maximum(probabilities, np.finfo(np.float64).tiny))
    tempered: NDArray[np.float64] = softmax(logits / temperature, axis=1)
    return tempered
