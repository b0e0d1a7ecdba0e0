"""McNemar's test and bootstrap intervals, against values computed by hand and by scipy."""

import warnings

import numpy as np
import pytest
from scipy.stats import binom, bootstrap

from pipeline.metrics.significance import bootstrap_f1_difference, bootstrap_intervals, mcnemar_test

# Which of two classifiers are correct on an example.
BOTH, FIRST, OTHER, NEITHER = (1, 1), (1, 0), (0, 1), (0, 0)


@pytest.mark.parametrize(
    ("examples", "only_first", "only_other", "p_value"),
    [
        # Of 12 coins, 10 or more or 2 or fewer show heads: 2 * (1 + 12 + 66) / 2^12
        ([FIRST] * 10 + [OTHER] * 2 + [BOTH] * 50 + [NEITHER] * 5, 10, 2, 0.0386),
        ([FIRST] * 2 + [OTHER] * 10, 2, 10, 0.0386),
        ([FIRST] * 5 + [BOTH], 5, 0, 0.0625),  # 2 / 2^5
        ([FIRST] * 7 + [BOTH], 7, 0, 0.0156),  # 2 / 2^7
        ([FIRST] * 3 + [OTHER] * 1, 3, 1, 0.625),  # 2 * (1 + 4) / 2^4
        ([FIRST, OTHER] * 7, 7, 7, 1.0),
        ([BOTH] * 5 + [NEITHER], 0, 0, 1.0),
    ],
)
def test_mcnemar_is_a_binomial_test_of_the_examples_that_only_one_classifies_correctly(
    examples: list[tuple[int, int]], only_first: int, only_other: int, p_value: float
) -> None:
    result = mcnemar_test(*(np.array([example[column] == 1 for example in examples]) for column in (0, 1)))

    assert result == (only_first, only_other, p_value)
    assert [type(value) for value in result] == [int, int, float]


def random_predictions(
    n_examples: int, n_classes: int, first: float, other: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`y_true`, and the predictions of two classifiers: of these shares of the examples correct, of the rest random."""
    rng = np.random.default_rng(1)
    y_true = rng.integers(n_classes, size=n_examples)
    y_pred, y_pred_other = (
        np.where(rng.random(n_examples) < share, y_true, rng.integers(n_classes, size=n_examples))
        for share in (first, other)
    )
    return y_true, y_pred, y_pred_other


def macro_f1(y_true: np.ndarray, y_pred: np.ndarray, n_classes: int) -> np.ndarray:
    """Along the last axis, by its definition."""
    f1 = []
    for label in range(n_classes):
        is_true, is_predicted = y_true == label, y_pred == label
        total = is_true.sum(axis=-1) + is_predicted.sum(axis=-1)
        f1.append(2 * (is_true & is_predicted).sum(axis=-1) / np.maximum(total, 1))
    return np.mean(f1, axis=0)


# The difference of two classifiers


@pytest.mark.parametrize("level", [0.05, 0.2])
@pytest.mark.parametrize("shares", [(0.9, 0.6), (0.7, 0.7), (0.5, 0.8)])
def test_interval_of_a_difference_is_that_of_scipys_paired_bootstrap(shares: tuple[float, float], level: float) -> None:
    y_true, y_pred, other = random_predictions(300, 3, *shares)

    interval = bootstrap_f1_difference(y_true, y_pred, other, 3, level)

    scipys = bootstrap(
        (y_true, y_pred, other),
        lambda y, first, second, axis: macro_f1(y, first, 3) - macro_f1(y, second, 3),
        paired=True, vectorized=True, method="percentile", confidence_level=1 - level,
        n_resamples=4000, batch=500, rng=np.random.default_rng(2),
    ).confidence_interval  # fmt: skip
    # Both are random: the 2.5th percentile of 4,000 differences has an error of about a twentieth of their deviation.
    assert interval == pytest.approx((scipys.low, scipys.high), abs=0.008)
    assert interval[0] < macro_f1(y_true, y_pred, 3) - macro_f1(y_true, other, 3) < interval[1]


def test_identical_predictions_have_no_difference() -> None:
    y_true, y_pred, _ = random_predictions(50, 3, 0.7, 0.7)

    assert bootstrap_f1_difference(y_true, y_pred, y_pred.copy(), 3, 0.05) == (0, 0)


def test_difference_of_all_correct_and_all_wrong_is_one() -> None:
    y_true = np.array([0, 1] * 20)

    # Every resample has both labels: that all of 40 examples have one label happens once in 10^12 resamples.
    assert bootstrap_f1_difference(y_true, y_true, 1 - y_true, 2, 0.05) == (1, 1)


def test_order_of_the_classifiers_is_the_sign_of_the_difference() -> None:
    y_true, better, worse = random_predictions(300, 3, 0.9, 0.5)

    low, high = bootstrap_f1_difference(y_true, better, worse, 3, 0.05)

    assert 0 < low < high
    assert bootstrap_f1_difference(y_true, worse, better, 3, 0.05) == pytest.approx((-high, -low), abs=0.008)


def test_more_examples_or_less_confidence_make_the_interval_narrower() -> None:
    few, many = random_predictions(100, 3, 0.8, 0.7), random_predictions(1600, 3, 0.8, 0.7)

    def width(predictions: tuple[np.ndarray, np.ndarray, np.ndarray], level: float) -> float:
        low, high = bootstrap_f1_difference(*predictions, 3, level)
        return high - low

    # Sixteen times the examples have a quarter of the deviation.
    assert width(many, 0.05) == pytest.approx(width(few, 0.05) / 4, rel=0.3)
    assert width(few, 0.5) < width(few, 0.05) < width(few, 0.01)


def test_interval_of_a_difference_depends_on_the_seed_alone() -> None:
    predictions = random_predictions(300, 3, 0.8, 0.7)

    first, again, other = (bootstrap_f1_difference(*predictions, 3, 0.05, seed=seed) for seed in (1, 1, 2))

    assert again == first == bootstrap_f1_difference(*predictions, 3, 0.05)
    assert other != first
    assert other == pytest.approx(first, abs=0.008)


def test_label_without_examples_and_predictions_counts_as_zero_for_both() -> None:
    predictions = random_predictions(300, 2, 0.9, 0.6)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        interval = bootstrap_f1_difference(*predictions, 3, 0.05)

    assert interval == pytest.approx([2 / 3 * end for end in bootstrap_f1_difference(*predictions, 2, 0.05)])


def test_label_that_only_one_classifier_predicts_is_its_error() -> None:
    y_true = np.array([0, 1] * 50)
    with_a_third = np.where(np.arange(100) % 10 == 0, 2, y_true)

    low, high = bootstrap_f1_difference(y_true, y_true, with_a_third, 3, 0.05)

    assert 0 < low < macro_f1(y_true, y_true, 3) - macro_f1(y_true, with_a_third, 3) < high


def test_ends_of_the_interval_are_python_floats() -> None:
    interval = bootstrap_f1_difference(*random_predictions(50, 3, 0.8, 0.7), 3, 0.05)

    assert [type(end) for end in interval] == [float, float]


# The metrics of one classifier


@pytest.mark.parametrize(("n_examples", "accuracy"), [(400, 0.8), (1000, 0.95), (50, 0.5)])
@pytest.mark.parametrize("level", [0.05, 0.2])
def test_interval_of_an_accuracy_is_binomial(n_examples: int, accuracy: float, level: float) -> None:
    y_true = np.arange(n_examples) % 2
    y_pred = np.where(np.arange(n_examples) < n_examples * accuracy, y_true, 1 - y_true)

    interval = bootstrap_intervals(y_true, y_pred, 2, level)["accuracy"]

    # The number of correct examples in a resample is binomial; of 10,000 resamples, an end is off by one example.
    exact = binom.ppf([level / 2, 1 - level / 2], n_examples, accuracy) / n_examples
    assert interval == pytest.approx(exact.tolist(), abs=1.01 / n_examples)


@pytest.mark.parametrize("level", [0.05, 0.2])
def test_interval_of_a_macro_f1_is_that_of_scipys_bootstrap(level: float) -> None:
    y_true, y_pred, _ = random_predictions(300, 3, 0.7, 0.7)

    interval = bootstrap_intervals(y_true, y_pred, 3, level)["macro_f1"]

    scipys = bootstrap(
        (y_true, y_pred), lambda y, predicted, axis: macro_f1(y, predicted, 3),
        paired=True, vectorized=True, method="percentile", confidence_level=1 - level,
        n_resamples=4000, batch=500, rng=np.random.default_rng(2),
    ).confidence_interval  # fmt: skip
    assert interval == pytest.approx([scipys.low, scipys.high], abs=0.005)
    assert interval[0] < macro_f1(y_true, y_pred, 3) < interval[1]


def test_intervals_of_all_correct_and_all_wrong_predictions_are_points() -> None:
    y_true = np.arange(60) % 2

    assert bootstrap_intervals(y_true, y_true, 2) == {"accuracy": [1.0, 1.0], "macro_f1": [1.0, 1.0]}
    assert bootstrap_intervals(y_true, 1 - y_true, 2) == {"accuracy": [0.0, 0.0], "macro_f1": [0.0, 0.0]}


def test_intervals_of_forty_labels_contain_their_metrics() -> None:
    y_true, y_pred, _ = random_predictions(2000, 40, 0.8, 0.8)
    accuracy = (y_true == y_pred).mean()

    intervals = bootstrap_intervals(y_true, y_pred, 40)

    exact = binom.ppf([0.025, 0.975], 2000, accuracy) / 2000
    assert intervals["accuracy"] == pytest.approx(exact.tolist(), abs=1.01 / 2000)
    assert intervals["macro_f1"][0] < macro_f1(y_true, y_pred, 40) < intervals["macro_f1"][1]
    # The mean of so many labels with about as many examples each varies as the accuracy does.
    (low, high), (lowest, highest) = intervals["macro_f1"], intervals["accuracy"]
    assert high - low == pytest.approx(highest - lowest, rel=0.15)


def test_labels_without_examples_lower_the_macro_f1_and_not_the_accuracy() -> None:
    y_true, y_pred, _ = random_predictions(100, 2, 0.8, 0.8)

    two, four = (bootstrap_intervals(y_true, y_pred, n_classes) for n_classes in (2, 4))

    assert four["macro_f1"] == pytest.approx([end / 2 for end in two["macro_f1"]], abs=1e-6)
    assert four["accuracy"] == two["accuracy"]


def test_intervals_depend_on_the_seed_alone() -> None:
    y_true, y_pred, _ = random_predictions(300, 3, 0.8, 0.7)

    first, again, other = (bootstrap_intervals(y_true, y_pred, 3, seed=seed) for seed in (1, 1, 2))

    assert again == first == bootstrap_intervals(y_true, y_pred, 3)
    assert other["macro_f1"] != first["macro_f1"]
    assert other["macro_f1"] == pytest.approx(first["macro_f1"], abs=0.005)


def test_intervals_do_not_depend_on_the_order_of_the_examples() -> None:
    y_true, y_pred, _ = random_predictions(300, 3, 0.8, 0.7)
    order = np.random.default_rng(3).permutation(300)

    assert bootstrap_intervals(y_true[order], y_pred[order], 3) == bootstrap_intervals(y_true, y_pred, 3)


def test_intervals_are_rounded_python_floats() -> None:
    intervals = bootstrap_intervals(*random_predictions(70, 3, 0.8, 0.7)[:2], 3)

    assert [type(end) for ends in intervals.values() for end in ends] == [float] * 4
    assert all(end == round(end, 6) for ends in intervals.values() for end in ends)
