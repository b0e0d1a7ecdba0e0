"""Metrics of each class."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, precision_recall_curve, precision_recall_fscore_support

from pipeline.metrics import DECIMALS

MAX_POINTS = 200  # of a curve


def per_class_metrics(y_true: np.ndarray, y_proba: np.ndarray, labels: Sequence[str]) -> list[dict[str, Any]]:
    """A row per class: precision, recall, F1, average precision and support; undefined values are 0.

    `y_true` are class indices `[examples]`, `y_proba` probabilities `[examples, classes]`.
    """
    classes = range(len(labels))
    columns = precision_recall_fscore_support(y_true, y_proba.argmax(axis=1), labels=classes, zero_division=0)
    rows = []
    for label, precision, recall, f1, support in zip(classes, *columns, strict=True):
        average_precision = average_precision_score(y_true == label, y_proba[:, label]) if support else 0
        values = {"precision": precision, "recall": recall, "f1": f1, "average_precision": average_precision}
        rows.append(
            {"label": labels[label]}
            | {name: round(float(value), DECIMALS) for name, value in values.items()}
            | {"support": int(support)}
        )
    return rows


def precision_recall_curves(
    y_true: np.ndarray, y_proba: np.ndarray, labels: Sequence[str]
) -> dict[str, list[dict[str, float]]]:
    """A curve of up to `MAX_POINTS` points for each class that has examples."""
    curves = {}
    for label, name in enumerate(labels):
        if not (y_true == label).any():
            continue
        precision, recall, _ = precision_recall_curve(y_true == label, y_proba[:, label])
        points = np.unique(np.linspace(0, len(recall) - 1, MAX_POINTS).astype(int))
        curves[name] = [
            {"recall": round(float(recall[point]), DECIMALS), "precision": round(float(precision[point]), DECIMALS)}
            for point in points
        ]
    return curves


def network_baseline_agreement(
    y_true: np.ndarray, network_correct: np.ndarray, baseline_correct: np.ndarray, labels: Sequence[str]
) -> list[dict[str, Any]]:
    """A row per class: how many of its examples both models classify correctly, only one of them, and neither."""
    masks = {
        "both": network_correct & baseline_correct,
        "only_network": network_correct & ~baseline_correct,
        "only_baseline": ~network_correct & baseline_correct,
        "neither": ~network_correct & ~baseline_correct,
    }
    return [
        {"label": name, "examples": int((y_true == label).sum())}
        | {kind: int((mask & (y_true == label)).sum()) for kind, mask in masks.items()}
        for label, name in enumerate(labels)
    ]
