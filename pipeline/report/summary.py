"""A summary of a result in a few lines, with which `make repro` ends.

python -m pipeline.report.summary               # of the workspace
python -m pipeline.report.summary tutorial      # of a DVC experiment
"""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from pipeline import cli
from pipeline.cli import UserError
from pipeline.files import reading
from pipeline.metrics import MODELS

MODEL_NAMES = {"classifier": "classifier", "network": "network alone", "baseline": "baseline"}
LEVEL = 0.05  # of significance
METRICS, SPLIT = "reports/metrics.json", "reports/split.json"
RECORDED = ("dvc.lock", METRICS)  # that a commit of a result contains


@click.command(help="Summarize the result of the workspace, or of the DVC experiment EXPERIMENT.")
@click.argument("experiment", required=False)
def main(experiment: str | None) -> None:
    metrics, split = (parse(name, read_revision(name, experiment)) for name in (METRICS, SPLIT))
    corpus = split["corpus"]
    note = " (generated: its metrics say nothing about real texts)" if corpus["sample"] else ""
    print(f"\n{metrics['examples']:,} test examples of {corpus['source']}{note}\n")
    print(f"  {'':24}{'accuracy':>10}{'95% interval':>18}{'macro F1':>10}{'log loss':>10}")
    for model in MODELS:
        if model in metrics:
            print(f"  {format_row(model, metrics)}")
    print(f"\n{describe_weights(metrics)}{describe_mcnemar(metrics['mcnemar'])}")
    if experiment:
        print(f"\nThe run is in MLflow (`make ui`); `dvc exp apply {experiment}` brings its model into the workspace.")
        return
    print("\nReport: reports/report.html. Model: models/. Run: MLflow, `make ui`.")
    if not is_committed():
        print('To record this result: git add dvc.lock reports && git commit -m "Result"')


def parse(name: str, text: str) -> Any:
    with reading(Path(name)):
        return json.loads(text)


def format_row(model: str, metrics: Mapping[str, Any]) -> str:
    """One model's row of the table."""
    name = MODEL_NAMES[model] if model != "network" else f"  {MODEL_NAMES[model]}"
    accuracy, macro_f1, log_loss = (metrics[model][key] for key in ("accuracy", "macro_f1", "log_loss"))
    low, high = metrics["confidence_intervals"][model]["accuracy"]
    return f"{name:24}{accuracy:10.4f}{f'{low:.4f}-{high:.4f}':>18}{macro_f1:10.4f}{log_loss:10.4f}"


def describe_mcnemar(mcnemar: Mapping[str, float]) -> str:
    """One sentence on whether the classifier is significantly better than the baseline, at the level of 0.05."""
    ours, theirs, p_value = (mcnemar[key] for key in ("only_classifier_correct", "only_baseline_correct", "p_value"))
    p_text = f"p = {p_value:.2g}" if p_value else "p < 1e-300"  # smaller than a float can be
    counts = (
        f"{ours:,} examples only the classifier gets right, {theirs:,} only the baseline (McNemar's test, {p_text})"
    )
    if p_value >= LEVEL:
        return f"No significant difference between classifier and baseline: {counts}."
    better, worse = ("classifier", "baseline") if ours > theirs else ("baseline", "classifier")
    return f"The {better} is significantly better than the {worse}: {counts}."


def describe_weights(metrics: Mapping[str, Any]) -> str:
    """One sentence on the weights of network and baseline in an ensemble, with a blank after it; otherwise nothing."""
    if "network_weight" not in metrics or "network" not in metrics:  # no ensemble, or a result of an older version
        return ""
    weight = metrics["network_weight"]
    if weight in (0, 1):
        useless, other = ("network", "baseline") if weight == 0 else ("baseline", "network")
        return f"The {useless} has the weight 0, so the classifier is the {other}. "
    return f"The weight of the network in the classifier is {weight:.2f}, that of the baseline {1 - weight:.2f}. "


def is_committed() -> bool:
    """Whether git has the workspace's result as it is; True as well if there is no git or no repository."""
    try:
        status = subprocess.run(["git", "status", "--porcelain", "--", *RECORDED], capture_output=True, text=True)
    except FileNotFoundError:
        return True
    return not status.stdout


def read_revision(path: str, revision: str | None) -> str:
    """The text of a file of the workspace or of a DVC experiment.

    Raises UserError if there is no such experiment, or it has no such file.
    """
    if not revision:
        with reading(Path(path)):
            return Path(path).read_text(encoding="utf-8")
    import dvc.api  # not at the top: it takes half a second to import

    try:
        return dvc.api.read(path, rev=revision)
    except (dvc.exceptions.DvcException, FileNotFoundError):
        raise UserError(f"{revision} is not an experiment with a {path}; `dvc exp list` shows them") from None


if __name__ == "__main__":
    cli.run(main)
