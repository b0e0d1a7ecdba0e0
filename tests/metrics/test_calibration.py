"""How sure a model may be, and what that is worth: against figures worked out by hand."""

import math

import numpy as np
import pytest
from scipy.special import softmax

from pipeline.metrics.calibration import (
    COLDEST,
    HOTTEST,
    coverage_curve,
    expected_calibration_error,
    fit_temperature,
    reliability_bins,
)


def answers(sure: list[float], right: list[bool]) -> tuple[np.ndarray, np.ndarray]:
    """Posts of label 0 or 1 and the probabilities of a model that is as sure as this of 0, and so often right."""
    return np.array([0 if is_right else 1 for is_right in right]), np.array([[p, 1 - p] for p in sure])


def log_loss(y_true: np.ndarray, scores: np.ndarray) -> float:
    return -sum(math.log(softmax(row)[label]) for label, row in zip(y_true, scores, strict=True)) / len(y_true)


@pytest.mark.parametrize("share", [0.6, 0.75, 0.9])
@pytest.mark.parametrize("logit", [0.5, 3.0, 20.0])
def test_a_model_that_is_always_as_sure_becomes_as_sure_as_it_is_right(share: float, logit: float) -> None:
    right = np.arange(20) < 20 * share
    scores = np.array([[logit, 0.0]] * 20)

    told = fit_temperature(np.where(right, 0, 1), scores)

    # Of two labels the probability is the logistic function of the difference, whose inverse is this logarithm.
    sure = (21 * share + 1 / 2) / 22  # each post has its label but for 1 / 22, which both share
    assert told == pytest.approx(logit / math.log(sure / (1 - sure)), abs=1e-3)


@pytest.mark.parametrize(("posts", "sure"), [(3, 0.9), (8, 0.95), (998, 0.9995)])
def test_a_model_that_is_always_right_becomes_no_surer_than_so_many_posts_can_tell(posts: int, sure: float) -> None:
    told = fit_temperature(np.zeros(posts, int), np.array([[1.0, 0.0]] * posts))

    assert 1 / (1 + math.exp(-1 / told)) == pytest.approx(sure, abs=1e-4)


@pytest.mark.parametrize("known", [0.2, 1.0, 3.7])
def test_the_temperature_of_logits_that_were_multiplied_is_what_they_were_multiplied_by(known: float) -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 2, (5000, 4))
    y_true = np.array([rng.choice(4, p=row) for row in softmax(logits, axis=1)])

    told = fit_temperature(y_true, known * logits)

    assert told == pytest.approx(known, rel=0.05)  # the labels are drawn
    assert told == pytest.approx(known * fit_temperature(y_true, logits), rel=1e-3)
    assert (softmax(known * logits / told, axis=1).argmax(axis=1) == logits.argmax(axis=1)).all()


def test_no_other_temperature_has_a_lower_log_loss() -> None:
    rng = np.random.default_rng(1)
    scores = rng.normal(0, 2, (2000, 3))
    y_true = np.array([rng.choice(3, p=row) for row in softmax(scores, axis=1)])

    told = fit_temperature(y_true, scores)

    others = [told * factor for factor in (0.5, 0.9, 0.97, 1.03, 1.1, 2)]
    assert all(log_loss(y_true, scores / told) < log_loss(y_true, scores / other) for other in others)


def test_logarithms_of_probabilities_will_do_as_well_as_logits() -> None:
    rng = np.random.default_rng(1)
    scores, y_true = rng.normal(0, 3, (60, 3)), rng.integers(3, size=60)

    assert fit_temperature(y_true, np.log(softmax(scores, axis=1))) == pytest.approx(
        fit_temperature(y_true, scores), rel=1e-3
    )


@pytest.mark.parametrize("scale", [1e-3, 1.0])
def test_a_model_always_right_gets_surer_and_one_always_wrong_less_sure_but_within_bounds(scale: float) -> None:
    scores = np.eye(3)[[0, 1, 2, 0]] * scale
    right, wrong = np.array([0, 1, 2, 0]), np.array([1, 2, 0, 1])

    assert COLDEST <= fit_temperature(right, scores) < 1
    assert 1 < fit_temperature(wrong, scores) <= HOTTEST


@pytest.mark.parametrize("scale", [1e4, 1e30])
def test_a_model_right_and_surer_than_numbers_can_tell_stays_so_and_within_bounds(scale: float) -> None:
    scores, y_true = np.eye(3) * scale, np.arange(3)

    told = fit_temperature(y_true, scores)

    assert COLDEST <= told <= HOTTEST
    assert log_loss(y_true, scores / told) == log_loss(y_true, scores) == 0


def test_where_all_labels_are_as_likely_no_temperature_is_better_and_one_within_bounds_is_given() -> None:
    assert COLDEST <= fit_temperature(np.array([0, 1]), np.zeros((2, 3))) <= HOTTEST


def test_a_temperature_is_a_plain_number_and_its_scores_stay_as_they_were() -> None:
    scores = np.array([[1, 0], [2, 0], [3, 0]], np.float32)

    told = fit_temperature(np.array([0, 1, 0]), scores)

    assert type(told) is float
    assert scores.tolist() == [[1, 0], [2, 0], [3, 0]]
    assert scores.dtype == np.float32


def test_the_bins_of_reliability_are_those_counted_by_hand() -> None:
    # Fifteen bins: 0.5 lies in that from 7/15 to 8/15, 0.7 and 0.72 in that from 10/15, 0.95 and 1 in the last.
    posts = answers([0.7, 0.5, 1.0, 0.72, 0.95], [True, False, True, False, True])

    assert reliability_bins(*posts) == [
        {"posts": 1, "confidence": 0.5, "accuracy": 0.0},
        {"posts": 2, "confidence": 0.71, "accuracy": 0.5},
        {"posts": 2, "confidence": 0.975, "accuracy": 1.0},
    ]


def test_confidence_that_rounding_lifts_above_one_falls_in_the_last_bin() -> None:
    y_true, probabilities = np.array([0, 1]), np.array([[1.0000001, 0], [0.94, 0.06]], np.float32)

    assert [row["posts"] for row in reliability_bins(y_true, probabilities)] == [2]


def test_sure_is_the_model_of_its_answer_and_not_of_the_right_one() -> None:
    # It says label 2 with 0.6, and the post has label 1.
    assert reliability_bins(np.array([1]), np.array([[0.1, 0.3, 0.6]])) == [
        {"posts": 1, "confidence": 0.6, "accuracy": 0.0}
    ]


def test_the_calibration_error_is_that_worked_out_by_hand() -> None:
    posts = answers([0.7, 0.5, 1.0, 0.72, 0.95], [True, False, True, False, True])

    # 1 post of 5 is 0.5 off, 2 are 0.21 off on average, 2 are 0.025 off.
    assert expected_calibration_error(*posts) == pytest.approx((1 * 0.5 + 2 * 0.21 + 2 * 0.025) / 5, abs=1e-6)


def test_a_model_as_often_right_as_it_is_sure_has_no_calibration_error_and_one_sure_and_wrong_all_of_it() -> None:
    assert expected_calibration_error(*answers([0.75] * 4, [True, True, False, True])) == 0
    assert expected_calibration_error(*answers([1.0] * 4, [False] * 4)) == 1


def test_in_one_bin_too_much_and_too_little_make_up_for_each_other() -> None:
    # Both in the bin from 0.6 to 0.667; half of them right, and sure by 0.63 on average.
    assert expected_calibration_error(*answers([0.62, 0.64], [True, False])) == pytest.approx(0.13, abs=1e-6)


def test_with_twenty_posts_each_step_of_coverage_is_one_post_more_the_surest_first() -> None:
    wrong = {2, 3, 11}  # by how sure the model is of them, the surest 0
    sure = [0.99 - 0.02 * place for place in range(20)]
    order = np.random.default_rng(1).permutation(20)
    y_true, probabilities = answers([sure[place] for place in order], [place not in wrong for place in order])

    told = coverage_curve(y_true, probabilities)

    assert [row["coverage"] for row in told] == [round(0.05 * n, 2) for n in range(1, 21)]
    rights = [n - sum(place < n for place in wrong) for n in range(1, 21)]
    assert [row["accuracy"] for row in told] == pytest.approx([r / n for n, r in enumerate(rights, 1)], abs=1e-6)
    assert [row["confidence"] for row in told] == pytest.approx(sure, abs=1e-6)


def test_full_coverage_is_the_accuracy() -> None:
    rng = np.random.default_rng(1)
    probabilities, y_true = softmax(rng.normal(size=(137, 3)), axis=1), rng.integers(3, size=137)

    assert coverage_curve(y_true, probabilities)[-1] == {
        "coverage": 1.0,
        "accuracy": round(sum(probabilities.argmax(axis=1) == y_true) / 137, 6),
        "confidence": round(min(probabilities.max(axis=1)), 6),
    }


def test_of_few_posts_every_coverage_has_at_least_one() -> None:
    told = coverage_curve(*answers([0.6, 0.9, 0.7, 0.8], [True, False, True, True]))

    # 0.35 of four are one post, 0.6 two, 0.85 three.
    assert [row["accuracy"] for row in told] == [0.0] * 7 + [0.5] * 5 + [0.666667] * 5 + [0.75] * 3


def test_posts_of_which_it_is_as_sure_stay_in_their_order() -> None:
    told = coverage_curve(*answers([0.8, 0.7] * 500, [True, True] * 250 + [False, False] * 250))

    # Of 0.8 are 500, the first half of them right, and as many of 0.7.
    assert [row["accuracy"] for row in told[:5]] == [1.0] * 5
    assert told[9]["accuracy"] == 0.5
    assert told[14]["accuracy"] == pytest.approx(2 / 3, abs=1e-6)
    assert told[19]["accuracy"] == 0.5
