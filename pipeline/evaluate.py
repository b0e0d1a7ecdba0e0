"""Stage 6, evaluate: the one look at the test split, for the classifier and the baseline alike.

    python -m pipeline.evaluate

The classifier is asked by way of the files that serve, so the figures are those of what is shipped; `network` is its
recurrent network alone, without the linear model's share. `reports/metrics.json` holds all figures. A folder per model
in `reports/evaluation/` holds its classification report, its confusion matrix and its prediction for each post;
`plots/` holds the curves, as tables and as pictures.
"""

import csv
import json
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import classification_report, confusion_matrix

from pipeline import cli, params
from pipeline.corpus import tables
from pipeline.metrics import calibration, classification, per_class, significance, slices
from pipeline.model import linear
from pipeline.model.classifier import Classifier, apply_temperature
from pipeline.report import charts

TEST = Path("data/split/test.parquet")
SPLIT = Path("reports/split.json")
MODELS = Path("models")
METRICS = Path("reports/metrics.json")
OUT = Path("reports/evaluation")
PLOTS = OUT / "plots"


def main() -> None:
    params.load()
    corpus = json.loads(SPLIT.read_text())["corpus"]
    ids, texts, names = (tables.read_column(TEST, name) for name in ("id", "text", "label"))
    classifier = Classifier(MODELS)
    labels = classifier.labels
    y_true = np.array([labels.index(name) for name in names])
    about = f"{len(ids):,} test posts of {corpus['source']}"
    if corpus["sample"]:
        about += ", a corpus for trying out"

    start = time.monotonic()
    with cli.progress_bar("asking the network", texts, "posts") as bar:
        network = classifier.network(texts, bar.update)
    beside = linear.load((MODELS / "baseline.safetensors").read_bytes())
    baseline = linear.predict_proba(beside, texts)
    unscaled = classifier.combined(network, baseline)
    answers = {"classifier": apply_temperature(unscaled, classifier.temperature)}
    if classifier.linear:
        answers["network"] = network
    answers["baseline"] = baseline
    asked = time.monotonic()

    shutil.rmtree(OUT, ignore_errors=True)
    for model, probabilities in answers.items():
        write_report(OUT / model, y_true, probabilities, labels, f"{model}, {about}")
        write_predictions(OUT / model / "predictions.csv", ids, y_true, probabilities, labels)
    lengths = np.array([len(encoding.ids) for encoding in beside.tokenizer.encode_batch_fast(texts)])
    sliced = slices.make_slices(texts, lengths, classifier.tokenizer)
    result = figures(y_true, answers, unscaled, classifier.temperature, labels, sliced)
    METRICS.write_text(json.dumps(result, indent=2) + "\n")
    draw(y_true, answers, unscaled, labels, result)
    print(f"evaluate: {about}; asked in {asked - start:.1f} s, reports made in {time.monotonic() - asked:.1f} s")


def figures(
    y_true: np.ndarray,
    answers: Mapping[str, np.ndarray],
    unscaled: np.ndarray,
    temperature: float,
    labels: list[str],
    sliced: Sequence[slices.Slice],
) -> dict[str, Any]:
    """All that `reports/metrics.json` holds; `answers` are the models' probabilities, each `[posts, labels]`."""
    y_pred = {model: probabilities.argmax(axis=1) for model, probabilities in answers.items()}
    right = {model: answer == y_true for model, answer in y_pred.items()}
    network_right = right.get("network", right["classifier"])
    only, only_baseline, p = significance.mcnemar_test(right["classifier"], right["baseline"])
    before = classification.classification_metrics(y_true, unscaled)
    difference = significance.bootstrap_f1_difference(
        y_true, y_pred["classifier"], y_pred["baseline"], len(labels), 0.05
    )
    return {
        "posts": len(y_true),
        **{
            model: classification.classification_metrics(y_true, probabilities)
            for model, probabilities in answers.items()
        },
        "mcnemar": {"only_classifier_right": only, "only_baseline_right": only_baseline, "p": p},
        "before_scaling": {"log_loss": before["log_loss"], "ece": before["ece"]},
        "temperature": temperature,
        # DVC leaves lists out where it compares figures: that stays short.
        "intervals": {
            model: significance.bootstrap_intervals(y_true, answer, len(labels)) for model, answer in y_pred.items()
        },
        "macro_f1_above_baseline": [round(end, classification.DECIMALS) for end in difference],
        "labels": per_class.per_class_metrics(y_true, answers["classifier"], labels),
        "slices": slices.slice_metrics(sliced, right["classifier"], right["baseline"]),
        "agreement": per_class.agreement(y_true, network_right, right["baseline"], labels),
    }


def draw(
    y_true: np.ndarray,
    answers: Mapping[str, np.ndarray],
    unscaled: np.ndarray,
    labels: list[str],
    result: Mapping[str, Any],
) -> None:
    """The curves of what `figures` gave, each as a table and a picture."""
    PLOTS.mkdir()
    curves = per_class.precision_recall_curves(y_true, answers["classifier"], labels)
    average = {row["label"]: row["average_precision"] for row in result["labels"]}
    write_table(PLOTS / "precision_recall.csv", series("label", curves))
    charts.plot_precision_recall(curves, average, PLOTS / "precision_recall.svg")

    named = {"before scaling": unscaled, "after scaling": answers["classifier"], "baseline": answers["baseline"]}
    bins = {name: calibration.reliability_bins(y_true, probabilities) for name, probabilities in named.items()}
    errors = dict(zip(bins, (result[at]["ece"] for at in ("before_scaling", "classifier", "baseline")), strict=True))
    write_table(PLOTS / "reliability.csv", series("answer", bins))
    charts.plot_reliability(bins, errors, PLOTS / "reliability.svg")

    covered = {model: calibration.coverage_curve(y_true, probabilities) for model, probabilities in answers.items()}
    write_table(PLOTS / "coverage.csv", series("model", covered))
    charts.plot_coverage(covered, PLOTS / "coverage.svg")

    rows = [{name: figure for name, figure in row.items() if name != "interval"} for row in result["slices"]]
    ends = [dict(zip(("low", "high"), row["interval"], strict=True)) for row in result["slices"]]
    write_table(PLOTS / "slices.csv", [row | end for row, end in zip(rows, ends, strict=True)])
    charts.plot_slices(result["slices"], PLOTS / "slices.svg")

    write_table(PLOTS / "agreement.csv", result["agreement"])
    charts.plot_agreement(result["agreement"], PLOTS / "agreement.svg")


def series(name: str, curves: Mapping[str, Sequence[Mapping[str, float]]]) -> list[dict[str, Any]]:
    """The rows of several curves, one after the other; a column says of which each is."""
    return [{name: curve} | dict(row) for curve, rows in curves.items() for row in rows]


def write_report(folder: Path, y_true: np.ndarray, probabilities: np.ndarray, labels: list[str], title: str) -> None:
    """scikit-learn's classification report as text and JSON, and the confusion matrix as a picture."""
    folder.mkdir(parents=True)
    y_pred = probabilities.argmax(axis=1)
    every = range(len(labels))
    ask = {"labels": every, "target_names": labels, "zero_division": 0}
    text = classification_report(y_true, y_pred, digits=4, **ask)
    (folder / "classification_report.txt").write_text(f"{title}\n\n{text}")
    as_json = classification_report(y_true, y_pred, output_dict=True, **ask)
    (folder / "classification_report.json").write_text(json.dumps(as_json, indent=2) + "\n")
    charts.plot_confusion_matrix(
        confusion_matrix(y_true, y_pred, labels=every), labels, title, folder / "confusion_matrix.svg"
    )


def write_predictions(
    path: Path, ids: list[str], y_true: np.ndarray, probabilities: np.ndarray, labels: list[str]
) -> None:
    """A row per post: its id, its label, the label predicted, and a probability per label."""
    rows = (
        {"id": id, "y_true": labels[label], "y_pred": labels[row.argmax()]}
        | {f"probability_{name}": f"{p:.6g}" for name, p in zip(labels, row, strict=True)}
        for id, label, row in zip(ids, y_true, probabilities, strict=True)
    )
    write_table(path, rows)


def write_table(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    rows = iter(rows)
    first = next(rows)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, first)
        writer.writeheader()
        writer.writerow(first)
        writer.writerows(rows)


if __name__ == "__main__":
    cli.run(main)
