"""Logging the model of a run: the ONNX file and its companions, served by the same code as `pipeline.predict`."""

import importlib.metadata
import shutil
import tempfile
from pathlib import Path

import mlflow
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema, TensorSpec

from pipeline.model.classifier import Classifier
from pipeline.tracking import runs

HERE = Path(__file__).parent
PACKAGE = HERE.parent
# All of this repository that serving imports; it travels with the model.
CODE = [
    *("__init__.py", "cli.py", "model/linear.py", "corpus/__init__.py", "features/ngrams.py"),
    "corpus/tables.py",
    *(
        "features/tokenizer.py",
        "nn/__init__.py",
        "features/batches.py",
        "features/ngram_features.py",
        "model/classifier.py",
    ),
]
NEEDS = ["mlflow", "numpy", "onnxruntime", "pandas", "pyarrow", "safetensors", "scipy", "tokenizers"]
EXAMPLE = pd.DataFrame(
    {"text": ["how do i sort a dict by value", "undefined is not a function when i click the button"]}
)


def log_model(client: MlflowClient, run_id: str, models: Path) -> None:
    """Log `models/` as the model `model` of the active run, with signature, input example and pinned requirements.

    Once: a run that was broken off later has it already, and half of one, from one broken off here, is done away with.
    """
    for model in runs.logged_models(client, client.get_run(run_id)):
        if model.status == LoggedModelStatus.READY:
            return
        client.delete_logged_model(model.model_id)
    classifier = Classifier(models)
    labels = classifier.labels
    outputs: list[ColSpec | TensorSpec] = [ColSpec(DataType.string, "label")]
    outputs += [ColSpec(DataType.double, f"probability_{label}") for label in labels]
    with tempfile.TemporaryDirectory() as temporary:
        code, files = Path(temporary, PACKAGE.name), Path(temporary, "models")
        for source, target, names in ((PACKAGE, code, CODE), (models, files, classifier.files)):
            for name in names:
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source / name, target / name)
        mlflow.pyfunc.log_model(
            name="model",
            python_model=str(HERE / "logged_model.py"),
            artifacts={"models": str(files)},
            code_paths=[str(code)],
            signature=ModelSignature(Schema([ColSpec(DataType.string, "text")]), Schema(outputs)),
            input_example=EXAMPLE,
            pip_requirements=[f"{name}=={importlib.metadata.version(name)}" for name in NEEDS],
        )
