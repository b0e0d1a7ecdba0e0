"""The gate's criteria on hand-made predictions, and what a model may do when it predicts."""

import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

from pipeline.params.registry import Registry
from pipeline.registry import gate
from pipeline.registry.gate import Criterion, Predictions, TestSet

PARAMS = Registry(
    model="fruits", significance_level=0.05, margin=0.0, class_margin=0.02, max_latency_ms=50.0, max_size_mb=200.0,
    tolerance=0.005,
)  # fmt: skip
# 300 examples, a hundred of each label.
Y_TRUE = np.repeat([0, 1, 2], 100)
TEST = TestSet([str(n) for n in range(300)], ["a", "b", "c"], Y_TRUE, "0" * 32)


def wrong(*rows: int) -> np.ndarray:
    """Predictions that are correct but for these rows, which get the next label."""
    y_pred = Y_TRUE.copy()
    y_pred[list(rows)] = (y_pred[list(rows)] + 1) % 3
    return y_pred


def compare(ours: np.ndarray, theirs: np.ndarray, **changes: float) -> dict[str, bool]:
    params = Registry.model_validate(PARAMS.model_dump() | changes)
    better = gate.significant_improvement(params, TEST, ours, theirs, "the champion")
    no_regression = gate.no_class_regression(params, TEST, ours, theirs)
    return {"better": better.passed, "no regression": no_regression.passed}


MANY = range(0, 300, 6)  # 50 examples, of all labels


def test_many_more_correct_predictions_are_a_significant_improvement() -> None:
    assert compare(wrong(), wrong(*MANY)) == {"better": True, "no regression": True}


def test_few_more_correct_predictions_are_not_significant() -> None:
    assert compare(wrong(3, 103), wrong(0, 1, 2, 100, 200))["better"] is False


def test_equal_or_fewer_correct_predictions_are_no_improvement() -> None:
    assert compare(wrong(*MANY), wrong())["better"] is False
    assert compare(wrong(*MANY), wrong(*MANY))["better"] is False


def test_improvement_must_exceed_the_margin() -> None:
    assert compare(wrong(), wrong(*MANY), margin=0.10)["better"] is True
    assert compare(wrong(), wrong(*MANY), margin=0.15)["better"] is False


def test_both_tests_use_the_significance_level() -> None:
    ours, theirs = wrong(), wrong(0, 1, 2, 100, 101, 102, 200, 201)  # McNemar's p is 2 / 2^8

    assert compare(ours, theirs, significance_level=0.01)["better"] is True
    assert compare(ours, theirs, significance_level=0.005)["better"] is False


def test_no_class_may_regress_by_more_than_the_margin() -> None:
    theirs, ours = Y_TRUE.copy(), Y_TRUE.copy()
    theirs[0:60], theirs[100:160] = 1, 0
    ours[200:215] = 0

    assert compare(ours, theirs) == {"better": True, "no regression": False}
    assert compare(ours, theirs, class_margin=0.2) == {"better": True, "no regression": True}


@pytest.mark.parametrize(("baseline", "passed"), [(wrong(*MANY), True), (wrong(), False), (None, False)])
def test_baseline_must_be_beaten_on_the_same_examples(baseline: np.ndarray | None, passed: bool) -> None:
    y_proba = None if baseline is None else np.eye(3)[baseline]

    assert gate.beats_baseline(TEST, wrong(5), y_proba).passed == passed


@pytest.mark.parametrize(("off", "passed"), [(0.0, True), (0.0005, True), (0.1, False)])
def test_served_model_must_predict_as_the_evaluated_one(off: float, passed: bool) -> None:
    recorded = np.full((300, 3), 1 / 3)
    y_proba = recorded.copy()
    y_proba[7] += [off, -off, 0]

    criterion = gate.prediction_consistency(Predictions(["a", "b", "c"], y_proba, 1.0, 1.0, 1.0), recorded)

    assert criterion.passed == passed


@pytest.mark.parametrize(("latency", "size", "passed"), [(50.0, 200.0, True), (50.1, 1.0, False), (1.0, 200.1, False)])
def test_latency_and_size_have_limits(latency: float, size: float, passed: bool) -> None:
    predictions = Predictions(["a", "b"], np.ones((1, 2)), 1.0, latency, size)

    criteria: list[Criterion] = [gate.latency(PARAMS, predictions), gate.size(PARAMS, predictions)]

    assert all(criterion.passed for criterion in criteria) == passed


# Models that MLflow logs from code.
HEAD = """
import mlflow.models, pandas, pickle, collections
from mlflow.pyfunc import PythonModel

class Model(PythonModel):
    def predict(self, context, model_input, params=None):
        count = len(model_input)
"""
TAIL = """
mlflow.models.set_model(Model())
"""
GOOD = 'return pandas.DataFrame({"label": ["a"] * count, "probability_a": [0.75] * count, "probability_b": 0.25})'


def score(folder: Path, body: str) -> subprocess.CompletedProcess[str]:
    (folder / "model.py").write_text(f"{HEAD}        {body}\n{TAIL}")
    outputs = Schema([ColSpec("string", "label"), *(ColSpec("double", f"probability_{name}") for name in "ab")])
    mlflow.pyfunc.save_model(
        folder / "model", python_model=str(folder / "model.py"), input_example=pd.DataFrame({"text": ["x"]}),
        signature=ModelSignature(Schema([ColSpec("string", "text")]), outputs), pip_requirements=["mlflow"],
    )  # fmt: skip
    pd.DataFrame({"text": ["one", "two"]}).to_parquet(folder / "examples.parquet")
    command = [sys.executable, "-P", str(gate.SCORING), "model", "predictions.npz", "examples.parquet"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_scoring_writes_labels_probabilities_and_times(tmp_path: Path) -> None:
    done = score(tmp_path, GOOD)

    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "predictions.npz") as predictions:
        assert predictions["labels"].tolist() == ["a", "b"]
        assert predictions["probabilities"].tolist() == [[0.75, 0.25], [0.75, 0.25]]
        assert predictions["load"] > 0
        assert predictions["latency"] > 0


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise KeyError('banana')", "KeyError: 'banana'"),
        (GOOD.replace('"a"]', '"b"]'), "its label is not the most probable one"),
        (GOOD.replace("0.25", "0.5"), "its probabilities do not sum to 1"),
        (
            GOOD.replace("probability_b", "other"),
            "its output does not have the columns and rows that its signature promises",
        ),
        ("pickle.loads(pickle.dumps(collections.OrderedDict())); " + GOOD, "it unpickles collections.OrderedDict"),
    ],
)
def test_faulty_model_is_a_one_line_error(tmp_path: Path, body: str, message: str) -> None:
    done = score(tmp_path, body)

    assert done.returncode == 1
    assert message in done.stderr.strip().splitlines()[-1]
