"""Whether anything changed since `track` last found its result complete; if not, it need not import MLflow (2 s)."""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from pipeline.tracking.location import sqlite_path, tracking_uri

RECORD = Path(".dvc/tmp/last-track.json")
LOCK = Path("dvc.lock")  # the result, by the digests of its files
OWN_SECTION = re.compile(r"^  track:\n(?:    .*\n)*", re.MULTILINE)  # which DVC writes after `track` has run
INPUTS = [Path(name) for name in ("dvc.yaml", "params.yaml", "pipeline")]


def unchanged_run(reports: Iterable[Path]) -> str | None:
    """The name of the result's run if nothing changed since `record`; None otherwise.

    `reports` are the files that `track` writes.
    """
    try:
        run_name, digest = json.loads(RECORD.read_text())
        return run_name if digest == state_digest(store_version(), reports) else None
    except (OSError, ValueError):  # never recorded, or a file is missing or damaged
        return None


def record(run_name: str, version: str | None, reports: Iterable[Path]) -> None:
    """Record that this version of the store has the complete run, and that the reports are up to date with it."""
    if version:
        RECORD.parent.mkdir(parents=True, exist_ok=True)
        RECORD.write_text(json.dumps([run_name, state_digest(version, reports)]))


def state_digest(version: str | None, reports: Iterable[Path]) -> str:
    """A digest of all that `track` reads and writes. Raises FileNotFoundError if a file is missing."""
    digest = hashlib.sha256(str(version).encode())
    digest.update(OWN_SECTION.sub("", LOCK.read_text()).encode())
    for path in files(INPUTS):
        digest.update(f"{path} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    for path in reports:
        digest.update(file_version(path).encode())
    return digest.hexdigest()


def store_version() -> str | None:
    """A text that changes whenever something is written to the store; None if it is not one local file."""
    uri = tracking_uri()
    path = sqlite_path(uri)
    if not path or not path.exists() or "MLFLOW_REGISTRY_URI" in os.environ:
        return None
    return f"{uri} {file_version(path)}"


def file_version(path: Path) -> str:
    status = path.stat()
    return f"{path} {status.st_ino} {status.st_size} {status.st_mtime_ns}\n"


def files(paths: Iterable[Path]) -> Iterator[Path]:
    """All files of files and folders, in a fixed order, without Python's caches."""
    for path in paths:
        if path.is_dir():
            for folder, folders, names in os.walk(path):
                folders[:] = sorted(name for name in folders if name != "__pycache__")
                yield from (Path(folder, name) for name in sorted(names))
        else:
            yield path
