"""Figures of a classifier's predictions, all by scikit-learn."""

import numpy as np
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, f1_score, log_loss

RESAMPLES = 10_000
DECIMALS = 6  # of what is written: more would differ between machines and mean nothing


def figures(actual: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """Accuracy, macro F1 and log loss (nats) of `probabilities` `[posts, labels]`; `actual` are label indices."""
    probabilities = probabilities.astype(float)
    probabilities /= probabilities.sum(axis=1, keepdims=True)  # float32 rows sum to 1 but for the 7th decimal
    predicted = probabilities.argmax(axis=1)
    labels = np.arange(probabilities.shape[1])
    return {
        "accuracy": round(float(accuracy_score(actual, predicted)), DECIMALS),
        "macro_f1": round(
            float(f1_score(actual, predicted, labels=labels, average="macro", zero_division=0)), DECIMALS
        ),
        "log_loss": round(float(log_loss(actual, probabilities, labels=labels)), DECIMALS),
    }


def f1_by_label(actual: np.ndarray, predicted: np.ndarray, labels: int) -> np.ndarray:
    """F1 of each of so many labels, float `[labels]`; 0 where a label was neither there nor predicted."""
    return f1_score(actual, predicted, labels=np.arange(labels), average=None, zero_division=0)


def f1_difference(
    actual: np.ndarray, predicted: np.ndarray, other: np.ndarray, labels: int, level: float, seed: int = 1
) -> tuple[float, float]:
    """The interval of the macro F1 of `predicted` less that of `other`, on the same posts; all are label indices.

    A paired bootstrap (Efron & Tibshirani 1993, chapters 8 and 13): posts are drawn anew with replacement, `RESAMPLES`
    times, each with both answers to it, and of the differences the share `level / 2` is cut off at either end. All that
    counts of a post is its label and both answers, so what is drawn is how many posts of each such kind there are.
    """
    kinds = (actual * labels + predicted) * labels + other
    there, counts = np.unique(kinds, return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(len(kinds), counts / len(kinds), RESAMPLES).astype(np.float32)
    each = np.eye(labels, dtype=np.float32)  # exact up to 2^24 posts
    is_label, is_one, is_other = each[there // labels**2], each[there // labels % labels], each[there % labels]

    def macro_f1(answer: np.ndarray) -> np.ndarray:
        """`[RESAMPLES]` of one model's answers `[kinds, labels]`."""
        both = drawn @ (is_label * answer)
        either = drawn @ (is_label + answer)
        return np.divide(2 * both, either, out=np.zeros(both.shape), where=either > 0).mean(axis=1)

    difference = macro_f1(is_one) - macro_f1(is_other)
    low, high = np.quantile(difference, [level / 2, 1 - level / 2])
    return float(low), float(high)


def mcnemar(right: np.ndarray, other_right: np.ndarray) -> tuple[int, int, float]:
    """Whether one model is right more often than another on the same posts: McNemar's exact test, two-sided.

    Given is for each post whether a model gets it right. Gives how many posts only the one gets right, how many only
    the other, and how likely a split as uneven as this one is were both equally good, as either would then be right on
    half of them (McNemar 1947; Dietterich 1998).
    """
    only, only_other = int((right & ~other_right).sum()), int((~right & other_right).sum())
    p = float(binomtest(only, only + only_other).pvalue) if only + only_other else 1.0
    return only, only_other, float(f"{p:.3g}")
