"""Can the probabilities be believed? Temperature scaling, reliability, and what abstaining would buy."""

from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

BINS = 15
COLDEST, HOTTEST = 0.01, 100.0
DECIMALS = 6
COVERAGES = np.linspace(0.05, 1, 20)


def fit_temperature(y_true: np.ndarray, scores: np.ndarray) -> float:
    """The number T for which the probabilities softmax(scores / T) have the lowest log loss (Guo et al. 2017).

    `scores` `[posts, labels]` are logits or log-probabilities; `actual` are label indices `[posts]`. One above 1 makes
    a model less sure, one below 1 surer; which label comes first stays as it is. To be fitted on validation posts.

    As in Platt 1999, a post has its label but for a share of 1 / (posts + 2), which all labels share: few posts, of
    which none is wrong, would else make a model as sure as can be.
    """
    scores = scores.astype(float)
    posts, labels = scores.shape
    target = np.full(scores.shape, 1 / (posts + 2) / labels)
    target[np.arange(posts), y_true] += (posts + 1) / (posts + 2)
    fitted = minimize_scalar(
        lambda log_t: -(target * log_softmax(scores / np.exp(log_t), axis=1)).sum(axis=1).mean(),
        bounds=(np.log(COLDEST), np.log(HOTTEST)), method="bounded", options={"xatol": 1e-6},
    )  # fmt: skip
    return round(float(np.exp(fitted.x)), 4)


def reliability_bins(y_true: np.ndarray, probabilities: np.ndarray) -> list[dict[str, float]]:
    """Posts by how sure the model is of its answer, in `BINS` bins of one width: how sure, and how often right.

    A bin without a post is left out.
    """
    confidence, right = confident(y_true, probabilities)
    places = np.minimum((confidence * BINS).astype(int), BINS - 1)
    rows = []
    for place in np.unique(places):
        there = places == place
        rows.append(
            {
                "posts": int(there.sum()),
                "confidence": round(float(confidence[there].mean()), DECIMALS),
                "accuracy": round(float(right[there].mean()), DECIMALS),
            }
        )
    return rows


def expected_calibration_error(y_true: np.ndarray, probabilities: np.ndarray) -> float:
    """Expected calibration error (Naeini et al. 2015): how far confidence and accuracy lie apart, a mean over posts."""
    rows = reliability_bins(y_true, probabilities)
    return round(sum(row["posts"] * abs(row["confidence"] - row["accuracy"]) for row in rows) / len(y_true), DECIMALS)


def coverage_curve(y_true: np.ndarray, probabilities: np.ndarray) -> list[dict[str, Any]]:
    """If the model may abstain: how often it is right on the share of posts that it is surest of."""
    confidence, right = confident(y_true, probabilities)
    order = np.argsort(-confidence, kind="stable")
    accuracy = np.cumsum(right[order]) / np.arange(1, len(right) + 1)
    counts = np.maximum(np.round(COVERAGES * len(right)).astype(int), 1)
    return [
        {
            "coverage": round(float(share), 2),
            "accuracy": round(float(accuracy[count - 1]), DECIMALS),
            "confidence": round(float(confidence[order[count - 1]]), DECIMALS),
        }
        for share, count in zip(COVERAGES, counts, strict=True)
    ]


def confident(y_true: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How sure the model is of its answer to each post, and whether that is right, both `[posts]`."""
    probabilities = probabilities.astype(float)
    return probabilities.max(axis=1), probabilities.argmax(axis=1) == y_true
