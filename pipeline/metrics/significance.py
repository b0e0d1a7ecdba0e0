"""How much of a figure, or of a difference, is luck of the posts it was measured on: intervals, and McNemar's test.

For an interval, posts are drawn anew with replacement, `RESAMPLES` times, and of the figures that result the share
`level / 2` is cut off at either end: the bootstrap of Efron & Tibshirani 1993, chapters 8 and 13. All that counts of a
post is its label and the answers to it, so what is drawn is how many posts of each such kind there are.
"""

from collections.abc import Iterator

import numpy as np

RESAMPLES = 10_000
BLOCK = 500  # of them at once: there can be thousands of kinds
DECIMALS = 6


def bootstrap_intervals(
    y_true: np.ndarray, y_pred: np.ndarray, labels: int, level: float = 0.05, seed: int = 1
) -> dict[str, list[float]]:
    """The intervals of accuracy and macro F1, `[low, high]` each; `actual` and `predicted` are label indices."""
    kinds, draws = resample(y_true * labels + y_pred, seed)
    label, answer = kinds // labels, kinds % labels
    figures: dict[str, list[np.ndarray]] = {"accuracy": [], "macro_f1": []}
    for drawn in draws:
        figures["accuracy"].append(drawn @ (label == answer).astype(np.float32) / len(y_true))
        figures["macro_f1"].append(macro_f1(drawn, label, answer, labels))
    return {
        name: [round(float(end), DECIMALS) for end in ends(np.concatenate(figure), level)]
        for name, figure in figures.items()
    }


def bootstrap_f1_difference(
    y_true: np.ndarray, y_pred: np.ndarray, other: np.ndarray, labels: int, level: float, seed: int = 1
) -> tuple[float, float]:
    """The interval of the macro F1 of `predicted` less that of `other`, on the same posts; all are label indices."""
    kinds, draws = resample((y_true * labels + y_pred) * labels + other, seed)
    label, one, other = kinds // labels**2, kinds // labels % labels, kinds % labels
    differences = [macro_f1(drawn, label, one, labels) - macro_f1(drawn, label, other, labels) for drawn in draws]
    low, high = ends(np.concatenate(differences), level)
    return float(low), float(high)


def resample(kinds: np.ndarray, seed: int) -> tuple[np.ndarray, Iterator[np.ndarray]]:
    """The kinds of posts there are, and how many of each are drawn, in blocks of float32 `[BLOCK, kinds]`.

    Exact up to 2^24 posts.
    """
    there, counts = np.unique(kinds, return_counts=True)
    rng, shares = np.random.default_rng(seed), counts / len(kinds)
    blocks = range(RESAMPLES // BLOCK)
    return there, (rng.multinomial(len(kinds), shares, BLOCK).astype(np.float32) for _ in blocks)


def macro_f1(drawn: np.ndarray, label: np.ndarray, answer: np.ndarray, labels: int) -> np.ndarray:
    """`[BLOCK]` of a model that gives each kind of post with that label that answer."""
    each = np.eye(labels, dtype=np.float32)
    both = drawn @ (each[label] * each[answer])
    either = drawn @ (each[label] + each[answer])
    return np.divide(2 * both, either, out=np.zeros(both.shape), where=either > 0).mean(axis=1)


def ends(figure: np.ndarray, level: float) -> np.ndarray:
    return np.quantile(figure, [level / 2, 1 - level / 2])


def mcnemar_test(right: np.ndarray, other_right: np.ndarray) -> tuple[int, int, float]:
    """Whether one model is right more often than another on the same posts: McNemar's exact test, two-sided.

    Given is for each post whether a model gets it right. Gives how many posts only the one gets right, how many only
    the other, and how likely a split as uneven as this one is were both equally good, as either would then be right on
    half of them (McNemar 1947; Dietterich 1998).
    """
    from scipy.stats import binomtest  # here, as it takes a second that intervals need not wait

    only, only_other = int((right & ~other_right).sum()), int((~right & other_right).sum())
    p = float(binomtest(only, only + only_other).pvalue) if only + only_other else 1.0
    return only, only_other, float(f"{p:.3g}")
