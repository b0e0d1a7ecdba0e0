"""The stage track: it completes the run that the training created, or creates one, and never a second."""

import hashlib
import json
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from pipeline import params, track
from pipeline.corpus import tables
from pipeline.report.page import CHARTS
from pipeline.tracking import last_track, provenance, runs
from tests.hand_made_result import HISTORY, PREDICTIONS, change_metrics, write_predictions, write_result
from tests.repository import store as store_uri

PAGE, CARD = Path("reports/report.html"), Path("reports/model_card.md")


@pytest.fixture
def config(
    make_models: Callable[..., None], set_params: Callable[..., params.Params], monkeypatch: pytest.MonkeyPatch
) -> params.Params:
    """The parameters of a workspace with all that the stages before `track` leave."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("DVC_STAGE", "track")
    return write_result(make_models, set_params)


def store() -> MlflowClient:
    return MlflowClient(store_uri(Path().resolve()))


def all_runs() -> list[Run]:
    """Newest first."""
    client = store()
    return list(client.search_runs([experiment.experiment_id for experiment in client.search_experiments()]))


def artifacts(run: Run, folder: str | None = None) -> set[str]:
    files = store().list_artifacts(run.info.run_id, folder)
    return {path for file in files for path in (artifacts(run, file.path) if file.is_dir else {file.path})}


def artifact(run: Run, path: Path) -> str:
    """The run's copy of a file of `reports/`."""
    return Path(store().download_artifacts(run.info.run_id, path.name)).read_text(encoding="utf-8")


def epochs_of(run: Run) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in store().get_metric_history(run.info.run_id, "val/log_loss")]


# What a run has


def test_result_without_a_run_gets_one_from_its_files(
    config: params.Params, capsys: pytest.CaptureFixture[str]
) -> None:
    track.main()

    (run,) = all_runs()
    assert capsys.readouterr().out == f"track: run {run.info.run_name} in experiment text-classification\n"
    assert run.info.status == "FINISHED"
    assert epochs_of(run) == [(1, 0.4), (2, 0.3)]
    assert run.data.metrics == {
        **{
            "train/loss": 0.4,
            "val/log_loss": 0.3,
            "model/parameters": 12,
            "model/best_epoch": 2,
            "model/temperature": 1.25,
        },
        **{"classifier/val_accuracy": 0.9, "classifier/val_macro_f1": 0.8},
        **{"classifier/val_log_loss": 0.3, "classifier/val_ece": 0.05},
        **{"network/val_accuracy": 0.75, "network/val_macro_f1": 0.8},
        **{"network/val_log_loss": 0.3, "network/val_ece": 0.05},
        **{"baseline/val_accuracy": 0.9, "baseline/val_macro_f1": 0.8},
        **{"baseline/val_log_loss": 0.3, "baseline/val_ece": 0.05},
        **{"test/accuracy": 0.9, "test/macro_f1": 0.8, "test/log_loss": 0.3, "test/ece": 0.05},
        **{"network/test_accuracy": 0.8, "network/test_macro_f1": 0.8},
        **{"network/test_log_loss": 0.3, "network/test_ece": 0.05},
        **{"baseline/test_accuracy": 0.7, "baseline/test_macro_f1": 0.8},
        **{"baseline/test_log_loss": 0.3, "baseline/test_ece": 0.05},
        **{"test/examples": 4, "test/mcnemar_p_value": 0.0386},
    }
    assert {name for name in run.data.tags if not name.startswith("mlflow.")} == {
        *("state", "inputs_hash", "model_md5", "result_hash", "recipe_hash", "process", "corpus")
    }


def test_run_has_reports_plots_data_sets_and_provenance(config: params.Params) -> None:
    track.main()

    (run,) = all_runs()
    evaluation = Path("reports/evaluation")
    reports = {file.relative_to(evaluation).as_posix() for file in evaluation.rglob("*") if file.is_file()}
    assert {path for path in artifacts(run) if not path.startswith("provenance/")} == {
        *reports, *(f"plots/{name}.svg" for name in CHARTS), "report.html", "model_card.md",
        "split.json", "train.json", "baseline.json", "metrics.json", "history.csv", "gradients.csv",
    }  # fmt: skip
    assert {"classifier/classification_report.txt", "classifier/predictions.csv"} <= reports
    # Without the machine: that of this process is not the one that trained.
    assert {path for path in artifacts(run) if path.startswith("provenance/")} == {
        "provenance/dvc.lock", "provenance/result_inputs.json", "provenance/training_fingerprints.parquet"
    }  # fmt: skip
    fingerprints = store().download_artifacts(run.info.run_id, "provenance/training_fingerprints.parquet")
    assert list(tables.read_rows(Path(fingerprints), tables.FINGERPRINT_SCHEMA)) == [
        ("a", b"of a"), ("baseline", b"of another"), ("train", b"of another")
    ]  # fmt: skip
    assert run.inputs is not None
    assert {
        each.tags[0].value: (
            each.dataset.name,
            each.dataset.digest,
            json.loads(each.dataset.profile or "{}")["num_rows"],
        )
        for each in run.inputs.dataset_inputs
    } == {
        context: (f"fruits {name}", hashlib.md5(f"{name} examples".encode()).hexdigest(), count)
        for name, context, count in (("train", "training", 100), ("validation", "validation", 20), ("test", "test", 4))
    }


def test_network_without_an_ensemble_has_no_metrics_of_its_own(config: params.Params) -> None:
    for name, key in (("metrics", "network"), ("train", "network_validation")):
        report = json.loads(Path(f"reports/{name}.json").read_text())
        del report[key]
        Path(f"reports/{name}.json").write_text(json.dumps(report))

    track.main()

    (run,) = all_runs()
    assert run.data.metrics["test/accuracy"] == 0.9
    assert not [name for name in run.data.metrics if name.startswith("network")]


def test_page_card_and_description_are_of_the_run(config: params.Params) -> None:
    track.main()

    (run,) = all_runs()
    page = PAGE.read_text(encoding="utf-8")
    assert artifact(run, PAGE) == page
    assert artifact(run, CARD) == CARD.read_text(encoding="utf-8")
    assert f"<dd>{run.info.run_name} ({run.info.run_id})</dd>" in page
    assert "<dt>commit</dt><dd>none</dd>" in page
    assert f"<dd>4 examples, md5 {hashlib.md5(b'test examples').hexdigest()}</dd>" in page
    assert "There is no champion yet." in page
    assert CARD.read_text(encoding="utf-8").startswith("# text-classification\n")
    note = run.data.tags[runs.NOTE]
    about = "100 training examples of fruits (licence: none). Report page: the artifact `report.html`."
    assert note.startswith(f"{about}\n\n| ")
    assert "| classifier | 0.9000 (0.8500 to 0.9500) | 0.8000 (0.7500 to 0.8400) | 0.3000 |" in note
    assert [line.split(" | ")[0] for line in note.splitlines()[4:]] == [
        "| classifier", "| network alone", "| baseline"
    ]  # fmt: skip


def test_commit_of_the_run_is_in_the_page_and_in_the_card(config: params.Params) -> None:
    subprocess.run(["git", "init", "--quiet"], check=True)
    subprocess.run(["git", "add", "params.yaml"], check=True)
    author = ["-c", "user.name=test", "-c", "user.email=test@example.com"]
    subprocess.run(["git", *author, "commit", "--quiet", "--message", "start"], check=True)
    commit = subprocess.check_output(["git", "rev-parse", "HEAD"], text=True).strip()

    track.main()

    (run,) = all_runs()
    assert run.data.tags[provenance.COMMIT] == commit
    assert f"<dd>{commit}, branch " in artifact(run, PAGE)
    # The pipeline of this folder is in no commit.
    assert "with the changes in the run&#39;s provenance/uncommitted.patch</dd>" in artifact(run, PAGE)
    assert f"Commit `{commit}` with the changes in the run's `provenance/uncommitted.patch`." in artifact(run, CARD)


# One run for each result


def test_result_has_one_run_however_often_it_is_tracked(
    config: params.Params, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(3):
        track.main()
        last_track.RECORD.unlink()

    (run,) = all_runs()
    assert capsys.readouterr().out.splitlines()[1:] == [
        f"track: this result has its run already: {run.info.run_name}"
    ] * 2  # fmt: skip


def test_another_result_of_the_same_inputs_has_a_run_of_its_own(config: params.Params) -> None:
    track.main()
    change_metrics("classifier", accuracy=0.91)  # as on another machine
    Path("dvc.lock").write_text("schema: '2.0'\nstages: {}\n")

    track.main()

    assert sorted(run.data.metrics["test/accuracy"] for run in all_runs()) == [0.9, 0.91]


def test_training_that_was_not_evaluated_has_a_run_that_an_evaluation_completes(config: params.Params) -> None:
    metrics = Path("reports/metrics.json").read_text()
    Path("reports/metrics.json").unlink()

    track.main()
    track.main()
    (trained,) = all_runs()
    assert not PAGE.exists()
    assert not CARD.exists()
    assert not {"report.html", "model_card.md"} & artifacts(trained)
    Path("reports/metrics.json").write_text(metrics)
    track.main()

    (run,) = all_runs()
    assert (trained.info.status, trained.data.tags[runs.STATE]) == ("FINISHED", "trained")
    assert not [name for name in trained.data.metrics if "test" in name]
    assert run.info.run_id == trained.info.run_id
    assert run.data.tags[runs.STATE] == "complete"
    assert run.data.metrics["test/macro_f1"] == 0.8


def test_two_runs_of_one_result_become_one(config: params.Params) -> None:
    track.main()
    (first,) = all_runs()
    client = store()
    # As another machine's, which came to the same result at the same moment.
    tags = {name: value for name, value in first.data.tags.items() if not name.startswith("mlflow.")}
    second = client.create_run(first.info.experiment_id, tags=tags)
    client.set_terminated(second.info.run_id)

    track.main()

    assert [run.info.run_id for run in all_runs()] == [first.info.run_id]


def test_epochs_that_the_store_missed_are_logged_once(config: params.Params) -> None:
    with runs.training_run(config) as log_epoch:
        log_epoch(HISTORY[0])  # and then the store was unavailable

    track.main()

    (run,) = all_runs()
    assert epochs_of(run) == [(1, 0.4), (2, 0.3)]


# Interruptions


def test_interrupted_tracking_is_completed_in_the_same_run(
    config: params.Params, capsys: pytest.CaptureFixture[str]
) -> None:
    with runs.training_run(config):
        pass
    shutil.move("mlartifacts", "away")
    Path("mlartifacts").write_text("in the way")
    track.main()
    (interrupted,) = all_runs()
    Path("mlartifacts").unlink()
    shutil.move("away", "mlartifacts")
    assert capsys.readouterr().out.startswith("warning: cannot write to MLflow (")

    track.main()

    (run,) = all_runs()
    assert (run.info.run_id, run.info.status) == (interrupted.info.run_id, "FINISHED")
    assert epochs_of(run) == [(1, 0.4), (2, 0.3)]
    assert len(store().search_logged_models([run.info.experiment_id])) == 1


def test_run_without_its_inputs_gets_them(config: params.Params) -> None:
    with runs.training_run(config):
        pass
    (interrupted,) = all_runs()
    shutil.rmtree(Path(interrupted.info.artifact_uri.removeprefix("file://"), "provenance"))

    track.main()

    (run,) = all_runs()
    assert run.info.run_id == interrupted.info.run_id
    assert "provenance/result_inputs.json" in artifacts(run)
    assert run.inputs is not None
    assert len(run.inputs.dataset_inputs) == 3


@pytest.mark.parametrize("remove_note", [False, True], ids=["with its description", "without its description"])
def test_tracking_that_was_interrupted_at_its_end_leaves_one_table_in_the_description(
    config: params.Params, remove_note: bool
) -> None:
    track.main()
    (first,) = all_runs()
    store().set_tag(first.info.run_id, runs.STATE, "trained")
    if remove_note:  # as a person may do
        store().delete_tag(first.info.run_id, runs.NOTE)

    track.main()

    (again,) = all_runs()
    assert again.data.tags[runs.STATE] == "complete"
    assert again.data.tags[runs.NOTE].count("| classifier | 0.9000") == 1
    assert remove_note or again.data.tags[runs.NOTE] == first.data.tags[runs.NOTE]


def raise_keyboard_interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def raise_key_error(*_: object, **__: object) -> None:
    raise KeyError("a bug")


def test_ctrl_c_while_a_run_is_completed_leaves_it_killed(
    config: params.Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MlflowClient, "log_artifacts", raise_keyboard_interrupt)

    with pytest.raises(KeyboardInterrupt):
        track.main()

    assert [run.info.status for run in all_runs()] == ["KILLED"]


def test_programming_error_is_no_error_of_the_store(config: params.Params, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MlflowClient, "log_artifacts", raise_key_error)

    with pytest.raises(KeyError, match="a bug"):
        track.main()

    assert [run.info.status for run in all_runs()] == ["FAILED"]


def test_report_that_is_missing_is_no_error_of_the_store(config: params.Params) -> None:
    Path("reports/history.csv").unlink()

    with pytest.raises(FileNotFoundError, match=r"history\.csv"):
        track.main()


def test_unavailable_store_costs_no_page_which_says_so(
    config: params.Params, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

    track.main()

    (warning,) = capsys.readouterr().out.splitlines()
    assert warning.startswith("warning: cannot write to MLflow (")
    assert warning.endswith("; check MLFLOW_TRACKING_URI; the result is complete, and the next `dvc repro` logs it")
    page = PAGE.read_text(encoding="utf-8")
    assert "MLflow is not available, so the champion is unknown." in page
    assert "<dt>corpus</dt><dd>fruits, digest 0000" in page
    assert "Commit `unknown`." in CARD.read_text(encoding="utf-8")


# By hand


def test_by_hand_files_that_are_not_of_one_result_are_refused(
    config: params.Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DVC_STAGE")  # and no dvc.lock says that these files belong together
    subprocess.run(["git", "init", "--quiet"], check=True)
    subprocess.run([sys.executable, "-m", "dvc", "init", "--quiet"], check=True)

    with pytest.raises(track.UserError, match=r"are not of one result \(split, .*plot changed\); `dvc repro`"):
        track.main()


# Another time


def test_second_time_nothing_is_read_from_mlflow(config: params.Params, run: Callable) -> None:
    track.main()
    (tracked,) = all_runs()

    process = run("pipeline.track", env={"DVC_STAGE": "track", "PYTHONPROFILEIMPORTTIME": "1"})

    assert process.stdout == f"track: this result has its run already: {tracked.info.run_name}\n"
    assert "pipeline.tracking.last_track" in process.stderr
    assert "mlflow" not in process.stderr


def test_run_in_progress_is_looked_at_again(config: params.Params) -> None:
    """Its process may be killed: then it is for the next `track` to end it."""
    with runs.training_run(config):
        client, experiment = store(), all_runs()[0].info.experiment_id
        client.create_run(experiment, tags={runs.PROCESS: "another-machine:1"})
    track.main()

    assert last_track.unchanged_run([PAGE, CARD]) is None


def test_second_time_the_page_is_written_again_and_mlflows_stays(config: params.Params) -> None:
    track.main()
    (first,) = all_runs()
    logged = [Path(store().download_artifacts(first.info.run_id, path.name)) for path in (PAGE, CARD)]
    before = [(path.read_bytes(), path.stat().st_mtime_ns) for path in logged]
    PAGE.unlink()
    CARD.unlink()
    make_champion(first)  # which the page that was logged does not know

    track.main()

    (second,) = all_runs()
    assert [(path.read_bytes(), path.stat().st_mtime_ns) for path in logged] == before
    assert second.data.tags[runs.NOTE] == first.data.tags[runs.NOTE]
    assert "There is no champion yet." in artifact(second, PAGE)
    assert "This is the champion: version 1." in PAGE.read_text(encoding="utf-8")
    assert CARD.read_bytes() == before[1][0]


# The champion


def make_champion(run: Run, model: str = "text-classification", run_id: str | None = None) -> None:
    """Make the run's model version 1 of the registered model, and the champion."""
    client = store()
    client.create_registered_model(model)
    client.create_model_version(model, str(run.info.artifact_uri), run_id or run.info.run_id)
    client.set_registered_model_alias(model, "champion", "1")


def test_another_champion_has_a_row_in_the_page_and_is_compared_example_by_example(config: params.Params) -> None:
    change_metrics("classifier", accuracy=0.75, macro_f1=0.7333, log_loss=0.512, ece=0.25)
    track.main()
    make_champion(all_runs()[0])
    change_metrics("classifier", accuracy=1.0, macro_f1=1.0)
    write_predictions([(id, y_true, y_true) for id, y_true, _ in PREDICTIONS])

    track.main()

    new, champion = all_runs()
    page = artifact(new, PAGE)
    row = page.partition("<th>champion, version 1</th>")[2].partition("</tr>")[0]
    assert re.findall(r">([0-9.]+)<", row) == ["0.7500", "0.7333", "0.5120", "0.2500"]
    # Four correct predictions against three: in no resample is it worse.
    match = re.search(
        r"Champion: version 1\. Difference in macro F1, this run - champion: \+0\.0000 to (\+0\.\d{4}) "
        r"\(95% confidence interval\); 1 examples only this run classifies correctly, 0 only the champion "
        r"\(McNemar&#39;s test, p = 1\)\.",
        page,
    )
    assert match
    assert float(match[1]) > 0.2667  # the difference on the examples themselves: 1 - (2/3 + 4/5) / 2
    assert "champion, version" not in artifact(champion, PAGE)


@pytest.mark.parametrize(
    ("run_id", "predictions", "sentence"),
    [
        pytest.param(
            None,
            PREDICTIONS[:3],
            "Champion: version 1. No paired test: the two were not evaluated on the same test examples.",
            id="on other examples",
        ),
        pytest.param("0" * 32, PREDICTIONS, "The champion cannot be compared: ", id="its run is gone"),
    ],
)
def test_champion_that_cannot_be_compared_costs_no_result_its_run(
    config: params.Params, run_id: str | None, predictions: list, sentence: str
) -> None:
    track.main()
    make_champion(all_runs()[0], run_id=run_id)
    write_predictions(predictions)
    change_metrics("classifier", accuracy=0.91)
    Path("dvc.lock").write_text("schema: '2.0'\nstages: {}\n")

    track.main()

    new, _ = all_runs()
    assert new.data.tags[runs.STATE] == "complete"
    assert sentence in artifact(new, PAGE)
