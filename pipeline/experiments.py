"""Compare DVC experiments: size of the network, seconds per epoch, validation metrics, and gradient norms.

python -m pipeline.experiments cell-rnn cell-lstm cell-gru

Prints a table, and draws `reports/experiments.png`: the gradient norm at each time step, before and after training. The
metrics are those of the best epoch on the validation split. The seconds are what MLflow logged while an experiment
trained; one that comes from DVC's cache has none.
"""

import csv
import io
import json
from pathlib import Path
from statistics import median

import click

from pipeline import cli, params
from pipeline.tracking.revisions import read_revision

CHART = Path("reports/experiments.png")
COLUMNS = ["experiment", "parameters", "seconds/epoch", "best epoch", "accuracy", "log loss"]


@click.command(
    help=__doc__.partition("\n")[0], epilog="\b\nExample:\n  python -m pipeline.experiments cell-gru cell-lstm"
)
@click.argument("experiments", nargs=-1, required=True, metavar="EXPERIMENT...")
def main(experiments: tuple[str, ...]) -> None:
    reports = {name: json.loads(read_revision("reports/train.json", name)) for name in experiments}
    gradients = {name: read_revision("reports/gradients.csv", name) for name in experiments}
    seconds = median_epoch_seconds(experiments)
    # Not at the top: they import Matplotlib and MLflow, which takes seconds, and a mistyped name fails before that.
    from pipeline.report import charts
    from pipeline.tracking.show import print_table

    rows = []
    for name, report in reports.items():
        validation = report["validation"]
        rows.append([
            name, f"{report['parameters']:,}", f"{seconds[name]:.1f}" if name in seconds else "-",
            str(report["best_epoch"]), f"{validation['accuracy']:.4f}", f"{validation['log_loss']:.4f}",
        ])  # fmt: skip
    print_table(COLUMNS, rows)

    curves: dict[str, list[float]] = {}
    for name, text in gradients.items():
        table = list(csv.DictReader(io.StringIO(text)))
        curves |= {f"{name}, {when} training": [float(row[when]) for row in table] for when in ("before", "after")}
    CHART.parent.mkdir(exist_ok=True)
    charts.plot_gradients(curves, "Gradient norm by time step", CHART)
    print(f"{CHART}: the gradient norm at each time step, before and after training")


def median_epoch_seconds(experiments: tuple[str, ...]) -> dict[str, float]:
    """The median over the epochs of the newest run of each experiment that MLflow saw training. Raises StoreError."""
    from pipeline.tracking import provenance, store
    from pipeline.tracking.errors import store_errors

    client, experiment = store.connect(params.load().track)
    seconds = {}
    for name in experiments:
        with store_errors():
            query = f"tags.`{provenance.EXPERIMENT}` = '{name}'"
            runs = client.search_runs([experiment], query, order_by=["start_time DESC"])
            histories = (client.get_metric_history(run.info.run_id, "train/epoch_seconds") for run in runs)
            epochs = next((history for history in histories if history), [])
        if epochs:
            seconds[name] = median(metric.value for metric in epochs)
    return seconds


if __name__ == "__main__":
    cli.run(main)
