"""Compare DVC experiments: size and speed of their networks, validation metrics, and gradient norms.

    python -m pipeline.tracking.experiments cell-rnn cell-lstm cell-gru

Prints a table, and draws the gradient norms by time step into `reports/experiments.png`. The metrics are those of the
best epoch on the validation split: to choose an experiment by the test split would make its test metrics too good.
The seconds per epoch are those that MLflow has from the training; an experiment from DVC's cache has none.
"""

import csv
import io
import json
from pathlib import Path
from statistics import median

import click

from pipeline import cli, params
from pipeline.cli import UserError
from pipeline.report import charts
from pipeline.report.summary import read_revision
from pipeline.tracking import store
from pipeline.tracking.store import StoreError, store_errors

CHART = Path("reports/experiments.png")
COLUMNS = ["experiment", "parameters", "seconds/epoch", "best epoch", "accuracy", "log loss"]


@click.command(epilog="Example: python -m pipeline.tracking.experiments cell-rnn cell-lstm cell-gru")
@click.argument("experiments", metavar="EXPERIMENT...", nargs=-1, required=True)
def main(experiments: tuple[str, ...]) -> None:
    """Compare experiments, named as `dvc exp list` shows them."""
    reports = {name: json.loads(read_revision("reports/train.json", name)) for name in experiments}
    seconds = {name: epoch_seconds(name) for name in experiments}

    print("".join(f"{column:>15}" for column in COLUMNS))
    for name, report in reports.items():
        metrics = report["validation"]
        row = [name, f"{report['parameters']:,}", f"{seconds[name]:.1f}" if seconds[name] else "-"]
        row += [str(report["best_epoch"]), f"{metrics['accuracy']:.4f}", f"{metrics['log_loss']:.4f}"]
        print("".join(f"{value:>15}" for value in row))

    curves: dict[str, list[float]] = {}
    for name in experiments:
        rows = list(csv.DictReader(io.StringIO(read_revision("reports/gradients.csv", name))))
        curves |= {f"{name}, {when} training": [float(row[when]) for row in rows] for when in ("before", "after")}
    CHART.parent.mkdir(exist_ok=True)
    charts.plot_gradients(curves, "Gradient norm by time step", CHART)
    print(f"\nGradient norms by time step, before and after training: {CHART}")


def epoch_seconds(experiment: str) -> float | None:
    """The median time of an epoch in the newest run of the experiment; None if MLflow has no such run.

    Raises UserError if MLflow cannot be read.
    """
    try:
        client, experiment_id = store.connect(params.load().track.experiment)
        with store_errors():
            runs = client.search_runs(
                [experiment_id], f"tags.`dvc.experiment` = '{experiment}'", order_by=["start_time DESC"]
            )
            histories = [client.get_metric_history(run.info.run_id, "train/epoch_seconds") for run in runs]
    except StoreError as error:
        raise UserError(f"cannot read from MLflow ({error}); check MLFLOW_TRACKING_URI") from None
    return next((median(epoch.value for epoch in history) for history in histories if history), None)


if __name__ == "__main__":
    cli.run(main)
