"""Figures, against ones worked out by hand."""

import math
import warnings

import numpy as np
import pytest
from sklearn.metrics import f1_score

from pipeline.metrics.classification import classification_metrics, per_class_f1


def test_figures_are_those_worked_out_by_hand() -> None:
    y_true = np.array([0, 0, 1, 2])
    probabilities = np.array([[0.7, 0.2, 0.1], [0.2, 0.5, 0.3], [0.1, 0.8, 0.1], [0.3, 0.2, 0.5]])

    told = classification_metrics(y_true, probabilities)

    assert told["accuracy"] == 0.75
    # F1 of label 0: precision 1, recall 1/2; of label 1: precision 1/2, recall 1; of label 2: all right.
    assert told["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3, abs=1e-6)
    assert told["log_loss"] == pytest.approx(-sum(map(math.log, (0.7, 0.2, 0.8, 0.5))) / 4, abs=1e-6)
    # Two posts of which it is sure by a half, one of them wrong: just as often right. The others are right, and 0.2 and
    # 0.3 short of it.
    assert told["ece"] == pytest.approx((0.2 + 0.3) / 4, abs=1e-6)


def test_a_label_that_nobody_has_and_nobody_gets_counts_as_zero() -> None:
    told = classification_metrics(np.array([0, 1]), np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]]))

    assert told["macro_f1"] == pytest.approx(2 / 3, abs=1e-6)
    assert told["log_loss"] == pytest.approx(-math.log(0.8), abs=1e-6)


def test_rows_that_sum_to_one_but_for_rounding_give_no_warning_and_stay_as_they_are() -> None:
    probabilities = np.array([[1 / 3, 1 / 3, 1 / 3 + 1e-4]] * 3, np.float32)
    before = probabilities.copy()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        told = classification_metrics(np.array([0, 1, 2]), probabilities)

    assert told["log_loss"] == pytest.approx(math.log(3), abs=1e-4)
    assert (probabilities == before).all()


def test_figures_are_rounded_plain_numbers() -> None:
    told = classification_metrics(np.array([0, 1, 1]), np.array([[0.6, 0.4]] * 3, np.float32))

    assert told["accuracy"] == 0.333333
    assert all(type(value) is float for value in told.values())


def test_f1_of_each_label_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    y_true, y_pred = rng.integers(4, size=(2, 200))
    y_pred = np.where(rng.random(200) < 0.6, y_true, y_pred)

    each = per_class_f1(y_true, y_pred, 4)

    assert each.tolist() == [f1_score(y_true == label, y_pred == label) for label in range(4)]
    assert len(set(each.tolist())) == 4


def test_f1_of_a_label_never_there_nor_predicted_is_0_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        each = per_class_f1(np.array([0, 0, 2, 2]), np.array([0, 2, 2, 2]), 5)

    assert each.tolist() == pytest.approx([2 / 3, 0, 4 / 5, 0, 0])
