"""A copy of this repository to run commands in: the real DVC and git, and a store of its own."""

import atexit
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from itertools import count
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run
from ruamel.yaml import YAML

from pipeline.params.track import Track
from pipeline.tracking import sqlite_store
from tests import fork_server, toy_pipeline

ROOT = Path(__file__).parent.parent
SHARED = "TESTS_SHARED_FOLDER"  # environment variable: a folder that all processes of a test session share


def track_params(experiment: str) -> Track:
    return Track(experiment=experiment, timeout=120)


def make_once(name: str, make: Callable[[Path], None]) -> Path:
    """A path that the first of pytest's processes that needs it makes with `make`, for all of them."""
    path = Path(os.environ[SHARED], name)
    with path.with_name(f"{name}.made").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.seek(0)
        if not lock.read():
            if path.is_dir():  # of an attempt that failed
                shutil.rmtree(path)
            make(path)
            lock.write("done")
    return path


def empty_store() -> Path:
    """An MLflow store in SQLite without any run, to be copied: MLflow takes seconds to create one."""
    return make_once("empty-mlflow.db", sqlite_store.create)


def environment() -> dict[str, str]:
    """This Python's commands first on the path, and nothing that would send runs or DVC elsewhere."""
    names = ("MLFLOW_TRACKING_URI", "DVC_ROOT", "DVC_EXP_NAME", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if name not in names}
    return kept | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


@cache
def fast_commands() -> str:
    """The folder of a fork server's commands; where the system's libraries do not bear a fork, of this Python's own."""
    if sys.platform != "linux":
        return str(Path(sys.executable).parent)
    folder = tempfile.mkdtemp(prefix="fork-")
    server = fork_server.start(Path(folder), environment())
    atexit.register(shutil.rmtree, folder)
    atexit.register(server.terminate)
    return folder


def fast_environment() -> dict[str, str]:
    """As `environment`, with the fork server's commands first on the path: not for processes that are killed."""
    env = environment()
    return env | {"PATH": f"{fast_commands()}:{env['PATH']}"}


def run(folder: Path, *command: str, code: int = 0, **more: str) -> str:
    """Run a command in a repository, with `more` environment variables.

    Returns all that it printed, and fails unless it ends with `code`.
    """
    process = subprocess.run(
        command, cwd=folder, env=fast_environment() | more, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.returncode == code, f"{' '.join(command)} ended with {process.returncode}:\n{process.stdout}"
    return process.stdout


def change_params(repository: Path, changes: dict[str, dict]) -> None:
    yaml = YAML()
    params = yaml.load(repository / "params.yaml")
    for section, values in changes.items():
        params[section].update(values)
    yaml.dump(params, repository / "params.yaml")


def fresh_copy(folder: Path, cache_of: Path | None = None, with_store: bool = True) -> Path:
    """A repository with this one's files as they are now, small parameters, and nothing made by a run.

    With DVC's cache of the repository `cache_of`, a stage that ran there need not run here. The MLflow store is empty;
    without it, the first command that needs one creates it.
    """
    listed = subprocess.check_output(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, text=True)
    for name in listed.splitlines():
        if (ROOT / name).exists() and not name.startswith("reports/") and name != "dvc.lock":
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    shutil.copy(ROOT / "tests/params.yaml", folder)
    if cache_of:
        shutil.copytree(cache_of / ".dvc/cache", folder / ".dvc/cache")
    if with_store:
        shutil.copy(empty_store(), folder / "mlflow.db")
    run(folder, "git", "init", "--quiet")
    commit(folder, "start")
    return folder


def toy_copy(folder: Path, cache_of: Path | None = None, with_store: bool = True) -> Path:
    """As `fresh_copy`, with the stages of `tests/toy_pipeline.py` in place of those that take long."""
    fresh_copy(folder, cache_of, with_store)
    toy_pipeline.install(folder)
    commit(folder, "toy pipeline")
    return folder


def copy_repository(source: Path, target: Path) -> Path:
    """A copy of a repository with its runs; the store names the artifacts of the copy."""
    shutil.copytree(source, target, symlinks=True)
    sqlite_store.relocate(target / "mlflow.db")
    for copy in target.glob("mlflow.db.bak-*"):
        copy.unlink()
    return target


def commit(repository: Path, message: str) -> None:
    run(repository, "git", "add", "-A")
    run(
        repository,
        *("git", "-c", "user.name=test", "-c", "user.email=test@example.com"),
        *("commit", "--quiet", "--message", message),
    )


def store(repository: Path) -> str:
    """The URI of the repository's store as it is now: MLflow keeps a connection per URI, also to a deleted file."""
    return f"sqlite:///{repository / 'mlflow.db'}?timeout={next(TIMEOUT)}"


TIMEOUT = count(60)


def runs(repository: Path) -> list[Run]:
    """All runs in the repository's store, newest first."""
    client = MlflowClient(store(repository))
    return list(client.search_runs([experiment.experiment_id for experiment in client.search_experiments()]))
