"""Two runs side by side: parameters, data and code that differ, and figures with a paired test on the same posts."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Run

from pipeline.metrics import significance
from pipeline.tracking import runs
from pipeline.tracking.artifacts import dataset_digests, read_csv, read_json

FIGURES = ["test_accuracy", "test_macro_f1", "test_log_loss", "baseline_test_accuracy"]
FIGURES += ["validation_accuracy", "validation_macro_f1", "validation_log_loss", "parameters", "best_epoch"]
PREDICTIONS = "classifier/predictions.csv"
LEVEL = 0.05


def compare_runs(client: MlflowClient, a: Run, b: Run) -> dict[str, Any]:
    """What differs, each as `[a's, b's]`, the figures of both, and a paired test. Raises StoreError."""
    return {
        "runs": [{"id": run.info.run_id, "name": run.info.run_name} for run in (a, b)],
        "parameters": differences(a.data.params, b.data.params),
        "data": differences(data(a), data(b)),
        "code": differences(code(client, a), code(client, b)),
        "figures": {
            name: [a.data.metrics[name], b.data.metrics[name]]
            for name in FIGURES
            if name in a.data.metrics and name in b.data.metrics
        },
        "paired": paired_test(*(read_csv(client, run, PREDICTIONS) for run in (a, b))),
    }


def print_comparison(compared: dict[str, Any]) -> None:
    """Print it."""
    a, b = compared["runs"]
    for letter, run in (("A", a), ("B", b)):
        print(f"{letter}: {run['name']} ({run['id']})")
    if a == b:
        print("\nThe same run.")
        return
    for title in ("parameters", "data", "code"):
        print(f"\n{title}{'' if compared[title] else ': the same'}")
        for name, values in compared[title].items():
            print(f"  {name:34}" + "".join(f"{value[:34]:>36}" for value in values))
    print(f"\n{'figures':36}{'A':>12}{'B':>12}{'B - A':>12}")
    for name, (old, new) in compared["figures"].items():
        digits = 0 if old.is_integer() and new.is_integer() and max(old, new) > 1 else 4
        print(f"  {name:34}{old:12,.{digits}f}{new:12,.{digits}f}{new - old:+12,.{digits}f}")
    print(f"\n{describe_paired_test(compared['paired'])}")


def differences(a: dict[str, str], b: dict[str, str]) -> dict[str, list[str]]:
    """The values in `a` and in `b` by name, where they differ; `-` where there is none."""
    rows = {name: [a.get(name, "-"), b.get(name, "-")] for name in sorted(a.keys() | b.keys())}
    return {name: values for name, values in rows.items() if values[0] != values[1]}


def data(run: Run) -> dict[str, str]:
    """The digest of the corpus and of each data set."""
    return dataset_digests(run) | {"corpus": run.data.tags.get("corpus.digest", "unknown")}


def code(client: MlflowClient, run: Run) -> dict[str, str]:
    """sha256 of each file of code that the result depends on."""
    what = read_json(client, run, f"{runs.FOLDER}/ingredients.json")
    return what["code"] if what else {"all": "unknown"}


def paired_test(a: Sequence[Mapping[str, str]], b: Sequence[Mapping[str, str]]) -> dict[str, Any] | str:
    """McNemar's test of two classifiers' predictions, and the 95% interval of B's macro F1 less A's.

    Or a sentence on why there can be none.
    """
    if not a or not b:
        return "No paired test: not both were evaluated on test posts."
    rows = [{row["id"]: row for row in predictions} for predictions in (a, b)]
    if {id: row["y_true"] for id, row in rows[0].items()} != {id: row["y_true"] for id, row in rows[1].items()}:
        return "No paired test: the two were not evaluated on the same test posts."
    right = [np.array([rows[which][id]["y_pred"] == rows[0][id]["y_true"] for id in rows[0]]) for which in (0, 1)]
    only_a, only_b, p = significance.mcnemar_test(*right)
    labels = sorted({row[column] for of_run in rows for row in of_run.values() for column in ("y_true", "y_pred")})
    number = {label: place for place, label in enumerate(labels)}
    y_true, of_a, of_b = (
        np.array([number[rows[which][id][column]] for id in rows[0]])
        for which, column in ((0, "y_true"), (0, "y_pred"), (1, "y_pred"))
    )
    low, high = significance.bootstrap_f1_difference(y_true, of_b, of_a, len(labels), LEVEL)
    return {"posts": len(y_true), "only_a_right": only_a, "only_b_right": only_b, "p": p, "macro_f1": [low, high]}


def describe_paired_test(paired: dict[str, Any] | str) -> str:
    if isinstance(paired, str):
        return paired
    return (
        f"Of {paired['posts']:,} test posts {paired['only_a_right']:,} only A gets right, {paired['only_b_right']:,} "
        f"only B (McNemar's p = {paired['p']:.2g}). B's macro F1 less A's: {paired['macro_f1'][0]:+.4f} to "
        f"{paired['macro_f1'][1]:+.4f} (95% interval)."
    )
