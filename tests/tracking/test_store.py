"""The store: where it is, what its page shows, and a repository that was moved with it."""

import json
import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient

from pipeline.tracking import store


@pytest.fixture(autouse=True)
def default(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def test_a_relative_store_lies_in_the_repository_also_for_an_experiment_in_a_copy(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(workspace))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///others.db?timeout=30")
    (tmp_path / "copy").mkdir()
    monkeypatch.chdir(tmp_path / "copy")

    client, experiment = store.connect("here")

    assert (workspace / "others.db").exists()
    assert client.get_experiment(experiment).artifact_location == (workspace / "mlartifacts").as_uri()
    assert not list((tmp_path / "copy").iterdir())


@pytest.mark.parametrize("uri", ["http://127.0.0.1:5", "postgresql://someone@somewhere/mlflow", "sqlite:////some.db"])
def test_any_other_store_is_taken_as_it_is_named(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)

    assert store.tracking_uri() == uri


def test_the_view_shows_the_figures_that_matter_also_in_a_store_of_before(workspace: Path) -> None:
    old = MlflowClient(f"sqlite:///{workspace / 'mlflow.db'}")
    old.create_experiment("old", (workspace / "mlartifacts").as_uri())

    client, experiment = store.connect("old")

    view = json.loads(client.get_experiment(experiment).tags["mlflow.sharedViewState.results"])
    columns = json.loads(view["state"])["selectedColumns"]
    assert {"metrics.`test_macro_f1`", "params.`train.cell`", "params.`fetch.source`"} <= set(columns)


def fill(root: Path) -> tuple[str, str]:
    """A run with an artifact and a registered version; gives the run's id and the artifact's text."""
    client, experiment = store.connect("moved")
    run = client.create_run(experiment)
    client.log_text(run.info.run_id, "what was made", "report.txt")
    # Of what somebody said, nothing is changed, whatever it looks like.
    client.set_tag(run.info.run_id, "said", f"it was in {root.as_uri()}/mlartifacts once")
    client.log_param(run.info.run_id, "fetch.source", f"{root}/posts.tar.gz")
    client.create_registered_model("questions")
    client.create_model_version("questions", run.info.artifact_uri, run_id=run.info.run_id)
    return run.info.run_id, run.info.artifact_uri


@pytest.mark.parametrize("original", ["moved away", "still there"])
def test_a_store_follows_a_repository_that_is_moved_or_copied(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, original: str
) -> None:
    id, uri = fill(workspace)
    new = tmp_path / "a new place, with a blank"
    shutil.copytree(workspace, new)
    monkeypatch.chdir(new)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")  # MLflow sets it for the processes that this one starts
    if original == "moved away":
        shutil.rmtree(workspace)
    else:
        (workspace / "mlartifacts").rename(workspace / "hidden")

    for _ in range(2):
        client, experiment = store.connect("moved")

    run = client.get_run(id)
    assert run.info.artifact_uri == uri.replace(workspace.as_uri(), new.as_uri())
    assert Path(client.download_artifacts(id, "report.txt")).read_text() == "what was made"
    assert client.get_experiment(experiment).artifact_location == (new / "mlartifacts").as_uri()
    assert client.get_model_version("questions", "1").source == run.info.artifact_uri
    assert run.data.tags["said"] == f"it was in {workspace.as_uri()}/mlartifacts once"
    assert run.data.params["fetch.source"] == f"{workspace}/posts.tar.gz"


def test_a_store_that_others_share_does_not_follow_a_repository(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = f"sqlite:///{tmp_path / 'shared.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", shared)
    id, uri = fill(workspace)
    other = tmp_path / "other"
    (other / "mlartifacts").mkdir(parents=True)
    monkeypatch.chdir(other)

    client, _ = store.connect("moved")

    assert client.get_run(id).info.artifact_uri == uri


def test_experiments_of_others_are_left_where_they_are(workspace: Path, tmp_path: Path) -> None:
    client, _ = store.connect("ours")
    elsewhere = (tmp_path / "elsewhere").as_uri()
    theirs = client.create_experiment("theirs", elsewhere)

    store.connect("ours")

    assert client.get_experiment(theirs).artifact_location == elsewhere
