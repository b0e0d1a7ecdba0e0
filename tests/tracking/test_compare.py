"""Two runs' predictions for the same examples: who is correct where, and the interval of the difference, B - A."""

from collections.abc import Sequence

import numpy as np
import pytest

from pipeline.metrics.predictions import Predictions
from pipeline.tracking.compare import describe_paired_test, differences, metric_row, paired_test

# Twenty examples of either label.
Y_TRUE = np.repeat([0, 1], 20)
EVERY = range(40)


def predict(*errors: int, labels: Sequence[str] = ("fruit", "pythön")) -> Predictions:
    """Predictions that are correct but for these examples."""
    y_pred = Y_TRUE.copy()
    y_pred[list(errors)] = 1 - y_pred[list(errors)]
    return Predictions([f"id-{row}" for row in EVERY], list(labels), Y_TRUE, y_pred, np.zeros((40, len(labels))))


def reorder(predicted: Predictions, rows: Sequence[int]) -> Predictions:
    ids = [predicted.ids[row] for row in rows]
    return predicted._replace(ids=ids, y_true=predicted.y_true[rows], y_pred=predicted.y_pred[rows])


def interval(a: Predictions, b: Predictions) -> list[float]:
    test = paired_test(a, b)
    assert isinstance(test, dict)
    return test["macro_f1_difference_interval"]


def test_examples_that_one_alone_classifies_correctly_are_counted() -> None:
    # A alone is correct on 3 and 4, B alone on 0, 1, 20, 21 and 22; neither is on 2.
    test = paired_test(predict(0, 1, 2, 20, 21, 22), predict(2, 3, 4))

    assert isinstance(test, dict)
    assert (test["examples"], test["only_a_correct"], test["only_b_correct"]) == (40, 2, 5)
    assert test["p_value"] == 0.453  # of seven coins two or fewer, or five or more: 2 * (1 + 7 + 21) / 2^7


def test_interval_is_of_bs_macro_f1_minus_as() -> None:
    # A classifier without errors has a macro F1 of 1, one with nothing but errors of 0, in every resample.
    assert interval(predict(*EVERY), predict()) == [1, 1]
    assert interval(predict(), predict(*EVERY)) == [-1, -1]
    assert interval(predict(3, 25), predict(3, 25)) == [0, 0]


def test_interval_contains_the_difference_and_is_on_its_side_of_zero() -> None:
    errors = (0, 1, 2, 3, 20, 21, 22, 23)  # eight of forty: A's macro F1 is 0.8, as is its accuracy

    low, high = interval(predict(*errors), predict())
    mirrored = interval(predict(), predict(*errors))

    assert 0 < low < 1 - 0.8 < high < 0.5
    assert mirrored == pytest.approx([-high, -low], abs=0.02)


def test_order_of_examples_and_of_labels_makes_no_difference() -> None:
    a, b = predict(0, 1, 25), predict(1, 30)
    other_labels = predict(1, 30, labels=("pythön", "fruit"))._replace(y_true=1 - b.y_true, y_pred=1 - b.y_pred)

    assert paired_test(reorder(a, EVERY[::-1]), b) == paired_test(a, reorder(b, EVERY[::-1])) == paired_test(a, b)
    assert paired_test(a, other_labels) == paired_test(a, b)


def test_label_that_no_example_has_and_one_run_predicts_counts() -> None:
    odd = predict(labels=("fruit", "pythön", "third"))
    odd.y_pred[0] = 2

    test = paired_test(odd, predict())

    assert isinstance(test, dict)
    assert (test["only_a_correct"], test["only_b_correct"]) == (0, 1)
    # In a resample without this example, as in one of three, the two are equally good.
    low, high = test["macro_f1_difference_interval"]
    assert low == 0 < high


@pytest.mark.parametrize(
    ("a", "b", "reason"),
    [
        (None, predict(), "not both were evaluated"),
        (predict(), None, "not both were evaluated"),
        (predict(), reorder(predict(), range(0)), "not both were evaluated"),
        (predict(), reorder(predict(), EVERY[1:]), "not evaluated on the same test examples"),
        (predict(), predict()._replace(y_true=np.zeros(40, int)), "not evaluated on the same test examples"),
    ],
    ids=["A has none", "B has none", "B is empty", "an example less", "other labels"],
)
def test_predictions_for_other_examples_are_not_paired(
    a: Predictions | None, b: Predictions | None, reason: str
) -> None:
    test = paired_test(a, b)

    assert isinstance(test, str)
    assert reason in test
    assert describe_paired_test(test) == test


def test_description_has_a_sign_for_both_ends_of_the_interval() -> None:
    test = {"examples": 1234, "only_a_correct": 10, "only_b_correct": 2, "p_value": 0.0386}

    assert describe_paired_test(test | {"macro_f1_difference_interval": [-0.1234, 0.00567]}) == (
        "Of 1,234 test examples 10 only A classifies correctly, 2 only B (McNemar's test, p = 0.039). "
        "Macro F1 of B - A: -0.1234 to +0.0057 (95% confidence interval)."
    )


def test_only_differences_are_listed_and_what_one_lacks_is_a_dash() -> None:
    assert differences({"a": "1", "b": "2"}, {"a": "1", "b": "3", "c": "4"}) == {"b": ["2", "3"], "c": ["-", "4"]}


@pytest.mark.parametrize(
    ("a", "b", "cells"),
    [
        (0.9, 0.95, ["0.9000", "0.9500", "+0.0500"]),
        (1.0, 0.5, ["1.0000", "0.5000", "-0.5000"]),
        (12612.0, 37508.0, ["12,612", "37,508", "+24,896"]),
    ],
)
def test_metrics_have_four_decimals_and_counts_none(a: float, b: float, cells: list[str]) -> None:
    assert metric_row("name", a, b) == ["name", *cells]
