"""The MLflow store: `MLFLOW_TRACKING_URI` where it is set, else `mlflow.db` in the repository's folder."""

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

# A server that is down is said to be down in seconds, not after MLflow's seven retries of up to two minutes.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # copies of small files need none

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from pipeline import stage

# The making of the database schema is logged line by line otherwise.
logging.getLogger("alembic").setLevel(logging.WARNING)
logging.getLogger("mlflow").setLevel(logging.WARNING)

# Opens the experiment in the view for trained models; MLflow's other one is for language-model applications.
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}


class StoreError(Exception):
    """MLflow could not be told or asked; the message is the first line of why."""


@contextmanager
def told() -> Iterator[None]:
    """Turns whatever goes wrong in talking to MLflow into a StoreError.

    Not MlflowException alone: databases, drivers and artifact stores raise exceptions of their own.
    """
    try:
        yield
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise StoreError(lines[0]) from error


def connect(experiment: str) -> tuple[MlflowClient, str]:
    """The client, and the id of the experiment with that name, which is made if there is none.

    Raises StoreError when the store cannot be reached.
    """
    root = stage.root().resolve()
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    local = not uri
    with told(), locked(root / "mlflow.db.lock") if local else nullcontext():
        mlflow.set_tracking_uri(uri or f"sqlite:///{root / 'mlflow.db'}")
        client = MlflowClient()
        if found := client.get_experiment_by_name(experiment):
            if found.lifecycle_stage == "deleted":
                raise MlflowException(f"the experiment {experiment} was deleted there; restore it or name another")
            return client, found.experiment_id
        # A server decides by itself where artifacts go.
        artifacts = (root / "mlartifacts").as_uri() if local else None
        try:
            return client, client.create_experiment(experiment, artifacts, tags=EXPERIMENT_TAGS)
        except MlflowException:
            # Another process made it between the two calls.
            if found := client.get_experiment_by_name(experiment):
                return client, found.experiment_id
            raise


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time: two that make the schema of a new database at once break each other."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
