"""Two runs side by side: parameters, data and code that differ, and figures with a paired test on the same posts."""

import csv
import io

import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Run

from pipeline.lineage import runs
from pipeline.lineage.show import artifact, data_sets, file
from pipeline.report import metrics

FIGURES = ["test_accuracy", "test_macro_f1", "test_log_loss", "baseline_test_accuracy"]
FIGURES += ["validation_accuracy", "validation_macro_f1", "validation_log_loss", "parameters", "best_epoch"]
PREDICTIONS = "classifier/predictions.csv"


def compare(client: MlflowClient, a: Run, b: Run) -> None:
    """Print it. Raises StoreError."""
    for letter, run in (("A", a), ("B", b)):
        print(f"{letter}: {run.info.run_name} ({run.info.run_id})")
    if a.info.run_id == b.info.run_id:
        print("\nThe same run.")
        return
    for title, rows in (
        ("parameters", differing(a.data.params, b.data.params)),
        ("data", differing(data(a), data(b))),
        ("code", differing(code(client, a), code(client, b))),
    ):
        print(f"\n{title}{'' if rows else ': the same'}")
        for name, *values in rows:
            print(f"  {name:34}" + "".join(f"{value[:34]:>36}" for value in values))
    print(f"\n{'figures':36}{'A':>12}{'B':>12}{'B - A':>12}")
    for name in FIGURES:
        if name in a.data.metrics and name in b.data.metrics:
            old, new = a.data.metrics[name], b.data.metrics[name]
            digits = 0 if old.is_integer() and new.is_integer() and max(old, new) > 1 else 4
            print(f"  {name:34}{old:12,.{digits}f}{new:12,.{digits}f}{new - old:+12,.{digits}f}")
    print(f"\n{paired(client, a, b)}")


def differing(a: dict[str, str], b: dict[str, str]) -> list[tuple[str, str, str]]:
    """Name, value in `a`, value in `b` where they differ; `-` where there is none."""
    names = sorted(a.keys() | b.keys())
    rows = ((name, a.get(name, "-"), b.get(name, "-")) for name in names)
    return [row for row in rows if row[1] != row[2]]


def data(run: Run) -> dict[str, str]:
    """The digest of the corpus and of each data set."""
    digests = {each.dataset.name.split()[-1]: each.dataset.digest for each in data_sets(run)}
    return digests | {"corpus": run.data.tags.get("corpus.digest", "unknown")}


def code(client: MlflowClient, run: Run) -> dict[str, str]:
    """sha256 of each file of code that the result depends on."""
    what = artifact(client, run, f"{runs.FOLDER}/ingredients.json")
    return what["code"] if what else {"all": "unknown"}


def paired(client: MlflowClient, a: Run, b: Run) -> str:
    """McNemar's test of the two classifiers' answers, in a sentence; or why there can be none."""
    tables = [file(client, run, PREDICTIONS) for run in (a, b)]
    if not all(tables):
        return "No paired test: not both were evaluated on test posts."
    rows = [{row["id"]: row for row in csv.DictReader(io.StringIO(table or ""))} for table in tables]
    if {id: row["actual"] for id, row in rows[0].items()} != {id: row["actual"] for id, row in rows[1].items()}:
        return "No paired test: the two were not evaluated on the same test posts."
    right = [np.array([rows[which][id]["predicted"] == rows[0][id]["actual"] for id in rows[0]]) for which in (0, 1)]
    only_a, only_b, p = metrics.mcnemar(*right)
    return f"Of {len(rows[0]):,} test posts {only_a:,} only A gets right, {only_b:,} only B (McNemar's p = {p:.2g})."
