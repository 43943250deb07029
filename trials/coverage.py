"""How often 95 % intervals hold the true value where images of a group (patient, smear, day) belong together.

    python -m trials.coverage [--draws 500] [--groups 15]

draws tests of two models that are equally good on average, the first of them better or worse by the group, and asks
for the interval of their difference, of whole groups resampled (cluster bootstrap) and of images resampled as if they
were independent; and of the first model's score alone likewise.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from leuko.evaluation.comparison import compare
from leuko.evaluation.intervals import score_intervals

ACCURACY = 0.75
"""Of both models, on average over groups."""
N_OF_GROUP = 25

Draw = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], list[str]]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--groups", type=int, default=15)
    options = parser.parse_args()
    print("| 95 % interval of | groups resampled | images resampled |\n|---|---|---|")
    for name, shares in coverage(options.draws, n_groups=options.groups).items():
        print(f"| {name} | {' | '.join(f'{100 * share:.1f} %' for share in shares)} |")


def coverage(n_draws: int, *, n_groups: int, effect: float = 0.2) -> dict[str, NDArray[np.float64]]:
    """The share of the intervals that hold the true value, with groups and then with images resampled.

    Args:
        n_draws: how many tests are drawn.
        n_groups: in each.
        effect: how much better or worse than on average the first model can be in a group.

    Returns:
        Shape (2,) for the difference of two models' balanced accuracies, and for the first one's.
    """
    held = {"the difference of two models": np.zeros(2), "one model's score": np.zeros(2)}
    of_difference, of_score = held.values()
    for seed in tqdm(range(n_draws), "drawing tests", leave=False, disable=None):
        first, second, labels, groups = draw_test(seed, n_groups=n_groups, effect=effect)
        for place, known in enumerate((groups, [""] * len(groups))):
            interval = compare(first, second, labels, known)["interval"]["balanced_accuracy"]
            of_difference[place] += interval["low"] <= 0 <= interval["high"]
            low, high = score_intervals(first[0].argmax(axis=1), labels, known)["balanced_accuracy"]
            of_score[place] += low <= ACCURACY <= high
    return {name: count / n_draws for name, count in held.items()}


def draw_test(seed: int, *, n_groups: int, effect: float) -> Draw:
    """Draw what two models answer: probabilities of shape (1, image, 3) each; labels and groups."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n_groups), N_OF_GROUP)
    labels = rng.integers(0, 3, len(groups))
    chances = ACCURACY + rng.uniform(-effect, effect, n_groups)[groups], np.full(len(groups), ACCURACY)
    predicted = (np.where(rng.random(len(groups)) < chance, labels, (labels + 1) % 3) for chance in chances)
    first, second = (np.eye(3)[answers][None] for answers in predicted)
    return first, second, labels, [str(group) for group in groups]


if __name__ == "__main__":
    main()
