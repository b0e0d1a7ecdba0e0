"""Log the model of a run: the ONNX file with its required files, served by the same code as `pipeline.predict`."""

import hashlib
import importlib.metadata
import json
import shutil
import tempfile
from pathlib import Path

import mlflow
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus
from mlflow.models import ModelSignature
from mlflow.store.artifact.models_artifact_repo import REGISTERED_MODEL_META_FILE_NAME
from mlflow.types import ColSpec, DataType, Schema, TensorSpec

from pipeline.model.classifier import Classifier
from pipeline.tracking import hashes, runs

HERE = Path(__file__).parent
PACKAGE = HERE.parent
# The files of this package that the classifier imports; they are part of the logged model.
CODE = [
    "__init__.py",
    "cli.py",
    "files.py",
    *(f"features/{name}.py" for name in ("__init__", "batches", "ngram_features", "ngrams", "tokenizer")),
    *(f"model/{name}.py" for name in ("__init__", "classifier", "linear", "parallel")),
]
REQUIREMENTS = ["mlflow", "numpy", "onnxruntime", "pandas", "safetensors", "tokenizers"]
DIGESTS = "file_digests"  # tag of a logged model: the sha256 of each of its files, as JSON
INPUT_EXAMPLE = pd.DataFrame(
    {"text": ["how do i sort a dict by value", "undefined is not a function when i click the button"]}
)


def log_model(client: MlflowClient, run_id: str, models: Path) -> None:
    """Log the folder `models` as the model `model` of the active run, unless the run has logged it already.

    With a signature, an input example and pinned requirements. A model whose logging was interrupted is deleted. The
    digests of its files are a tag of the model: whoever loads it can check that they are still what was logged.
    """
    for model in runs.logged_models(client, client.get_run(run_id)):
        if model.status == LoggedModelStatus.READY and DIGESTS in model.tags:
            return
        client.delete_logged_model(model.model_id)
    classifier = Classifier(models)
    outputs: list[ColSpec | TensorSpec] = [ColSpec(DataType.string, "label")]
    outputs += [ColSpec(DataType.double, f"probability_{label}") for label in classifier.labels]
    with tempfile.TemporaryDirectory() as temporary:
        code, files = Path(temporary, PACKAGE.name), Path(temporary, "models")
        copy_files(PACKAGE, code, CODE)
        copy_files(models, files, classifier.files)
        logged = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(HERE / "logged_model.py"),
            artifacts={"models": str(files)},
            code_paths=[str(code)],
            signature=ModelSignature(Schema([ColSpec(DataType.string, "text")]), Schema(outputs)),
            input_example=INPUT_EXAMPLE,
            pip_requirements=[f"{name}=={importlib.metadata.version(name)}" for name in REQUIREMENTS],
        )
        folder = mlflow.artifacts.download_artifacts(logged.model_uri, dst_path=str(Path(temporary, "logged")))
        digests = json.dumps(file_digests(Path(folder)))
        client.set_logged_model_tags(str(logged.model_id), {DIGESTS: digests})


def file_digests(model: Path) -> dict[str, str]:
    """sha256 of each file of a downloaded model, by its path, without what MLflow adds to each download."""
    files = {file.relative_to(model).as_posix(): file for file in sorted(hashes.files_of(model))}
    files.pop(REGISTERED_MODEL_META_FILE_NAME, None)
    return {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in files.items()}


def copy_files(source: Path, target: Path, names: list[str]) -> None:
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target / name)
