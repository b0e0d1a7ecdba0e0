"""Readers of what a run has in MLflow: its artifacts and its data sets."""

import io
import json
import tempfile
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import DatasetInput, Run

from pipeline.metrics import predictions
from pipeline.metrics.predictions import Predictions
from pipeline.tracking import runs
from pipeline.tracking.errors import store_errors


def logged_datasets(run: Run) -> list[DatasetInput]:
    return run.inputs.dataset_inputs if run.inputs else []


def dataset_digests(run: Run) -> dict[str, str]:
    """The digests under which DVC keeps the run's data sets: `{"train": md5, ...}`."""
    return {each.dataset.name.split()[-1]: each.dataset.digest for each in logged_datasets(run)}


def corpus_digest(client: MlflowClient, run: Run) -> str:
    """The digest of the corpus; "unknown" if the run does not have it. Raises StoreError."""
    inputs = read_json(client, run, f"{runs.PROVENANCE}/{runs.RESULT_INPUTS}")
    return inputs["corpus_digest"] if inputs else "unknown"


def read_predictions(client: MlflowClient, run: Run, model: str) -> Predictions | None:
    """The predictions of a model (classifier, network, baseline) on the test split; None if there are none.

    Raises StoreError.
    """
    text = read_text(client, run, f"{model}/predictions.csv")
    return predictions.parse(io.StringIO(text, newline="")) if text else None


def read_json(client: MlflowClient, run: Run, path: str) -> Any:
    """The content of a JSON artifact; None if the run has no such artifact. Raises StoreError."""
    text = read_text(client, run, path)
    return json.loads(text) if text else None


def read_text(client: MlflowClient, run: Run, path: str) -> str | None:
    """The text of an artifact; None if the run has no such artifact. Raises StoreError."""
    content = read_bytes(client, run, path)
    return None if content is None else content.decode("utf-8")


def read_bytes(client: MlflowClient, run: Run, path: str) -> bytes | None:
    """The bytes of an artifact; None if the run has no such artifact. Raises StoreError."""
    with tempfile.TemporaryDirectory() as folder:
        file = download_artifact(client, run, path, folder)
        return file.read_bytes() if file else None


def download_artifact(client: MlflowClient, run: Run, path: str, target: str) -> Path | None:
    """An artifact as a file in the folder `target`; None if the run has no such artifact. Raises StoreError."""
    folder = str(Path(path).parent)
    with store_errors():
        listed = client.list_artifacts(run.info.run_id, None if folder == "." else folder)
        if path not in {file.path for file in listed}:
            return None
        return Path(client.download_artifacts(run.info.run_id, path, target))
