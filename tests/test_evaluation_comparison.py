import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from scipy.stats import binomtest, bootstrap, chi2

from leuko.evaluation import comparison, intervals
from leuko.evaluation.comparison import class_differences, compare, holm, words
from leuko.evaluation.scores import HEADLINE, score
from trials.coverage import coverage, draw_test

NAMES = ("a", "b", "c", "d", "e")
SHARES = (0.02, 0.07, 0.24, 0.06, 0.61)


def draw_labels(n_images, seed=0, shares=SHARES):
    return np.random.default_rng(seed).choice(5, n_images, p=shares)


def classifier(labels, *, seed, skill=2.0, n_seeds=1):
    """Probabilities of shape (seed, image, class)."""
    noise = np.random.default_rng(seed).normal(size=(n_seeds, len(labels), 5))
    return softmax(2 * (noise + skill * np.eye(5)[labels]), axis=2)


def paired(both, only_first, only_second, neither):
    """Two classifiers of two classes that are right together and alone as often as told, and the labels."""
    counts = [both, only_first, only_second, neither]
    first, second = (np.eye(2)[np.repeat(predicted, counts)][None] for predicted in ([1, 1, 0, 0], [1, 0, 1, 0]))
    return first, second, np.ones(sum(counts), np.int64)


@pytest.fixture
def few_resamples(monkeypatch):
    monkeypatch.setattr(comparison, "N_RESAMPLES", 200)


@pytest.mark.parametrize(
    ("only_first", "only_second", "p"),
    [
        (0, 0, 1),
        (5, 5, 1),
        (5, 0, 2 / 2**5),
        (1, 6, 2 * (1 + 7) / 2**7),
        (9, 2, 2 * (1 + 11 + 55) / 2**11),
    ],
)
@pytest.mark.usefixtures("few_resamples")
def test_mcnemar_is_exact(only_first, only_second, p):
    result = compare(*paired(21, only_first, only_second, 12))["mcnemar"]
    assert result == {"only_first": only_first, "only_second": only_second, "p": pytest.approx(p)}


@pytest.mark.usefixtures("few_resamples")
def test_mcnemar_of_the_textbook_table():
    # Approval of a president in two surveys, Agresti (1990) Categorical Data Analysis, p. 350: 150 against 86 changed
    # their minds. The statistic is (150 - 86)^2 / 236 = 17.36, which the exact test should nearly agree with.
    p = compare(*paired(794, 150, 86, 570))["mcnemar"]["p"]
    assert p == pytest.approx(binomtest(86, 236).pvalue)
    assert p == pytest.approx(chi2.sf(64**2 / 236, 1), rel=0.4)


def test_holm_of_hand_worked_p_values():
    # Sorted .005, .01, .03, .04 times 4, 3, 2, 1, and never falling: .02, .03, .06, .06.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5]) == [0.5]


def test_the_interval_of_accuracy_is_that_of_scipy():
    labels = draw_labels(600)
    first, second = classifier(labels, seed=1), classifier(labels, seed=2, skill=1.8)
    ours = compare(first, second, labels)["interval"]["accuracy"]
    right = tuple((probabilities[0].argmax(axis=1) == labels).astype(float) for probabilities in (first, second))
    theirs = bootstrap(
        right,
        lambda a, b, axis: a.mean(axis=axis) - b.mean(axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=5_000,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert (ours["low"], ours["high"]) == pytest.approx((theirs.low, theirs.high), abs=0.003)


@pytest.mark.slow
def test_the_interval_holds_a_known_difference_as_often_as_it_says(monkeypatch):
    monkeypatch.setattr(comparison, "N_RESAMPLES", 500)
    shares = (0.2, 0.2, 0.2, 0.2, 0.2)
    many = draw_labels(100_000, seed=99, shares=shares)
    true = score(classifier(many, seed=98)[0], many, NAMES)["balanced_accuracy"]
    true -= score(classifier(many, seed=97, skill=1.6)[0], many, NAMES)["balanced_accuracy"]
    n_held = 0
    for trial in range(100):
        labels = draw_labels(150, seed=trial, shares=shares)
        first, second = classifier(labels, seed=1_000 + trial), classifier(labels, seed=2_000 + trial, skill=1.6)
        interval = compare(first, second, labels)["interval"]["balanced_accuracy"]
        n_held += interval["low"] <= true <= interval["high"]
    # With 95 % coverage, fewer than 88 of 100 would come up once in 700 times.
    assert n_held >= 88


@pytest.mark.slow
@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.integers(1, 3))
def test_weights_stand_for_repeated_images(seed, n_images, n_seeds):
    rng = np.random.default_rng(seed)
    labels = draw_labels(n_images, seed)
    pair = [classifier(labels, seed=seed + number, n_seeds=n_seeds, skill=0.5) for number in range(2)]
    counts = rng.multinomial(n_images, np.full(n_images, 1 / n_images))
    tallies = np.stack([comparison._tally(part, labels) for part in pair], axis=1)
    weights = counts[None].astype(float), np.ones((1, n_seeds))
    differences = comparison._differences(tallies, labels, *weights)
    rows = np.repeat(np.arange(n_images), counts)
    for name in HEADLINE:
        first, second = ([score(one[rows], labels[rows], NAMES)[name] for one in part] for part in pair)
        assert differences[name][0] == pytest.approx(np.mean(first) - np.mean(second), abs=1e-9)


@pytest.mark.slow
@settings(max_examples=8)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3))
def test_swapping_the_models_swaps_the_signs(seed, n_seeds):
    labels = draw_labels(40, seed)
    first, second = (classifier(labels, seed=seed + number, n_seeds=n_seeds) for number in range(2))
    there, back = compare(first, second, labels), compare(second, first, labels)
    for name in HEADLINE:
        assert there[name] == -back[name]
        assert there["interval"][name]["low"] == pytest.approx(-back["interval"][name]["high"], abs=1e-9)
        assert there["interval"][name]["p"] == back["interval"][name]["p"]


@pytest.mark.parametrize("n_seeds", [1, 4])
def test_a_model_gains_nothing_over_itself(n_seeds):
    labels = draw_labels(300)
    model = classifier(labels, seed=1, n_seeds=n_seeds)
    result = compare(model, model.copy(), labels)
    assert all(result[name] == 0 for name in HEADLINE)
    assert all(interval == {"low": 0, "high": 0, "p": 1, "detectable": 0} for interval in result["interval"].values())
    assert words(result, "WBC+", "base").startswith("No difference in balanced accuracy between WBC+ and base.")
    assert n_seeds > 1 or result["mcnemar"]["p"] == 1


def test_the_same_comparison_gives_the_same_numbers():
    labels = draw_labels(300)
    first, second = (classifier(labels, seed=number, n_seeds=2) for number in range(2))
    assert compare(first, second, labels) == compare(first, second, labels)


def test_seeds_that_say_the_same_count_as_one():
    labels = draw_labels(300)
    first, second = classifier(labels, seed=1), classifier(labels, seed=2)
    once, often = compare(first, second, labels), compare(first.repeat(3, 0), second.repeat(3, 0), labels)
    for name in HEADLINE:
        assert often[name] == pytest.approx(once[name])
        assert often["interval"][name] == pytest.approx(once["interval"][name], abs=1e-9)
    assert "mcnemar" in once
    assert "mcnemar" not in often


@pytest.mark.slow
def test_seeds_that_differ_widen_the_interval():
    labels = draw_labels(1_000)
    base = classifier(labels, seed=1, n_seeds=5)
    lucky = np.concatenate([classifier(labels, seed=2, skill=skill) for skill in (0.5, 1, 2, 3, 4)])
    intervals = [
        compare(first, second, labels)["interval"]["accuracy"]
        for first, second in ((lucky, base), (classifier(labels, seed=3, n_seeds=5), base))
    ]
    wide, narrow = (interval["high"] - interval["low"] for interval in intervals)
    assert wide > 5 * narrow


def test_a_class_that_has_one_image_or_none_is_no_obstacle():
    labels = np.repeat([1, 2, 4], [1, 3, 40])
    first, second = classifier(labels, seed=1), classifier(labels, seed=2, skill=0.5)
    result = compare(first, second, labels)
    assert all(np.isfinite([*interval.values()]).all() for interval in result["interval"].values())
    assert result["interval"]["balanced_accuracy"]["low"] < result["interval"]["balanced_accuracy"]["high"]


def test_differences_of_classes_are_first_minus_second():
    labels = draw_labels(200)
    first, second = (score(classifier(labels, seed=seed)[0], labels, NAMES) for seed in (1, 2))
    differences = class_differences(first, second)
    assert list(differences) == list(NAMES)
    assert differences["c"]["recall"] == first["classes"]["c"]["recall"] - second["classes"]["c"]["recall"]
    assert set(differences["c"]) == {"precision", "recall", "f1"}
    absent = [score(classifier(labels % 2, seed=seed)[0], labels % 2, NAMES) for seed in (1, 2)]
    assert class_differences(*absent)["c"] == {"precision": None, "recall": None, "f1": None}


def told(difference, low, high, **more):
    ends = {"low": low, "high": high, "detectable": 0.0207}
    result = {"balanced_accuracy": difference, "interval": {"balanced_accuracy": ends}, **more}
    return words(result, "the control", "base")


def test_words_say_who_is_better_and_how_sure_that_is():
    assert told(0.032, 0.011, 0.054) == (
        "The control is better than base by 3.2 points of balanced accuracy (95 % interval 1.1 to 5.4)."
    )
    assert told(-0.032, -0.054, -0.011) == (
        "Base is better than the control by 3.2 points of balanced accuracy (95 % interval 1.1 to 5.4)."
    )
    assert told(0.004, -0.01, 0.019) == (
        "No significant difference in balanced accuracy between the control and base: +0.4 points "
        "(95 % interval -1.0 to 1.9). A true difference of 2.1 points would show in four of five such tests."
    )
    assert told(-0.0001, -0.01, 0.0) == (
        "No significant difference in balanced accuracy between the control and base: +0.0 points "
        "(95 % interval -1.0 to 0.0). A true difference of 2.1 points would show in four of five such tests."
    )
    assert told(0.0, 0.0, 0.0) == "No difference in balanced accuracy between the control and base."
    assert told(0.0, 0.0, 0.0, mcnemar={"only_first": 1, "only_second": 12, "p": 0.0034}).endswith(
        " Images that only the control classifies correctly: 1, only base: 12 (McNemar's exact test: p = 0.003)."
    )
    assert "p < 0.001" in told(0.0, 0.0, 0.0, mcnemar={"only_first": 0, "only_second": 0, "p": 1e-5})


@pytest.mark.parametrize(("only_first", "only_second"), [(0, 0), (5, 5), (1, 6), (9, 2), (30, 11)])
@pytest.mark.usefixtures("few_resamples")
def test_the_permutation_of_groups_of_one_image_is_mcnemars_test(only_first, only_second):
    pair = paired(21, only_first, only_second, 12)
    groups = [str(number) for number in range(len(pair[2]))]
    assert compare(*pair, groups)["permutation"] == pytest.approx(compare(*pair)["mcnemar"])


@pytest.mark.usefixtures("few_resamples")
def test_the_permutation_exchanges_whole_groups():
    # Three groups, of which the first model gains 4, 2 and 1 and the second nothing: of the eight ways to exchange
    # them, the one seen and its opposite have a total of 7 or more.
    pair = paired(3, 7, 0, 2)
    groups = ["x"] * 3 + ["x"] * 4 + ["y"] * 2 + ["z"] * 1 + ["z"] * 2
    result = compare(*pair, groups)
    assert result["permutation"] == {"only_first": 7, "only_second": 0, "p": pytest.approx(2 / 8)}
    assert result["groups"] == 3
    assert compare(*pair)["mcnemar"]["p"] < 0.05


@pytest.mark.slow
def test_intervals_over_groups_hold_as_often_as_they_say_where_those_over_images_do_not(monkeypatch):
    for module in (comparison, intervals):
        monkeypatch.setattr(module, "N_RESAMPLES", 600)
    for over_groups, over_images in coverage(500, n_groups=15).values():
        assert 0.93 <= over_groups <= 0.97
        assert over_images < 0.9


@pytest.mark.slow
def test_intervals_over_groups_are_wider_where_groups_differ(monkeypatch):
    monkeypatch.setattr(comparison, "N_RESAMPLES", 300)
    for over_groups, over_images in coverage(40, n_groups=20, effect=0.25).values():
        assert over_images < over_groups


def test_one_group_or_none_known_is_as_no_groups():
    *pair, groups = draw_test(0, n_groups=20, effect=0.2)
    without = compare(*pair)
    assert compare(*pair, ["one"] * len(groups)) == without
    assert compare(*pair, [""] * len(groups)) == without


def test_groups_of_unequal_size_count_as_fewer():
    differences, observed = np.linspace(-1, 1, 101), np.zeros(1)
    equal, unequal = (
        comparison.widened(differences, observed, units) for units in ([0, 0, 1, 1, 2, 2], [0, 0, 0, 0, 1, 2])
    )
    assert unequal[-1] > equal[-1] > 1


def test_words_say_that_groups_were_resampled():
    sentence = told(0.01, -0.02, 0.05, groups=7, permutation={"only_first": 9, "only_second": 4, "p": 0.25})
    assert "(95 % interval over 7 groups -2.0 to 5.0)" in sentence
    assert "(exact permutation test of whole groups: p = 0.250)" in sentence


@pytest.mark.usefixtures("few_resamples")
def test_the_detectable_difference_is_found_in_four_of_five_tests():
    """Two models that are right at random, one more often by what the first test says could be found."""
    rng, labels = np.random.default_rng(5), np.zeros(300, np.int64)

    def draw(accuracy):
        right = rng.random(len(labels)) < accuracy
        return np.stack([right, ~right], axis=1)[None].astype(np.float64)

    detectable = compare(draw(0.85), draw(0.75), labels)["interval"]["accuracy"]["detectable"]
    results = [
        compare(draw(0.8 + detectable / 2), draw(0.8 - detectable / 2), labels)["interval"]["accuracy"]["low"] > 0
        for _ in range(40)
    ]
    assert 0.65 < np.mean(results) < 0.95
