"""Metrics of a classifier, against values computed by hand."""

import math
import warnings

import numpy as np
import pytest
from sklearn.metrics import f1_score

from pipeline.metrics.classification import classification_metrics, per_class_f1


def test_metrics_are_those_computed_by_hand() -> None:
    y_true = np.array([0, 0, 1, 2])
    y_proba = np.array([[0.7, 0.2, 0.1], [0.2, 0.5, 0.3], [0.1, 0.8, 0.1], [0.3, 0.2, 0.5]])

    metrics = classification_metrics(y_true, y_proba)

    assert metrics["accuracy"] == 0.75
    # F1 of label 0: precision 1, recall 1/2; of label 1: precision 1/2, recall 1; of label 2: both 1.
    assert metrics["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3, abs=1e-6)
    assert metrics["log_loss"] == pytest.approx(-sum(map(math.log, (0.7, 0.2, 0.8, 0.5))) / 4, abs=1e-6)
    # Two examples have a confidence of 0.5, and one of them is correct: no error. The others are correct, with
    # confidences 0.2 and 0.3 below 1.
    assert metrics["ece"] == pytest.approx((0.2 + 0.3) / 4, abs=1e-6)


def test_f1_of_a_label_without_examples_and_predictions_counts_as_zero() -> None:
    metrics = classification_metrics(np.array([0, 1]), np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]]))

    assert metrics["macro_f1"] == pytest.approx(2 / 3, abs=1e-6)
    assert metrics["log_loss"] == pytest.approx(-math.log(0.8), abs=1e-6)


def test_rows_that_do_not_quite_sum_to_one_give_no_warning_and_are_unchanged() -> None:
    y_proba = np.array([[1 / 3, 1 / 3, 1 / 3 + 1e-4]] * 3, np.float32)
    before = y_proba.copy()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metrics = classification_metrics(np.array([0, 1, 2]), y_proba)

    assert metrics["log_loss"] == pytest.approx(math.log(3), abs=1e-4)
    assert (y_proba == before).all()


def test_metrics_are_rounded_python_floats() -> None:
    metrics = classification_metrics(np.array([0, 1, 1]), np.array([[0.6, 0.4]] * 3, np.float32))

    assert metrics["accuracy"] == 0.333333
    assert all(type(value) is float for value in metrics.values())


def test_per_class_f1_is_that_of_scikit_learn_for_each_label() -> None:
    rng = np.random.default_rng(1)
    y_true, y_pred = rng.integers(4, size=(2, 200))
    y_pred = np.where(rng.random(200) < 0.6, y_true, y_pred)

    f1 = per_class_f1(y_true, y_pred, 4)

    assert f1.tolist() == [f1_score(y_true == label, y_pred == label) for label in range(4)]
    assert len(set(f1.tolist())) == 4


def test_per_class_f1_of_a_label_without_examples_and_predictions_is_zero_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        f1 = per_class_f1(np.array([0, 0, 2, 2]), np.array([0, 2, 2, 2]), 5)

    assert f1.tolist() == pytest.approx([2 / 3, 0, 4 / 5, 0, 0])
