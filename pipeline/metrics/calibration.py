"""Calibration of probabilities: temperature scaling, reliability, and accuracy by coverage."""

from typing import Any

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax

from pipeline.metrics import DECIMALS

BINS = 15
EQUAL_WEIGHTS = 16.0  # nats: the penalty on the squared distance of both weights from one half (docs/experiments.md)
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.01, 100.0
COVERAGES = np.linspace(0.05, 1, 20)


def fit_temperature(y_true: np.ndarray, scores: np.ndarray) -> float:
    """The temperature T for which softmax(scores / T) has the lowest log loss (Guo et al. 2017).

    `scores` `[examples, classes]` are logits or log-probabilities, `y_true` class indices `[examples]`; both of the
    validation split. Above 1 the temperature lowers the confidence, below 1 it raises it; predictions do not change.

    As in Platt 1999, the targets are smoothed: a share of 1 / (examples + 2) is divided among all classes. Otherwise a
    few examples, all classified correctly, would raise the confidence without limit.
    """
    scores = scores.astype(float)
    n_examples, n_classes = scores.shape
    target = np.full(scores.shape, 1 / (n_examples + 2) / n_classes)
    target[np.arange(n_examples), y_true] += (n_examples + 1) / (n_examples + 2)
    result = minimize_scalar(
        lambda log_t: -(target * log_softmax(scores / np.exp(log_t), axis=1)).sum(axis=1).mean(),
        bounds=(np.log(MIN_TEMPERATURE), np.log(MAX_TEMPERATURE)), method="bounded", options={"xatol": 1e-6},
    )  # fmt: skip
    return round(float(np.exp(result.x)), 4)


def fit_network_weight(y_true: np.ndarray, network: np.ndarray, baseline: np.ndarray) -> float:
    """The weight, from 0 to 1, of the network in the geometric mean with the baseline that has the lowest log loss.

    `network` and `baseline` are log-probabilities `[examples, classes]` and `y_true` class indices `[examples]`, of the
    validation split. The scores are `a * network + b * baseline` with a, b >= 0, a logarithmic opinion pool (Genest &
    Zidek 1986) of weight a / (a + b) at the temperature 1 / (a + b). A penalty on the total log loss, `EQUAL_WEIGHTS`
    times the squared distance of a and b from one half, keeps the weight near that if there are few examples.
    """
    rows, models = np.arange(len(y_true)), np.stack([network, baseline]).astype(float)

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        """The total log loss with the penalty, and its gradient."""
        log_proba = log_softmax(np.tensordot(weights, models, 1), axis=1)
        expected = (np.exp(log_proba) * models).sum(axis=2)
        distance = weights - 0.5
        penalty, of_penalty = EQUAL_WEIGHTS * (distance**2).sum(), 2 * EQUAL_WEIGHTS * distance
        gradient = (expected - models[:, rows, y_true]).sum(axis=1) + of_penalty
        return -log_proba[rows, y_true].sum() + penalty, gradient

    a, b = minimize(loss, [0.5, 0.5], jac=True, method="L-BFGS-B", bounds=[(0, None)] * 2).x
    return round(float(a / (a + b)), 4) if a + b else 0.5


def reliability_bins(y_true: np.ndarray, y_proba: np.ndarray) -> list[dict[str, float]]:
    """Mean confidence and accuracy of the examples in `BINS` bins of equal width; empty bins are omitted."""
    confidence, correct = confidence_and_correctness(y_true, y_proba)
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return [
        {
            "examples": int((bins == each).sum()),
            "confidence": round(float(confidence[bins == each].mean()), DECIMALS),
            "accuracy": round(float(correct[bins == each].mean()), DECIMALS),
        }
        for each in np.unique(bins)
    ]


def expected_calibration_error(y_true: np.ndarray, y_proba: np.ndarray) -> float:
    """The mean absolute difference of confidence and accuracy over the bins (Naeini et al. 2015)."""
    rows = reliability_bins(y_true, y_proba)
    total = sum(row["examples"] * abs(row["confidence"] - row["accuracy"]) for row in rows)
    return round(total / len(y_true), DECIMALS)


def coverage_curve(y_true: np.ndarray, y_proba: np.ndarray) -> list[dict[str, Any]]:
    """The accuracy on the share of examples with the highest confidence, if the classifier abstains on the rest."""
    confidence, correct = confidence_and_correctness(y_true, y_proba)
    order = np.argsort(-confidence, kind="stable")
    accuracy = np.cumsum(correct[order]) / np.arange(1, len(correct) + 1)
    counts = np.maximum(np.round(COVERAGES * len(correct)).astype(int), 1)
    return [
        {
            "coverage": round(float(share), 2),
            "accuracy": round(float(accuracy[count - 1]), DECIMALS),
            "confidence": round(float(confidence[order[count - 1]]), DECIMALS),
        }
        for share, count in zip(COVERAGES, counts, strict=True)
    ]


def confidence_and_correctness(y_true: np.ndarray, y_proba: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The probability of the predicted label, and whether it is the true one, both `[examples]`."""
    y_proba = y_proba.astype(float)
    return y_proba.max(axis=1), y_proba.argmax(axis=1) == y_true
