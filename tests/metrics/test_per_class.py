"""Metrics and curves of each class, against values computed by hand."""

import warnings

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from pipeline.metrics import per_class

LABELS = ["fruit", "pythön", "tree"]
Y_TRUE = np.array([0, 0, 0, 1, 1])
# The first, second and fourth are predicted to be fruit, none to be a tree.
Y_PROBA = np.array([[0.8, 0.1, 0.1], [0.6, 0.3, 0.1], [0.1, 0.7, 0.2], [0.7, 0.2, 0.1], [0.1, 0.9, 0.0]])


def random_predictions(n_examples: int, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.integers(n_classes, size=n_examples), rng.dirichlet(np.ones(n_classes), n_examples)


def test_metrics_of_each_class_are_those_computed_by_hand() -> None:
    fruit, python, _ = per_class.per_class_metrics(Y_TRUE, Y_PROBA, LABELS)

    assert fruit == {
        "label": "fruit", "precision": 0.666667, "recall": 0.666667, "f1": 0.666667,
        # By probability: fruit, not, fruit, then fruit and not at the same: precisions 1, 2/3 and 3/5, a third each.
        "average_precision": pytest.approx((1 + 2 / 3 + 3 / 5) / 3, abs=1e-6),
        "support": 3,
    }  # fmt: skip
    assert python == {
        "label": "pythön", "precision": 0.5, "recall": 0.5, "f1": 0.5,
        "average_precision": pytest.approx((1 + 2 / 4) / 2, abs=1e-6),  # pythön, not, not, pythön
        "support": 2,
    }  # fmt: skip


def test_class_without_examples_has_zeros_and_no_curve_and_gives_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tree = per_class.per_class_metrics(Y_TRUE, Y_PROBA, LABELS)[2]
        curves = per_class.precision_recall_curves(Y_TRUE, Y_PROBA, LABELS)

    assert tree == {"label": "tree", "precision": 0, "recall": 0, "f1": 0, "average_precision": 0, "support": 0}
    assert list(curves) == ["fruit", "pythön"]


def test_class_that_is_never_predicted_has_an_average_precision() -> None:
    # Its own example has the highest of its low probabilities.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tree = per_class.per_class_metrics(np.array([0, 0, 2]), Y_PROBA[:3], LABELS)[2]

    assert tree == {"label": "tree", "precision": 0, "recall": 0, "f1": 0, "average_precision": 1, "support": 1}


def test_metrics_of_many_examples_are_those_counted_by_their_definition() -> None:
    y_true, y_proba = random_predictions(300, 4)
    y_pred = y_proba.argmax(axis=1)

    rows = per_class.per_class_metrics(y_true, y_proba, ["a", "b", "c", "d"])

    for label, row in enumerate(rows):
        true_positives = sum((y_true == label) & (y_pred == label))
        assert row["precision"] == round(true_positives / sum(y_pred == label), 6)
        assert row["recall"] == round(true_positives / sum(y_true == label), 6)
        assert row["f1"] == round(2 * true_positives / (sum(y_true == label) + sum(y_pred == label)), 6)
        assert row["support"] == sum(y_true == label)
        assert {type(value) for name, value in row.items() if name not in ("label", "support")} == {float}


def test_curve_begins_with_all_examples_ends_with_none_and_has_every_threshold() -> None:
    curve = per_class.precision_recall_curves(Y_TRUE, Y_PROBA, LABELS)["fruit"]

    # All five have at least 0.1 for fruit, three at least 0.6, two at least 0.7, one 0.8.
    assert curve == [
        {"recall": 1.0, "precision": 0.6},
        {"recall": 0.666667, "precision": 0.666667},
        {"recall": 0.333333, "precision": 0.5},
        {"recall": 0.333333, "precision": 1.0},
        {"recall": 0.0, "precision": 1.0},
    ]


def test_curve_of_many_examples_is_thinned_and_keeps_its_ends_and_its_area() -> None:
    y_true, y_proba = random_predictions(5000, 2)

    curves = per_class.precision_recall_curves(y_true, y_proba, ["a", "b"])

    for label, curve in enumerate(curves.values()):
        recall = [row["recall"] for row in curve]
        assert len(curve) == per_class.MAX_POINTS
        assert recall == sorted(recall, reverse=True)
        assert curve[0] == {"recall": 1.0, "precision": pytest.approx((y_true == label).mean(), abs=1e-3)}
        assert curve[-1] == {"recall": 0.0, "precision": 1.0}
        area = -sum(row["precision"] * step for row, step in zip(curve, np.diff(recall), strict=False))
        assert area == pytest.approx(average_precision_score(y_true == label, y_proba[:, label]), abs=0.02)


def test_agreement_is_that_counted_by_hand() -> None:
    network = np.array([True, True, False, False, True])
    baseline = np.array([True, False, True, False, False])

    assert per_class.network_baseline_agreement(Y_TRUE, network, baseline, LABELS) == [
        {"label": "fruit", "examples": 3, "both": 1, "only_network": 1, "only_baseline": 1, "neither": 0},
        {"label": "pythön", "examples": 2, "both": 0, "only_network": 1, "only_baseline": 0, "neither": 1},
        {"label": "tree", "examples": 0, "both": 0, "only_network": 0, "only_baseline": 0, "neither": 0},
    ]


def test_agreement_adds_up_to_the_examples() -> None:
    rng = np.random.default_rng(1)
    y_true, network, baseline = rng.integers(5, size=400), rng.random(400) < 0.7, rng.random(400) < 0.6

    rows = per_class.network_baseline_agreement(y_true, network, baseline, list("abcde"))

    assert [sum(row[kind] for kind in ("both", "only_network", "only_baseline", "neither")) for row in rows] == [
        row["examples"] for row in rows
    ]
    assert sum(row["examples"] for row in rows) == 400
    assert sum(row["both"] + row["only_network"] for row in rows) == network.sum()
    assert sum(row["both"] + row["only_baseline"] for row in rows) == baseline.sum()
    assert {type(value) for row in rows for name, value in row.items() if name != "label"} == {int}
