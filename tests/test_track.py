"""The stage track: it completes the run that training began, makes one where there is none, and never a second."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from pipeline import linear, params, track
from pipeline.lineage import runs

ROOT = Path(__file__).parent.parent
FIGURES = {"accuracy": 0.9, "macro_f1": 0.8, "log_loss": 0.3}
HISTORY = [{"epoch": 1, "loss": 0.5, "val_log_loss": 0.4}, {"epoch": 2, "loss": 0.4, "val_log_loss": 0.3}]


@pytest.fixture
def everything(make_models: Callable, set_params: Callable, monkeypatch: pytest.MonkeyPatch) -> params.Params:
    """A workspace with all that the stages before it leave; its models are hand-made."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    everything = set_params(baseline={"min_posts": 1, "character_min_posts": 1})
    make_models(linear.fit(["banana tree", "dict key"], np.array([0, 1]), 2, everything.baseline))
    for name in ("dvc.yaml", "pipeline"):  # what the key of the run is made of
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, Path(name))
    Path("reports").mkdir()
    corpus = {"source": "fruits", "sample": False, "digest": "0" * 64, "licence": "none"}
    reports = {
        "split": {"corpus": corpus, "posts": {"train": 100}},
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
    assert held == files
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


@pytest.mark.parametrize("file", ["model.onnx", "baseline.safetensors", "evidence.safetensors", "tokenizer.json"])
def test_another_model_is_another_result(everything: params.Params, file: str) -> None:
    before = track.result_digest()

    Path("models", file).write_bytes(b"another")

    assert track.result_digest() != before


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


def test_a_tracking_that_broke_off_is_completed_in_the_same_run(everything: params.Params) -> None:
    Path("mlartifacts").write_text("in the way")
    with pytest.raises(track.Stop, match="MLflow could not be told"):
        track.main()
    (broken,) = all_runs()
    Path("mlartifacts").unlink()

    track.main()

    (only,) = all_runs()
    assert (broken.info.status, only.info.status) == ("FAILED", "FINISHED")
    assert epochs_of(only) == [(1, 0.4), (2, 0.3)]
