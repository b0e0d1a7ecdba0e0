"""`MLFLOW_TRACKING_URI` at a real server: MLflow's with basic authentication, on PostgreSQL, artifacts through it."""

import csv
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, Run
from ruamel.yaml import YAML

from pipeline import params
from pipeline.registry import history, versions
from pipeline.registry.history import AliasChange
from pipeline.track import TRAINED
from pipeline.tracking.artifacts import logged_datasets
from pipeline.tracking.runs import log_inputs
from tests import repository as repositories
from tests import test_track
from tests.challenge import challenge
from tests.repository import change_params, fresh_copy, run
from tests.servers import PASSWORD, USER, Server, as_user, at, free_port, postgresql, without_mlflow

everything = test_track.everything
READER = as_user("a password of hers", "reader")

# In a process of its own, in a folder without this repository's code: the model must bring what it needs.
ASK = """
import mlflow, pandas, sys
print(mlflow.pyfunc.load_model(sys.argv[1]).predict(pandas.DataFrame({"text": ["dict", "banana"]})).label.tolist())
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server, and this process as its user; another one may only read."""
    with postgresql() as store, pytest.MonkeyPatch.context() as patch:
        server = Server(tmp_path_factory.mktemp("server"), store)
        for name, value in server.client.items():
            patch.setenv(name, value)
        server.start()
        try:
            reader = {"username": READER["MLFLOW_TRACKING_USERNAME"], "password": READER["MLFLOW_TRACKING_PASSWORD"]}
            create = f"{server.uri}/api/2.0/mlflow/users/create"
            requests.post(create, json=reader, auth=(USER, PASSWORD), timeout=30).raise_for_status()
            yield server
        finally:
            server.kill()


@pytest.fixture(scope="module")
def repository(first_result: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository without any result yet; what one test makes is in DVC's cache for the next."""
    return fresh_copy(tmp_path_factory.mktemp("repository"), cache_of=first_result)


def copies(workspace: Path, seeds: list[int], experiment: str) -> list[Path]:
    """Folders with the workspace's result, each as if made with another seed."""
    folders = []
    for number, seed in enumerate(seeds):
        folder = workspace.parent / f"copy-{number}"
        shutil.copytree(workspace, folder)
        change_params(folder, {"train": {"seed": seed}, "track": {"experiment": experiment}})
        folders.append(folder)
    return folders


def start_tracking(folder: Path, client: dict[str, str]) -> subprocess.Popen[str]:
    """The stage `track`, running."""
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline.track"],
        cwd=folder,
        env=without_mlflow() | client | {"DVC_STAGE": "track"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def track_at_once(folders: list[Path], client: dict[str, str]) -> list[str]:
    """The stage `track` in all of the folders at the same time; gives what each said."""
    processes = [start_tracking(folder, client) for folder in folders]
    said = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(folders), "\n".join(said)
    return said


def runs(server: Server, experiment: str) -> list[Run]:
    """The experiment's runs, without those that were deleted."""
    client = MlflowClient(server.uri)
    found = client.get_experiment_by_name(experiment)
    return list(client.search_runs([found.experiment_id])) if found else []


def models_by_run(server: Server, runs: list[Run]) -> dict[str | None, str]:
    """The URI of each model of the runs' experiment that is ready, by the run that made it."""
    logged = MlflowClient(server.uri).search_logged_models([runs[0].info.experiment_id])
    return {model.source_run_id: model.model_uri for model in logged if model.status == "READY"}


def epochs_of(server: Server, run: Run) -> list[int]:
    return [point.step for point in MlflowClient(server.uri).get_metric_history(run.info.run_id, "val_log_loss")]


def assert_whole(server: Server, run: Run, folder: Path) -> None:
    """The run is finished, and the server gives its artifacts, which are those of the folder."""
    client = MlflowClient(server.uri)
    assert run.info.status == "FINISHED"
    assert run.info.artifact_uri.startswith("mlflow-artifacts:")
    names = {file.path for file in client.list_artifacts(run.info.run_id)}
    evaluation = folder / "reports/evaluation"
    assert {"report.html", "model_card.md", *TRAINED, *(path.name for path in evaluation.iterdir())} <= names
    files = {"metrics.json": folder / "reports/metrics.json"}
    files |= {name: evaluation / name for name in ("classifier/classification_report.txt", "plots/reliability.svg")}
    for name, path in files.items():
        assert Path(client.download_artifacts(run.info.run_id, name)).read_bytes() == path.read_bytes()


def assert_all_there(repository: Path) -> None:
    """Every stage came to its end, and all that they make is there."""
    stages = YAML(typ="safe").load(repository / "dvc.yaml")["stages"]
    finished = YAML(typ="safe").load(repository / "dvc.lock")["stages"]
    assert set(finished) == set(stages)
    assert not [out["path"] for stage in finished.values() for out in stage.get("outs", [])
                if not (repository / out["path"]).exists()]  # fmt: skip


def test_four_processes_at_once_leave_four_runs_of_four_results(
    everything: params.Params, workspace: Path, server: Server
) -> None:
    folders = copies(workspace, [1, 2, 3, 4], "four-results")

    said = track_at_once(folders, server.client)

    assert "warning" not in "".join(said)
    found = runs(server, "four-results")
    models = models_by_run(server, found)
    assert sorted(run.data.params["train.seed"] for run in found) == ["1", "2", "3", "4"]
    assert set(models) == {run.info.run_id for run in found}
    for each in found:
        assert_whole(server, each, folders[int(each.data.params["train.seed"]) - 1])
    # All of it went to the server.
    assert not [path for folder in folders for path in folder.glob("ml*")]

    said = track_at_once(folders, server.client)

    assert all("has its run already" in each for each in said)
    assert {run.info.run_id for run in runs(server, "four-results")} == set(models)
    assert models_by_run(server, found) == models


def test_four_processes_at_once_leave_one_run_of_one_result(
    everything: params.Params, workspace: Path, server: Server
) -> None:
    folders = copies(workspace, [1, 1, 1, 1], "one-result")

    said = track_at_once(folders, server.client)

    assert "warning" not in "".join(said)
    (only,) = runs(server, "one-result")
    assert_whole(server, only, folders[0])
    assert list(models_by_run(server, [only])) == [only.info.run_id]


def test_one_data_set_told_by_many_at_once_is_told_of_each_run(server: Server) -> None:
    client = MlflowClient(server.uri)
    experiment = client.create_experiment("data-sets")
    ids = [client.create_run(experiment).info.run_id for _ in range(40)]

    def tell(number: int) -> None:
        posts = Dataset("posts", f"digest {number // 8}", "local", "{}")
        log_inputs(client, ids[number], [DatasetInput(posts, [])])

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(tell, range(len(ids))))

    told = [[each.dataset.digest for each in logged_datasets(client.get_run(id))] for id in ids]
    assert told == [[f"digest {number // 8}"] for number in range(len(ids))]


def test_of_many_machines_that_promote_at_once_one_does(server: Server, tmp_path: Path) -> None:
    client = MlflowClient(server.uri)
    client.create_registered_model("contested")
    for _ in range(5):
        client.create_model_version("contested", "s3://nowhere/model", await_creation_for=0)
    history.record_change(client, "contested", AliasChange("champion", 1, "promote", None, "1"))

    said = challenge("contested", ["2", "3", "4", "5"], tmp_path, server.client)

    assert sorted(said) == ["promoted", "too late", "too late", "too late"]
    winner = str(said.index("promoted") + 2)
    assert versions.read_aliases(client, "contested")["champion"] == winner
    assert [move.after for move in history.alias_changes(client, "contested")] == ["1", winner]


def test_a_model_logged_with_the_password_is_loaded_with_it_and_answers(
    everything: params.Params, workspace: Path, server: Server, tmp_path: Path
) -> None:
    folders = copies(workspace, [1], "with-password")
    track_at_once(folders, server.client)
    (model,) = models_by_run(server, runs(server, "with-password")).values()
    nothing = tmp_path / "nothing"
    nothing.mkdir()

    said = run(nothing, sys.executable, "-W", "ignore", "-c", ASK, model, code=0, **server.client)

    assert said.splitlines()[-1] == "['pythön', 'fruit']"


@pytest.mark.parametrize(
    ("user", "reason"),
    [
        pytest.param(as_user("not the password"), "not authenticated", id="a wrong password"),
        pytest.param({}, "not authenticated", id="no password"),
        pytest.param(READER, "Permission denied", id="a user who may only read"),
    ],
)
def test_who_may_not_write_is_told_so_in_one_sentence(
    everything: params.Params, workspace: Path, server: Server, user: dict[str, str], reason: str
) -> None:
    if not MlflowClient(server.uri).get_experiment_by_name("of-admin"):
        MlflowClient(server.uri).create_experiment("of-admin")
    folders = copies(workspace, [1], "of-admin")
    client = {name: value for name, value in server.client.items() if name not in as_user(PASSWORD)}

    (said,) = track_at_once(folders, client | user)

    assert said.startswith("warning: MLflow could not be told of this result")
    assert reason in said
    assert said.count("\n") == 1
    assert runs(server, "of-admin") == []


def test_a_server_that_dies_while_it_is_told_has_one_run_after_the_next_track(
    everything: params.Params, workspace: Path, server: Server
) -> None:
    (folder,) = copies(workspace, [1], "dies")
    with start_tracking(folder, server.client) as telling:
        while not any(each.data.metrics for each in runs(server, "dies")):
            assert telling.poll() is None, "all was told before the server died"
            time.sleep(0.05)

        server.kill()

        said = telling.communicate(timeout=120)[0]
    assert telling.returncode == 0
    assert said.count("warning: MLflow could not be told of this result") == 1
    assert "Traceback" not in said
    server.start()
    track_at_once([folder], server.client)
    (only,) = runs(server, "dies")
    assert_whole(server, only, folder)
    assert list(models_by_run(server, [only])) == [only.info.run_id]


def test_a_server_that_dies_in_training_costs_no_artifact_and_track_completes_the_run(
    repository: Path, server: Server, tmp_path: Path
) -> None:
    change_params(repository, {"train": {"epochs": 10, "patience": 10}})
    log, env = tmp_path / "said.txt", without_mlflow() | server.client
    deadline = time.monotonic() + 120
    with (
        log.open("w") as file,
        subprocess.Popen(["dvc", "repro"], cwd=repository, env=env, stdout=file, stderr=file) as repro,
    ):
        while not any("val_loss" in each.data.metrics for each in runs(server, "text-classification")):
            assert repro.poll() is None, f"all ended before the server did:\n{log.read_text()}"
            assert time.monotonic() < deadline, f"no epoch reached the server in two minutes:\n{log.read_text()}"
            time.sleep(0.2)

        server.kill()

    assert repro.returncode == 0, log.read_text()
    said = log.read_text()
    assert said.count("warning: MLflow could not be told of this result") == 1
    assert "Traceback" not in said
    assert_all_there(repository)
    history = list(csv.DictReader((repository / "reports/history.csv").open()))
    assert len(history) == 10
    by_hand = run(repository, sys.executable, "-m", "pipeline.track", code=1, **server.client)
    assert by_hand.startswith("error: MLflow could not be told of this result")
    assert by_hand.count("\n") == 1

    server.start()
    (lost,) = runs(server, "text-classification")
    assert 0 < len(epochs_of(server, lost)) < 10

    run(repository, sys.executable, "-m", "pipeline.track", code=0, **server.client)

    found = runs(server, "text-classification")
    assert "RUNNING" not in [each.info.status for each in found]
    (only,) = [each for each in found if each.info.status == "FINISHED"]
    assert_whole(server, only, repository)
    assert list(models_by_run(server, found)) == [only.info.run_id]
    assert epochs_of(server, only) == [int(row["epoch"]) for row in history]


def test_a_result_on_the_server_is_registered_promoted_and_handed_on_by_who_may(
    repository: Path, server: Server, tmp_path: Path
) -> None:
    def registry(*arguments: str, code: int = 0, **user: str) -> str:
        command = [sys.executable, "-m", "pipeline.registry", *arguments]
        return run(repository, *command, code=code, **(server.client | user))

    run(repository, "dvc", "repro", code=0, **server.client)
    assert registry("register") == "text-classification: version 1\n"
    promote = ["promote", "--allow-sample", "--force", "--reason", "a small sample"]

    said = registry(*promote, code=2, **READER)

    assert "Permission denied" in said.splitlines()[-1]
    assert registry("history").startswith("no alias of text-classification was moved yet")
    assert "version 1 is the champion now" in registry(*promote)
    assert "champion: none -> 1, promote, against the verdict" in registry("history")
    registry("export", "champion", str(tmp_path / "handed-on"))
    assert (tmp_path / "handed-on/model/MLmodel").exists()


def test_an_experiment_is_kept_whole_where_no_server_is(repository: Path) -> None:
    nobody = at(f"http://127.0.0.1:{free_port()}")
    experiment = ["dvc", "exp", "run", "--temp", "--name", "alone", "--set-param", "train.epochs=1"]

    said = run(repository, *experiment, code=0, **nobody)

    assert said.count("warning: MLflow could not be told of this result") == 1
    assert "Traceback" not in said
    assert run(repository, "dvc", "exp", "list", "--name-only").split() == ["alone"]
    run(repository, "dvc", "exp", "apply", "alone")
    assert_all_there(repository)

    run(repository, sys.executable, "-m", "pipeline.track")

    (only,) = repositories.runs(repository)
    assert only.info.status == "FINISHED"
    assert only.data.params["train.epochs"] == "1"
