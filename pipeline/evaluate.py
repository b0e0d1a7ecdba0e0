"""Stage 6, evaluate: evaluate classifier, network and baseline on the test split, the only stage that does.

    python -m pipeline.evaluate

The classifier is loaded from the files that serve, so the metrics are those of what is shipped. If it is an ensemble,
`network` is its recurrent network alone. `reports/metrics.json` holds all metrics. `reports/evaluation/` has a folder
per model with its predictions and its classification report, and `curves/` with the tables of the plots.
"""

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import classification_report

from pipeline import cli, files, params
from pipeline.corpus import tables
from pipeline.metrics import DECIMALS, calibration, classification, per_class, predictions, significance, slices
from pipeline.model import linear
from pipeline.model.classifier import Classifier, apply_temperature

TEST = Path("data/split/test.parquet")
SPLIT = Path("reports/split.json")
MODELS = Path("models")
METRICS = Path("reports/metrics.json")
OUT = Path("reports/evaluation")
CURVES = OUT / "curves"
LEVEL = 0.05  # of the confidence intervals


@dataclass(frozen=True)
class Evaluation:
    """The test labels, and what each model predicts for them."""

    labels: list[str]
    y_true: np.ndarray  # int [examples]
    y_proba: dict[str, np.ndarray]  # by model: classifier, network (of an ensemble), baseline; [examples, classes]
    uncalibrated: np.ndarray  # [examples, classes]: the classifier's, before temperature scaling
    network_weight: float
    temperature: float

    @property
    def y_pred(self) -> dict[str, np.ndarray]:
        return {model: y_proba.argmax(axis=1) for model, y_proba in self.y_proba.items()}

    @property
    def correct(self) -> dict[str, np.ndarray]:
        return {model: y_pred == self.y_true for model, y_pred in self.y_pred.items()}


def main() -> None:
    params.load()
    ids, texts, names = (tables.read_column(TEST, name) for name in ("id", "text", "label"))
    classifier = Classifier(MODELS)
    baseline = linear.load((MODELS / "baseline.safetensors").read_bytes())

    start = time.monotonic()
    evaluation = predict(classifier, baseline, texts, names)
    predicted = time.monotonic()
    lengths = np.array([len(encoding.ids) for encoding in baseline.tokenizer.encode_batch_fast(texts)])
    metrics = compute_metrics(evaluation, slices.make_slices(texts, lengths, classifier.tokenizer))
    files.write_json(METRICS, metrics)

    shutil.rmtree(OUT, ignore_errors=True)
    corpus = files.read_json(SPLIT)["corpus"]
    title = f"{len(ids):,} test examples of {corpus['source']}"
    for model, y_proba in evaluation.y_proba.items():
        write_predictions(OUT / model, ids, evaluation, y_proba)
        write_report(OUT / model, f"{model}, {title}", evaluation, y_proba)
    write_curves(evaluation, metrics)
    print(
        f"evaluate: {title}; predictions in {predicted - start:.1f} s, metrics in {time.monotonic() - predicted:.1f} s"
    )


def predict(classifier: Classifier, baseline: linear.LinearModel, texts: list[str], names: Sequence[str]) -> Evaluation:
    """The predictions of all models for texts with these labels."""
    with cli.progress_bar("predictions", texts, "examples") as bar:
        network = classifier.predict_network_proba(texts, bar.update)
    baseline_proba = linear.predict_proba(baseline, texts)
    uncalibrated = classifier.ensemble(network, baseline_proba)
    y_proba = {"classifier": apply_temperature(uncalibrated, classifier.temperature)}
    if classifier.baseline:
        y_proba["network"] = network
    y_proba["baseline"] = baseline_proba
    y_true = predictions.label_indices(names, classifier.labels)
    return Evaluation(
        classifier.labels, y_true, y_proba, uncalibrated, classifier.network_weight, classifier.temperature
    )


def compute_metrics(evaluation: Evaluation, test_slices: Sequence[slices.Slice]) -> dict[str, Any]:
    """The content of `reports/metrics.json`."""
    y_true, labels, y_pred, correct = evaluation.y_true, evaluation.labels, evaluation.y_pred, evaluation.correct
    network_correct = correct.get("network", correct["classifier"])
    only_classifier, only_baseline, p_value = significance.mcnemar_test(correct["classifier"], correct["baseline"])
    uncalibrated = classification.classification_metrics(y_true, evaluation.uncalibrated)
    difference = significance.bootstrap_f1_difference(
        y_true, y_pred["classifier"], y_pred["baseline"], len(labels), LEVEL
    )
    return {
        "examples": len(y_true),
        **{
            model: classification.classification_metrics(y_true, y_proba)
            for model, y_proba in evaluation.y_proba.items()
        },
        "mcnemar": {
            "only_classifier_correct": only_classifier, "only_baseline_correct": only_baseline, "p_value": p_value
        },
        "uncalibrated": {"log_loss": uncalibrated["log_loss"], "ece": uncalibrated["ece"]},
        "network_weight": evaluation.network_weight,
        "temperature": evaluation.temperature,
        # DVC leaves lists out where it compares metrics, which keeps its tables short.
        "confidence_intervals": {
            model: significance.bootstrap_intervals(y_true, each, len(labels), LEVEL) for model, each in y_pred.items()
        },
        "macro_f1_difference_interval": [round(end, DECIMALS) for end in difference],
        "per_class": per_class.per_class_metrics(y_true, evaluation.y_proba["classifier"], labels),
        "slices": slices.slice_metrics(test_slices, correct["classifier"], correct["baseline"]),
        "agreement": per_class.network_baseline_agreement(y_true, network_correct, correct["baseline"], labels),
    }  # fmt: skip


def write_predictions(folder: Path, ids: Sequence[str], evaluation: Evaluation, y_proba: np.ndarray) -> None:
    rows = predictions.to_rows(ids, evaluation.y_true, y_proba, evaluation.labels)
    files.write_csv(folder / "predictions.csv", rows)


def write_report(folder: Path, title: str, evaluation: Evaluation, y_proba: np.ndarray) -> None:
    """Write scikit-learn's classification report as text and as JSON."""
    y_pred = y_proba.argmax(axis=1)
    classes = range(len(evaluation.labels))
    options = {"labels": classes, "target_names": evaluation.labels, "zero_division": 0}
    text = classification_report(evaluation.y_true, y_pred, digits=4, **options)
    files.write_text(folder / "classification_report.txt", f"{title}\n\n{text}")
    report = classification_report(evaluation.y_true, y_pred, output_dict=True, **options)
    files.write_json(folder / "classification_report.json", report)


def write_curves(evaluation: Evaluation, metrics: Mapping[str, Any]) -> None:
    """Write the tables that DVC plots and the stage plot draws."""
    y_true, y_proba = evaluation.y_true, evaluation.y_proba
    precision_recall = per_class.precision_recall_curves(y_true, y_proba["classifier"], evaluation.labels)
    files.write_csv(CURVES / "precision_recall.csv", long_format("label", precision_recall))
    reliability = {
        "before scaling": evaluation.uncalibrated,
        "after scaling": y_proba["classifier"],
        "baseline": y_proba["baseline"],
    }
    bins = {name: calibration.reliability_bins(y_true, each) for name, each in reliability.items()}
    files.write_csv(CURVES / "reliability.csv", long_format("probabilities", bins))
    coverage = {model: calibration.coverage_curve(y_true, each) for model, each in y_proba.items()}
    files.write_csv(CURVES / "coverage.csv", long_format("model", coverage))
    slice_rows = [
        {name: value for name, value in row.items() if name != "interval"}
        | dict(zip(("low", "high"), row["interval"], strict=True))
        for row in metrics["slices"]
    ]
    files.write_csv(CURVES / "slices.csv", slice_rows)
    files.write_csv(CURVES / "agreement.csv", metrics["agreement"])


def long_format(column: str, curves: Mapping[str, Sequence[Mapping[str, float]]]) -> list[dict[str, Any]]:
    """The rows of several curves, one after the other, with a column that names the curve."""
    return [{column: name} | dict(row) for name, rows in curves.items() for row in rows]


if __name__ == "__main__":
    cli.run(main)
