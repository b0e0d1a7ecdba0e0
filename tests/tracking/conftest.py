"""A workspace as it is when training starts: a pipeline of two stages, and the report of the split."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import params
from pipeline.tracking import hashes

DVC_YAML = """
stages:
  train:
    cmd: python -m pipeline.train
    deps: [data/ids, pipeline/train.py, pipeline/nn]
  track:
    cmd: python -m pipeline.track
    deps: [models/model.onnx]
"""


@pytest.fixture
def everything(workspace: Path, set_params: Callable, monkeypatch: pytest.MonkeyPatch) -> params.Params:
    """The parameters of a workspace whose MLflow store is not made yet."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    Path("dvc.yaml").write_text(DVC_YAML)
    for name in ("train", "track", "nn/network", "lineage/runs"):
        Path("pipeline", name).parent.mkdir(parents=True, exist_ok=True)
        Path("pipeline", f"{name}.py").write_text(f"# {name}\n")
    Path("reports").mkdir()
    # What training leaves, with the data that MLflow is told of.
    Path("data/split").mkdir(parents=True)
    for name in ("train", "validation", "test"):
        Path(f"data/split/{name}.parquet").write_bytes(f"{name} posts".encode())
    Path("models").mkdir()
    Path(hashes.MODEL).write_bytes(b"a model")
    corpus = {"source": "sample", "sample": True, "digest": "d" * 64, "licence": "none"}
    Path("reports/split.json").write_text(
        json.dumps({"corpus": corpus, "posts": {"train": 100, "validation": 20, "test": 40}})
    )
    return set_params()
