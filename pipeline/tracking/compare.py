"""Compare two runs: their parameters, data, code and metrics, and their predictions with a paired test."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Run

from pipeline.metrics import predictions, significance
from pipeline.metrics.predictions import Predictions
from pipeline.tracking import runs
from pipeline.tracking.artifacts import corpus_digest, dataset_digests, read_json, read_predictions
from pipeline.tracking.show import print_table

METRICS = ["test/accuracy", "test/macro_f1", "test/log_loss", "baseline/test_accuracy"]
METRICS += ["classifier/val_accuracy", "classifier/val_macro_f1", "classifier/val_log_loss"]
METRICS += ["model/parameters", "model/best_epoch"]
LEVEL = 0.05  # of the confidence interval


def compare_runs(client: MlflowClient, a: Run, b: Run) -> dict[str, Any]:
    """What differs, each as `[a's, b's]`, the metrics of both, and a paired test. Raises StoreError."""
    return {
        "runs": [{"id": run.info.run_id, "name": run.info.run_name} for run in (a, b)],
        "parameters": differences(a.data.params, b.data.params),
        "data": differences(data_digests(client, a), data_digests(client, b)),
        "code": differences(code_digests(client, a), code_digests(client, b)),
        "metrics": {
            name: [a.data.metrics[name], b.data.metrics[name]]
            for name in METRICS
            if name in a.data.metrics and name in b.data.metrics
        },
        "paired_test": paired_test(*(read_predictions(client, run, "classifier") for run in (a, b))),
    }


def differences(a: Mapping[str, str], b: Mapping[str, str]) -> dict[str, list[str]]:
    """The values in `a` and in `b` by name, where they differ; `-` for none."""
    pairs = {name: [a.get(name, "-"), b.get(name, "-")] for name in sorted(a.keys() | b.keys())}
    return {name: values for name, values in pairs.items() if values[0] != values[1]}


def data_digests(client: MlflowClient, run: Run) -> dict[str, str]:
    """The digest of the corpus and of each data set."""
    return dataset_digests(run) | {"corpus": corpus_digest(client, run)}


def code_digests(client: MlflowClient, run: Run) -> dict[str, str]:
    """sha256 of each file of code that determines the result."""
    inputs = read_json(client, run, f"{runs.PROVENANCE}/{runs.RESULT_INPUTS}")
    return inputs["code"] if inputs else {"all": "unknown"}


def paired_test(a: Predictions | None, b: Predictions | None) -> dict[str, Any] | str:
    """McNemar's test of two classifiers' predictions, and the 95% confidence interval of B's macro F1 - A's.

    Or a sentence on why they cannot be compared.
    """
    if not a or not b or not a.ids or not b.ids:
        return "No paired test: not both were evaluated on a test split."
    labels = sorted({*a.labels, *b.labels})
    a, b = (with_labels(each, labels) for each in (a, b))
    row_of_b = {id: row for row, id in enumerate(b.ids)}
    if row_of_b.keys() != set(a.ids):
        return "No paired test: the two were not evaluated on the same test examples."
    rows = np.array([row_of_b[id] for id in a.ids])
    if (b.y_true[rows] != a.y_true).any():
        return "No paired test: the two were not evaluated on the same test examples."
    y_true, y_pred_a, y_pred_b = a.y_true, a.y_pred, b.y_pred[rows]
    only_a, only_b, p_value = significance.mcnemar_test(y_pred_a == y_true, y_pred_b == y_true)
    low, high = significance.bootstrap_f1_difference(y_true, y_pred_b, y_pred_a, len(labels), LEVEL)
    return {
        "examples": len(y_true),
        "only_a_correct": only_a,
        "only_b_correct": only_b,
        "p_value": p_value,
        "macro_f1_difference_interval": [low, high],
    }


def with_labels(predicted: Predictions, labels: list[str]) -> Predictions:
    """The same predictions as indices into other `labels`, which contain all of theirs; without probabilities."""
    index = predictions.label_indices(predicted.labels, labels)
    return predicted._replace(labels=labels, y_true=index[predicted.y_true], y_pred=index[predicted.y_pred])


def describe_paired_test(test: Mapping[str, Any] | str) -> str:
    if isinstance(test, str):
        return test
    low, high = test["macro_f1_difference_interval"]
    return (
        f"Of {test['examples']:,} test examples {test['only_a_correct']:,} only A classifies correctly, "
        f"{test['only_b_correct']:,} only B (McNemar's test, p = {test['p_value']:.2g}). Macro F1 of B - A: "
        f"{low:+.4f} to {high:+.4f} (95% confidence interval)."
    )


def print_comparison(comparison: Mapping[str, Any]) -> None:
    a, b = comparison["runs"]
    for letter, run in (("A", a), ("B", b)):
        print(f"{letter}: {run['name']} ({run['id']})")
    if a == b:
        print("\nA and B are the same run.")
        return
    for title in ("parameters", "data", "code"):
        if comparison[title]:
            print_table([title, "A", "B"], [[name, *values] for name, values in comparison[title].items()])
        else:
            print(f"\n{title}: the same")
    print_table(
        ["metrics", "A", "B", "B - A"], [metric_row(name, *pair) for name, pair in comparison["metrics"].items()]
    )
    print(f"\n{describe_paired_test(comparison['paired_test'])}")


def metric_row(name: str, a: float, b: float) -> list[str]:
    digits = 0 if a.is_integer() and b.is_integer() and max(a, b) > 1 else 4
    return [name, f"{a:,.{digits}f}", f"{b:,.{digits}f}", f"{b - a:+,.{digits}f}"]
