"""The logged model: it answers where this repository is not."""

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

from pipeline import params
from pipeline.model import linear
from pipeline.model.classifier import Classifier
from pipeline.tracking import model_logging, runs, store

TEXTS = ["a banana", "a dict", "", "cake"]
ASK = """
import json, sys
import mlflow
import pandas as pd
model = mlflow.pyfunc.load_model(sys.argv[1])
answer = model.predict(pd.DataFrame({"text": json.loads(sys.argv[2])}))
assert not {"tensorflow", "keras", "sklearn", "pydantic.main"} & {*sys.modules} - {*json.loads(sys.argv[3])}
print(json.dumps([[column, answer[column].tolist()] for column in answer]))
"""


@pytest.mark.parametrize("wide", [False, True])
def test_a_logged_model_answers_in_an_empty_folder_as_the_classifier_does(
    everything: params.Params, make_models: Callable, tmp_path: Path, wide: bool
) -> None:
    section = params.Baseline(ngrams=2, min_posts=1, character_min_posts=1, C=1)
    beside = linear.fit(["banana cake", "dict key"], np.array([0, 1]), 2, section)
    shutil.rmtree("models")
    make_models(beside if wide else None)
    with runs.training_run(everything):
        client, experiment = store.connect(everything.track.experiment)
        (run,) = client.search_runs([experiment])
        with mlflow.start_run(run_id=run.info.run_id):
            model_logging.log_model(client, run.info.run_id, Path("models"))
            model_logging.log_model(
                client, run.info.run_id, Path("models")
            )  # once more, as after a store that went away
    (logged,) = MlflowClient().search_logged_models([experiment])

    answer = ask(logged.artifact_location, tmp_path / "elsewhere")

    expected = Classifier(Path("models")).probabilities(TEXTS)
    assert list(answer) == ["label", "probability_fruit", "probability_pythön"]
    assert answer["label"] == [["fruit", "pythön"][best] for best in expected.argmax(axis=1)]
    np.testing.assert_allclose(np.transpose([answer["probability_fruit"], answer["probability_pythön"]]), expected)
    files = sorted(path.name for path in Path(logged.artifact_location.removeprefix("file://")).rglob("models/*"))
    assert files == sorted([*(["baseline.safetensors"] if wide else []), "ngram_features.safetensors", "model.onnx",
                            "tokenizer.json"])  # fmt: skip


def ask(model: str, folder: Path) -> dict[str, list]:
    """What the model answers in a process of its own that knows nothing of this repository."""
    folder.mkdir()
    (folder / "ask.py").write_text(ASK)
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MLFLOW_TRACKING_URI")}
    bare = "import json, mlflow.pyfunc, pandas, sys; print(json.dumps([*sys.modules]))"
    anyway = subprocess.check_output([sys.executable, "-c", bare], cwd=folder, env=env, text=True)
    done = subprocess.run(
        [sys.executable, "ask.py", model, json.dumps(TEXTS), anyway],
        cwd=folder, env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))
