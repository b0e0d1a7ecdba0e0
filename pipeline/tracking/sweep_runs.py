"""The runs of a sweep in MLflow: its trials' runs are children of one run with the space and the best trial."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Param

from pipeline.params.track import Track
from pipeline.tracking import provenance, runs, store
from pipeline.tracking.errors import store_errors
from pipeline.tracking.rebuild import run_of_revision

METRIC = "classifier/val_macro_f1"
SWEEP, TRIAL, SAME_RESULT = "sweep.id", "sweep.trial", "sweep.same_result"


@dataclass(frozen=True)
class FinishedTrial:
    number: int
    experiment: str  # the DVC experiment
    params: Mapping[str, str]  # those that it tried, as text
    value: float  # macro F1 on the validation split


def group_runs(config: Track, sweep_id: str, name: str, space: Mapping[str, str], trials: list[FinishedTrial]) -> None:
    """Make the trials' runs children of the sweep's run; only what is missing is done. Raises StoreError."""
    client, experiment_id = store.connect(config)
    tags = {SWEEP: sweep_id, "mlflow.source.type": "LOCAL", "mlflow.source.name": "pipeline.sweep"}
    with store_errors("write to"):
        existing = client.search_runs([experiment_id], f"tags.`{SWEEP}` = '{sweep_id}'")
        parent = existing[0] if existing else client.create_run(experiment_id, run_name=name, tags=tags)
        parent_id = parent.info.run_id
        client.set_terminated(parent_id)  # at once, so that a kill does not leave it RUNNING
        client.log_batch(parent_id, params=[Param(key, text) for key, text in space.items()])
        children = client.search_runs([experiment_id], f"tags.`{runs.PARENT}` = '{parent_id}'")
        grouped = {run.data.tags[TRIAL] for run in children}
        missing = [trial for trial in trials if str(trial.number) not in grouped]
        for trial in missing:
            child = run_of_trial(client, experiment_id, trial)
            client.log_metric(child, METRIC, trial.value)
            client.set_tag(child, TRIAL, trial.number)
            client.set_tag(child, runs.PARENT, parent_id)
        if missing:
            best = max(trials, key=lambda trial: (trial.value, -trial.number))
            client.log_metric(parent_id, "sweep/trials", len(trials), step=len(trials))
            client.log_metric(parent_id, "sweep/best_val_macro_f1", best.value, step=len(trials))
            for key, value in {"trial": best.number, **best.params}.items():
                client.set_tag(parent_id, f"best.{key}", value)


def run_of_trial(client: MlflowClient, experiment_id: str, trial: FinishedTrial) -> str:
    """The id of the run that the trial's training made, or of a placeholder if another run has the same result.

    That other run belongs to a commit or another sweep, or has test metrics, and stays where it is.
    """
    run_id = run_of_revision(client, experiment_id, trial.experiment)
    tags: Mapping[str, Any] = client.get_run(run_id).data.tags if run_id else {}
    if run_id and tags.get(provenance.EXPERIMENT) == trial.experiment and tags.get(runs.STATE) == "trained":
        return run_id
    placeholder = client.create_run(experiment_id, run_name=trial.experiment, tags={SAME_RESULT: run_id or "none"})
    placeholder_id = placeholder.info.run_id
    client.set_terminated(placeholder_id)  # at once, so that a kill does not leave it RUNNING
    client.log_batch(placeholder_id, params=[Param(key, text) for key, text in trial.params.items()])
    return placeholder_id
