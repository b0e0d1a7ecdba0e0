"""The MLflow store: `MLFLOW_TRACKING_URI` where it is set, else `mlflow.db` in the repository's folder."""

import fcntl
import json
import logging
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from pipeline import cli
from pipeline.cli import UserError

# A server that is down is said to be down in seconds, not after MLflow's seven retries of up to two minutes.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # copies of small files need none

# The making of the database schema is logged line by line otherwise.
logging.getLogger("alembic").setLevel(logging.WARNING)
logging.getLogger("mlflow").setLevel(logging.WARNING)

# The view `results` of the runs' table, as MLflow's page keeps one that is shared: by itself it shows no figure at all.
# Columns with their widths; each sorts by a click on its head.
COLUMNS = {
    "metrics.`test_macro_f1`": 130,
    "metrics.`test_accuracy`": 130,
    "metrics.`baseline_test_accuracy`": 185,
    "metrics.`validation_macro_f1`": 160,
    "params.`train.cell`": 95,
    "params.`fetch.source`": 155,
}
WIDTHS = {"attributes.`Run Name`": 300} | COLUMNS
TABLE = {"selectedColumns": list(COLUMNS), "columnOrder": list(WIDTHS), "columnWidths": WIDTHS}
VIEW = {"name": "Results", "createdAt": 0, "state": json.dumps(TABLE)}
EXPERIMENT_TAGS = {"mlflow.sharedViewState.results": json.dumps(VIEW)}
SQLITE = "sqlite:///"
ARTIFACTS = "mlartifacts"


T = TypeVar("T")


class StoreError(Exception):
    """MLflow could not be told or asked; the message is the first line of why."""


@contextmanager
def store_errors() -> Iterator[None]:
    """Turns whatever goes wrong in talking to MLflow into a StoreError.

    Not MlflowException alone: databases, drivers and artifact stores raise exceptions of their own.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise StoreError(lines[0]) from error


def get_or_none(ask: Callable[[], T]) -> T | None:
    """What MLflow gives; None where it says that there is no such thing. Raises StoreError."""
    try:
        with store_errors():
            return ask()
    except StoreError as error:
        if "not found" not in str(error).lower():
            raise
        return None


def connect(experiment: str) -> tuple[MlflowClient, str]:
    """The client, and the id of the experiment with that name, which is made if there is none.

    Raises StoreError when the store cannot be reached.
    """
    address, root = tracking_uri(), cli.repository_root().resolve()
    # Two processes that make the schema of a new database at once break each other.
    with store_errors(), lock("schema"):
        if address.startswith(SQLITE):
            follow_a_move(Path(address.removeprefix(SQLITE).partition("?")[0]), root)
        mlflow.set_tracking_uri(address)
        client = MlflowClient()
        if found := client.get_experiment_by_name(experiment):
            if found.lifecycle_stage == "deleted":
                raise MlflowException(f"the experiment {experiment} was deleted there; restore it or name another")
            for name, value in EXPERIMENT_TAGS.items():
                if found.tags.get(name) != value:
                    client.set_experiment_tag(found.experiment_id, name, value)
            return client, found.experiment_id
        try:
            return client, client.create_experiment(experiment, artifact_location(), tags=EXPERIMENT_TAGS)
        except MlflowException:
            # Another process made it between the two calls.
            if found := client.get_experiment_by_name(experiment):
                return client, found.experiment_id
            raise


def tracking_uri() -> str:
    """Where the store is; a relative SQLite file lies in the repository, whichever copy of it a stage runs in."""
    address = os.environ.get("MLFLOW_TRACKING_URI") or f"{SQLITE}mlflow.db"
    path = address.removeprefix(SQLITE)
    is_relative = address.startswith(SQLITE) and not path.startswith("/")
    return f"{SQLITE}{cli.repository_root().resolve() / path}" if is_relative else address


def artifact_location() -> str | None:
    """Where a new experiment's artifacts go; None for a server, which decides that by itself."""
    return None if tracking_uri().startswith("http") else (cli.repository_root().resolve() / ARTIFACTS).as_uri()


def follow_a_move(database: Path, root: Path) -> None:
    """Make a store that was moved or copied with its repository name its artifacts where they are now.

    MLflow keeps absolute paths, and has no command to change them. What begins with the old place of the artifacts
    begins with the new one afterwards, in whatever table. A store that lies elsewhere may be others', too.
    """
    if not database.exists() or database.resolve().parent != root:
        return
    now = (root / ARTIFACTS).as_uri()
    with closing(sqlite3.connect(database, timeout=60)) as connection, connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        if "experiments" not in tables:
            return
        places = connection.execute("SELECT DISTINCT artifact_location FROM experiments").fetchall()
        for (old,) in places:
            if old == now or not str(old).startswith("file://") or not old.endswith(f"/{ARTIFACTS}"):
                continue
            for table in tables:
                for _, column, kind, *_ in connection.execute(f'PRAGMA table_info("{table}")').fetchall():
                    if "CHAR" in kind.upper() or "TEXT" in kind.upper():
                        connection.execute(
                            f'UPDATE "{table}" SET "{column}" = ? || substr("{column}", ?) '
                            f'WHERE substr("{column}", 1, ?) IN (?, ?)',
                            (now, len(old) + 1, len(old) + 1, old, f"{old}/"),
                        )


@contextmanager
def lock(name: str) -> Iterator[None]:
    """One process of this repository at a time, copies for experiments included. Raises StoreError."""
    path = cli.repository_root() / f".dvc/tmp/mlflow-{name}.lock"
    with store_errors():
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
        fcntl.flock(file, fcntl.LOCK_EX)
    with file:
        yield
