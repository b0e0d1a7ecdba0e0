"""A workspace as it is when training starts: an empty MLflow store, a pipeline of a few stages, the split's report."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from pipeline import params
from pipeline.tracking import hashes
from tests.repository import empty_store

DVC_YAML = """
stages:
  train:
    cmd: python -m pipeline.train
    deps: [data/ids, pipeline/train.py, pipeline/model, pipeline/corpus/sample_texts]
  plot:
    cmd: python -m pipeline.plot
    deps: [models/model.onnx, pipeline/plot.py]
  track:
    cmd: python -m pipeline.track
    deps: [models/model.onnx]
"""
CODE = [
    *("train.py", "plot.py", "track.py", "model/network.py", "model/__pycache__/network.pyc", "tracking/runs.py"),
    "corpus/sample_texts/sort.md",
]


@pytest.fixture(autouse=True)
def default_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store of the repository, and no experiment, whatever the environment of the tests says."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)


@pytest.fixture
def store_file(workspace: Path) -> Path:
    """The workspace's `mlflow.db`, without runs."""
    return Path(shutil.copy(empty_store(), workspace / "mlflow.db"))


@pytest.fixture
def config(store_file: Path, set_params: Callable[..., params.Params]) -> params.Params:
    """The parameters of a workspace in which a training can start."""
    Path("dvc.yaml").write_text(DVC_YAML)
    for name in CODE:
        path = Path("pipeline", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {name}\n")
    Path("data/split").mkdir(parents=True)
    for name in ("train", "validation", "test"):
        Path(f"data/split/{name}.parquet").write_bytes(f"{name} examples".encode())
    # What training leaves.
    Path("models").mkdir()
    Path(hashes.MODEL).write_bytes(b"a model")
    Path("reports").mkdir()
    corpus = {"source": "sample", "sample": True, "digest": "d" * 64, "licence": "none"}
    split = {"corpus": corpus, "examples": {"train": 100, "validation": 20, "test": 40}}
    Path("reports/split.json").write_text(json.dumps(split))
    return set_params()


@pytest.fixture
def client(store_file: Path) -> MlflowClient:
    """A client of the workspace's store."""
    return MlflowClient(f"sqlite:///{store_file.resolve()}")


@pytest.fixture
def all_runs(client: MlflowClient) -> Callable[[], list[Run]]:
    """`all_runs()` returns the runs in the workspace's store, newest first."""
    return lambda: list(client.search_runs([each.experiment_id for each in client.search_experiments()]))
