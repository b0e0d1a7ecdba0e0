"""Figures, against ones worked out by hand."""

import math
import warnings

import numpy as np
import pytest
from scipy.stats import bootstrap
from sklearn.metrics import f1_score

from pipeline.report.metrics import f1_by_label, f1_difference, figures, mcnemar


def test_figures_are_those_worked_out_by_hand() -> None:
    actual = np.array([0, 0, 1, 2])
    probabilities = np.array([[0.7, 0.2, 0.1], [0.2, 0.5, 0.3], [0.1, 0.8, 0.1], [0.3, 0.2, 0.5]])

    told = figures(actual, probabilities)

    assert told["accuracy"] == 0.75
    # F1 of label 0: precision 1, recall 1/2; of label 1: precision 1/2, recall 1; of label 2: all right.
    assert told["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3, abs=1e-6)
    assert told["log_loss"] == pytest.approx(-sum(map(math.log, (0.7, 0.2, 0.8, 0.5))) / 4, abs=1e-6)


def test_a_label_that_nobody_has_and_nobody_gets_counts_as_zero() -> None:
    told = figures(np.array([0, 1]), np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]]))

    assert told["macro_f1"] == pytest.approx(2 / 3, abs=1e-6)
    assert told["log_loss"] == pytest.approx(-math.log(0.8), abs=1e-6)


def test_rows_that_sum_to_one_but_for_rounding_give_no_warning_and_stay_as_they_are() -> None:
    probabilities = np.array([[1 / 3, 1 / 3, 1 / 3 + 1e-4]] * 3, np.float32)
    before = probabilities.copy()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        told = figures(np.array([0, 1, 2]), probabilities)

    assert told["log_loss"] == pytest.approx(math.log(3), abs=1e-4)
    assert (probabilities == before).all()


def test_figures_are_rounded_plain_numbers() -> None:
    told = figures(np.array([0, 1, 1]), np.array([[0.6, 0.4]] * 3, np.float32))

    assert told["accuracy"] == 0.333333
    assert all(type(value) is float for value in told.values())


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
    told = mcnemar(*(np.array([post[who] == 1 for post in posts]) for who in (0, 1)))

    assert told == (one, other, p)
    assert [type(value) for value in told] == [int, int, float]


def answers(posts: int, labels: int, one: float, other: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The labels of so many posts, and the answers of two models that know these shares of them and guess the rest."""
    rng = np.random.default_rng(1)
    actual = rng.integers(labels, size=posts)
    first, second = (
        np.where(rng.random(posts) < share, actual, rng.integers(labels, size=posts)) for share in (one, other)
    )
    return actual, first, second


def macro_f1(actual: np.ndarray, predicted: np.ndarray, labels: int) -> np.ndarray:
    """Along the last axis, by its definition."""
    f1 = []
    for label in range(labels):
        is_label, gets_label = actual == label, predicted == label
        either = is_label.sum(axis=-1) + gets_label.sum(axis=-1)
        f1.append(2 * (is_label & gets_label).sum(axis=-1) / np.maximum(either, 1))
    return np.mean(f1, axis=0)


def test_f1_of_each_label_is_that_of_scikit_learn() -> None:
    actual, predicted, _ = answers(200, 4, 0.6, 0.6)

    each = f1_by_label(actual, predicted, 4)

    assert each.tolist() == [f1_score(actual == label, predicted == label) for label in range(4)]
    assert len(set(each.tolist())) == 4


def test_f1_of_a_label_never_there_nor_predicted_is_0_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        each = f1_by_label(np.array([0, 0, 2, 2]), np.array([0, 2, 2, 2]), 5)

    assert each.tolist() == pytest.approx([2 / 3, 0, 4 / 5, 0, 0])


@pytest.mark.parametrize("level", [0.05, 0.2])
@pytest.mark.parametrize("right", [(0.9, 0.6), (0.7, 0.7), (0.5, 0.8)])
def test_the_interval_of_a_difference_is_that_of_scipys_paired_bootstrap(
    right: tuple[float, float], level: float
) -> None:
    actual, predicted, other = answers(300, 3, *right)

    told = f1_difference(actual, predicted, other, 3, level)

    scipys = bootstrap(
        (actual, predicted, other),
        lambda a, one, two, axis: macro_f1(a, one, 3) - macro_f1(a, two, 3),
        paired=True, vectorized=True, method="percentile", confidence_level=1 - level,
        n_resamples=4000, batch=500, rng=np.random.default_rng(2),
    ).confidence_interval  # fmt: skip
    # Both are drawn: at the 2.5th percentile of 4,000 differences the error is about a twentieth of their deviation.
    assert told == pytest.approx((scipys.low, scipys.high), abs=0.008)
    assert told[0] < macro_f1(actual, predicted, 3) - macro_f1(actual, other, 3) < told[1]


def test_between_identical_answers_there_is_no_difference() -> None:
    actual, predicted, _ = answers(50, 3, 0.7, 0.7)

    assert f1_difference(actual, predicted, predicted.copy(), 3, 0.05) == (0, 0)


def test_between_all_right_and_all_wrong_there_is_all_of_it() -> None:
    actual = np.array([0, 1] * 20)

    # In no resample is a label left out: that of 40 posts all have one label happens once in 10^12 times.
    assert f1_difference(actual, actual, 1 - actual, 2, 0.05) == (1, 1)


def test_the_order_of_the_models_is_the_sign() -> None:
    actual, good, bad = answers(300, 3, 0.9, 0.5)

    low, high = f1_difference(actual, good, bad, 3, 0.05)

    assert 0 < low < high
    assert f1_difference(actual, bad, good, 3, 0.05) == pytest.approx((-high, -low), abs=0.008)


def test_more_posts_or_less_certainty_make_the_interval_narrower() -> None:
    few, many = answers(100, 3, 0.8, 0.7), answers(1600, 3, 0.8, 0.7)

    def width(posts: tuple[np.ndarray, np.ndarray, np.ndarray], level: float) -> float:
        actual, predicted, other = posts
        low, high = f1_difference(actual, predicted, other, 3, level)
        return high - low

    # Sixteen times the posts have a quarter of the deviation.
    assert width(many, 0.05) == pytest.approx(width(few, 0.05) / 4, rel=0.3)
    assert width(few, 0.5) < width(few, 0.05) < width(few, 0.01)


def test_a_seed_gives_the_same_interval_again_and_another_seed_another_one() -> None:
    posts = answers(300, 3, 0.8, 0.7)

    first, again, other = (f1_difference(*posts, 3, 0.05, seed=seed) for seed in (1, 1, 2))

    assert again == first == f1_difference(*posts, 3, 0.05)
    assert other != first
    assert other == pytest.approx(first, abs=0.008)


def test_a_label_never_there_counts_as_zero_in_both() -> None:
    posts = answers(300, 2, 0.9, 0.6)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        told = f1_difference(*posts, 3, 0.05)

    assert told == pytest.approx([2 / 3 * edge for edge in f1_difference(*posts, 2, 0.05)])


def test_a_label_that_one_model_alone_gives_is_its_own_mistake() -> None:
    actual = np.array([0, 1] * 50)
    with_a_third = np.where(np.arange(100) % 10 == 0, 2, actual)

    low, high = f1_difference(actual, actual, with_a_third, 3, 0.05)

    assert 0 < low < macro_f1(actual, actual, 3) - macro_f1(actual, with_a_third, 3) < high


def test_the_edges_of_the_interval_are_plain_numbers() -> None:
    assert [type(edge) for edge in f1_difference(*answers(50, 3, 0.8, 0.7), 3, 0.05)] == [float, float]
