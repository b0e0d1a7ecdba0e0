"""The run of a training: its curves while it trains, its end, and a store that is unavailable."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput, Run

from pipeline import params
from pipeline.tracking import provenance, runs
from tests.repository import ROOT

EPOCH = {"epoch": 1, "loss": 0.5, "val_log_loss": 0.25, "epoch_seconds": 1.5}
AllRuns = Callable[[], list[Run]]


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_epochs_are_logged_while_it_trains_and_then_its_end(
    config: params.Params, client: MlflowClient, all_runs: AllRuns
) -> None:
    with runs.training_run(config) as log_epoch:
        log_epoch(EPOCH)
        (during,) = all_runs()
        log_epoch(EPOCH | {"epoch": 2, "loss": 0.25})
    (after,) = all_runs()

    assert (during.info.status, during.data.tags[runs.STATE]) == ("RUNNING", "training")
    assert during.data.metrics == {"train/loss": 0.5, "val/log_loss": 0.25, "train/epoch_seconds": 1.5}
    assert during.data.params["train.units"] == "8"
    assert "generated" in during.data.tags[runs.NOTE]
    assert (after.info.status, after.data.tags[runs.STATE]) == ("FINISHED", "trained")
    history = client.get_metric_history(after.info.run_id, "train/loss")
    assert [(point.step, point.value) for point in history] == [(1, 0.5), (2, 0.25)]


def test_run_has_few_tags_and_names_its_person(config: params.Params, all_runs: AllRuns) -> None:
    with runs.training_run(config):
        (run,) = all_runs()

    assert {name for name in run.data.tags if not name.startswith("mlflow.")} == {
        runs.STATE, runs.INPUTS_HASH, runs.PROCESS, "corpus"
    }  # fmt: skip
    assert run.data.tags[provenance.USER] == provenance.user_name()
    assert run.info.user_id == provenance.user_name()


def test_run_of_a_training_has_its_machine_and_inputs(
    config: params.Params, client: MlflowClient, all_runs: AllRuns
) -> None:
    with runs.training_run(config):
        (run,) = all_runs()

    files = {file.path for file in client.list_artifacts(run.info.run_id, runs.PROVENANCE)}
    assert files == {"provenance/machine.json", "provenance/result_inputs.json"}
    assert runs.has_inputs(client, run)


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED"), (SystemExit, "KILLED")]
)
def test_training_that_fails_or_is_stopped_leaves_a_failed_or_killed_run(
    config: params.Params, all_runs: AllRuns, error: type[BaseException], status: str
) -> None:
    with pytest.raises(error), runs.training_run(config):
        raise error

    (run,) = all_runs()
    assert (run.info.status, run.data.tags[runs.STATE]) == (status, "ended")


def test_second_ctrl_c_while_the_end_is_logged_does_not_leave_the_run_running(
    config: params.Params, all_runs: AllRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(self: MlflowClient, *arguments: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        set_tag(self, *arguments)

    set_tag = MlflowClient.set_tag
    monkeypatch.setattr(MlflowClient, "set_tag", interrupt)
    with pytest.raises(KeyboardInterrupt), runs.training_run(config):
        signal.raise_signal(signal.SIGINT)

    (run,) = all_runs()
    assert (run.info.status, run.data.tags[runs.STATE]) == ("KILLED", "ended")


def test_ctrl_c_while_a_success_is_logged_comes_after_it(
    config: params.Params, all_runs: AllRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_terminated = MlflowClient.set_terminated

    def interrupt(self: MlflowClient, *arguments: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        set_terminated(self, *arguments)

    monkeypatch.setattr(MlflowClient, "set_terminated", interrupt)
    Path("models").mkdir(exist_ok=True)
    Path(runs.hashes.MODEL).write_bytes(b"a model")

    with pytest.raises(KeyboardInterrupt), runs.training_run(config):
        pass

    (run,) = all_runs()
    assert (run.info.status, run.data.tags[runs.STATE]) == ("FINISHED", "trained")


def test_ctrl_c_while_the_run_is_created_ends_it(
    config: params.Params, all_runs: AllRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*arguments: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        log_run_inputs(*arguments)

    log_run_inputs = runs.log_run_inputs
    monkeypatch.setattr(runs, "log_run_inputs", interrupt)

    with pytest.raises(KeyboardInterrupt), runs.training_run(config):
        pytest.fail("the training went on")

    assert [run.info.status for run in all_runs()] == ["KILLED"]


def test_unreachable_server_costs_no_training(
    config: params.Params, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{closed_port()}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

    with runs.training_run(config) as log_epoch:
        log_epoch(EPOCH)

    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("  warning: cannot write to MLflow (")
    assert line.endswith("); check MLFLOW_TRACKING_URI; training continues, and `track` logs it later")


def test_store_that_breaks_during_the_training_costs_no_training(
    config: params.Params, capsys: pytest.CaptureFixture[str]
) -> None:
    with runs.training_run(config) as log_epoch:
        log_epoch(EPOCH)
        Path("mlflow.db").write_bytes(b"no database" * 1000)
        log_epoch(EPOCH | {"epoch": 2})
        log_epoch(EPOCH | {"epoch": 3})

    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("  warning: cannot write to MLflow (")
    assert line.endswith("; training continues, and `track` logs the rest")


def test_store_that_comes_back_during_the_training_gets_its_end(config: params.Params, all_runs: AllRuns) -> None:
    def train() -> None:
        with runs.training_run(config) as log_epoch:
            good = Path("mlflow.db").read_bytes()
            Path("mlflow.db").write_bytes(b"no database" * 1000)
            log_epoch(EPOCH)
            Path("mlflow.db").write_bytes(good)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train()

    assert [run.info.status for run in all_runs()] == ["KILLED"]


def test_programming_error_while_a_run_is_created_ends_the_training(
    config: params.Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raise_key_error(*_: object, **__: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(MlflowClient, "create_run", raise_key_error)

    with pytest.raises(KeyError, match="a bug"), runs.training_run(config):
        pytest.fail("the training went on")


TRAINING = """
import time
from pipeline import params
from pipeline.tracking import runs
with runs.training_run(params.load()) as log_epoch:
    for epoch in range(1, 1000):
        log_epoch({"epoch": epoch, "loss": 0.5})
        time.sleep(0.1)
"""


def test_run_of_a_killed_training_is_ended_by_the_next_training(
    config: params.Params, all_runs: AllRuns, set_params: Callable[..., params.Params]
) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW")}
    process = subprocess.Popen([sys.executable, "-c", TRAINING], env=environment | {"PYTHONPATH": str(ROOT)})
    deadline = time.monotonic() + 60
    while not any(run.data.metrics for run in all_runs()):
        assert process.poll() is None, "the training ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert [run.info.status for run in all_runs()] == ["RUNNING"]

    with runs.training_run(set_params(train={"seed": 2})):
        pass

    ended, killed = all_runs()
    assert (ended.info.status, killed.info.status) == ("FINISHED", "KILLED")
    assert killed.data.tags[runs.STATE] == "ended"


def test_training_of_what_another_process_is_training_has_no_second_run(
    config: params.Params, client: MlflowClient, all_runs: AllRuns
) -> None:
    with runs.training_run(config) as first, runs.training_run(config) as second:
        first(EPOCH)
        second(EPOCH)

    (run,) = all_runs()
    assert run.info.status == "FINISHED"
    assert len(client.get_metric_history(run.info.run_id, "train/loss")) == 1


def test_repeated_training_has_no_second_run(config: params.Params, all_runs: AllRuns) -> None:
    """As after DVC was stopped between the training and the caching of its outputs."""
    for _ in range(2):
        with runs.training_run(config) as log_epoch:
            log_epoch(EPOCH)

    (run,) = all_runs()
    assert (run.info.status, run.data.tags[runs.STATE]) == ("FINISHED", "trained")


def test_process_with_the_id_of_one_that_ended_is_another_process(config: params.Params, all_runs: AllRuns) -> None:
    with runs.training_run(config):
        (run,) = all_runs()
        assert runs.is_alive(run)
        run.data.tags[runs.PROCESS] = run.data.tags[runs.PROCESS].rpartition(":")[0] + ":1000000000"

        assert not runs.is_alive(run)


def test_run_of_another_machine_is_left_as_it_is(
    config: params.Params, client: MlflowClient, all_runs: AllRuns
) -> None:
    with runs.training_run(config):
        (first,) = all_runs()
        client.set_tag(first.info.run_id, runs.PROCESS, "another-machine:1")
        with runs.training_run(config):
            assert sorted(run.info.status for run in all_runs()) == ["RUNNING", "RUNNING"]


def test_deleted_model_of_a_run_is_not_listed(config: params.Params, client: MlflowClient, all_runs: AllRuns) -> None:
    with runs.training_run(config):
        (run,) = all_runs()
        models = [client.create_logged_model(run.info.experiment_id, "model", run.info.run_id) for _ in range(2)]
        client.log_outputs(run.info.run_id, [LoggedModelOutput(model.model_id, 0) for model in models])
        client.delete_logged_model(models[0].model_id)

    (run,) = all_runs()
    assert [model.model_id for model in runs.logged_models(client, run)] == [models[1].model_id]
