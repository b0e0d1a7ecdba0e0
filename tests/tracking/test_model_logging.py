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

TEXTS = ["a banana", "a dict", "", "cake"]
PREDICT = """
import json, sys
import mlflow
import pandas as pd
already = {*json.loads(sys.argv[3])}  # what MLflow imports by itself
model = mlflow.pyfunc.load_model(sys.argv[1])
predictions = model.predict(pd.DataFrame({"text": json.loads(sys.argv[2])}))
assert not {"tensorflow", "keras", "sklearn", "pydantic.main"} & {*sys.modules} - already
print(json.dumps([[column, predictions[column].tolist()] for column in predictions]))
"""


@pytest.fixture
def log_model(config: params.Params, make_models: Callable[..., None], client: MlflowClient) -> Callable[[bool], str]:
    """`log_model(is_ensemble)` logs a hand-made model to a run, and returns the run's id."""

    def log(is_ensemble: bool) -> str:
        section = params.Baseline(max_ngram=2, min_df=1, char_min_df=1, C=1)
        baseline = linear.fit(["banana cake", "dict key"], np.array([0, 1]), 2, section)
        shutil.rmtree("models")
        make_models(baseline if is_ensemble else None)
        _, experiment = store.connect("tests")
        with mlflow.start_run(experiment_id=experiment) as run:
            model_logging.log_model(client, run.info.run_id, Path("models"))
        return run.info.run_id

    return log


@pytest.mark.slow
@pytest.mark.parametrize("is_ensemble", [False, True])
def test_logged_model_predicts_in_an_empty_folder_as_the_classifier_does(
    log_model: Callable[[bool], str], client: MlflowClient, tmp_path: Path, is_ensemble: bool
) -> None:
    run_id = log_model(is_ensemble)
    (model,) = client.search_logged_models([client.get_run(run_id).info.experiment_id])

    predictions = predict(model.artifact_location, tmp_path / "elsewhere")

    expected = Classifier(Path("models")).predict_proba(TEXTS)
    assert list(predictions) == ["label", "probability_fruit", "probability_pythön"]
    assert predictions["label"] == [["fruit", "pythön"][label] for label in expected.argmax(axis=1)]
    y_proba = np.transpose([predictions["probability_fruit"], predictions["probability_pythön"]])
    np.testing.assert_allclose(y_proba, expected)
    folder = Path(model.artifact_location.removeprefix("file://"))
    names = {path.name for path in folder.rglob("models/*")}
    assert names == {"ngram_features.safetensors", "model.onnx", "tokenizer.json"} | (
        {"baseline.safetensors"} if is_ensemble else set()
    )
    packed = {path.relative_to(folder / "code/pipeline").as_posix() for path in folder.rglob("code/pipeline/**/*.py")}
    assert packed == set(model_logging.CODE)


def predict(model: str, folder: Path) -> dict[str, list]:
    """The model's predictions in a process that knows nothing of this repository, and prints nothing else."""
    folder.mkdir()
    (folder / "predict.py").write_text(PREDICT)
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MLFLOW_TRACKING_URI")}
    bare = "import json, mlflow.pyfunc, pandas, sys; print(json.dumps([*sys.modules]))"
    already = subprocess.check_output([sys.executable, "-c", bare], cwd=folder, env=env, text=True)
    command = [sys.executable, "predict.py", model, json.dumps(TEXTS), already]
    process = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert "Warning" not in process.stderr
    return dict(json.loads(process.stdout))


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
