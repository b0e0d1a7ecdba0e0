"""Stage 8, plot: draw the charts of the training and the evaluation.

    python -m pipeline.plot

Reads the tables that `train` and `evaluate` wrote, and draws `reports/plots/*.svg`. It is a stage of its own, so that a
change of a chart trains and evaluates nothing again.
"""

import shutil
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import cli, params
from pipeline.files import read_csv, read_json, reading
from pipeline.metrics import predictions
from pipeline.report import charts

REPORTS = Path("reports")
CURVES = REPORTS / "evaluation/curves"
OUT = REPORTS / "plots"


def main() -> None:
    params.load()
    shutil.rmtree(OUT, ignore_errors=True)
    metrics = read_json(REPORTS / "metrics.json")
    plot_training()
    for model, name in {"classifier": "confusion_matrix", "baseline": "confusion_matrix_baseline"}.items():
        plot_confusion_matrix(model, OUT / f"{name}.svg")
    plot_curves(metrics)
    charts.plot_slices(metrics["slices"], OUT / "slices.svg")
    charts.plot_agreement(metrics["agreement"], OUT / "agreement.svg")
    print(f"plot: {len(list(OUT.iterdir()))} charts in {OUT}")


def plot_training() -> None:
    with reading(REPORTS / "history.csv"):
        history = [{name: float(value) for name, value in row.items()} for row in read_csv(REPORTS / "history.csv")]
    best_epoch = read_json(REPORTS / "train.json")["best_epoch"]
    charts.plot_history(history, best_epoch, OUT / "history.svg")
    with reading(REPORTS / "gradients.csv"):
        gradients = read_csv(REPORTS / "gradients.csv")
        curves = {f"{when} training": [float(row[when]) for row in gradients] for when in ("before", "after")}
    charts.plot_gradients(curves, "Gradient norm by time step", OUT / "gradients.svg")


def plot_confusion_matrix(model: str, path: Path) -> None:
    predicted = predictions.read(REPORTS / "evaluation" / model / "predictions.csv")
    matrix = np.zeros((len(predicted.labels), len(predicted.labels)), int)
    np.add.at(matrix, (predicted.y_true, predicted.y_pred), 1)
    source = read_json(REPORTS / "split.json")["corpus"]["source"]
    title = f"{model}, {len(predicted.ids):,} test examples of {source}"
    charts.plot_confusion_matrix(matrix, predicted.labels, title, path)


def plot_curves(metrics: Mapping[str, Any]) -> None:
    average_precision = {row["label"]: row["average_precision"] for row in metrics["per_class"]}
    charts.plot_precision_recall(
        read_curves("precision_recall", "label"), average_precision, OUT / "precision_recall.svg"
    )
    bins = read_curves("reliability", "probabilities")
    ece = [metrics[name]["ece"] for name in ("uncalibrated", "classifier", "baseline")]
    charts.plot_reliability(bins, dict(zip(bins, ece, strict=True)), OUT / "reliability.svg")
    charts.plot_coverage(read_curves("coverage", "model"), OUT / "coverage.svg")


def read_curves(name: str, column: str) -> dict[str, list[dict[str, float]]]:
    """The curves of a table in which `column` names the curve of each row."""
    with reading(CURVES / f"{name}.csv"):
        if not (rows := read_csv(CURVES / f"{name}.csv")):
            raise ValueError("it has no row")
        return {
            curve: [{key: float(value) for key, value in row.items() if key != column} for row in group]
            for curve, group in groupby(rows, key=lambda row: row[column])
        }


if __name__ == "__main__":
    cli.run(main)
