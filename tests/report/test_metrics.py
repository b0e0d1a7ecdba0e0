"""Figures, against ones worked out by hand."""

import math
import warnings

import numpy as np
import pytest

from pipeline.report.metrics import figures, mcnemar


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
