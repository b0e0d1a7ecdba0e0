"""Figures of a classifier's predictions, all by scikit-learn."""

import numpy as np
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, f1_score, log_loss

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


def mcnemar(right: np.ndarray, other_right: np.ndarray) -> tuple[int, int, float]:
    """Whether one model is right more often than another on the same posts: McNemar's exact test, two-sided.

    Given is for each post whether a model gets it right. Gives how many posts only the one gets right, how many only
    the other, and how likely a split as uneven as this one is were both equally good, as either would then be right on
    half of them (McNemar 1947; Dietterich 1998).
    """
    only, only_other = int((right & ~other_right).sum()), int((~right & other_right).sum())
    p = float(binomtest(only, only + only_other).pvalue) if only + only_other else 1.0
    return only, only_other, float(f"{p:.3g}")
