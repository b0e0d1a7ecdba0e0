"""What is said of each label, against figures worked out by hand."""

import warnings

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from pipeline.metrics import per_class

LABELS = ["fruit", "pythön", "tree"]
ACTUAL = np.array([0, 0, 0, 1, 1])
# Taken for fruit are the first, the second and the fourth; nothing is taken for a tree.
PROBABILITIES = np.array([[0.8, 0.1, 0.1], [0.6, 0.3, 0.1], [0.1, 0.7, 0.2], [0.7, 0.2, 0.1], [0.1, 0.9, 0.0]])


def drawn(posts: int, labels: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.integers(labels, size=posts), rng.dirichlet(np.ones(labels), posts)


def test_the_figures_of_each_label_are_those_worked_out_by_hand() -> None:
    fruit, python, _ = per_class.per_class_metrics(ACTUAL, PROBABILITIES, LABELS)

    assert fruit == {
        "label": "fruit", "precision": 0.666667, "recall": 0.666667, "f1": 0.666667,
        # By its probability: right, wrong, right, right with a wrong one at the same: 1, 2/3 and 3/5, a third each.
        "average_precision": pytest.approx((1 + 2 / 3 + 3 / 5) / 3, abs=1e-6),
        "posts": 3,
    }  # fmt: skip
    assert python == {
        "label": "pythön", "precision": 0.5, "recall": 0.5, "f1": 0.5,
        "average_precision": pytest.approx((1 + 2 / 4) / 2, abs=1e-6),  # right, wrong, wrong, right
        "posts": 2,
    }  # fmt: skip


def test_a_label_without_a_post_has_zeros_and_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tree = per_class.per_class_metrics(ACTUAL, PROBABILITIES, LABELS)[2]
        curves = per_class.precision_recall_curves(ACTUAL, PROBABILITIES, LABELS)

    assert tree == {"label": "tree", "precision": 0, "recall": 0, "f1": 0, "average_precision": 0, "posts": 0}
    assert list(curves) == ["fruit", "pythön"]


def test_a_label_that_is_never_predicted_has_an_average_precision_all_the_same() -> None:
    # Its own post has most of the little that it gets.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tree = per_class.per_class_metrics(np.array([0, 0, 2]), PROBABILITIES[:3], LABELS)[2]

    assert tree == {"label": "tree", "precision": 0, "recall": 0, "f1": 0, "average_precision": 1, "posts": 1}


def test_the_figures_of_many_posts_are_those_counted_post_by_post() -> None:
    y_true, probabilities = drawn(300, 4)
    y_pred = probabilities.argmax(axis=1)

    rows = per_class.per_class_metrics(y_true, probabilities, ["a", "b", "c", "d"])

    for label, row in enumerate(rows):
        both = sum((y_true == label) & (y_pred == label))
        assert row["precision"] == round(both / sum(y_pred == label), 6)
        assert row["recall"] == round(both / sum(y_true == label), 6)
        assert row["f1"] == round(2 * both / (sum(y_true == label) + sum(y_pred == label)), 6)
        assert row["posts"] == sum(y_true == label)
        assert {type(value) for name, value in row.items() if name not in ("label", "posts")} == {float}


def test_a_curve_begins_with_all_posts_and_ends_with_none_and_is_that_of_every_line() -> None:
    curve = per_class.precision_recall_curves(ACTUAL, PROBABILITIES, LABELS)["fruit"]

    # Of at least 0.1 for fruit are all five posts, of 0.6 three, of 0.7 two, of 0.8 one.
    assert curve == [
        {"recall": 1.0, "precision": 0.6},
        {"recall": 0.666667, "precision": 0.666667},
        {"recall": 0.333333, "precision": 0.5},
        {"recall": 0.333333, "precision": 1.0},
        {"recall": 0.0, "precision": 1.0},
    ]


def test_a_curve_of_many_posts_has_no_more_points_than_can_be_seen_and_both_ends() -> None:
    y_true, probabilities = drawn(5000, 2)

    curves = per_class.precision_recall_curves(y_true, probabilities, ["a", "b"])

    for label, curve in enumerate(curves.values()):
        recall = [row["recall"] for row in curve]
        assert len(curve) == per_class.POINTS
        assert recall == sorted(recall, reverse=True)
        assert curve[0] == {"recall": 1.0, "precision": pytest.approx((y_true == label).mean(), abs=1e-3)}
        assert curve[-1] == {"recall": 0.0, "precision": 1.0}
        # The steps of the whole curve and of its points hold about the same.
        area = -sum(row["precision"] * step for row, step in zip(curve, np.diff(recall), strict=False))
        assert area == pytest.approx(average_precision_score(y_true == label, probabilities[:, label]), abs=0.02)


def test_agreement_is_that_counted_by_hand() -> None:
    network = np.array([True, True, False, False, True])
    baseline = np.array([True, False, True, False, False])

    assert per_class.agreement(ACTUAL, network, baseline, LABELS) == [
        {"label": "fruit", "posts": 3, "both": 1, "only_network": 1, "only_baseline": 1, "neither": 0},
        {"label": "pythön", "posts": 2, "both": 0, "only_network": 1, "only_baseline": 0, "neither": 1},
        {"label": "tree", "posts": 0, "both": 0, "only_network": 0, "only_baseline": 0, "neither": 0},
    ]


def test_agreement_adds_up_to_the_posts() -> None:
    rng = np.random.default_rng(1)
    y_true, network, baseline = rng.integers(5, size=400), rng.random(400) < 0.7, rng.random(400) < 0.6

    rows = per_class.agreement(y_true, network, baseline, list("abcde"))

    assert [sum(row[kind] for kind in ("both", "only_network", "only_baseline", "neither")) for row in rows] == [
        row["posts"] for row in rows
    ]
    assert sum(row["posts"] for row in rows) == 400
    assert sum(row["both"] + row["only_network"] for row in rows) == network.sum()
    assert sum(row["both"] + row["only_baseline"] for row in rows) == baseline.sum()
    assert {type(value) for row in rows for name, value in row.items() if name != "label"} == {int}
