"""Find a run by its id or name, a model version, a commit, a DVC experiment, or the workspace."""

import re
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run

from pipeline.cli import UserError
from pipeline.tracking import hashes, provenance, revisions, runs
from pipeline.tracking.errors import get_or_none, store_errors
from pipeline.tracking.revisions import Result

RUN_ID = re.compile("[0-9a-f]{32}")
VERSION = re.compile(r"(?P<name>[^@]+)(/(?P<version>\d+)|@(?P<alias>[\w-]+))")

TRAINED = ("complete", "trained")


def find_run(client: MlflowClient, experiment: str, name: str | None) -> Run:
    """The run; of the workspace's result without a name. Raises UserError if there is none, and StoreError."""
    run = find_in_git(client, experiment, name) or (find_in_mlflow(client, experiment, name) if name else None)
    if not run:
        raise UserError(explain_missing_run(name))
    return run


def find_in_git(client: MlflowClient, experiment: str, name: str | None) -> Run | None:
    """The run of the result of a commit, an experiment or the workspace."""
    commit = revisions.commit_of(name) if name else None
    result = revisions.read_result(commit) if commit else None if name else read_workspace()
    return find_run_of_result(client, experiment, result, name) if result else None


def read_workspace() -> Result | None:
    """The result in the workspace; None if files are missing."""
    try:
        md5s = {path: hashes.md5(Path(path)) for path in hashes.RESULT_FILES}
        lock = Path(revisions.LOCK).read_text()
    except FileNotFoundError:
        return None
    return Result(md5s[hashes.MODEL], True, hashes.result_hash(md5s), revisions.recipe_hash(lock))


def find_in_mlflow(client: MlflowClient, experiment: str, name: str) -> Run | None:
    """The run of a model version, or with this id or name, the newest of several."""
    if match := VERSION.fullmatch(name):
        get = client.get_model_version_by_alias if match["alias"] else client.get_model_version
        version = get_or_none(lambda: get(match["name"], match["alias"] or match["version"]))
        run_id = version.run_id if version else None
        if run_id and (run := get_or_none(lambda: client.get_run(run_id))):
            return run
    if RUN_ID.fullmatch(name) and (run := get_or_none(lambda: client.get_run(name))):
        return run
    if '"' in name:  # MLflow's filters cannot express both kinds of quotes
        return None
    with store_errors():
        named = client.search_runs([experiment], f'attributes.run_name = "{name}"', order_by=["start_time DESC"])
    return named[0] if named else None


def find_run_of_result(
    client: MlflowClient, experiment: str, result: Result, name: str | None = None, same_recipe: bool = False
) -> Run | None:
    """The finished run of a result; None if there is none. Raises StoreError.

    Other parameters or code can lead to the same result: a run of the same recipe is preferred, or required with
    `same_recipe`. Of several runs of a result that was not evaluated, that of the experiment `name` is preferred.
    """
    tags = {runs.RESULT_HASH: result.result_hash} if result.result_hash else {runs.MODEL_MD5: result.model_md5}
    if result.is_evaluated:
        complete = runs.find_runs(client, experiment, tags | {runs.STATE: "complete"})
        alike = [run for run in complete if run.data.tags.get(runs.RECIPE_HASH) == result.recipe_hash]
        return next(iter(alike or ([] if same_recipe else complete)), None)
    trained = [run for run in runs.find_runs(client, experiment, tags) if run.data.tags.get(runs.STATE) in TRAINED]
    trained.sort(key=lambda run: (run.data.tags.get(provenance.EXPERIMENT) != name, run.data.tags[runs.STATE]))
    return trained[0] if trained else None


def explain_missing_run(name: str | None) -> str:
    """Why there is no run, and what to do."""
    if not name:
        return "the workspace has no result with a run; `dvc repro` makes one"
    commit = revisions.commit_of(name)
    if not commit:
        return f"{name} is not a run, model version, commit or experiment; `dvc exp list` and `make ui` show them"
    if not revisions.read_result(commit):
        return f"{name} has no result; after `dvc repro`, commit dvc.lock and reports"
    if missing := revisions.missing_files(commit):
        return f"{name} has no run in MLflow; {describe_missing_files(missing)}"
    return f"{name} has no run in MLflow; `python -m pipeline.tracking rebuild` makes it"


def describe_missing_files(missing: list[str]) -> str:
    more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
    return f"its files are not in DVC's cache ({missing[0]}{more}); `dvc pull` or `dvc repro`"
