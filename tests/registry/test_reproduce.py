"""The verdict on a reproduced model: the same bytes, metrics within the tolerance, or neither."""

import json
from pathlib import Path

import pytest
from mlflow.entities import LifecycleStage, Metric, Run, RunData, RunInfo, RunStatus
from ruamel.yaml import YAML

from pipeline.registry import reproduce
from pipeline.tracking import hashes, provenance

RUN = Run(
    RunInfo("0" * 32, "1", "user", RunStatus.to_string(RunStatus.FINISHED), 0, 0, LifecycleStage.ACTIVE),
    RunData([Metric("test/accuracy", 0.9, 0, 0), Metric("test/macro_f1", 0.8, 0, 0)]),
)
PATHS = [*hashes.RESULT_FILES, reproduce.WEIGHTS]


def lock(paths: list[str], **changed: str) -> str:
    outs = [{"path": path, "md5": changed.get(Path(path).stem, "as it was")} for path in paths]
    return json.dumps({"stages": {"train": {"outs": outs[:3]}, "evaluate": {"outs": outs[3:]}, "track": {}}})


@pytest.fixture
def made(tmp_path: Path):
    """`made(accuracy=0.9, macro_f1=0.8, model="new")`: a folder with these metrics, and a model of other bytes."""

    def make(accuracy: float, macro_f1: float, **changed: str) -> Path:
        (tmp_path / "reports").mkdir(exist_ok=True)
        metrics = {"classifier": {"accuracy": accuracy, "macro_f1": macro_f1}}
        (tmp_path / hashes.METRICS).write_text(json.dumps(metrics))
        (tmp_path / "dvc.lock").write_text(lock(PATHS, **changed))
        return tmp_path

    return make


def test_the_same_bytes_are_identical(made) -> None:
    assert reproduce.compare_results(lock(PATHS), made(0.9, 0.8), RUN, 0.005)["verdict"] == "identical"


@pytest.mark.parametrize(
    ("accuracy", "macro_f1", "verdict"),
    [(0.9, 0.8, "within tolerance"), (0.904, 0.796, "within tolerance"), (0.894, 0.8, "not reproduced")],
)
def test_other_bytes_are_compared_by_their_metrics(made, accuracy: float, macro_f1: float, verdict: str) -> None:
    found = reproduce.compare_results(lock(PATHS), made(accuracy, macro_f1, weights="other", model="other"), RUN, 0.005)

    assert found["verdict"] == verdict
    assert "bytes differ in models/model.onnx, models/weights.safetensors; accuracy" in found["detail"]
    assert "(tolerance 0.005)" in found["detail"]


def test_what_neither_names_is_not_the_same(made) -> None:
    without = [path for path in PATHS if path != reproduce.WEIGHTS]
    folder = made(0.9, 0.8)
    (folder / "dvc.lock").write_text(lock(without))

    assert reproduce.compare_results(lock(without), folder, RUN, 0.005)["verdict"] == "within tolerance"


def test_outs_are_those_of_all_stages() -> None:
    assert reproduce.outs(lock(PATHS)) == dict.fromkeys(PATHS, "as it was")
    assert YAML(typ="safe").load(lock(PATHS))["stages"]["track"] == {}


def test_differences_of_the_machine_are_listed() -> None:
    now = provenance.describe_machine()

    assert reproduce.machine_differences(now) == []
    assert reproduce.machine_differences(None) == ["the machine that trained it is unknown"]
    other = now | {"cores": 99, "libraries": now["libraries"] | {"keras": "1.0"}}
    assert reproduce.machine_differences(other) == [
        f"cores: {now['cores']} now, 99 then",
        f"keras: {now['libraries']['keras']} now, 1.0 then",
    ]


@pytest.mark.parametrize(
    ("source", "is_local"),
    [
        ("corpus.csv", True),
        ("corp*.csv", True),
        ("corpus.{csv,tsv}", True),
        ("sample", False),
        ("http://x/*.csv", False),
    ],
)
def test_local_source_is_found_from_the_clone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, is_local: bool
) -> None:
    (tmp_path / "corpus.csv").touch()
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    params = {"fetch": {"source": source}}

    reproduce.make_source_absolute(params)

    assert params["fetch"]["source"] == (str(tmp_path / source) if is_local else source)
