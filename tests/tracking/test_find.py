"""A run is found by its id or name, a model version, a commit or an experiment; or a line says why there is none."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient
from ruamel.yaml import YAML

from pipeline import params
from pipeline.cli import UserError
from pipeline.tracking import find, hashes, provenance, revisions, runs, store
from tests.repository import track_params


def git(*arguments: str) -> str:
    author = ("-c", "user.name=test", "-c", "user.email=test@example.com")
    return subprocess.run(["git", *author, *arguments], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(autouse=True)
def repository(config: params.Params, monkeypatch: pytest.MonkeyPatch) -> None:
    """A repository whose first commit has no result; DVC's cache has every file."""
    git("init", "--quiet", "--initial-branch", "trunk")
    git("add", "params.yaml")
    git("commit", "--quiet", "--message", "start")
    monkeypatch.setattr(revisions, "is_cached", lambda md5: True)


@pytest.fixture
def experiment() -> str:
    return store.connect(track_params("text-classification"))[1]


@pytest.fixture
def create_run(client: MlflowClient, experiment: str) -> Callable[..., str]:
    """`create_run("name", state="complete")` creates a finished run with these tags, and returns its id."""

    def create(name: str, **tags: str) -> str:
        run = client.create_run(experiment, run_name=name, tags=tags)
        client.set_terminated(run.info.run_id)
        return run.info.run_id

    return create


def commit_result(model: str, params: dict | None = None, is_evaluated: bool = True) -> revisions.Result:
    """Commit a dvc.lock with this md5 of the model; returns the result."""
    outs = [{"path": path, "md5": model if path == hashes.MODEL else "0"} for path in hashes.RESULT_FILES]
    train: dict = {"outs": outs, "params": params or {}}
    evaluate = {"deps": [{"path": hashes.MODEL, "md5": model if is_evaluated else "another"}]}
    YAML().dump({"schema": "2.0", "stages": {"train": train, "evaluate": evaluate}}, Path("dvc.lock"))
    git("add", "dvc.lock")
    git("commit", "--quiet", "--message", model)
    result = revisions.read_result("HEAD")
    assert result
    return result


def test_run_is_found_by_id_name_version_and_alias(
    client: MlflowClient, experiment: str, create_run: Callable[..., str]
) -> None:
    create_run("twice")
    run_id = create_run("twice")
    client.create_registered_model("questions")
    client.create_model_version("questions", "s3://nowhere/model", run_id=run_id)
    client.set_registered_model_alias("questions", "champion", "1")

    for name in (run_id, "twice", "questions/1", "questions@champion"):
        assert find.find_run(client, experiment, name).info.run_id == run_id


def test_run_is_found_by_a_commit_and_an_experiment_that_describe_its_result(
    client: MlflowClient, experiment: str, create_run: Callable[..., str]
) -> None:
    result = commit_result("a")
    assert result.result_hash
    run_id = create_run("some run", state="complete", result_hash=result.result_hash)
    head = git("rev-parse", "HEAD")
    git("update-ref", f"refs/exps/{head[:2]}/{head[2:]}/wide", head)

    for name in ("HEAD", "trunk", head[:8], "wide"):
        assert find.find_run(client, experiment, name).info.run_id == run_id


def test_workspace_is_found_by_its_files(client: MlflowClient, experiment: str, create_run: Callable[..., str]) -> None:
    for path in hashes.RESULT_FILES:
        Path(path).write_text(path)
    Path("dvc.lock").write_text("schema: '2.0'\n")
    result = find.read_workspace()
    assert result
    assert result.result_hash
    run_id = create_run("some run", state="complete", result_hash=result.result_hash)

    assert find.find_run(client, experiment, None).info.run_id == run_id


def test_run_of_the_same_recipe_is_preferred_or_required(
    client: MlflowClient, experiment: str, create_run: Callable[..., str]
) -> None:
    result = commit_result("a", {"units": 64})
    tags = {"state": "complete", "result_hash": str(result.result_hash)}
    other = create_run("other parameters", **tags, recipe_hash="other")

    def found(same_recipe: bool) -> str | None:
        run = find.find_run_of_result(client, experiment, result, same_recipe=same_recipe)
        return run.info.run_id if run else None

    assert found(same_recipe=True) is None
    assert found(same_recipe=False) == other

    same = create_run("same parameters", **tags, recipe_hash=str(result.recipe_hash))

    assert found(same_recipe=False) == found(same_recipe=True) == same


def test_run_of_the_experiment_is_preferred_for_a_model_that_was_not_evaluated(
    client: MlflowClient, experiment: str, create_run: Callable[..., str]
) -> None:
    result = commit_result("a", is_evaluated=False)
    tags = {runs.MODEL_MD5: "a", runs.STATE: "trained"}
    create_run("first", **tags)
    run_id = create_run("second", **tags, **{provenance.EXPERIMENT: "wide"})

    run = find.find_run_of_result(client, experiment, result, "wide")

    assert run
    assert run.info.run_id == run_id


def test_unfinished_run_is_not_the_run_of_a_result(
    client: MlflowClient, experiment: str, create_run: Callable[..., str]
) -> None:
    result = commit_result("a")
    create_run("training", state="trained", result_hash=str(result.result_hash))

    assert find.find_run_of_result(client, experiment, result) is None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (None, "the workspace has no result with a run; `dvc repro` makes one"),
        ("nobody", "nobody is not a run, model version, commit or experiment; `dvc exp list` and `make ui` show them"),
        ('"', '" is not a run, model version, commit or experiment; `dvc exp list` and `make ui` show them'),
        ("HEAD~1", "HEAD~1 has no result; after `dvc repro`, commit dvc.lock and reports"),
        ("HEAD", "HEAD has no run in MLflow; `python -m pipeline.tracking rebuild` makes it"),
    ],
)
def test_missing_run_is_explained_in_one_line(
    client: MlflowClient, experiment: str, name: str | None, message: str
) -> None:
    commit_result("a")

    with pytest.raises(UserError) as raised:
        find.find_run(client, experiment, name)

    assert str(raised.value) == message


def test_result_that_was_made_elsewhere_is_not_one_to_rebuild(
    client: MlflowClient, experiment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revisions, "is_cached", lambda md5: md5 == "0")
    commit_result("a")

    with pytest.raises(UserError) as raised:
        find.find_run(client, experiment, "HEAD")

    assert str(raised.value) == (
        "HEAD has no run in MLflow; its files are not in DVC's cache (models/model.onnx); `dvc pull` or `dvc repro`"
    )
    assert find.describe_missing_files(["a", "b", "c"]) == (
        "its files are not in DVC's cache (a and 2 more); `dvc pull` or `dvc repro`"
    )
