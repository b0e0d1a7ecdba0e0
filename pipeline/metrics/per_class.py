"""What an evaluation says of each label."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, precision_recall_curve, precision_recall_fscore_support

POINTS = 200  # of a curve
DECIMALS = 6


def per_class_metrics(y_true: np.ndarray, probabilities: np.ndarray, labels: Sequence[str]) -> list[dict[str, Any]]:
    """A row per label: precision, recall, F1, average precision, posts; 0 where there is nothing to divide by.

    `probabilities` are `[posts, labels]`, `actual` label indices.
    """
    every = range(len(labels))
    of_label = precision_recall_fscore_support(y_true, probabilities.argmax(axis=1), labels=every, zero_division=0)
    rows = []
    for label, precision, recall, f1, posts in zip(every, *of_label, strict=True):
        average = average_precision_score(y_true == label, probabilities[:, label]) if posts else 0
        named = {"precision": precision, "recall": recall, "f1": f1, "average_precision": average}
        rows.append(
            {"label": labels[label]}
            | {name: round(float(figure), DECIMALS) for name, figure in named.items()}
            | {"posts": int(posts)}
        )
    return rows


def precision_recall_curves(
    y_true: np.ndarray, probabilities: np.ndarray, labels: Sequence[str]
) -> dict[str, list[dict[str, float]]]:
    """A curve per label that has posts, of up to `POINTS` points, each a probability at which a line is drawn."""
    curves = {}
    for label, name in enumerate(labels):
        if not (y_true == label).any():
            continue
        precision, recall, _ = precision_recall_curve(y_true == label, probabilities[:, label])
        rows = np.unique(np.linspace(0, len(recall) - 1, POINTS).astype(int))
        curves[name] = [
            {"recall": round(float(recall[row]), DECIMALS), "precision": round(float(precision[row]), DECIMALS)}
            for row in rows
        ]
    return curves


def agreement(
    y_true: np.ndarray, network_right: np.ndarray, baseline_right: np.ndarray, labels: Sequence[str]
) -> list[dict[str, Any]]:
    """A row per label: how many of its posts both get right, the network alone, the baseline alone, and neither."""
    who = {
        "both": network_right & baseline_right,
        "only_network": network_right & ~baseline_right,
        "only_baseline": ~network_right & baseline_right,
        "neither": ~network_right & ~baseline_right,
    }
    return [
        {"label": name, "posts": int((y_true == label).sum())}
        | {kind: int((posts & (y_true == label)).sum()) for kind, posts in who.items()}
        for label, name in enumerate(labels)
    ]
