"""The SQLite file of an MLflow store: created whole, checked before use, and relocated with its repository.

MLflow turns every artifact location into an absolute path when an experiment is created, and has no command to change
it. A location that is relative to the store exists only behind a server (`mlflow-artifacts:`), which `dvc repro` does
not need. A moved or copied repository therefore has a store that names its artifacts at the old place. Nothing is
rewritten unasked: every command refuses such a store, and names `python -m pipeline.tracking relocate`.
"""

import fcntl
import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlparse

from pipeline import cli
from pipeline.cli import UserError
from pipeline.tracking import location
from pipeline.tracking.errors import StoreError

# Revisions of MLflow's database schema (the head of its migrations) in which these columns hold all artifact locations.
KNOWN_SCHEMAS = {"dc11669786a5"}
LOCATION_COLUMNS = {
    "experiments": ["artifact_location"],
    "runs": ["artifact_uri"],
    "logged_models": ["artifact_location"],
    "model_versions": ["source", "storage_location"],
}


def prepare(path: Path) -> None:
    """Create the store if there is none.

    Raises StoreError if it is incomplete, or names artifacts at another place than its repository.
    """
    if is_empty(path):
        create(path)
        return
    with closing(open_database(path)) as connection:
        if not is_complete(connection):
            raise StoreError(
                f"{path} is incomplete, because its creation was interrupted",
                advice=f"move it away (`mv {path.name} {path.name}.incomplete`) and run this again",
            )
        # A store at another place may be shared with others, and does not move with this repository.
        if path.resolve().parent == cli.repository_root().resolve() and (old := old_locations(connection, path)):
            raise StoreError(
                f"{path.name} names artifacts under {repository_of(old[0])}",
                advice="run `python -m pipeline.tracking relocate`",
            )


def is_empty(path: Path) -> bool:
    return not path.exists() or path.stat().st_size == 0


def create(path: Path) -> None:
    """Create an empty store under another name in the same folder, and move it into place when it is complete.

    MLflow needs seconds for its schema and commits it table by table: a process that is killed meanwhile would leave a
    database that MLflow can neither use nor complete.
    """
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore  # not at the top: it takes a second to import

    # Next to the file, so that repositories that share the store wait for each other.
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_empty(path):
            return
        new = path.with_name(f"{path.name}.new")
        for leftover in (new, new.with_name(f"{new.name}-journal")):
            leftover.unlink(missing_ok=True)
        store = SqlAlchemyStore(f"{location.SQLITE}{new.resolve()}", artifact_folder(path).as_uri())
        store.engine.dispose()
        os.replace(new, path)


def open_database(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=60)


def is_complete(connection: sqlite3.Connection) -> bool:
    """MLflow creates its default experiment last; without any experiment, the creation did not come to its end."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return "experiments" in tables and bool(connection.execute("SELECT 1 FROM experiments LIMIT 1").fetchone())


def artifact_folder(path: Path) -> Path:
    """The folder of artifacts next to the store."""
    return path.resolve().parent / location.ARTIFACTS


def old_locations(connection: sqlite3.Connection, path: Path) -> list[str]:
    """The URIs of other `mlartifacts` folders than that next to the store that its experiments have as a location."""
    locations = [uri for (uri,) in connection.execute("SELECT DISTINCT artifact_location FROM experiments ORDER BY 1")]
    return [
        uri
        for uri in locations
        if uri
        and uri.startswith("file://")
        and Path(uri).name == location.ARTIFACTS
        and uri != artifact_folder(path).as_uri()
    ]


def repository_of(uri: str) -> Path:
    """The folder of the `mlartifacts` folder with this URI."""
    return Path(unquote(urlparse(uri).path)).parent


def relocate(path: Path) -> None:
    """Let the store name its artifacts in the folder next to it, after a copy of the store; print what changed.

    Raises UserError if that is not possible.
    """
    if is_empty(path):
        raise UserError(f"{path} does not exist; `dvc repro` creates it")
    with closing(open_database(path)) as connection:
        old = old_locations(connection, path) if is_complete(connection) else []
        if not old:
            print(f"{path.name} names its artifacts in this repository; there is nothing to relocate")
            return
        new = artifact_folder(path)
        if not new.is_dir():
            raise UserError(f"{new} is missing; move it here from {repository_of(old[0])}, then relocate")
        (schema,) = connection.execute("SELECT version_num FROM alembic_version").fetchone() or (None,)
        if schema not in KNOWN_SCHEMAS:
            raise UserError(f"{path.name} has a database schema that this command does not know ({schema})")
        # One transaction: no other process writes between the copy and the changes.
        connection.isolation_level = None
        connection.execute("BEGIN IMMEDIATE")
        copy = path.with_name(f"{path.name}.bak-{datetime.now(UTC):%Y%m%d-%H%M%S}")
        with closing(open_database(path)) as source, closing(open_database(copy)) as target:
            source.backup(target)
        count = sum(replace_prefix(connection, uri, new.as_uri()) for uri in old)
        connection.execute("COMMIT")
    print(f"{count} artifact locations under {', '.join(str(repository_of(uri)) for uri in old)} are now in {new}")
    print(f"the store as it was: {copy.name}")


def replace_prefix(connection: sqlite3.Connection, old: str, new: str) -> int:
    """Replace the beginning of all artifact locations; returns how many changed."""
    count = 0
    for table, columns in LOCATION_COLUMNS.items():
        for column in columns:
            count += connection.execute(
                f"UPDATE {table} SET {column} = :new || substr({column}, length(:old) + 1) "
                f"WHERE {column} = :old OR substr({column}, 1, length(:old) + 1) = :old || '/'",
                {"old": old, "new": new},
            ).rowcount
    return count
