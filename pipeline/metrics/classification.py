"""Metrics of a classifier, all by scikit-learn."""

import numpy as np
from sklearn.metrics import accuracy_score, f1_score, log_loss

from pipeline.metrics import DECIMALS, calibration


def classification_metrics(y_true: np.ndarray, y_proba: np.ndarray) -> dict[str, float]:
    """Accuracy, macro F1, log loss (nats) and expected calibration error.

    `y_true` are class indices `[examples]`, `y_proba` probabilities `[examples, classes]`.
    """
    y_proba = y_proba.astype(float)
    y_proba /= y_proba.sum(axis=1, keepdims=True)  # float32 rows sum to 1 only up to the 7th decimal
    y_pred = y_proba.argmax(axis=1)
    classes = np.arange(y_proba.shape[1])
    macro_f1 = f1_score(y_true, y_pred, labels=classes, average="macro", zero_division=0)
    return {
        "accuracy": round(float(accuracy_score(y_true, y_pred)), DECIMALS),
        "macro_f1": round(float(macro_f1), DECIMALS),
        "log_loss": round(float(log_loss(y_true, y_proba, labels=classes)), DECIMALS),
        "ece": calibration.expected_calibration_error(y_true, y_proba),
    }


def per_class_f1(y_true: np.ndarray, y_pred: np.ndarray, n_classes: int) -> np.ndarray:
    """The F1 of each class, float `[classes]`; 0 for a class that is neither in `y_true` nor in `y_pred`."""
    return f1_score(y_true, y_pred, labels=np.arange(n_classes), average=None, zero_division=0)
