"""Confidence intervals and tests: how much of a metric, or of a difference, is due to the choice of test examples.

Intervals are percentile bootstrap intervals (Efron & Tibshirani 1993, chapters 8 and 13) with `RESAMPLES` resamples. A
metric needs only the true and the predicted labels of an example, so the counts of each combination of these labels
are resampled from a multinomial distribution, which is equivalent and faster.
"""

from collections.abc import Iterator

import numpy as np

from pipeline.metrics import DECIMALS

RESAMPLES = 10_000
BLOCK = 500  # resamples at a time, as there can be thousands of combinations


def bootstrap_intervals(
    y_true: np.ndarray, y_pred: np.ndarray, n_classes: int, level: float = 0.05, seed: int = 1
) -> dict[str, list[float]]:
    """The confidence intervals `[low, high]` of accuracy and macro F1, at confidence 1 - `level`."""
    combinations, blocks = resample(y_true * n_classes + y_pred, seed)
    true, predicted = combinations // n_classes, combinations % n_classes
    values: dict[str, list[np.ndarray]] = {"accuracy": [], "macro_f1": []}
    for counts in blocks:
        values["accuracy"].append(counts @ (true == predicted).astype(np.float32) / len(y_true))
        values["macro_f1"].append(macro_f1(counts, true, predicted, n_classes))
    return {
        name: [round(float(end), DECIMALS) for end in percentile_interval(np.concatenate(arrays), level)]
        for name, arrays in values.items()
    }


def bootstrap_f1_difference(
    y_true: np.ndarray, y_pred: np.ndarray, y_pred_other: np.ndarray, n_classes: int, level: float, seed: int = 1
) -> tuple[float, float]:
    """The confidence interval of the difference in macro F1 of two classifiers on the same examples (first - other)."""
    combinations, blocks = resample((y_true * n_classes + y_pred) * n_classes + y_pred_other, seed)
    true = combinations // n_classes**2
    predicted, predicted_other = combinations // n_classes % n_classes, combinations % n_classes
    differences = [
        macro_f1(counts, true, predicted, n_classes) - macro_f1(counts, true, predicted_other, n_classes)
        for counts in blocks
    ]
    low, high = percentile_interval(np.concatenate(differences), level)
    return float(low), float(high)


def resample(combinations: np.ndarray, seed: int) -> tuple[np.ndarray, Iterator[np.ndarray]]:
    """The distinct combinations, and their counts in each resample, in blocks of float32 `[BLOCK, combinations]`.

    Exact up to 2^24 examples.
    """
    distinct, counts = np.unique(combinations, return_counts=True)
    rng, shares = np.random.default_rng(seed), counts / len(combinations)
    blocks = range(RESAMPLES // BLOCK)
    return distinct, (rng.multinomial(len(combinations), shares, BLOCK).astype(np.float32) for _ in blocks)


def macro_f1(counts: np.ndarray, true: np.ndarray, predicted: np.ndarray, n_classes: int) -> np.ndarray:
    """The macro F1 of each resample `[BLOCK]`; `true` and `predicted` are the labels of each combination."""
    one_hot = np.eye(n_classes, dtype=np.float32)
    true_positives = counts @ (one_hot[true] * one_hot[predicted])
    total = counts @ (one_hot[true] + one_hot[predicted])
    f1 = np.divide(2 * true_positives, total, out=np.zeros(total.shape), where=total > 0)
    return f1.mean(axis=1)


def percentile_interval(values: np.ndarray, level: float) -> np.ndarray:
    return np.quantile(values, [level / 2, 1 - level / 2])


def mcnemar_test(correct: np.ndarray, other_correct: np.ndarray) -> tuple[int, int, float]:
    """McNemar's exact test, two-sided, of two classifiers on the same examples (McNemar 1947; Dietterich 1998).

    `correct` and `other_correct` are bool `[examples]`. Returns how many examples only the first classifies correctly,
    how many only the other, and the p value: the probability of a split at least as uneven if both are equally good.
    """
    from scipy.stats import binomtest  # not at the top: it takes a second to import

    only, only_other = int((correct & ~other_correct).sum()), int((~correct & other_correct).sum())
    p_value = float(binomtest(only, only + only_other).pvalue) if only + only_other else 1.0
    return only, only_other, float(f"{p_value:.3g}")
