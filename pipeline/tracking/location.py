"""Where the MLflow store is: `MLFLOW_TRACKING_URI` if it is set, else `mlflow.db` in the repository's folder."""

import os
from pathlib import Path

from pipeline import cli

SQLITE = "sqlite:///"
ARTIFACTS = "mlartifacts"  # the folder next to mlflow.db


def tracking_uri() -> str:
    """A relative SQLite file is in the repository's folder, also for a stage that runs in a copy of the repository."""
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"{SQLITE}mlflow.db"
    path = uri.removeprefix(SQLITE)
    is_relative = uri.startswith(SQLITE) and not path.startswith("/")
    return f"{SQLITE}{cli.repository_root().resolve() / path}" if is_relative else uri


def sqlite_path(uri: str) -> Path | None:
    """The file of a SQLite store; None for any other store."""
    return Path(uri.removeprefix(SQLITE).partition("?")[0]) if uri.startswith(SQLITE) else None


def artifact_location() -> str | None:
    """The artifact location of a new experiment; None for a server, which decides by itself."""
    return None if tracking_uri().startswith("http") else (cli.repository_root().resolve() / ARTIFACTS).as_uri()
