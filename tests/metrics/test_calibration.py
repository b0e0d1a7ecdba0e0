"""Temperature scaling, reliability and coverage, against values computed by hand."""

import math

import numpy as np
import pytest
from scipy.special import softmax

from pipeline.metrics.calibration import (
    MAX_TEMPERATURE,
    MIN_TEMPERATURE,
    coverage_curve,
    expected_calibration_error,
    fit_network_weight,
    fit_temperature,
    reliability_bins,
)


def make_predictions(confidence: list[float], correct: list[bool]) -> tuple[np.ndarray, np.ndarray]:
    """`y_true` and `y_proba` of predictions of label 0 out of two, with this confidence; the others have label 1."""
    return np.array([0 if each else 1 for each in correct]), np.array([[p, 1 - p] for p in confidence])


def log_loss(y_true: np.ndarray, scores: np.ndarray) -> float:
    return -sum(math.log(softmax(row)[label]) for label, row in zip(y_true, scores, strict=True)) / len(y_true)


# The weight of the network in an ensemble


def random_models(n_examples: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, drawn from the probabilities of a first model, and scores of that model and of a useless one."""
    rng = np.random.default_rng(1)
    good, useless = rng.normal(0, 2, (2, n_examples, 3))
    return np.array([rng.choice(3, p=row) for row in softmax(good, axis=1)]), good, useless


def test_model_that_knows_nothing_has_the_weight_0() -> None:
    y_true, good, useless = random_models(3000)

    assert fit_network_weight(y_true, good, useless) == pytest.approx(1, abs=0.03)
    assert fit_network_weight(y_true, useless, good) == pytest.approx(0, abs=0.03)
    # Which says the contrary of the labels, so that any positive weight is worse than none.
    assert fit_network_weight(y_true, -good, good + 0.1 * useless) == 0
    assert fit_network_weight(y_true, good + 0.1 * useless, -good) == 1


def test_weight_of_equal_models_and_of_few_examples_is_about_one_half() -> None:
    y_true, good, useless = random_models(3000)

    assert fit_network_weight(y_true, good, good) == pytest.approx(0.5, abs=1e-3)
    assert 0.3 < fit_network_weight(y_true[:2], useless[:2], good[:2]) < 0.7


def test_weight_has_the_lowest_log_loss_of_all_and_is_independent_of_confidence() -> None:
    y_true, good, useless = random_models(3000)
    network, baseline = good + useless, good + np.roll(useless, 1, axis=0)

    weight = fit_network_weight(y_true, network, baseline)

    def lowest(weight: float) -> float:
        mixed = weight * network + (1 - weight) * baseline
        return log_loss(y_true, mixed / fit_temperature(y_true, mixed))

    grid = np.linspace(0, 1, 21)
    assert weight == pytest.approx(min(grid, key=lowest), abs=0.05)
    assert fit_network_weight(y_true, 3 * network, 3 * baseline) == pytest.approx(weight, abs=0.02)


# Temperature


@pytest.mark.parametrize("accuracy", [0.6, 0.75, 0.9])
@pytest.mark.parametrize("logit", [0.5, 3.0, 20.0])
def test_temperature_makes_a_constant_confidence_the_accuracy(accuracy: float, logit: float) -> None:
    correct = np.arange(20) < 20 * accuracy
    scores = np.array([[logit, 0.0]] * 20)

    temperature = fit_temperature(np.where(correct, 0, 1), scores)

    # Of two classes the probability is the logistic function of the logits' difference; this is its inverse.
    target = (21 * accuracy + 1 / 2) / 22  # smoothed: of each example, 1 / 22 is divided between both classes
    assert temperature == pytest.approx(logit / math.log(target / (1 - target)), abs=1e-3)


@pytest.mark.parametrize(("n_examples", "confidence"), [(3, 0.9), (8, 0.95), (998, 0.9995)])
def test_confidence_after_scaling_is_limited_by_the_number_of_examples(n_examples: int, confidence: float) -> None:
    temperature = fit_temperature(np.zeros(n_examples, int), np.array([[1.0, 0.0]] * n_examples))

    assert 1 / (1 + math.exp(-1 / temperature)) == pytest.approx(confidence, abs=1e-4)


@pytest.mark.parametrize("factor", [0.2, 1.0, 3.7])
def test_temperature_of_multiplied_logits_is_their_factor(factor: float) -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 2, (5000, 4))
    y_true = np.array([rng.choice(4, p=row) for row in softmax(logits, axis=1)])

    temperature = fit_temperature(y_true, factor * logits)

    assert temperature == pytest.approx(factor, rel=0.05)  # the labels are random
    assert temperature == pytest.approx(factor * fit_temperature(y_true, logits), rel=1e-3)
    assert (softmax(factor * logits / temperature, axis=1).argmax(axis=1) == logits.argmax(axis=1)).all()


def test_no_other_temperature_has_a_lower_log_loss() -> None:
    rng = np.random.default_rng(1)
    scores = rng.normal(0, 2, (2000, 3))
    y_true = np.array([rng.choice(3, p=row) for row in softmax(scores, axis=1)])

    temperature = fit_temperature(y_true, scores)

    others = [temperature * factor for factor in (0.5, 0.9, 0.97, 1.03, 1.1, 2)]
    assert all(log_loss(y_true, scores / temperature) < log_loss(y_true, scores / other) for other in others)


def test_log_probabilities_give_the_temperature_of_their_logits() -> None:
    rng = np.random.default_rng(1)
    scores, y_true = rng.normal(0, 3, (60, 3)), rng.integers(3, size=60)

    assert fit_temperature(y_true, np.log(softmax(scores, axis=1))) == pytest.approx(
        fit_temperature(y_true, scores), rel=1e-3
    )


@pytest.mark.parametrize("scale", [1e-3, 1.0])
def test_scaling_raises_confidence_if_all_are_correct_and_lowers_it_if_all_are_wrong(scale: float) -> None:
    scores = np.eye(3)[[0, 1, 2, 0]] * scale
    correct, wrong = np.array([0, 1, 2, 0]), np.array([1, 2, 0, 1])

    assert MIN_TEMPERATURE <= fit_temperature(correct, scores) < 1
    assert 1 < fit_temperature(wrong, scores) <= MAX_TEMPERATURE


@pytest.mark.parametrize("scale", [1e4, 1e30])
def test_temperature_of_huge_logits_is_within_bounds_and_keeps_a_log_loss_of_zero(scale: float) -> None:
    scores, y_true = np.eye(3) * scale, np.arange(3)

    temperature = fit_temperature(y_true, scores)

    assert MIN_TEMPERATURE <= temperature <= MAX_TEMPERATURE
    assert log_loss(y_true, scores / temperature) == log_loss(y_true, scores) == 0


def test_temperature_of_equal_scores_is_within_bounds() -> None:
    assert MIN_TEMPERATURE <= fit_temperature(np.array([0, 1]), np.zeros((2, 3))) <= MAX_TEMPERATURE


def test_temperature_is_a_python_float_and_scores_are_unchanged() -> None:
    scores = np.array([[1, 0], [2, 0], [3, 0]], np.float32)

    temperature = fit_temperature(np.array([0, 1, 0]), scores)

    assert type(temperature) is float
    assert scores.tolist() == [[1, 0], [2, 0], [3, 0]]
    assert scores.dtype == np.float32


# Reliability


def test_reliability_bins_are_those_computed_by_hand() -> None:
    # Of fifteen bins, 0.5 is in the one from 7/15 to 8/15, 0.7 and 0.72 in the one from 10/15, 0.95 and 1 in the last.
    predictions = make_predictions([0.7, 0.5, 1.0, 0.72, 0.95], [True, False, True, False, True])

    assert reliability_bins(*predictions) == [
        {"examples": 1, "confidence": 0.5, "accuracy": 0.0},
        {"examples": 2, "confidence": 0.71, "accuracy": 0.5},
        {"examples": 2, "confidence": 0.975, "accuracy": 1.0},
    ]


def test_confidence_rounded_to_above_one_is_in_the_last_bin() -> None:
    y_true, y_proba = np.array([0, 1]), np.array([[1.0000001, 0], [0.94, 0.06]], np.float32)

    assert [row["examples"] for row in reliability_bins(y_true, y_proba)] == [2]


def test_confidence_is_the_probability_of_the_predicted_label_not_of_the_true_one() -> None:
    # Label 2 is predicted with 0.6; the true label is 1.
    assert reliability_bins(np.array([1]), np.array([[0.1, 0.3, 0.6]])) == [
        {"examples": 1, "confidence": 0.6, "accuracy": 0.0}
    ]


def test_expected_calibration_error_is_that_computed_by_hand() -> None:
    predictions = make_predictions([0.7, 0.5, 1.0, 0.72, 0.95], [True, False, True, False, True])

    # Of 5 examples 1 differs by 0.5, 2 by 0.21 on average, and 2 by 0.025.
    assert expected_calibration_error(*predictions) == pytest.approx((1 * 0.5 + 2 * 0.21 + 2 * 0.025) / 5, abs=1e-6)


def test_expected_calibration_error_is_zero_if_confidence_is_accuracy_and_one_if_confident_and_wrong() -> None:
    assert expected_calibration_error(*make_predictions([0.75] * 4, [True, True, False, True])) == 0
    assert expected_calibration_error(*make_predictions([1.0] * 4, [False] * 4)) == 1


def test_over_and_underconfidence_within_one_bin_cancel() -> None:
    # Both are in the bin from 0.6 to 0.667, with an accuracy of 0.5 and a mean confidence of 0.63.
    assert expected_calibration_error(*make_predictions([0.62, 0.64], [True, False])) == pytest.approx(0.13, abs=1e-6)


# Coverage


def test_coverage_adds_the_examples_by_confidence() -> None:
    wrong = {2, 3, 11}  # by rank of confidence, the highest 0
    confidence = [0.99 - 0.02 * rank for rank in range(20)]
    order = np.random.default_rng(1).permutation(20)
    y_true, y_proba = make_predictions([confidence[rank] for rank in order], [rank not in wrong for rank in order])

    curve = coverage_curve(y_true, y_proba)

    assert [row["coverage"] for row in curve] == [round(0.05 * n, 2) for n in range(1, 21)]
    n_correct = [n - sum(rank < n for rank in wrong) for n in range(1, 21)]
    assert [row["accuracy"] for row in curve] == pytest.approx([k / n for n, k in enumerate(n_correct, 1)], abs=1e-6)
    assert [row["confidence"] for row in curve] == pytest.approx(confidence, abs=1e-6)


def test_accuracy_at_full_coverage_is_the_accuracy() -> None:
    rng = np.random.default_rng(1)
    y_proba, y_true = softmax(rng.normal(size=(137, 3)), axis=1), rng.integers(3, size=137)

    assert coverage_curve(y_true, y_proba)[-1] == {
        "coverage": 1.0,
        "accuracy": round(sum(y_proba.argmax(axis=1) == y_true) / 137, 6),
        "confidence": round(min(y_proba.max(axis=1)), 6),
    }


def test_coverage_of_few_examples_has_at_least_one() -> None:
    curve = coverage_curve(*make_predictions([0.6, 0.9, 0.7, 0.8], [True, False, True, True]))

    # 0.35 of four is one example, 0.6 two, 0.85 three.
    assert [row["accuracy"] for row in curve] == [0.0] * 7 + [0.5] * 5 + [0.666667] * 5 + [0.75] * 3


def test_examples_of_equal_confidence_keep_their_order() -> None:
    curve = coverage_curve(*make_predictions([0.8, 0.7] * 500, [True, True] * 250 + [False, False] * 250))

    # 500 have 0.8, of which the first half is correct, and likewise 0.7.
    assert [row["accuracy"] for row in curve[:5]] == [1.0] * 5
    assert curve[9]["accuracy"] == 0.5
    assert curve[14]["accuracy"] == pytest.approx(2 / 3, abs=1e-6)
    assert curve[19]["accuracy"] == 0.5
