"""How two models compare on the same images: differences, what chance could make of them, and that in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, t
from sklearn.metrics import confusion_matrix
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from leuko.data.division import number_groups
from leuko.evaluation.scores import HEADLINE, log_losses

TESTS = {"mcnemar": "McNemar's exact test", "permutation": "exact permutation test of whole groups"}
"""Of equal accuracy, by their names in a comparison."""

N_RESAMPLES = 5_000
LEVEL = 0.95
ALPHA = 0.05
POWER = 0.8


def compare(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    labels: NDArray[np.int64],
    groups: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Compare two models on the same images.

    Images of one group (patient, smear or day) are no independent tries: what one model makes of one of them it tends
    to make of all. So where groups are known, whole groups are resampled (the cluster bootstrap, Davison & Hinkley
    1997, section 3.8), in intervals that allow for their small number (Hesterberg 2015, section 4.3), and whole groups
    are exchanged in place of McNemar's test, which it equals where every group is of one image.

    Args:
        first: probabilities, shape (seed, image, class); a seed's models of both kinds had the same training images.
        second: the same of the other model.
        labels: shape (image,), the classes' numbers.
        groups: the images' groups; an image of no known group, which is empty, stands alone. With none, or where all
            images are of one group, of which nothing can be learned about others, images are resampled.

    Returns:
        The difference of each headline score, first minus second, mean over the seeds; `interval`: for each of them
        the ends `low` and `high` of the 95 % interval, `p`, twice the share of resamples on the far side of zero, and
        `detectable`, the smallest difference that would have been found in four of five such tests;
        and with one seed `mcnemar`, or with groups `permutation`. Several seeds meet the same images again, so their
        answers are no independent pairs, which McNemar's test wants; there the `p` of the interval of accuracy, with
        seeds and images resampled, stands in for it. With groups there is also their number, `groups`.
    """
    tallies = np.stack([_tally(first, labels), _tally(second, labels)], axis=1)
    n_seeds, n_images = first.shape[:2]
    clustered = groups is not None and len(set(groups)) > 1
    units = number_groups(groups) if groups is not None and clustered else np.arange(n_images)
    n_units = int(units.max()) + 1
    drawn, seeds = _draw(n_units, n_seeds)
    observed = _differences(tallies, labels, np.ones((1, n_images)), np.ones((1, n_seeds)))
    resampled = _differences(tallies, labels, drawn[:, units], seeds)
    if clustered:
        resampled = {name: widened(resampled[name], observed[name], units) for name in resampled}
    comparison: dict[str, Any] = {name: float(difference[0]) for name, difference in observed.items()}
    comparison["interval"] = {name: interval_of(differences) for name, differences in resampled.items()}
    if clustered:
        comparison["groups"] = n_units
    if n_seeds == 1 and clustered:
        comparison["permutation"] = _permutation(first[0], second[0], labels, units)
    elif n_seeds == 1:
        comparison["mcnemar"] = _mcnemar(first[0], second[0], labels)
    return comparison


def class_differences(first: dict[str, Any], second: dict[str, Any]) -> dict[str, dict[str, float | None]]:
    """The differences of two models' precision, recall and F1 for each class, first minus second, of `score`s.

    They are none for a class without images.
    """
    keys = ("precision", "recall", "f1")
    return {
        name: {key: None if one[key] is None else one[key] - second["classes"][name][key] for key in keys}
        for name, one in first["classes"].items()
    }


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct the p-values of several tests, such as one for every split, so that all hold together (Holm 1979)."""
    corrected: list[float] = multipletests(p_values, method="holm")[1].tolist()
    return corrected


def correct_together(comparisons: Iterable[dict[str, Any]]) -> None:
    """Give every p-value of several comparisons its corrected one, `p_holm`, score by score.

    Args:
        comparisons: what `compare` gave, changed in place; the tests of one score count as one family.
    """
    comparisons = list(comparisons)
    for name in HEADLINE if comparisons else ():
        intervals = [comparison["interval"][name] for comparison in comparisons]
        for interval, p in zip(intervals, holm([interval["p"] for interval in intervals]), strict=True):
            interval["p_holm"] = p


def is_overruled(interval: Mapping[str, float]) -> bool:
    """Whether an interval by itself holds a difference that is not significant once all comparisons are corrected for.

    Args:
        interval: of one score, with `p_holm` as `correct_together` gives it.
    """
    return (interval["low"] > 0 or interval["high"] < 0) and interval["p_holm"] >= ALPHA


def words(comparison: dict[str, Any], first: str, second: str) -> str:
    """Say what a comparison found.

    Args:
        comparison: what `compare` gives.
        first: what the first model is called.
        second: what the second is called.

    Returns:
        A sentence on balanced accuracy in percentage points and, where there is a test of accuracy, one on that.
    """
    difference = 100 * comparison["balanced_accuracy"]
    ends = comparison["interval"]["balanced_accuracy"]
    low, high, detectable = (100 * ends[name] for name in ("low", "high", "detectable"))
    level = f"{100 * LEVEL:.0f} % interval"
    if "groups" in comparison:
        level += f" over {comparison['groups']} groups"
    if low > 0:
        sentence = (
            f"{first} is better than {second} by {difference:.1f} points of balanced accuracy "
            f"({level} {low:.1f} to {high:.1f})."
        )
    elif high < 0:
        sentence = (
            f"{second} is better than {first} by {-difference:.1f} points of balanced accuracy "
            f"({level} {-high:.1f} to {-low:.1f})."
        )
    elif low == high:
        sentence = f"No difference in balanced accuracy between {first} and {second}."
    else:
        sentence = (
            f"No significant difference in balanced accuracy between {first} and {second}: {difference:+z.1f} points "
            f"({level} {low:z.1f} to {high:z.1f}). A true difference of {detectable:.1f} points would show in four of "
            "five such tests."
        )
    sentence = sentence[0].upper() + sentence[1:]
    test = next((name for name in TESTS if name in comparison), None)
    if test is None:
        return sentence
    only_first, only_second, p = (comparison[test][key] for key in ("only_first", "only_second", "p"))
    return (
        f"{sentence} Images that only {first} classifies correctly: {only_first}, only {second}: {only_second} "
        f"({TESTS[test]}: {f'p = {p:.3f}' if p >= 0.001 else 'p < 0.001'})."
    )


def _mcnemar(
    first: NDArray[np.float64], second: NDArray[np.float64], labels: NDArray[np.int64]
) -> dict[str, int | float]:
    """The exact test of equal accuracy (McNemar 1947) on probabilities of shape (image, class).

    Returns:
        How many images `only_first` and `only_second` classifies correctly, and `p`, two-sided.
    """
    right = [probabilities.argmax(axis=1) == labels for probabilities in (first, second)]
    table = confusion_matrix(*right, labels=[True, False])
    p = float(mcnemar(table, exact=True).pvalue)
    return {"only_first": int(table[0, 1]), "only_second": int(table[1, 0]), "p": p}


def _permutation(
    first: NDArray[np.float64], second: NDArray[np.float64], labels: NDArray[np.int64], units: NDArray[np.int64]
) -> dict[str, int | float]:
    """The exact test of equal accuracy where images of a group belong together.

    If the models are equally good, it is all the same for any group which answers are whose. So in every group the
    models are exchanged or not, in all combinations, and the differences in right answers counted. Their distribution
    is built group by group.

    Args:
        first: probabilities, shape (image, class).
        second: the same of the other model.
        labels: shape (image,).
        units: the images' groups, as `number_groups` gives them.

    Returns:
        How many images `only_first` and `only_second` classifies correctly, and `p`, two-sided.
    """
    right = [(probabilities.argmax(axis=1) == labels).astype(np.int64) for probabilities in (first, second)]
    surplus = right[0] - right[1]
    of_groups = np.zeros(units.max() + 1, np.int64)
    np.add.at(of_groups, units, surplus)
    sizes = np.abs(of_groups[of_groups != 0])
    # After each group: the probability of every total, from minus the sum of the sizes so far to plus it.
    distribution = np.ones(1)
    for size in sizes:
        apart = np.zeros(2 * size)
        distribution = (np.concatenate([distribution, apart]) + np.concatenate([apart, distribution])) / 2
    totals = np.arange(len(distribution)) - sizes.sum()
    p = float(min(1, distribution[np.abs(totals) >= abs(of_groups.sum())].sum()))
    return {"only_first": int((surplus > 0).sum()), "only_second": int((surplus < 0).sum()), "p": p}


# Resampling. `scipy.stats.bootstrap` draws along one axis, so it cannot draw seeds and images together; and with
# weights for images, thousands of resamples are one product of matrices for every class.


def _draw(n_units: int, n_seeds: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw how often every image (or group) and every seed occurs in every resample; always the same draws.

    Seeds are drawn apart from images, as every seed met every image (the pigeonhole bootstrap, Owen 2007), and one
    fewer than there are, without which few seeds seem to vary less than they do (Rao & Wu 1988).

    Returns:
        Shape (resample, image or group) and (resample, seed).
    """
    rng = np.random.default_rng(0)
    units = rng.multinomial(n_units, np.full(n_units, 1 / n_units), N_RESAMPLES)
    seeds = rng.multinomial(max(n_seeds - 1, 1), np.full(n_seeds, 1 / n_seeds), N_RESAMPLES)
    return units.astype(np.float64), seeds.astype(np.float64)


def _tally(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """What every image adds to the scores: a one at the class predicted, then its negative log-likelihood.

    Args:
        probabilities: shape (seed, image, class).
        labels: shape (image,).

    Returns:
        Shape (image, seed, class + 1).
    """
    predicted = np.eye(probabilities.shape[2])[probabilities.argmax(axis=2).T]
    losses = np.stack([log_losses(of_seed, labels) for of_seed in probabilities], axis=1)
    return np.concatenate([predicted, losses[..., None]], axis=2)


def _differences(
    tallies: NDArray[np.float64],
    labels: NDArray[np.int64],
    images: NDArray[np.float64],
    seeds: NDArray[np.float64],
) -> dict[str, NDArray[np.float64]]:
    """The differences of the headline scores when images and seeds occur so and so often.

    As everywhere, recall and F1 are averaged over the classes that occur; a resample may lack a very rare one.

    Args:
        tallies: shape (image, 2, seed, class + 1), of the two models.
        labels: shape (image,).
        images: how often each image occurs, shape (resample, image).
        seeds: how often each seed occurs, shape (resample, seed).

    Returns:
        For each headline score, shape (resample,): first minus second, mean over the seeds.
    """
    classes = np.unique(labels)
    # Shape (resample, 2, seed, actual class, predicted class or loss).
    sums = np.stack(
        [np.tensordot(images[:, labels == label], tallies[labels == label], axes=1) for label in classes], axis=3
    )
    confusion, losses = sums[..., :-1], sums[..., -1]
    right = confusion[..., np.arange(len(classes)), classes]
    n_actual, n_predicted = confusion.sum(axis=4), confusion.sum(axis=3)[..., classes]
    n_occurring = (n_actual > 0).sum(axis=3)
    n_drawn = images.sum(axis=1)[:, None, None]  # resampled groups differ in their number of images
    # A class that does not occur has none right, so that it adds zero to the sums.
    scores = {
        "accuracy": right.sum(axis=3) / n_drawn,
        "balanced_accuracy": (right / np.maximum(n_actual, 1)).sum(axis=3) / n_occurring,
        "macro_f1": (2 * right / np.maximum(n_actual + n_predicted, 1)).sum(axis=3) / n_occurring,
        "loss": losses.sum(axis=3) / n_drawn,
    }
    shares = seeds / seeds.sum(axis=1, keepdims=True)
    # Rounded, so that what is zero but for the rounding of floats counts as zero.
    return {name: ((scores[name][:, 0] - scores[name][:, 1]) * shares).sum(axis=1).round(12) for name in HEADLINE}


def interval_of(differences: NDArray[np.float64]) -> dict[str, float]:
    """The percentile interval of resampled differences and its p-value (Efron & Tibshirani 1993, chapters 13, 15)."""
    low, high = np.quantile(differences, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    n_beyond = min((differences <= 0).sum(), (differences >= 0).sum())
    # A difference shows if the interval around it leaves zero out: it has to be a half-width to do so in half of all
    # tests, and a little more to do so in POWER of them (Lachin 1981).
    half_width = (high - low) / 2
    reach = 1 + norm.isf(1 - POWER) / norm.isf((1 - LEVEL) / 2)
    return {
        "low": float(low),
        "high": float(high),
        "p": float(min(1, 2 * (n_beyond + 1) / (N_RESAMPLES + 1))),
        "detectable": float(reach * half_width),
    }


def widened(
    differences: NDArray[np.float64], observed: NDArray[np.float64], units: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Move resampled differences away from the one observed, as few groups differ less than all there are.

    Resampling n groups makes the variance (n - 1) / n of what it should be, and its normal quantiles leave out that
    this variance is itself an estimate, for which Student's t has n - 1 degrees of freedom (Hesterberg 2015,
    section 4.3). Groups of unequal size count as fewer (Kish 1965). With thirty equal groups the interval becomes wider
    by a sixteenth, with five by more than a half.

    Args:
        differences: shape (resample,).
        observed: the difference of the images as they are.
        units: the images' groups, as `number_groups` gives them; at least two.
    """
    sizes = np.bincount(units)
    n_groups = max(2, sizes.sum() ** 2 / np.square(sizes).sum())
    tail = (1 - LEVEL) / 2
    factor = (n_groups / (n_groups - 1)) ** 0.5 * t.isf(tail, n_groups - 1) / norm.isf(tail)
    wide: NDArray[np.float64] = observed + factor * (differences - observed)
    return wide
