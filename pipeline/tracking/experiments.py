"""DVC experiments side by side: how large each network is, how long an epoch took, how good it is, and its gradients.

python -m pipeline.report.experiments cell-rnn cell-lstm cell-gru

Prints a table and draws `reports/experiments.png`: the gradient that reaches each step of a post. Accuracies are those
on validation, of the epoch kept: to choose by the test split would spoil it. The seconds are those that MLflow was told
while an experiment trained; one that came from DVC's cache has none.
"""

import argparse
import csv
import io
import json
from pathlib import Path
from statistics import median

from pipeline import cli, params
from pipeline.cli import UserError
from pipeline.report import plots
from pipeline.report.summary import read_revision
from pipeline.tracking import store
from pipeline.tracking.store import StoreError, store_errors

PICTURE = Path("reports/experiments.png")
COLUMNS = ["experiment", "parameters", "seconds/epoch", "best epoch", "accuracy", "log loss"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pipeline.report.experiments", description="Compare experiments.")
    parser.add_argument("experiment", nargs="+", help="its name, as `dvc exp list` shows it")
    names = parser.parse_args().experiment
    trained = {name: json.loads(read_revision("reports/train.json", name)) for name in names}
    seconds = {name: epoch_seconds(name) for name in names}

    print("".join(f"{column:>15}" for column in COLUMNS))
    for name, report in trained.items():
        figures = report["validation"]
        row = [name, f"{report['parameters']:,}", f"{seconds[name]:.1f}" if seconds[name] else "-"]
        row += [str(report["best_epoch"]), f"{figures['accuracy']:.4f}", f"{figures['log_loss']:.4f}"]
        print("".join(f"{value:>15}" for value in row))

    curves: dict[str, list[float]] = {}
    for name in names:
        rows = list(csv.DictReader(io.StringIO(read_revision("reports/gradients.csv", name))))
        curves |= {f"{name}, {when} training": [float(row[when]) for row in rows] for when in ("before", "after")}
    PICTURE.parent.mkdir(exist_ok=True)
    plots.plot_gradients(curves, "Gradient that reaches each step", PICTURE)
    print(f"\n{PICTURE} shows the gradient that reaches each step of a post, before and after training.")


def epoch_seconds(experiment: str) -> float | None:
    """The median over the epochs of the newest run of this experiment; None where MLflow knows of none."""
    try:
        client, id = store.connect(params.load().track.experiment)
        with store_errors():
            runs = client.search_runs([id], f"tags.`dvc.experiment` = '{experiment}'", order_by=["start_time DESC"])
            history = [client.get_metric_history(run.info.run_id, "epoch_seconds") for run in runs]
    except StoreError as error:
        raise UserError(
            f"MLflow could not be asked ({error}); see to the store (MLFLOW_TRACKING_URI, or mlflow.db)"
        ) from None
    return next((median(metric.value for metric in epochs) for epochs in history if epochs), None)


if __name__ == "__main__":
    cli.run(main)
