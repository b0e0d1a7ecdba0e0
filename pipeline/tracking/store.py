"""The connection to the MLflow store."""

import fcntl
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from pipeline import cli
from pipeline.params.track import Track
from pipeline.tracking import sqlite_store
from pipeline.tracking.deadline import deadline
from pipeline.tracking.errors import store_errors
from pipeline.tracking.location import artifact_location, sqlite_path, tracking_uri

# A server that is down is reported within seconds, not after MLflow's seven retries of up to two minutes.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # copies of small files need none

# Otherwise each migration of a new database is logged.
logging.getLogger("alembic").setLevel(logging.WARNING)
logging.getLogger("mlflow").setLevel(logging.WARNING)

# The shared view `results` of the runs' table: MLflow's default shows no metric. Columns with their widths in pixels.
COLUMNS = {
    "metrics.`test/macro_f1`": 130,
    "metrics.`test/accuracy`": 130,
    "metrics.`baseline/test_accuracy`": 185,
    "metrics.`classifier/val_macro_f1`": 185,
    "params.`train.cell`": 95,
    "params.`fetch.source`": 155,
}
WIDTHS = {"attributes.`Run Name`": 300} | COLUMNS
TABLE = {"selectedColumns": list(COLUMNS), "columnOrder": list(WIDTHS), "columnWidths": WIDTHS}
VIEW = {"name": "Results", "createdAt": 0, "state": json.dumps(TABLE)}
EXPERIMENT_TAGS = {"mlflow.sharedViewState.results": json.dumps(VIEW)}


def connect(config: Track) -> tuple[MlflowClient, str]:
    """The client, and the id of the experiment, which is created if it does not exist.

    From now on, calls to a server share the deadline `track.timeout`. Raises StoreError.
    """
    uri, experiment = tracking_uri(), config.experiment
    if uri.startswith("http"):
        deadline.start(config.timeout)
    # Two processes that create the schema of a new database at the same time break each other.
    with store_errors(), lock("schema"):
        if database := sqlite_path(uri):
            sqlite_store.prepare(database)
        mlflow.set_tracking_uri(uri)
        client = MlflowClient()
        if existing := client.get_experiment_by_name(experiment):
            if existing.lifecycle_stage == "deleted":
                raise MlflowException(f"the experiment {experiment} is deleted; restore it or name another one")
            for name, value in EXPERIMENT_TAGS.items():
                if existing.tags.get(name) != value:
                    client.set_experiment_tag(existing.experiment_id, name, value)
            return client, existing.experiment_id
        try:
            return client, client.create_experiment(experiment, artifact_location(), tags=EXPERIMENT_TAGS)
        except MlflowException:
            # Another process created it between the two calls.
            if existing := client.get_experiment_by_name(experiment):
                return client, existing.experiment_id
            raise


@contextmanager
def lock(name: str) -> Iterator[None]:
    """Let one process of this repository at a time in, including copies for experiments. Raises StoreError."""
    path = cli.repository_root() / f".dvc/tmp/mlflow-{name}.lock"
    with store_errors("write to"):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
        fcntl.flock(file, fcntl.LOCK_EX)
    with file:
        yield
