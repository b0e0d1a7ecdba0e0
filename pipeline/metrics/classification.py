"""Figures of a classifier's predictions, all by scikit-learn."""

import numpy as np
from sklearn.metrics import accuracy_score, f1_score, log_loss

from pipeline.metrics import calibration

DECIMALS = 6  # of what is written: more would differ between machines and mean nothing


def classification_metrics(y_true: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """Accuracy, macro F1, log loss (nats) and expected calibration error of `probabilities` `[posts, labels]`.

    `actual` are label indices.
    """
    probabilities = probabilities.astype(float)
    probabilities /= probabilities.sum(axis=1, keepdims=True)  # float32 rows sum to 1 but for the 7th decimal
    y_pred = probabilities.argmax(axis=1)
    labels = np.arange(probabilities.shape[1])
    return {
        "accuracy": round(float(accuracy_score(y_true, y_pred)), DECIMALS),
        "macro_f1": round(float(f1_score(y_true, y_pred, labels=labels, average="macro", zero_division=0)), DECIMALS),
        "log_loss": round(float(log_loss(y_true, probabilities, labels=labels)), DECIMALS),
        "ece": calibration.expected_calibration_error(y_true, probabilities),
    }


def per_class_f1(y_true: np.ndarray, y_pred: np.ndarray, labels: int) -> np.ndarray:
    """F1 of each of so many labels, float `[labels]`; 0 where a label was neither there nor predicted."""
    return f1_score(y_true, y_pred, labels=np.arange(labels), average=None, zero_division=0)
