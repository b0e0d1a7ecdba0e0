"""MLflow's server with basic authentication on PostgreSQL: the pipeline, the registry and races of several users."""

import csv
import multiprocessing
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, Run
from ruamel.yaml import YAML

from pipeline import params, track
from pipeline.cli import UserError
from pipeline.registry import __main__ as registry
from pipeline.registry import history, versions
from pipeline.registry.history import AliasChange
from pipeline.tracking import model_logging
from pipeline.tracking import runs as tracking_runs
from pipeline.tracking.artifacts import logged_datasets
from pipeline.tracking.results import TRAINING_REPORTS
from pipeline.tracking.runs import log_datasets, set_tags
from tests.challenge import challenge
from tests.hand_made_result import write_result
from tests.repository import change_params, copy_repository, run
from tests.servers import PASSWORD, USER, Server, as_user, at, free_port, postgresql, without_mlflow

pytestmark = [pytest.mark.slow, pytest.mark.server]
READER = as_user("a password of hers", "reader")

# In a process of its own, in a folder without this repository's code: the model must bring what it needs.
PREDICT = """
import mlflow, pandas, sys
model = mlflow.pyfunc.load_model(sys.argv[1])
print(model.predict(pandas.DataFrame({"text": ["dict", "banana"]})).label.tolist())
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server, and this process as its user; another user may only read."""
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


@pytest.fixture
def config(
    make_models: Callable[..., None], set_params: Callable[..., params.Params], monkeypatch: pytest.MonkeyPatch
) -> params.Params:
    """The parameters of a workspace with a result that is not tracked yet, and without a store of its own."""
    monkeypatch.setenv("DVC_STAGE", "track")
    config = write_result(make_models, set_params)
    Path("mlflow.db").unlink()
    return config


@pytest.fixture
def repository(first_toy_result: Path, tmp_path: Path) -> Path:
    """A repository with the toy pipeline and a result, which the server does not have."""
    repository = copy_repository(first_toy_result, tmp_path / "repository")
    (repository / "mlflow.db").unlink()
    shutil.rmtree(repository / "mlartifacts")
    return repository


def copies(workspace: Path, seeds: list[int], experiment: str) -> list[Path]:
    """Folders with the workspace's result, each as if trained with another seed."""
    folders = []
    for number, seed in enumerate(seeds):
        folder = workspace.parent / f"copy-{number}"
        shutil.copytree(workspace, folder)
        change_params(folder, {"train": {"seed": seed}, "track": {"experiment": experiment}})
        folders.append(folder)
    return folders


def track_at_once(folders: list[Path]) -> list[str]:
    """Run the stage `track` in all folders at the same time, each in a process; returns what each printed."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pipeline.registry.champion", "pipeline.tracking.results", "tests.test_servers"])
    outputs = [folder / "output.txt" for folder in folders]
    processes = [context.Process(target=run_track, args=each) for each in zip(folders, outputs, strict=True)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    printed = [output.read_text() for output in outputs]
    assert [process.exitcode for process in processes] == [0] * len(folders), "\n".join(printed)
    return printed


def run_track(folder: Path, output: Path) -> None:
    """What a process of `track_at_once` does, whose environment is that of the tests."""
    with output.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        os.chdir(folder)
        os.environ["DVC_STAGE"] = "track"
        track.main()
        sys.stdout.flush()


def runs(server: Server, experiment: str) -> list[Run]:
    """The experiment's runs, without those that were deleted."""
    client = MlflowClient(server.uri)
    found = client.get_experiment_by_name(experiment)
    return list(client.search_runs([found.experiment_id])) if found else []


def process_that_ended() -> str:
    """What a run says of the process that wrote it, if that has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return f"{socket.gethostname()}:{ended.pid}:1"


def models_by_run(server: Server, runs: list[Run]) -> dict[str | None, str]:
    """The URI of each model of the runs' experiment that is ready, by the run that logged it."""
    logged = MlflowClient(server.uri).search_logged_models([runs[0].info.experiment_id])
    return {model.source_run_id: model.model_uri for model in logged if model.status == "READY"}


def epochs_of(server: Server, run: Run) -> list[int]:
    return [point.step for point in MlflowClient(server.uri).get_metric_history(run.info.run_id, "val/log_loss")]


def assert_complete(server: Server, run: Run, folder: Path) -> None:
    """The run is finished, and the server has its artifacts, which are those of the folder."""
    client = MlflowClient(server.uri)
    assert run.info.status == "FINISHED"
    assert run.info.artifact_uri.startswith("mlflow-artifacts:")
    names = {file.path for file in client.list_artifacts(run.info.run_id)}
    reports = folder / "reports"
    evaluation = {path.name for path in (reports / "evaluation").iterdir()}
    assert {"report.html", "model_card.md", "plots", *TRAINING_REPORTS, *evaluation} <= names
    files = {name: reports / name for name in ("metrics.json", "plots/reliability.svg")}
    files["classifier/classification_report.txt"] = reports / "evaluation/classifier/classification_report.txt"
    for name, path in files.items():
        assert Path(client.download_artifacts(run.info.run_id, name)).read_bytes() == path.read_bytes()


def assert_has_all_outputs(repository: Path) -> None:
    """Every stage is done, and all of its outputs are there."""
    stages = YAML(typ="safe").load(repository / "dvc.yaml")["stages"]
    done = YAML(typ="safe").load(repository / "dvc.lock")["stages"]
    assert set(done) == set(stages)
    outputs = [out["path"] for stage in done.values() for out in stage.get("outs", [])]
    assert [path for path in outputs if not (repository / path).exists()] == []


def test_processes_at_once_leave_one_run_for_each_result(
    config: params.Params, workspace: Path, server: Server
) -> None:
    folders = copies(workspace, [1, 1, 2, 2], "at-once")

    outputs = track_at_once(folders)

    assert "warning" not in "".join(outputs)
    tracked = runs(server, "at-once")
    models = models_by_run(server, tracked)
    assert sorted(run.data.params["train.seed"] for run in tracked) == ["1", "2"]
    assert set(models) == {run.info.run_id for run in tracked}
    for each in tracked:
        assert_complete(server, each, folders[2 * int(each.data.params["train.seed"]) - 1])
    # All of it went to the server.
    assert not [path for folder in folders for path in folder.glob("ml*")]

    outputs = track_at_once(folders[1:3])

    assert all("has its run already" in output for output in outputs)
    assert {run.info.run_id for run in runs(server, "at-once")} == set(models)
    assert models_by_run(server, tracked) == models


def test_data_set_that_many_log_at_once_is_logged_to_each_run(server: Server) -> None:
    client = MlflowClient(server.uri)
    experiment = client.create_experiment("data-sets")
    ids = [client.create_run(experiment).info.run_id for _ in range(40)]

    def log(number: int) -> None:
        dataset = Dataset("examples", f"digest {number // 8}", "local", "{}")
        log_datasets(client, ids[number], [DatasetInput(dataset, [])])

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(log, range(len(ids))))

    digests = [[each.dataset.digest for each in logged_datasets(client.get_run(id))] for id in ids]
    assert digests == [[f"digest {number // 8}"] for number in range(len(ids))]


def test_tag_that_many_set_at_once_is_set(server: Server) -> None:
    client = MlflowClient(server.uri)
    experiment = client.create_experiment("tags")
    created = [client.create_run(experiment) for _ in range(5)]

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: set_tags(client, created[number // 8], {"state": "complete"}), range(40)))

    assert [client.get_run(run.info.run_id).data.tags["state"] for run in created] == ["complete"] * 5


def test_one_of_many_machines_that_promote_at_once_succeeds(server: Server, tmp_path: Path) -> None:
    client = MlflowClient(server.uri)
    client.create_registered_model("contested")
    for _ in range(4):
        client.create_model_version("contested", "s3://nowhere/model", await_creation_for=0)
    history.record_change(client, "contested", AliasChange("champion", 1, "promote", None, "1"))

    outputs = challenge("contested", ["2", "3", "4"], tmp_path, server.client)

    assert sorted(outputs) == ["promoted", "too late", "too late"]
    winner = str(outputs.index("promoted") + 2)
    assert versions.read_aliases(client, "contested")["champion"] == winner
    assert [change.after for change in history.alias_changes(client, "contested")] == ["1", winner]


@pytest.mark.parametrize(
    ("user", "reason"),
    [
        pytest.param(as_user("not the password"), "not authenticated", id="a wrong password"),
        pytest.param({}, "not authenticated", id="no password"),
        pytest.param(READER, "Permission denied", id="a user who may only read"),
    ],
)
def test_user_who_may_not_write_gets_a_one_line_warning(
    config: params.Params,
    set_params: Callable[..., params.Params],
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    user: dict[str, str],
    reason: str,
) -> None:
    if not MlflowClient(server.uri).get_experiment_by_name("of-admin"):
        MlflowClient(server.uri).create_experiment("of-admin")
    set_params(track={"experiment": "of-admin"})

    with monkeypatch.context() as patch:
        for name in as_user(PASSWORD):
            patch.delenv(name)
        for name, value in user.items():
            patch.setenv(name, value)
        track.main()

    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("warning: cannot write to MLflow (")
    assert reason in line
    assert runs(server, "of-admin") == []


def test_server_that_dies_while_a_result_is_logged_has_one_run_after_the_next_track_and_its_model_predicts(
    config: params.Params,
    set_params: Callable[..., params.Params],
    workspace: Path,
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    set_params(track={"experiment": "dies"})
    log_model = model_logging.log_model

    def kill_and_log(client: MlflowClient, run_id: str, models: Path) -> None:
        server.kill()
        log_model(client, run_id, models)

    with monkeypatch.context() as patch:
        patch.setattr(model_logging, "log_model", kill_and_log)
        patch.setattr(tracking_runs, "this_process", process_that_ended)
        track.main()
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("warning: cannot write to MLflow (")
    server.start()
    (interrupted,) = runs(server, "dies")
    assert interrupted.data.metrics
    assert interrupted.info.status == "RUNNING"

    (output,) = track_at_once([workspace])

    assert "track: run fruits gru 8 seed 1 " in output
    (only,) = runs(server, "dies")
    assert_complete(server, only, workspace)
    ((run_id, model),) = models_by_run(server, [only]).items()
    assert run_id == only.info.run_id == interrupted.info.run_id
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    output = run(elsewhere, sys.executable, "-W", "ignore", "-c", PREDICT, model, code=0, **server.client)

    assert output.splitlines()[-1] == "['pythön', 'fruit']"


def test_server_that_dies_during_a_training_costs_no_output_and_track_completes_the_run(
    repository: Path, server: Server, tmp_path: Path
) -> None:
    change_params(repository, {"train": {"epochs": 100, "patience": 100}, "track": {"experiment": "training"}})
    log, env = tmp_path / "output.txt", without_mlflow() | server.client
    deadline = time.monotonic() + 120
    with (
        log.open("w") as file,
        subprocess.Popen(["dvc", "repro"], cwd=repository, env=env, stdout=file, stderr=file) as repro,
    ):
        while not any("val/loss" in each.data.metrics for each in runs(server, "training")):
            assert repro.poll() is None, f"all ended before the server did:\n{log.read_text()}"
            assert time.monotonic() < deadline, f"no epoch reached the server in two minutes:\n{log.read_text()}"
            time.sleep(0.2)

        server.kill()

    output = log.read_text()
    assert repro.returncode == 0, output
    assert output.count("\nwarning: cannot write to MLflow (") == 1
    assert "Traceback" not in output
    assert_has_all_outputs(repository)
    epochs = [int(row["epoch"]) for row in csv.DictReader((repository / "reports/history.csv").open())]
    assert len(epochs) == 100
    by_hand = run(repository, sys.executable, "-m", "pipeline.track", code=1, **server.client)
    assert by_hand.startswith("error: cannot write to MLflow (")
    assert by_hand.count("\n") == 1

    server.start()
    (interrupted,) = runs(server, "training")
    assert 0 < len(epochs_of(server, interrupted)) < 100

    run(repository, sys.executable, "-m", "pipeline.track", **server.client)  # type: ignore[arg-type]

    tracked = runs(server, "training")
    assert "RUNNING" not in [each.info.status for each in tracked]
    (only,) = [each for each in tracked if each.info.status == "FINISHED"]
    assert_complete(server, only, repository)
    assert list(models_by_run(server, tracked)) == [only.info.run_id]
    assert epochs_of(server, only) == epochs


def test_result_on_the_server_is_registered_promoted_and_exported_by_a_user_who_may(
    repository: Path,
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run_registry(*arguments: str) -> str:
        """In this process, which has imported MLflow; returns what it printed."""
        capsys.readouterr()
        registry.main(list(arguments), standalone_mode=False)
        return capsys.readouterr().out

    monkeypatch.chdir(repository)
    (output,) = track_at_once([repository])
    assert "warning" not in output
    assert run_registry("register") == "text-classification: version 1\n"
    promote = ["promote", "--allow-sample", "--force", "--reason", "a small sample"]

    with monkeypatch.context() as patch:
        for name, value in READER.items():
            patch.setenv(name, value)
        with pytest.raises(UserError, match="Permission denied"):
            run_registry(*promote)

    assert run_registry("history").startswith("no alias of text-classification has changed yet")
    assert "version 1 is now the champion" in run_registry(*promote)
    assert "champion: none -> 1, promote" in run_registry("history")
    run_registry("export", "champion", str(tmp_path / "exported"))
    assert (tmp_path / "exported/model/MLmodel").exists()


def test_experiment_keeps_all_of_its_outputs_where_no_server_is(repository: Path) -> None:
    nobody = at(f"http://127.0.0.1:{free_port()}")
    # All other stages have their outputs in DVC's cache.
    experiment = ["dvc", "exp", "run", "--temp", "--name", "alone", "--set-param", "track.experiment=alone"]

    output = run(repository, *experiment, code=0, **nobody)

    assert output.count("\nwarning: cannot write to MLflow (") == 1
    assert "Traceback" not in output
    assert run(repository, "dvc", "exp", "list", "--name-only").split() == ["alone"]
    run(repository, "dvc", "exp", "apply", "alone")
    assert_has_all_outputs(repository)
