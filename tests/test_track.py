"""The stage track: it completes the run that training began, makes one where there is none, and never a second."""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from pipeline import linear, params, track
from pipeline.corpus import tables
from pipeline.lineage import runs

ROOT = Path(__file__).parent.parent
FIGURES = {"accuracy": 0.9, "macro_f1": 0.8, "log_loss": 0.3}
HISTORY = [{"epoch": 1, "loss": 0.5, "val_log_loss": 0.4}, {"epoch": 2, "loss": 0.4, "val_log_loss": 0.3}]


@pytest.fixture
def everything(make_models: Callable, set_params: Callable, monkeypatch: pytest.MonkeyPatch) -> params.Params:
    """A workspace with all that the stages before it leave; its models are hand-made."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("DVC_STAGE", "track")
    everything = set_params(baseline={"min_posts": 1, "character_min_posts": 1})
    make_models(linear.fit(["banana tree", "dict key"], np.array([0, 1]), 2, everything.baseline))
    for name in ("dvc.yaml", "pipeline"):  # what the key of the run is made of
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, Path(name))
    Path("reports").mkdir()
    Path("data/split").mkdir(parents=True)
    for name in ("train", "validation", "test"):
        Path(f"data/split/{name}.parquet").write_bytes(f"{name} posts".encode())
    for name in ("baseline", "train"):
        Path("data/learned").mkdir(exist_ok=True)
        rows = [{"id": "a", "fingerprint": b"of a"}, {"id": name, "fingerprint": b"of another"}]
        tables.write(Path(f"data/learned/{name}.parquet"), tables.LEARNED, rows)
    Path("dvc.lock").write_text("schema: '2.0'\n")
    corpus = {"source": "fruits", "sample": False, "digest": "0" * 64, "licence": "none"}
    reports = {
        "split": {"corpus": corpus, "posts": {"train": 100, "validation": 20, "test": 4}},
        "metrics": {
            "posts": 4,
            "classifier": FIGURES,
            "baseline": FIGURES | {"accuracy": 0.7},
            "network": FIGURES | {"accuracy": 0.8},
            "mcnemar": {"only_classifier_right": 10, "only_baseline_right": 2, "p": 0.0386},
        },
        "train": {
            "parameters": 12,
            "best_epoch": 2,
            "validation": FIGURES,
            "network_validation": FIGURES | {"accuracy": 0.75},
        },
        "baseline": {"ngrams": 3, "validation": FIGURES},
    }
    for name, content in reports.items():
        Path("reports", f"{name}.json").write_text(json.dumps(content))
    lines = [",".join(HISTORY[0]), *(",".join(map(str, row.values())) for row in HISTORY)]
    Path("reports/history.csv").write_text("\n".join(lines) + "\n")
    Path("reports/gradients.csv").write_text("steps_back,before,after\n0,1.0,2.0\n")
    Path("reports/gradients.png").write_bytes(b"a picture")
    for model in ("classifier", "baseline"):
        Path("reports", model).mkdir()
        Path("reports", model, "classification_report.txt").write_text("report")
    return everything


def all_runs() -> list[Run]:
    client = MlflowClient(f"sqlite:///{Path('mlflow.db').resolve()}")
    return list(client.search_runs([experiment.experiment_id for experiment in client.search_experiments()]))


def epochs_of(run: Run) -> list[tuple[int, float]]:
    client = MlflowClient(f"sqlite:///{Path('mlflow.db').resolve()}")
    return [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, "val_log_loss")]


def test_a_result_without_a_run_gets_one_from_its_files(everything: params.Params) -> None:
    track.main()

    (only,) = all_runs()
    assert only.info.status == "FINISHED"
    assert epochs_of(only) == [(1, 0.4), (2, 0.3)]
    assert only.data.metrics["baseline_test_accuracy"] == 0.7
    assert only.data.metrics["test_macro_f1"] == 0.8
    assert only.data.metrics["network_test_accuracy"] == 0.8
    assert only.data.metrics["network_validation_accuracy"] == 0.75
    assert only.data.metrics["mcnemar_p"] == 0.0386


def test_the_run_holds_reports_gradients_and_the_reports_of_both_models(everything: params.Params) -> None:
    track.main()

    (only,) = all_runs()
    client = MlflowClient(f"sqlite:///{Path('mlflow.db').resolve()}")
    held = {file.path for folder in (None, "classifier", "baseline") for file in
            client.list_artifacts(only.info.run_id, folder)}  # fmt: skip
    files = {file.relative_to("reports").as_posix() for file in Path("reports").rglob("*")}
    assert held == files | {"lineage"}
    assert {"gradients.csv", "gradients.png", "history.csv", "classifier/classification_report.txt"} <= files


def test_a_network_without_a_linear_model_has_no_figures_of_its_own(everything: params.Params) -> None:
    for name, figure in (("metrics", "network"), ("train", "network_validation")):
        report = json.loads(Path(f"reports/{name}.json").read_text())
        del report[figure]
        Path(f"reports/{name}.json").write_text(json.dumps(report))

    track.main()

    (only,) = all_runs()
    assert only.data.metrics["test_accuracy"] == 0.9
    assert not [name for name in only.data.metrics if name.startswith("network")]


def test_the_run_tells_of_its_data_its_lock_and_what_determined_it(everything: params.Params) -> None:
    track.main()

    (only,) = all_runs()
    client = MlflowClient(f"sqlite:///{Path('mlflow.db').resolve()}")
    assert only.inputs is not None
    told = {
        each.tags[0].value: (
            each.dataset.name,
            each.dataset.digest,
            json.loads(each.dataset.profile or "{}")["num_rows"],
        )
        for each in only.inputs.dataset_inputs
    }
    assert told == {
        context: (f"fruits {name}", hashlib.md5(f"{name} posts".encode()).hexdigest(), posts)
        for name, context, posts in (("train", "training", 100), ("validation", "validation", 20), ("test", "test", 4))
    }
    held = {Path(file.path).name for file in client.list_artifacts(only.info.run_id, "lineage")}
    # No machine: what this process runs on is not what the training ran on.
    assert held == {"dvc.lock", "ingredients.json", "learned.parquet"}


def test_a_training_that_was_not_evaluated_has_a_run_that_evaluation_completes(everything: params.Params) -> None:
    metrics = Path("reports/metrics.json").read_text()
    Path("reports/metrics.json").unlink()

    track.main()
    track.main()
    (trained,) = all_runs()
    Path("reports/metrics.json").write_text(metrics)
    track.main()

    (only,) = all_runs()
    assert (trained.info.status, trained.data.tags[runs.STATE]) == ("FINISHED", "trained")
    assert not [name for name in trained.data.metrics if "test" in name]
    assert only.info.run_id == trained.info.run_id
    assert only.data.tags[runs.STATE] == "complete"
    assert only.data.metrics["test_macro_f1"] == 0.8


def test_two_runs_of_one_result_become_one(everything: params.Params) -> None:
    track.main()
    (first,) = all_runs()
    client = MlflowClient(f"sqlite:///{Path('mlflow.db').resolve()}")
    # As another machine's, which came to the same result at the same moment.
    tags = {name: value for name, value in first.data.tags.items() if name.startswith("result.")}
    second = client.create_run(first.info.experiment_id, tags=tags | {runs.STATE: "complete"})
    client.set_terminated(second.info.run_id)

    track.main()

    assert [run.info.run_id for run in all_runs()] == [first.info.run_id]


def test_epochs_that_the_store_missed_are_logged_once(everything: params.Params) -> None:
    with runs.live(everything) as log:
        log(HISTORY[0])  # and then the store was away

    track.main()

    (only,) = all_runs()
    assert epochs_of(only) == [(1, 0.4), (2, 0.3)]


def test_a_result_has_one_run_however_often_it_is_tracked(everything: params.Params) -> None:
    for _ in range(3):
        track.main()

    assert len(all_runs()) == 1


def test_another_result_of_the_same_inputs_has_a_run_of_its_own(everything: params.Params) -> None:
    track.main()
    metrics = json.loads(Path("reports/metrics.json").read_text())
    metrics["classifier"]["accuracy"] = 0.91  # as on another machine
    Path("reports/metrics.json").write_text(json.dumps(metrics))

    track.main()

    assert sorted(run.data.metrics["test_accuracy"] for run in all_runs()) == [0.9, 0.91]


def test_a_tracking_that_broke_off_is_completed_in_the_same_run(
    everything: params.Params, capsys: pytest.CaptureFixture[str]
) -> None:
    with runs.live(everything):
        pass
    shutil.move("mlartifacts", "away")
    Path("mlartifacts").write_text("in the way")
    track.main()
    (broken,) = all_runs()
    Path("mlartifacts").unlink()
    shutil.move("away", "mlartifacts")
    assert capsys.readouterr().out.startswith("warning: MLflow could not be told of this result (")

    track.main()

    (only,) = all_runs()
    assert (only.info.run_id, only.info.status) == (broken.info.run_id, "FINISHED")
    assert epochs_of(only) == [(1, 0.4), (2, 0.3)]
    client = MlflowClient(f"sqlite:///{Path('mlflow.db').resolve()}")
    assert len(client.search_logged_models([only.info.experiment_id])) == 1


def test_a_run_that_broke_off_before_it_was_described_is_described(everything: params.Params) -> None:
    shutil.move("reports/history.csv", "away")
    track.main()
    shutil.move("away", "reports/history.csv")
    (broken,) = all_runs()
    client = MlflowClient(f"sqlite:///{Path('mlflow.db').resolve()}")
    shutil.rmtree(Path(broken.info.artifact_uri.removeprefix("file://"), "lineage"))

    track.main()

    (only,) = all_runs()
    assert only.info.run_id == broken.info.run_id
    assert "lineage/ingredients.json" in {file.path for file in client.list_artifacts(only.info.run_id, "lineage")}
    assert only.inputs is not None
    assert len(only.inputs.dataset_inputs) == 3


def test_by_hand_it_refuses_what_is_not_one_result(everything: params.Params, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_STAGE")  # and no dvc.lock says that these files belong together
    subprocess.run(["git", "init", "--quiet"], check=True)
    subprocess.run([sys.executable, "-m", "dvc", "init", "--quiet"], check=True)

    with pytest.raises(track.Stop, match="what is here is not one result"):
        track.main()
