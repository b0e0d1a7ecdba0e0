"""The whole: the real `dvc repro` in a fresh copy of this repository, with a real MLflow store in SQLite."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from statistics import median

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient
from ruamel.yaml import YAML
from sklearn.metrics import accuracy_score, f1_score

from tests.repository import change_params, environment, run, runs, store


def test_metrics_have_the_promised_shape_and_are_those_of_the_predictions(repository: Path) -> None:
    figures = json.loads((repository / "reports/metrics.json").read_text())

    assert list(figures) == [
        *("posts", "classifier", "network", "baseline", "mcnemar", "before_scaling", "temperature", "intervals"),
        *("macro_f1_above_baseline", "labels", "slices", "agreement"),
    ]
    assert figures["posts"] == 80
    for model in ("classifier", "network", "baseline"):
        predictions = list(csv.DictReader((repository / f"reports/evaluation/{model}/predictions.csv").open()))
        y_true, y_pred = ([row[name] for row in predictions] for name in ("y_true", "y_pred"))
        assert len(predictions) == 80
        assert list(figures[model]) == ["accuracy", "macro_f1", "log_loss", "ece"]
        assert figures[model]["accuracy"] == pytest.approx(accuracy_score(y_true, y_pred), abs=1e-6)
        assert figures[model]["macro_f1"] == pytest.approx(f1_score(y_true, y_pred, average="macro"), abs=1e-6)
        for figure, (low, high) in figures["intervals"][model].items():
            assert low <= figures[model][figure] <= high
    assert figures["temperature"] == json.loads((repository / "reports/train.json").read_text())["temperature"]
    for rows in (figures["labels"], figures["agreement"]):
        assert sum(row["posts"] for row in rows) == 80


def test_reports_hold_the_classification_report_and_say_that_the_sample_is_for_trying_out(repository: Path) -> None:
    for model in ("classifier", "baseline"):
        folder = repository / "reports/evaluation" / model
        text = (folder / "classification_report.txt").read_text()
        as_json = json.loads((folder / "classification_report.json").read_text())
        assert "for trying out" in text
        assert "macro avg" in text
        assert as_json["python"]["support"] == 20
        assert "<svg" in (folder / "confusion_matrix.svg").read_text()


def test_one_run_holds_parameters_curves_figures_reports_and_commit(repository: Path) -> None:
    (only,) = runs(repository)
    client = MlflowClient(store(repository))
    figures = json.loads((repository / "reports/metrics.json").read_text())
    history = list(csv.DictReader((repository / "reports/history.csv").open()))

    assert only.info.status == "FINISHED"
    assert client.get_experiment(only.info.experiment_id).name == "text-classification"
    assert only.data.params["train.units"] == "8"
    assert only.data.params["fetch.source"] == "sample"
    for section, values in YAML(typ="safe").load(repository / "params.yaml").items():
        if section == "registry":  # what is asked of a model afterwards is none of its parameters
            continue
        assert {f"{section}.{name}" for name in values} <= set(only.data.params)
    for prefix, model in {"": "classifier", "baseline_": "baseline", "network_": "network"}.items():
        for name, value in figures[model].items():
            assert only.data.metrics[f"{prefix}test_{name}"] == value
    for name in ("loss", "val_loss", "accuracy", "val_accuracy"):
        logged = client.get_metric_history(only.info.run_id, name)
        assert [(point.step, point.value) for point in logged] == [
            (int(row["epoch"]), float(row[name])) for row in history
        ]
    first = run(repository, "git", "rev-list", "--max-parents=0", "HEAD").strip()
    assert only.data.tags["mlflow.source.git.commit"] == first
    assert "for trying out" in only.data.tags["mlflow.note.content"]
    names = {
        artifact.path
        for model in ("classifier", "baseline")
        for artifact in client.list_artifacts(only.info.run_id, model)
    }
    for model in ("classifier", "baseline"):
        assert f"{model}/classification_report.txt" in names
        assert f"{model}/confusion_matrix.svg" in names
    plots = {artifact.path for artifact in client.list_artifacts(only.info.run_id, "plots")}
    assert plots == {f"plots/{path.name}" for path in (repository / "reports/evaluation/plots").iterdir()} | {
        "plots/history.svg", "plots/gradients.svg"
    }  # fmt: skip
    assert f"| the classifier | {figures['classifier']['accuracy']:.4f} (" in only.data.tags["mlflow.note.content"]


def test_the_page_and_the_card_are_in_the_run_and_name_its_commit(repository: Path, tmp_path: Path) -> None:
    (only,) = runs(repository)
    client = MlflowClient(store(repository))
    commit = only.data.tags["mlflow.source.git.commit"]

    page, card = (
        Path(client.download_artifacts(only.info.run_id, name, str(tmp_path))).read_text(encoding="utf-8")
        for name in ("report.html", "model_card.md")
    )

    assert f"{only.info.run_name} ({only.info.run_id})" in page
    assert f"commit {commit}, branch " in page
    assert f"from commit `{commit}`." in card
    assert "say nothing of real posts" in page
    assert "No version is the champion yet." in page
    # The repository's are these; the next `dvc repro` may tell of another champion.
    assert (repository / "reports/report.html").read_text(encoding="utf-8") == page
    assert (repository / "reports/model_card.md").read_text(encoding="utf-8") == card


def test_the_posts_to_look_at_are_test_posts_with_their_predictions(repository: Path) -> None:
    told = json.loads((repository / "reports/explanations.json").read_text(encoding="utf-8"))
    folder = repository / "reports/evaluation"
    predictions = {row["id"]: row for row in csv.DictReader((folder / "classifier/predictions.csv").open())}

    wrong = {id for id, row in predictions.items() if row["y_true"] != row["y_pred"]}
    assert told["mistakes"] == len(wrong)
    assert {post["id"] for post in told["posts"][: len(wrong)]} == wrong
    for post in told["posts"]:
        row = predictions[post["id"]]
        assert (post["y_true"], post["y_pred"]) == (row["y_true"], row["y_pred"])
        assert post["confidence"] == pytest.approx(float(row[f"probability_{post['predicted']}"]), abs=6e-5)
        assert post["words"]
    assert all(pair["one"]["y_true"] != pair["other"]["y_true"] for pair in told["alike"])


def test_the_logged_model_takes_raw_text_and_answers_as_predict_does(repository: Path) -> None:
    mlflow.set_tracking_uri(store(repository))
    client = MlflowClient()
    (logged,) = client.search_logged_models([runs(repository)[0].info.experiment_id])
    text = "how do i sort a dict by value"

    model = mlflow.pyfunc.load_model(logged.model_uri)
    answer = model.predict(pd.DataFrame({"text": [text]})).iloc[0]
    said = json.loads(run(repository, "python", "-m", "pipeline.predict", "--json", text))

    assert logged.name == "model"
    assert model.metadata.signature.inputs.input_names() == ["text"]
    assert list(model.metadata.load_input_example().columns) == ["text"]
    assert answer["label"] == said["label"]
    assert {label: answer[f"probability_{label}"] for label in said["probabilities"]} == pytest.approx(
        said["probabilities"], abs=1e-6
    )


def test_a_second_repro_makes_nothing_again_and_no_second_run(repository: Path) -> None:
    before = (repository / "dvc.lock").read_bytes()

    said = run(repository, "dvc", "repro")

    assert [line for line in said.splitlines() if line.startswith("Running stage")] == [
        "Running stage 'source':",
        "Running stage 'track':",
    ]
    assert (repository / "dvc.lock").read_bytes() == before
    assert len(runs(repository)) == 1


def test_a_clone_makes_the_same_bytes(repository: Path, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    run(tmp_path, "git", "clone", "--quiet", str(repository), str(clone))
    (clone / "dvc.lock").unlink()

    run(clone, "dvc", "repro")

    assert (clone / "dvc.lock").read_bytes() == (repository / "dvc.lock").read_bytes()
    assert run(clone, "git", "status", "--porcelain") == ""


def test_a_lost_store_costs_one_command_and_no_result(repository: Path) -> None:
    (old,) = runs(repository)
    (repository / "mlflow.db").unlink()
    shutil.rmtree(repository / "mlartifacts")

    run(repository, "dvc", "repro")

    (new,) = runs(repository)
    measured = {name: value for name, value in old.data.metrics.items() if name != "epoch_seconds"}
    assert new.data.metrics == measured
    assert new.data.params == old.data.params


def test_an_experiment_in_a_temporary_folder_leaves_its_run_in_the_same_store(repository: Path) -> None:
    before = runs(repository)

    run(repository, "dvc", "exp", "run", "--temp", "--name", "other-seed", "--set-param", "train.seed=7")

    new, *others = runs(repository)
    assert [run.info.run_id for run in others] == [run.info.run_id for run in before]
    assert new.info.status == "FINISHED"
    assert new.data.params["train.seed"] == "7"
    assert new.data.tags["dvc.experiment"] == "other-seed"
    assert "other-seed" in run(repository, "dvc", "exp", "show", "--csv", "--no-pager")


def of_experiment(repository: Path, path: str, experiment: str) -> str:
    """A file that git keeps, as an experiment made it."""
    (revision,) = [
        line.split()[0]
        for line in run(
            repository, "git", "for-each-ref", "--format=%(objectname) %(refname)", "refs/exps"
        ).splitlines()
        if line.endswith(f"/{experiment}")
    ]
    return run(repository, "git", "show", f"{revision}:{path}")


def test_the_summary_of_an_experiment_holds_its_figures_and_not_the_workspaces(repository: Path) -> None:
    figures = json.loads(of_experiment(repository, "reports/metrics.json", "other-seed"))

    said = run(repository, "python", "-m", "pipeline.report.summary", "other-seed")

    (row,) = [line.split() for line in said.splitlines() if line.strip().startswith("classifier")]
    accuracy, *others = (f"{figures['classifier'][name]:.4f}" for name in ("accuracy", "macro_f1", "log_loss"))
    interval = "-".join(f"{end:.4f}" for end in figures["intervals"]["classifier"]["accuracy"])
    assert row[1:] == [accuracy, interval, *others]
    assert figures["classifier"] != json.loads((repository / "reports/metrics.json").read_text())["classifier"]
    assert "`dvc exp apply other-seed` brings its model" in said
    # Nothing of the workspace has changed for that.
    assert run(repository, "git", "status", "--porcelain") == ""


def test_experiments_stand_side_by_side_with_their_seconds_and_their_gradients(repository: Path) -> None:
    only_trained = ["-S", "train.cell=rnn", "-S", "train.epochs=1", "train"]
    run(repository, "dvc", "exp", "run", "--temp", "--name", "simple", *only_trained)
    simple, other = (
        json.loads(of_experiment(repository, "reports/train.json", name)) for name in ("simple", "other-seed")
    )

    said = run(repository, "python", "-m", "pipeline.report.experiments", "simple", "other-seed")

    head, *rows = said.splitlines()[:3]
    assert head.split() == ["experiment", "parameters", "seconds/epoch", "best", "epoch", "accuracy", "log", "loss"]
    for name, report, row in zip(["simple", "other-seed"], [simple, other], map(str.split, rows), strict=True):
        assert row[:2] == [name, f"{report['parameters']:,}"]
        seconds = [
            point.value
            for each in runs(repository)
            if each.data.tags.get("dvc.experiment") == name
            for point in MlflowClient(store(repository)).get_metric_history(each.info.run_id, "epoch_seconds")
        ]
        assert row[2] == f"{median(seconds):.1f}"
        figures = report["validation"]
        assert row[3:] == [str(report["best_epoch"]), f"{figures['accuracy']:.4f}", f"{figures['log_loss']:.4f}"]
    assert simple["parameters"] < other["parameters"]
    assert (repository / "reports/experiments.png").read_bytes().startswith(b"\x89PNG")
    assert run(repository, "git", "status", "--porcelain") == ""


@pytest.mark.parametrize("report", ["summary", "experiments"])
def test_an_experiment_that_is_not_there_is_said_in_one_sentence(repository: Path, report: str) -> None:
    said = run(repository, "python", "-m", f"pipeline.report.{report}", "nobody", code=1)

    assert re.fullmatch(
        r"error: nobody is no experiment with a reports/\w+\.json; `dvc exp list` shows what there is\n", said
    ), said


def test_a_server_that_is_not_there_costs_no_result_and_the_next_repro_completes_the_run(repository: Path) -> None:
    before = len(runs(repository))
    change_params(repository, {"train": {"seed": 3}})
    nobody = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}

    said = run(repository, "dvc", "repro", code=0, **nobody)
    page = (repository / "reports/report.html").read_text(encoding="utf-8")
    (repository / "reports/report.html").unlink()
    by_hand = run(repository, "python", "-m", "pipeline.track", code=1, **nobody)
    by_hand_page = (repository / "reports/report.html").read_text(encoding="utf-8")

    assert "MLflow cannot be reached" in said
    assert "warning: MLflow could not be told of this result" in said
    assert "MLflow was out of reach" in page
    assert by_hand_page == page
    assert re.fullmatch("error: MLflow could not be told of this result .*\n", by_hand), by_hand
    assert "Traceback" not in said
    assert "Running stage 'train'" not in run(repository, "dvc", "repro")
    new = runs(repository)[0]
    assert len(runs(repository)) == before + 1
    assert new.info.status == "FINISHED"
    history = list(csv.DictReader((repository / "reports/history.csv").open()))
    logged = MlflowClient(store(repository)).get_metric_history(new.info.run_id, "val_log_loss")
    assert [point.step for point in logged] == [int(row["epoch"]) for row in history]
    run(repository, "git", "checkout", "params.yaml", "dvc.lock", "reports")
    run(repository, "dvc", "checkout")


def test_an_interrupted_training_is_killed_in_mlflow_and_the_next_repro_finishes_one_run(repository: Path) -> None:
    before = len(runs(repository))
    change_params(repository, {"train": {"epochs": 500, "patience": 500}})
    process = subprocess.Popen(["dvc", "repro"], cwd=repository, env=environment(), start_new_session=True)
    deadline = time.monotonic() + 120
    while not any(run.data.metrics.get("val_loss") for run in runs(repository)[: len(runs(repository)) - before]):
        assert process.poll() is None, "training ended before it could be interrupted"
        assert time.monotonic() < deadline, "no epoch in MLflow after two minutes"
        time.sleep(0.5)

    os.killpg(process.pid, signal.SIGINT)  # what Ctrl-C does: DVC and its stage both get it
    assert process.wait(60) != 0
    killed = runs(repository)[0]
    run(repository, "git", "checkout", "params.yaml")
    said = run(repository, "dvc", "repro")

    assert killed.info.status == "KILLED"
    assert "Running stage 'train'" not in said  # the last good result came back from DVC's cache
    assert run(repository, "git", "status", "--porcelain") == ""
    assert [run.info.status for run in runs(repository)] == ["KILLED"] + ["FINISHED"] * before


def test_a_wrong_parameter_stops_the_first_stage_and_costs_no_artifact(repository: Path) -> None:
    good = (repository / "models/model.onnx").read_bytes()
    change_params(repository, {"train": {"units": 0}})

    said = run(repository, "dvc", "repro", code=255)

    assert "error: params.yaml: train.units is 0, but should be greater than or equal to 1" in said
    assert "Traceback" not in said
    assert "Running stage 'fetch'" not in said
    run(repository, "git", "checkout", "params.yaml")
    run(repository, "dvc", "checkout")
    assert (repository / "models/model.onnx").read_bytes() == good
    assert run(repository, "git", "status", "--porcelain") == ""


def test_a_local_source_that_changed_is_fetched_again(repository: Path, tmp_path: Path) -> None:
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
