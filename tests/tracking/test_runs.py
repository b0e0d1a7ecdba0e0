"""The run of a training: its curves while it trains, its end, and a store that is away."""

import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from pipeline import params
from pipeline.tracking import runs

EPOCH = {"epoch": 1, "loss": 0.5, "val_log_loss": 0.25}


def all_runs() -> list[Run]:
    client = MlflowClient(f"sqlite:///{Path('mlflow.db').resolve()}")
    return list(client.search_runs([experiment.experiment_id for experiment in client.search_experiments()]))


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_epochs_are_there_while_it_trains_and_its_end_is_told(everything: params.Params) -> None:
    with runs.training_run(everything) as log:
        log(EPOCH)
        (during,) = all_runs()
        log(EPOCH | {"epoch": 2, "loss": 0.25})
    (after,) = all_runs()

    assert (during.info.status, during.data.tags[runs.STATE]) == ("RUNNING", "training")
    assert during.data.metrics == {"loss": 0.5, "val_log_loss": 0.25}
    assert during.data.params["train.units"] == "8"
    assert "trying out" in during.data.tags["mlflow.note.content"]
    assert (after.info.status, after.data.tags[runs.STATE]) == ("FINISHED", "trained")
    assert after.data.metrics["loss"] == 0.25


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED"), (SystemExit, "KILLED")]
)
def test_a_training_that_ends_badly_is_failed_or_killed(
    everything: params.Params, error: type[BaseException], status: str
) -> None:
    with pytest.raises(error), runs.training_run(everything):
        raise error

    (only,) = all_runs()
    assert (only.info.status, only.data.tags[runs.STATE]) == (status, "ended")


def test_a_second_ctrl_c_while_the_end_is_told_does_not_leave_the_run_running(
    everything: params.Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: MlflowClient, *arguments: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        set_tag(self, *arguments)

    set_tag = MlflowClient.set_tag
    monkeypatch.setattr(MlflowClient, "set_tag", interrupted)
    with pytest.raises(KeyboardInterrupt), runs.training_run(everything):
        signal.raise_signal(signal.SIGINT)

    (only,) = all_runs()
    assert (only.info.status, only.data.tags[runs.STATE]) == ("KILLED", "ended")


def test_a_ctrl_c_while_the_run_is_made_ends_it(everything: params.Params, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        describe(*arguments)

    describe = runs.log_run_inputs
    monkeypatch.setattr(runs, "describe", interrupted)

    with pytest.raises(KeyboardInterrupt), runs.training_run(everything):
        pytest.fail("the training went on")

    assert [run.info.status for run in all_runs()] == ["KILLED"]


def test_a_server_that_is_not_there_costs_no_training(
    everything: params.Params, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{closed_port()}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

    with runs.training_run(everything) as log:
        log(EPOCH)

    assert capsys.readouterr().out.count("MLflow cannot be reached") == 1


def test_a_store_that_breaks_while_training_costs_no_training(
    everything: params.Params, capsys: pytest.CaptureFixture[str]
) -> None:
    with runs.training_run(everything) as log:
        log(EPOCH)
        Path("mlflow.db").write_bytes(b"no database" * 1000)
        log(EPOCH | {"epoch": 2})
        log(EPOCH | {"epoch": 3})

    assert capsys.readouterr().out.count("MLflow could not be told") == 1


def test_a_run_whose_process_is_gone_is_killed_by_the_next_training(everything: params.Params) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with runs.training_run(everything):
        pass
    client = MlflowClient(f"sqlite:///{Path('mlflow.db').resolve()}")
    (old,) = all_runs()
    client.set_tag(old.info.run_id, runs.INPUTS_HASH, "of another result")
    client.set_tag(old.info.run_id, runs.PROCESS, f"{socket.gethostname()}:{gone.pid}")
    client.set_tag(old.info.run_id, runs.STATE, "training")
    client.update_run(old.info.run_id, "RUNNING")

    with runs.training_run(everything):
        pass

    assert [run.info.status for run in all_runs()] == ["FINISHED", "KILLED"]


def test_a_training_of_what_another_process_trains_at_this_moment_has_no_second_run(everything: params.Params) -> None:
    with runs.training_run(everything) as first, runs.training_run(everything) as second:
        first(EPOCH)
        second(EPOCH)

    (only,) = all_runs()
    client = MlflowClient(f"sqlite:///{Path('mlflow.db').resolve()}")
    assert only.info.status == "FINISHED"
    assert len(client.get_metric_history(only.info.run_id, "loss")) == 1


def test_a_training_that_is_done_again_has_no_second_run(everything: params.Params) -> None:
    """As when DVC was ended after the training, and before it had kept what came out."""
    with runs.training_run(everything) as log:
        log(EPOCH)

    with runs.training_run(everything) as log:
        log(EPOCH)

    (only,) = all_runs()
    assert (only.info.status, only.data.tags[runs.STATE]) == ("FINISHED", "trained")


def test_a_process_that_has_the_number_of_one_that_is_gone_is_not_taken_for_it(everything: params.Params) -> None:
    with runs.training_run(everything):
        (only,) = all_runs()
        assert runs.is_alive(only)
        only.data.tags[runs.PROCESS] = only.data.tags[runs.PROCESS].rpartition(":")[0] + ":1000000000"

        assert not runs.is_alive(only)


def test_a_store_that_comes_back_while_training_is_told_of_its_end(
    everything: params.Params,
) -> None:
    def train() -> None:
        with runs.training_run(everything) as log:
            good = Path("mlflow.db").read_bytes()
            Path("mlflow.db").write_bytes(b"no database" * 1000)
            log(EPOCH)
            Path("mlflow.db").write_bytes(good)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train()

    assert [run.info.status for run in all_runs()] == ["KILLED"]


def test_a_run_of_another_machine_may_be_alive_and_is_left_alone(everything: params.Params) -> None:
    with runs.training_run(everything):
        client = MlflowClient(f"sqlite:///{Path('mlflow.db').resolve()}")
        (first,) = all_runs()
        client.set_tag(first.info.run_id, runs.PROCESS, "another-machine:1")
        with runs.training_run(everything):
            assert sorted(run.info.status for run in all_runs()) == ["RUNNING", "RUNNING"]


def test_several_processes_may_meet_at_a_store_that_is_not_made_yet(everything: params.Params, run: Callable) -> None:
    Path("connect.py").write_text("from pipeline.tracking import store\nprint(store.connect('together')[1])\n")

    with ThreadPoolExecutor() as pool:
        done = list(pool.map(lambda _: run("connect"), range(3)))

    assert [one.returncode for one in done] == [0, 0, 0], done
    assert len({one.stdout for one in done}) == 1
