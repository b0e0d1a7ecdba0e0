"""What luck of the posts leaves of a figure or of a difference: against ones worked out by hand, and scipy's."""

import warnings

import numpy as np
import pytest
from scipy.stats import binom, bootstrap

from pipeline.metrics.significance import bootstrap_f1_difference, bootstrap_intervals, mcnemar_test

# Ways in which two models can answer a post: both right, one alone, the other alone, neither.
BOTH, ONE, OTHER, NEITHER = (1, 1), (1, 0), (0, 1), (0, 0)


@pytest.mark.parametrize(
    ("posts", "one", "other", "p"),
    [
        # 12 coins of which 10 or more, or 2 or less, fall on one side: 2 * (1 + 12 + 66) / 2^12
        ([ONE] * 10 + [OTHER] * 2 + [BOTH] * 50 + [NEITHER] * 5, 10, 2, 0.0386),
        ([ONE] * 2 + [OTHER] * 10, 2, 10, 0.0386),
        ([ONE] * 5 + [BOTH], 5, 0, 0.0625),  # 2 / 2^5
        ([ONE] * 6 + [BOTH], 6, 0, 0.0312),  # 2 / 2^6
        ([ONE] * 3 + [OTHER] * 1, 3, 1, 0.625),  # 2 * (1 + 4) / 2^4
        ([ONE, OTHER] * 7, 7, 7, 1.0),
        ([BOTH] * 5 + [NEITHER], 0, 0, 1.0),
    ],
)
def test_mcnemar_is_that_of_so_many_coins(posts: list[tuple[int, int]], one: int, other: int, p: float) -> None:
    told = mcnemar_test(*(np.array([post[who] == 1 for post in posts]) for who in (0, 1)))

    assert told == (one, other, p)
    assert [type(value) for value in told] == [int, int, float]


def answers(posts: int, labels: int, one: float, other: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The labels of so many posts, and the answers of two models that know these shares of them and guess the rest."""
    rng = np.random.default_rng(1)
    y_true = rng.integers(labels, size=posts)
    first, second = (
        np.where(rng.random(posts) < share, y_true, rng.integers(labels, size=posts)) for share in (one, other)
    )
    return y_true, first, second


def macro_f1(y_true: np.ndarray, y_pred: np.ndarray, labels: int) -> np.ndarray:
    """Along the last axis, by its definition."""
    f1 = []
    for label in range(labels):
        is_label, gets_label = y_true == label, y_pred == label
        either = is_label.sum(axis=-1) + gets_label.sum(axis=-1)
        f1.append(2 * (is_label & gets_label).sum(axis=-1) / np.maximum(either, 1))
    return np.mean(f1, axis=0)


@pytest.mark.parametrize("level", [0.05, 0.2])
@pytest.mark.parametrize("right", [(0.9, 0.6), (0.7, 0.7), (0.5, 0.8)])
def test_the_interval_of_a_difference_is_that_of_scipys_paired_bootstrap(
    right: tuple[float, float], level: float
) -> None:
    y_true, y_pred, other = answers(300, 3, *right)

    told = bootstrap_f1_difference(y_true, y_pred, other, 3, level)

    scipys = bootstrap(
        (y_true, y_pred, other),
        lambda a, one, two, axis: macro_f1(a, one, 3) - macro_f1(a, two, 3),
        paired=True, vectorized=True, method="percentile", confidence_level=1 - level,
        n_resamples=4000, batch=500, rng=np.random.default_rng(2),
    ).confidence_interval  # fmt: skip
    # Both are drawn: at the 2.5th percentile of 4,000 differences the error is about a twentieth of their deviation.
    assert told == pytest.approx((scipys.low, scipys.high), abs=0.008)
    assert told[0] < macro_f1(y_true, y_pred, 3) - macro_f1(y_true, other, 3) < told[1]


def test_between_identical_answers_there_is_no_difference() -> None:
    y_true, y_pred, _ = answers(50, 3, 0.7, 0.7)

    assert bootstrap_f1_difference(y_true, y_pred, y_pred.copy(), 3, 0.05) == (0, 0)


def test_between_all_right_and_all_wrong_there_is_all_of_it() -> None:
    y_true = np.array([0, 1] * 20)

    # In no resample is a label left out: that of 40 posts all have one label happens once in 10^12 times.
    assert bootstrap_f1_difference(y_true, y_true, 1 - y_true, 2, 0.05) == (1, 1)


def test_the_order_of_the_models_is_the_sign() -> None:
    y_true, good, bad = answers(300, 3, 0.9, 0.5)

    low, high = bootstrap_f1_difference(y_true, good, bad, 3, 0.05)

    assert 0 < low < high
    assert bootstrap_f1_difference(y_true, bad, good, 3, 0.05) == pytest.approx((-high, -low), abs=0.008)


def test_more_posts_or_less_certainty_make_the_interval_narrower() -> None:
    few, many = answers(100, 3, 0.8, 0.7), answers(1600, 3, 0.8, 0.7)

    def width(posts: tuple[np.ndarray, np.ndarray, np.ndarray], level: float) -> float:
        y_true, y_pred, other = posts
        low, high = bootstrap_f1_difference(y_true, y_pred, other, 3, level)
        return high - low

    # Sixteen times the posts have a quarter of the deviation.
    assert width(many, 0.05) == pytest.approx(width(few, 0.05) / 4, rel=0.3)
    assert width(few, 0.5) < width(few, 0.05) < width(few, 0.01)


def test_a_seed_gives_the_same_interval_again_and_another_seed_another_one() -> None:
    posts = answers(300, 3, 0.8, 0.7)

    first, again, other = (bootstrap_f1_difference(*posts, 3, 0.05, seed=seed) for seed in (1, 1, 2))

    assert again == first == bootstrap_f1_difference(*posts, 3, 0.05)
    assert other != first
    assert other == pytest.approx(first, abs=0.008)


def test_a_label_never_there_counts_as_zero_in_both() -> None:
    posts = answers(300, 2, 0.9, 0.6)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        told = bootstrap_f1_difference(*posts, 3, 0.05)

    assert told == pytest.approx([2 / 3 * edge for edge in bootstrap_f1_difference(*posts, 2, 0.05)])


def test_a_label_that_one_model_alone_gives_is_its_own_mistake() -> None:
    y_true = np.array([0, 1] * 50)
    with_a_third = np.where(np.arange(100) % 10 == 0, 2, y_true)

    low, high = bootstrap_f1_difference(y_true, y_true, with_a_third, 3, 0.05)

    assert 0 < low < macro_f1(y_true, y_true, 3) - macro_f1(y_true, with_a_third, 3) < high


def test_the_edges_of_the_interval_are_plain_numbers() -> None:
    assert [type(edge) for edge in bootstrap_f1_difference(*answers(50, 3, 0.8, 0.7), 3, 0.05)] == [float, float]


@pytest.mark.parametrize(("posts", "share"), [(400, 0.8), (1000, 0.95), (50, 0.5)])
@pytest.mark.parametrize("level", [0.05, 0.2])
def test_the_interval_of_an_accuracy_is_that_of_coins(posts: int, share: float, level: float) -> None:
    y_true = np.arange(posts) % 2
    y_pred = np.where(np.arange(posts) < posts * share, y_true, 1 - y_true)

    told = bootstrap_intervals(y_true, y_pred, 2, level)["accuracy"]

    # How many of the posts drawn are right is a coin thrown so many times: of 10,000 throws an end is one post off.
    exact = binom.ppf([level / 2, 1 - level / 2], posts, share) / posts
    assert told == pytest.approx(exact.tolist(), abs=1.01 / posts)


@pytest.mark.parametrize("level", [0.05, 0.2])
def test_the_interval_of_a_macro_f1_is_that_of_scipys_bootstrap(level: float) -> None:
    y_true, y_pred, _ = answers(300, 3, 0.7, 0.7)

    told = bootstrap_intervals(y_true, y_pred, 3, level)["macro_f1"]

    scipys = bootstrap(
        (y_true, y_pred), lambda a, one, axis: macro_f1(a, one, 3),
        paired=True, vectorized=True, method="percentile", confidence_level=1 - level,
        n_resamples=4000, batch=500, rng=np.random.default_rng(2),
    ).confidence_interval  # fmt: skip
    assert told == pytest.approx([scipys.low, scipys.high], abs=0.005)
    assert told[0] < macro_f1(y_true, y_pred, 3) < told[1]


def test_of_a_model_that_is_always_right_the_intervals_are_one_and_of_one_never_right_none() -> None:
    y_true = np.arange(60) % 2

    assert bootstrap_intervals(y_true, y_true, 2) == {"accuracy": [1.0, 1.0], "macro_f1": [1.0, 1.0]}
    assert bootstrap_intervals(y_true, 1 - y_true, 2) == {"accuracy": [0.0, 0.0], "macro_f1": [0.0, 0.0]}


def test_with_forty_labels_both_intervals_hold_their_figure() -> None:
    y_true, y_pred, _ = answers(2000, 40, 0.8, 0.8)
    share = (y_true == y_pred).mean()

    told = bootstrap_intervals(y_true, y_pred, 40)

    assert told["accuracy"] == pytest.approx((binom.ppf([0.025, 0.975], 2000, share) / 2000).tolist(), abs=1.01 / 2000)
    assert told["macro_f1"][0] < macro_f1(y_true, y_pred, 40) < told["macro_f1"][1]
    # So many labels of about as many posts each: their mean is as sure as the accuracy is.
    (low, high), (lowest, highest) = told["macro_f1"], told["accuracy"]
    assert high - low == pytest.approx(highest - lowest, rel=0.15)


def test_of_labels_that_no_post_has_the_macro_f1_is_zero_and_the_accuracy_knows_nothing() -> None:
    y_true, y_pred, _ = answers(100, 2, 0.8, 0.8)

    two, four = (bootstrap_intervals(y_true, y_pred, labels) for labels in (2, 4))

    assert four["macro_f1"] == pytest.approx([end / 2 for end in two["macro_f1"]], abs=1e-6)
    assert four["accuracy"] == two["accuracy"]


def test_a_seed_gives_the_same_intervals_again_and_another_seed_others() -> None:
    y_true, y_pred, _ = answers(300, 3, 0.8, 0.7)

    first, again, other = (bootstrap_intervals(y_true, y_pred, 3, seed=seed) for seed in (1, 1, 2))

    assert again == first == bootstrap_intervals(y_true, y_pred, 3)
    assert other["macro_f1"] != first["macro_f1"]
    assert other["macro_f1"] == pytest.approx(first["macro_f1"], abs=0.005)


def test_the_order_of_the_posts_changes_no_interval() -> None:
    y_true, y_pred, _ = answers(300, 3, 0.8, 0.7)
    order = np.random.default_rng(3).permutation(300)

    assert bootstrap_intervals(y_true[order], y_pred[order], 3) == bootstrap_intervals(y_true, y_pred, 3)


def test_intervals_are_rounded_plain_numbers() -> None:
    told = bootstrap_intervals(*answers(70, 3, 0.8, 0.7)[:2], 3)

    assert [type(end) for ends in told.values() for end in ends] == [float] * 4
    assert all(end == round(end, 6) for ends in told.values() for end in ends)
