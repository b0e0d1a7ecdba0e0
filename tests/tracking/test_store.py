"""The store: where it is, and what its experiment has."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from pipeline.tracking import store
from pipeline.tracking.errors import StoreError
from pipeline.tracking.location import tracking_uri
from tests.repository import track_params


@pytest.mark.usefixtures("store_file")
def test_relative_store_is_in_the_repository_also_for_an_experiment_in_a_copy(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workspace / "mlflow.db").rename(workspace / "others.db")
    monkeypatch.setenv("DVC_ROOT", str(workspace))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///others.db?timeout=30")
    (tmp_path / "copy").mkdir()
    monkeypatch.chdir(tmp_path / "copy")

    client, experiment = store.connect(track_params("here"))

    here = MlflowClient(f"sqlite:///{workspace}/others.db").get_experiment_by_name("here")
    assert here
    assert here.experiment_id == experiment
    assert client.get_experiment(experiment).artifact_location == (workspace / "mlartifacts").as_uri()
    assert not list((tmp_path / "copy").iterdir())


@pytest.mark.parametrize("uri", ["http://127.0.0.1:5", "postgresql://someone@somewhere/mlflow", "sqlite:////some.db"])
def test_any_other_store_is_taken_as_it_is_named(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)

    assert tracking_uri() == uri


def test_view_shows_the_important_metrics_also_in_an_experiment_that_exists(
    workspace: Path, client: MlflowClient
) -> None:
    client.create_experiment("old", (workspace / "mlartifacts").as_uri())

    _, experiment = store.connect(track_params("old"))

    view = json.loads(client.get_experiment(experiment).tags["mlflow.sharedViewState.results"])
    columns = json.loads(view["state"])["selectedColumns"]
    assert {"metrics.`test/macro_f1`", "params.`train.cell`", "params.`fetch.source`"} <= set(columns)


def test_deleted_experiment_is_a_one_line_error(client: MlflowClient) -> None:
    client.delete_experiment(client.create_experiment("gone"))

    with pytest.raises(StoreError, match="the experiment gone is deleted; restore it or name another one"):
        store.connect(track_params("gone"))


def test_telemetry_of_mlflow_is_off_and_its_processes_inherit_that(run: Callable) -> None:
    Path("telemetry.py").write_text(
        "from pipeline.tracking import store\nimport os\n"
        "from mlflow.telemetry import get_telemetry_client\n"
        "print(get_telemetry_client(), os.environ['MLFLOW_DISABLE_TELEMETRY'], os.environ['DO_NOT_TRACK'])\n"
    )

    # Otherwise MLflow takes the process for one of a test or of CI, and is silent for that reason.
    process = run("telemetry", env={"PYTEST_CURRENT_TEST": "", "CI": ""})

    assert process.stdout == "None true true\n", process
