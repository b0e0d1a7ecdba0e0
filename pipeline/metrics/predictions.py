"""Predictions as CSV: a row per example with its id, the true and the predicted label, and a probability per label."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.files import reading

ID, Y_TRUE, Y_PRED, PROBABILITY = "id", "y_true", "y_pred", "probability_"


class Predictions(NamedTuple):
    ids: list[str]
    labels: list[str]  # of the probabilities' columns
    y_true: np.ndarray  # int [examples], an index into labels
    y_pred: np.ndarray  # int [examples]
    y_proba: np.ndarray  # float [examples, classes]


def label_indices(names: Iterable[str], labels: Sequence[str]) -> np.ndarray:
    """The index into `labels` of each name. Raises KeyError for a name that is not among them."""
    index_of = {label: index for index, label in enumerate(labels)}
    return np.array([index_of[name] for name in names], dtype=int)


def to_rows(
    ids: Sequence[str], y_true: np.ndarray, y_proba: np.ndarray, labels: Sequence[str]
) -> Iterator[dict[str, str]]:
    """The rows of the CSV file; the predicted label is the most probable one."""
    for id, label, row in zip(ids, y_true, y_proba, strict=True):
        yield {ID: id, Y_TRUE: labels[label], Y_PRED: labels[row.argmax()]} | {
            f"{PROBABILITY}{name}": f"{p:.6g}" for name, p in zip(labels, row, strict=True)
        }


def read(path: Path) -> Predictions:
    """The predictions in a file. Raises UserError if it is damaged."""
    with path.open(newline="", encoding="utf-8") as file, reading(path):
        predictions = parse(file)
        if not predictions.ids:
            raise ValueError("it has no row")
    return predictions


def parse(lines: Iterable[str]) -> Predictions:
    """The predictions from the lines of a CSV file that has the rows of `to_rows`."""
    reader = csv.DictReader(lines)
    labels = [name.removeprefix(PROBABILITY) for name in reader.fieldnames or [] if name.startswith(PROBABILITY)]
    columns = [f"{PROBABILITY}{label}" for label in labels]
    ids, true_names, predicted_names, probabilities = [], [], [], []
    for row in reader:
        ids.append(row[ID])
        true_names.append(row[Y_TRUE])
        predicted_names.append(row[Y_PRED])
        probabilities.append([float(row[column]) for column in columns])
    return Predictions(
        ids,
        labels,
        label_indices(true_names, labels),
        label_indices(predicted_names, labels),
        np.array(probabilities).reshape(len(ids), len(labels)),
    )
