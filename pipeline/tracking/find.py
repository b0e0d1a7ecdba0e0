"""A run, by whatever it is known: id, name, version of a registered model, commit, DVC experiment, or the workspace."""

import re
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run

from pipeline.cli import UserError
from pipeline.tracking import hashes, revisions, store
from pipeline.tracking.rebuild import find_run_of_result
from pipeline.tracking.revisions import Result
from pipeline.tracking.store import store_errors

ID = re.compile("[0-9a-f]{32}")
VERSION = re.compile(r"(?P<name>[^@]+)(/(?P<version>\d+)|@(?P<alias>[\w-]+))")
HELP = "a run's id or name, a model version (name/3 or name@champion), a commit, an experiment; none: the workspace"


def find_run(client: MlflowClient, experiment: str, name: str | None) -> Run:
    """Raises Stop where there is no such run, and StoreError."""
    found = in_git(client, experiment, name) or (in_mlflow(client, experiment, name) if name else None)
    if found:
        return found
    if not name:
        raise UserError("the workspace holds no result that has a run; `dvc repro` makes one")
    if revisions.commit_of(name):
        raise UserError(
            f"{name} has no run in MLflow; `python -m pipeline.tracking rebuild` makes those that are missing"
        )
    raise UserError(f"{name} is no run, model version, commit or experiment; `dvc exp list` and `make ui` show them")


def in_git(client: MlflowClient, experiment: str, name: str | None) -> Run | None:
    """The run of the result that a commit, an experiment or the workspace holds."""
    if not name:
        result = in_workspace()
    else:
        commit = revisions.commit_of(name)
        result = revisions.read_result(commit) if commit else None
    return find_run_of_result(client, experiment, result, name) if result else None


def in_workspace() -> Result | None:
    try:
        md5s = {path: hashes.md5(Path(path)) for path in hashes.RESULT_FILES}
        lock = Path("dvc.lock").read_text()
    except FileNotFoundError:
        return None
    return Result(md5s[hashes.MODEL], True, hashes.result_hash(md5s), revisions.recipe_hash(lock))


def in_mlflow(client: MlflowClient, experiment: str, name: str) -> Run | None:
    if match := VERSION.fullmatch(name):
        ask = client.get_model_version_by_alias if match["alias"] else client.get_model_version
        version = store.get_or_none(lambda: ask(match["name"], match["alias"] or match["version"]))
        id = version.run_id if version else None
        if id and (run := store.get_or_none(lambda: client.get_run(id))):
            return run
    if ID.fullmatch(name) and (run := store.get_or_none(lambda: client.get_run(name))):
        return run
    if '"' in name:  # MLflow's filters know no way to write both kinds of quotes
        return None
    with store_errors():
        named = client.search_runs([experiment], f'attributes.run_name = "{name}"', order_by=["start_time DESC"])
    return named[0] if named else None
