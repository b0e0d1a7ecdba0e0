"""The whole pipeline: the real `dvc repro` in a fresh copy of this repository, with a real MLflow store in SQLite."""

import csv
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient
from ruamel.yaml import YAML
from sklearn.metrics import accuracy_score, f1_score

from tests.repository import change_params, environment, run, runs, store

pytestmark = pytest.mark.slow


def test_metrics_have_the_documented_keys_and_match_the_predictions(repository: Path) -> None:
    metrics = json.loads((repository / "reports/metrics.json").read_text())

    assert list(metrics) == [
        *("examples", "classifier", "network", "baseline", "mcnemar", "uncalibrated", "network_weight"),
        *("temperature", "confidence_intervals", "macro_f1_difference_interval", "per_class", "slices", "agreement"),
    ]
    assert metrics["examples"] == 80
    for model in ("classifier", "network", "baseline"):
        predictions = list(csv.DictReader((repository / f"reports/evaluation/{model}/predictions.csv").open()))
        y_true, y_pred = ([row[name] for row in predictions] for name in ("y_true", "y_pred"))
        assert len(predictions) == 80
        assert list(metrics[model]) == ["accuracy", "macro_f1", "log_loss", "ece"]
        assert metrics[model]["accuracy"] == pytest.approx(accuracy_score(y_true, y_pred), abs=1e-6)
        assert metrics[model]["macro_f1"] == pytest.approx(f1_score(y_true, y_pred, average="macro"), abs=1e-6)
        for name, (low, high) in metrics["confidence_intervals"][model].items():
            assert low <= metrics[model][name] <= high
    assert metrics["temperature"] == json.loads((repository / "reports/train.json").read_text())["temperature"]
    assert sum(row["support"] for row in metrics["per_class"]) == 80
    assert sum(row["examples"] for row in metrics["agreement"]) == 80


def test_classification_reports_name_the_sample_corpus(repository: Path) -> None:
    for model in ("classifier", "baseline"):
        folder = repository / "reports/evaluation" / model
        text = (folder / "classification_report.txt").read_text()
        as_json = json.loads((folder / "classification_report.json").read_text())
        assert "sample" in text
        assert "macro avg" in text
        assert as_json["python"]["support"] == 20

    for picture in ("confusion_matrix.svg", "confusion_matrix_baseline.svg", "history.svg", "gradients.svg"):
        assert "<svg" in (repository / "reports/plots" / picture).read_text()


def test_one_run_holds_parameters_curves_metrics_reports_and_commit(repository: Path) -> None:
    (only,) = runs(repository)
    client = MlflowClient(store(repository))
    metrics = json.loads((repository / "reports/metrics.json").read_text())
    history = list(csv.DictReader((repository / "reports/history.csv").open()))

    assert only.info.status == "FINISHED"
    assert client.get_experiment(only.info.experiment_id).name == "text-classification"
    assert only.data.params["train.units"] == "8"
    assert only.data.params["fetch.source"] == "sample"
    for section, values in YAML(typ="safe").load(repository / "params.yaml").items():
        if section == "registry":  # the gate's limits are no parameters of a model
            continue
        assert {f"{section}.{name}" for name in values} - {"track.timeout"} <= set(only.data.params)
    for prefix, model in {"test/": "classifier", "baseline/test_": "baseline", "network/test_": "network"}.items():
        for name, value in metrics[model].items():
            assert only.data.metrics[f"{prefix}{name}"] == value
    columns = {
        "train/loss": "loss",
        "val/loss": "val_loss",
        "train/accuracy": "accuracy",
        "val/log_loss": "val_log_loss",
    }
    for name, column in columns.items():
        logged = client.get_metric_history(only.info.run_id, name)
        assert [(point.step, point.value) for point in logged] == [
            (int(row["epoch"]), float(row[column])) for row in history
        ]
    first = run(repository, "git", "rev-list", "--max-parents=0", "HEAD").strip()
    assert only.data.tags["mlflow.source.git.commit"] == first
    names = {
        artifact.path
        for model in ("classifier", "baseline")
        for artifact in client.list_artifacts(only.info.run_id, model)
    }
    for model in ("classifier", "baseline"):
        assert f"{model}/classification_report.txt" in names
    plots = {artifact.path for artifact in client.list_artifacts(only.info.run_id, "plots")}
    assert plots == {f"plots/{path.name}" for path in (repository / "reports/plots").iterdir()}
    assert f"{metrics['classifier']['accuracy']:.4f} (" in only.data.tags["mlflow.note.content"]


def test_page_and_card_are_artifacts_of_the_run_and_name_its_commit(repository: Path, tmp_path: Path) -> None:
    (only,) = runs(repository)
    client = MlflowClient(store(repository))
    commit = only.data.tags["mlflow.source.git.commit"]

    page, card = (
        Path(client.download_artifacts(only.info.run_id, name, str(tmp_path))).read_text(encoding="utf-8")
        for name in ("report.html", "model_card.md")
    )

    assert only.info.run_name in page
    assert only.info.run_id in page
    assert commit in page
    assert commit in card
    # The workspace has the same ones, until the next `dvc repro`, when another version may be the champion.
    assert (repository / "reports/report.html").read_text(encoding="utf-8") == page
    assert (repository / "reports/model_card.md").read_text(encoding="utf-8") == card


def test_explained_examples_are_test_examples_with_their_predictions(repository: Path) -> None:
    explanations = json.loads((repository / "reports/explanations.json").read_text(encoding="utf-8"))
    folder = repository / "reports/evaluation"
    predictions = {row["id"]: row for row in csv.DictReader((folder / "classifier/predictions.csv").open())}

    errors = {id for id, row in predictions.items() if row["y_true"] != row["y_pred"]}
    assert explanations["errors"] == len(errors)
    assert {example["id"] for example in explanations["examples"][: len(errors)]} == errors
    for example in explanations["examples"]:
        row = predictions[example["id"]]
        assert (example["y_true"], example["y_pred"]) == (row["y_true"], row["y_pred"])
        assert example["confidence"] == pytest.approx(float(row[f"probability_{example['y_pred']}"]), abs=6e-5)
        assert example["attributions"]


def test_logged_model_takes_raw_text_and_predicts_as_the_predict_command(repository: Path) -> None:
    mlflow.set_tracking_uri(store(repository))
    client = MlflowClient()
    (logged,) = client.search_logged_models([runs(repository)[0].info.experiment_id])
    text = "how do i sort a dict by value"

    model = mlflow.pyfunc.load_model(logged.model_uri)
    answer = model.predict(pd.DataFrame({"text": [text]})).iloc[0]
    prediction = json.loads(run(repository, "python", "-m", "pipeline.predict", "--json", text))

    assert logged.name == "model"
    assert model.metadata.signature.inputs.input_names() == ["text"]
    assert list(model.metadata.load_input_example().columns) == ["text"]
    assert answer["label"] == prediction["label"]
    assert {label: answer[f"probability_{label}"] for label in prediction["probabilities"]} == pytest.approx(
        prediction["probabilities"], abs=1e-6
    )


def test_second_repro_runs_no_stage_again_and_logs_no_second_run(repository: Path) -> None:
    before = (repository / "dvc.lock").read_bytes()

    output = run(repository, "dvc", "repro")

    assert [line for line in output.splitlines() if line.startswith("Running stage")] == [
        "Running stage 'source':",
        "Running stage 'track':",
    ]
    assert (repository / "dvc.lock").read_bytes() == before
    assert len(runs(repository)) == 1


def test_lost_mlflow_store_is_rebuilt_by_one_command(repository: Path) -> None:
    (old,) = runs(repository)
    (repository / "mlflow.db").unlink()
    shutil.rmtree(repository / "mlartifacts")

    run(repository, "dvc", "repro")

    (new,) = runs(repository)
    expected = {name: value for name, value in old.data.metrics.items() if name != "train/epoch_seconds"}
    assert new.data.metrics == expected
    assert new.data.params == old.data.params


def test_interrupted_training_is_killed_in_mlflow_and_the_next_repro_finishes_one_run(repository: Path) -> None:
    before = len(runs(repository))
    change_params(repository, {"train": {"epochs": 500, "patience": 500}})
    process = subprocess.Popen(["dvc", "repro"], cwd=repository, env=environment(), start_new_session=True)
    deadline = time.monotonic() + 120
    while not any(run.data.metrics.get("val/loss") for run in runs(repository)[: len(runs(repository)) - before]):
        assert process.poll() is None, "training ended before it could be interrupted"
        assert time.monotonic() < deadline, "no epoch in MLflow after two minutes"
        time.sleep(0.5)

    os.killpg(process.pid, signal.SIGINT)  # what Ctrl-C does: DVC and its stage both get it
    assert process.wait(60) != 0
    killed = runs(repository)[0]
    run(repository, "git", "checkout", "params.yaml")
    output = run(repository, "dvc", "repro")

    assert killed.info.status == "KILLED"
    assert "Running stage 'train'" not in output  # the last good result is restored from DVC's cache
    assert run(repository, "git", "status", "--porcelain") == ""
    assert [run.info.status for run in runs(repository)] == ["KILLED"] + ["FINISHED"] * before


def test_invalid_parameter_fails_in_the_first_stage_and_costs_no_artifact(repository: Path) -> None:
    good = (repository / "models/model.onnx").read_bytes()
    change_params(repository, {"train": {"units": 0}})

    output = run(repository, "dvc", "repro", code=255)

    assert "error: params.yaml: train.units is 0, but should be greater than or equal to 1" in output
    assert "Traceback" not in output
    assert "Running stage 'fetch'" not in output
    run(repository, "git", "checkout", "params.yaml")
    run(repository, "dvc", "checkout")
    assert (repository / "models/model.onnx").read_bytes() == good
    assert run(repository, "git", "status", "--porcelain") == ""


def test_local_source_that_changed_is_fetched_again(repository: Path, tmp_path: Path) -> None:
    for label, word in {"cats": "meow", "dogs": "woof"}.items():
        for split in ("train", "test"):
            folder = tmp_path / "pets" / split / label
            folder.mkdir(parents=True)
            for number in range(20):
                (folder / f"{number}.txt").write_text(f"{word} {split} {number}")
    change_params(repository, {"fetch": {"source": str(tmp_path / "pets")}})
    run(repository, "dvc", "repro", "fetch")
    first = json.loads((repository / "data/raw/manifest.json").read_text())

    unchanged = run(repository, "dvc", "repro", "fetch")
    (tmp_path / "pets/train/cats/0.txt").write_text("purr")
    run(repository, "dvc", "repro", "fetch")
    second = json.loads((repository / "data/raw/manifest.json").read_text())

    assert "Running stage 'fetch'" not in unchanged
    assert first["labels"] == ["cats", "dogs"]
    assert first["digest"] != second["digest"]
    assert str(tmp_path) not in (repository / "data/raw/manifest.json").read_text()
    run(repository, "git", "checkout", "params.yaml", "dvc.lock")
    run(repository, "dvc", "checkout")
