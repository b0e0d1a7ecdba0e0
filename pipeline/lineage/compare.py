"""Two runs side by side: parameters, data and code that differ, and figures with a paired test on the same posts."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Run

from pipeline.lineage import runs
from pipeline.lineage.show import artifact, digests, table
from pipeline.report import significance

FIGURES = ["test_accuracy", "test_macro_f1", "test_log_loss", "baseline_test_accuracy"]
FIGURES += ["validation_accuracy", "validation_macro_f1", "validation_log_loss", "parameters", "best_epoch"]
PREDICTIONS = "classifier/predictions.csv"
LEVEL = 0.05


def compare(client: MlflowClient, a: Run, b: Run) -> dict[str, Any]:
    """What differs, each as `[a's, b's]`, the figures of both, and a paired test. Raises StoreError."""
    return {
        "runs": [{"id": run.info.run_id, "name": run.info.run_name} for run in (a, b)],
        "parameters": differing(a.data.params, b.data.params),
        "data": differing(data(a), data(b)),
        "code": differing(code(client, a), code(client, b)),
        "figures": {
            name: [a.data.metrics[name], b.data.metrics[name]]
            for name in FIGURES
            if name in a.data.metrics and name in b.data.metrics
        },
        "paired": paired(*(table(client, run, PREDICTIONS) for run in (a, b))),
    }


def show(compared: dict[str, Any]) -> None:
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
    print(f"\n{in_words(compared['paired'])}")


def differing(a: dict[str, str], b: dict[str, str]) -> dict[str, list[str]]:
    """The values in `a` and in `b` by name, where they differ; `-` where there is none."""
    rows = {name: [a.get(name, "-"), b.get(name, "-")] for name in sorted(a.keys() | b.keys())}
    return {name: values for name, values in rows.items() if values[0] != values[1]}


def data(run: Run) -> dict[str, str]:
    """The digest of the corpus and of each data set."""
    return digests(run) | {"corpus": run.data.tags.get("corpus.digest", "unknown")}


def code(client: MlflowClient, run: Run) -> dict[str, str]:
    """sha256 of each file of code that the result depends on."""
    what = artifact(client, run, f"{runs.FOLDER}/ingredients.json")
    return what["code"] if what else {"all": "unknown"}


def paired(a: Sequence[Mapping[str, str]], b: Sequence[Mapping[str, str]]) -> dict[str, Any] | str:
    """McNemar's test of two classifiers' predictions, and the 95% interval of B's macro F1 less A's.

    Or a sentence on why there can be none.
    """
    if not a or not b:
        return "No paired test: not both were evaluated on test posts."
    rows = [{row["id"]: row for row in predictions} for predictions in (a, b)]
    if {id: row["actual"] for id, row in rows[0].items()} != {id: row["actual"] for id, row in rows[1].items()}:
        return "No paired test: the two were not evaluated on the same test posts."
    right = [np.array([rows[which][id]["predicted"] == rows[0][id]["actual"] for id in rows[0]]) for which in (0, 1)]
    only_a, only_b, p = significance.mcnemar(*right)
    labels = sorted({row[column] for of_run in rows for row in of_run.values() for column in ("actual", "predicted")})
    number = {label: place for place, label in enumerate(labels)}
    actual, of_a, of_b = (
        np.array([number[rows[which][id][column]] for id in rows[0]])
        for which, column in ((0, "actual"), (0, "predicted"), (1, "predicted"))
    )
    low, high = significance.f1_difference(actual, of_b, of_a, len(labels), LEVEL)
    return {"posts": len(actual), "only_a_right": only_a, "only_b_right": only_b, "p": p, "macro_f1": [low, high]}


def in_words(paired: dict[str, Any] | str) -> str:
    if isinstance(paired, str):
        return paired
    return (
        f"Of {paired['posts']:,} test posts {paired['only_a_right']:,} only A gets right, {paired['only_b_right']:,} "
        f"only B (McNemar's p = {paired['p']:.2g}). B's macro F1 less A's: {paired['macro_f1'][0]:+.4f} to "
        f"{paired['macro_f1'][1]:+.4f} (95% interval)."
    )
