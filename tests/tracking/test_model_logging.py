"""The logged model predicts in a folder without this repository."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus

from pipeline import params
from pipeline.model import linear
from pipeline.model.classifier import Classifier
from pipeline.tracking import model_logging, store
from tests.repository import track_params

TEXTS = ["a banana", "a dict", "", "cake"]
PREDICT = """
import json, sys
import mlflow.pyfunc
import pandas as pd
already = {*sys.modules}  # what MLflow imports by itself
texts = pd.DataFrame({"text": json.loads(sys.argv[1])})
for uri in sys.argv[2:]:
    predictions = mlflow.pyfunc.load_model(uri).predict(texts)
    print(json.dumps([[column, predictions[column].tolist()] for column in predictions]))
assert not {"tensorflow", "keras", "sklearn", "pydantic.main"} & ({*sys.modules} - already)
"""


@pytest.fixture
def log_model(config: params.Params, make_models: Callable[..., None], client: MlflowClient) -> Callable[[bool], str]:
    """`log_model(is_ensemble)` logs a hand-made model to a run, and returns the run's id."""

    def log(is_ensemble: bool) -> str:
        section = params.Baseline(max_ngram=2, min_df=1, char_min_df=1, C=1)
        baseline = linear.fit(["banana cake", "dict key"], np.array([0, 1]), 2, section)
        shutil.rmtree("models")
        make_models(baseline if is_ensemble else None)
        _, experiment = store.connect(track_params("tests"))
        with mlflow.start_run(experiment_id=experiment) as run:
            model_logging.log_model(client, run.info.run_id, Path("models"))
        return run.info.run_id

    return log


@pytest.mark.slow
def test_logged_model_predicts_in_an_empty_folder_as_the_classifier_does(
    log_model: Callable[[bool], str], client: MlflowClient, tmp_path: Path
) -> None:
    """Of the network alone, and of an ensemble."""
    folders, expected = [], []
    for is_ensemble in (False, True):
        run = client.get_run(log_model(is_ensemble))
        assert run.outputs
        model = client.get_logged_model(run.outputs.model_outputs[0].model_id)
        folders.append(Path(model.artifact_location.removeprefix("file://")))
        expected.append(Classifier(Path("models")).predict_proba(TEXTS))

    for y_proba, (label, *probabilities) in zip(expected, predict(folders, tmp_path / "elsewhere"), strict=True):
        assert [name for name, _ in probabilities] == ["probability_fruit", "probability_pythön"]
        assert label == ["label", [["fruit", "pythön"][index] for index in y_proba.argmax(axis=1)]]
        np.testing.assert_allclose(np.transpose([values for _, values in probabilities]), y_proba)

    files = {"ngram_features.safetensors", "model.onnx", "tokenizer.json"}
    names = [{path.name for path in folder.rglob("models/*")} for folder in folders]
    assert names == [files, files | {"baseline.safetensors"}]
    for folder in folders:
        code = folder / "code/pipeline"
        assert {path.relative_to(code).as_posix() for path in code.rglob("*.py")} == set(model_logging.CODE)


def test_digests_of_all_files_are_in_the_database(log_model: Callable[[bool], str], client: MlflowClient) -> None:
    run = client.get_run(log_model(False))
    (model,) = client.search_logged_models([run.info.experiment_id])

    digests = json.loads(model.tags[model_logging.DIGESTS])

    folder = Path(model.artifact_location.removeprefix("file://"))
    assert {"MLmodel", "artifacts/models/model.onnx", "code/pipeline/cli.py"} <= digests.keys()
    assert digests == model_logging.file_digests(folder)


def predict(models: list[Path], folder: Path) -> list[list]:
    """Each model's predictions, in a process that knows nothing of this repository, and prints nothing else."""
    folder.mkdir()
    (folder / "predict.py").write_text(PREDICT)
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MLFLOW_TRACKING_URI")}
    command = [sys.executable, "predict.py", json.dumps(TEXTS), *map(str, models)]
    process = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert "Warning" not in process.stderr
    return [json.loads(line) for line in process.stdout.splitlines()]


def test_model_is_logged_once_and_one_that_was_interrupted_is_logged_again(
    log_model: Callable[[bool], str], client: MlflowClient
) -> None:
    run_id = log_model(False)
    experiment = client.get_run(run_id).info.experiment_id
    (first,) = client.search_logged_models([experiment])

    with mlflow.start_run(run_id=run_id):
        model_logging.log_model(client, run_id, Path("models"))

    assert [model.model_id for model in client.search_logged_models([experiment])] == [first.model_id]

    client.finalize_logged_model(first.model_id, LoggedModelStatus.FAILED)
    with mlflow.start_run(run_id=run_id):
        model_logging.log_model(client, run_id, Path("models"))

    (second,) = client.search_logged_models([experiment])
    assert second.model_id != first.model_id
    assert second.status == LoggedModelStatus.READY


def test_logging_a_model_warns_of_nothing_about_its_type_hints(
    log_model: Callable[[bool], str], recwarn: pytest.WarningsRecorder
) -> None:
    log_model(False)

    assert [str(warning.message) for warning in recwarn if "type hint" in str(warning.message)] == []
