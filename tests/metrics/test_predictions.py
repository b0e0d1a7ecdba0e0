"""Predictions as CSV: what is written is read again, whatever the ids and labels are."""

import csv
import io

import numpy as np
import pytest

from pipeline.metrics import predictions

LABELS = ['a, "b"\nc', "pythön", "probability_"]


def to_csv(rows: list[dict[str, str]]) -> str:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, rows[0])
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def test_predictions_are_read_as_they_were_written() -> None:
    ids = ["1,\n2", '"3"', "Größe"]
    y_true, y_proba = np.array([0, 1, 2]), np.array([[0.5, 0.25, 0.25], [0.125, 0.25, 0.625], [0.0, 0.75, 0.25]])

    text = to_csv(list(predictions.to_rows(ids, y_true, y_proba, LABELS)))
    parsed = predictions.parse(io.StringIO(text, newline=""))

    assert parsed.ids == ids
    assert parsed.labels == LABELS
    assert parsed.y_true.tolist() == [0, 1, 2]
    assert parsed.y_pred.tolist() == [0, 2, 1]
    assert parsed.y_proba.tolist() == y_proba.tolist()


def test_row_has_the_predicted_label_and_six_digits_of_each_probability() -> None:
    (row,) = predictions.to_rows(["x"], np.array([1]), np.array([[1 / 3, 2 / 3]], np.float32), ["no", "yes"])

    assert row == {
        "id": "x", "y_true": "yes", "y_pred": "yes", "probability_no": "0.333333", "probability_yes": "0.666667"
    }  # fmt: skip


def test_file_with_a_header_alone_has_no_predictions() -> None:
    parsed = predictions.parse(["id,y_true,y_pred,probability_a,probability_b\r\n"])

    assert (parsed.ids, parsed.labels) == ([], ["a", "b"])
    assert (len(parsed.y_true), len(parsed.y_pred), parsed.y_proba.shape) == (0, 0, (0, 2))


def test_label_indices_are_those_of_the_labels() -> None:
    indices = predictions.label_indices(["b", "a", "b"], ["a", "b", "c"])

    assert indices.tolist() == [1, 0, 1]
    assert indices.dtype.kind == "i"


def test_unknown_label_is_an_error() -> None:
    with pytest.raises(KeyError, match="nobody"):
        predictions.label_indices(["a", "nobody"], ["a", "b"])
