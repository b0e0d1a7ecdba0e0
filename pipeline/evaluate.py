"""Stage 6, evaluate: the one look at the test split, for the classifier and the baseline alike.

    python -m pipeline.evaluate

The classifier is asked by way of the files that serve, so the figures are those of what is shipped; `network` is its
recurrent network alone, without the linear model's share. `reports/metrics.json` holds the figures;
`reports/classifier/` and `reports/baseline/` hold each model's classification report, confusion matrix and predictions
per post.
"""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
from sklearn.metrics import classification_report, confusion_matrix

from pipeline import linear, params, stage
from pipeline.corpus import tables
from pipeline.nn.serving import Classifier, mean
from pipeline.report import metrics, plots

TEST = Path("data/split/test.parquet")
SPLIT = Path("reports/split.json")
MODELS = Path("models")
REPORTS = Path("reports")


def main() -> None:
    params.load()
    corpus = json.loads(SPLIT.read_text())["corpus"]
    ids, texts, names = (tables.column(TEST, name) for name in ("id", "text", "label"))
    classifier = Classifier(MODELS)
    labels = classifier.labels
    actual = np.array([labels.index(name) for name in names])

    about = f"{len(ids):,} test posts of {corpus['source']}"
    if corpus["sample"]:
        about += ", a corpus for trying out"
    network = classifier.network(texts)
    baseline = linear.probabilities(linear.load((MODELS / "baseline.safetensors").read_bytes()), texts)
    answers = {"classifier": mean(network, baseline) if classifier.linear else network, "baseline": baseline}
    result: dict = {"posts": len(ids)}
    for model, probabilities in answers.items():
        result[model] = metrics.figures(actual, probabilities)
        folder = REPORTS / model
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        write_report(folder, actual, probabilities, labels, f"{model}, {about}")
        write_predictions(folder / "predictions.csv", ids, actual, probabilities, labels)
    if classifier.linear:
        result["network"] = metrics.figures(actual, network)
    ours, theirs, p = metrics.mcnemar(*(answer.argmax(axis=1) == actual for answer in answers.values()))
    result["mcnemar"] = {"only_classifier_right": ours, "only_baseline_right": theirs, "p": p}
    (REPORTS / "metrics.json").write_text(json.dumps(result, indent=2) + "\n")
    print(f"evaluate: {about}")


def write_report(folder: Path, actual: np.ndarray, probabilities: np.ndarray, labels: list[str], title: str) -> None:
    """scikit-learn's classification report as text and JSON, and the confusion matrix as a picture."""
    predicted = probabilities.argmax(axis=1)
    every = range(len(labels))
    ask = {"labels": every, "target_names": labels, "zero_division": 0}
    text = classification_report(actual, predicted, digits=4, **ask)
    (folder / "classification_report.txt").write_text(f"{title}\n\n{text}")
    as_json = classification_report(actual, predicted, output_dict=True, **ask)
    (folder / "classification_report.json").write_text(json.dumps(as_json, indent=2) + "\n")
    plots.confusion(confusion_matrix(actual, predicted, labels=every), labels, title, folder / "confusion_matrix.png")


def write_predictions(
    path: Path, ids: list[str], actual: np.ndarray, probabilities: np.ndarray, labels: list[str]
) -> None:
    """A row per post: its id, its label, the label predicted, and a probability per label."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "actual", "predicted", *(f"probability_{label}" for label in labels)])
        for id, label, row in zip(ids, actual, probabilities, strict=True):
            writer.writerow([id, labels[label], labels[row.argmax()], *(f"{p:.6f}" for p in row)])


if __name__ == "__main__":
    stage.run(main)
