"""The gate's criteria, each on answers made by hand; and what a model may do when it is asked."""

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
from pipeline.registry.gate import Predictions, TestSet, Verdict

SECTION = Registry(model="fruits", level=0.05, margin=0.0, class_margin=0.02, latency=50.0, size=200.0, tolerance=0.005)
# 300 posts, a hundred of each label.
ACTUAL = np.repeat([0, 1, 2], 100)
POSTS = TestSet([str(n) for n in range(300)], ["a", "b", "c"], ACTUAL, "0" * 32)


def wrong(*rows: int) -> np.ndarray:
    """Answers that are right but for these posts, where they name the next label."""
    answers = ACTUAL.copy()
    answers[list(rows)] = (answers[list(rows)] + 1) % 3
    return answers


def compare(ours: np.ndarray, theirs: np.ndarray, **changes: float) -> dict[str, bool]:
    verdict = Verdict()
    section = Registry.model_validate(SECTION.model_dump() | changes)
    gate.add_comparison(verdict, section, POSTS, ours, theirs, "the champion")
    return {criterion.name: criterion.passed for criterion in verdict.criteria}


MANY = range(0, 300, 6)  # 50 posts, of all labels


def test_one_that_is_right_much_more_often_is_better() -> None:
    assert compare(wrong(), wrong(*MANY)) == {"better": True, "no label worse": True}


def test_one_that_is_right_a_little_more_often_may_be_lucky() -> None:
    assert compare(wrong(3, 103), wrong(0, 1, 2, 100, 200))["better"] is False


def test_one_that_is_worse_or_the_same_is_not_better() -> None:
    assert compare(wrong(*MANY), wrong())["better"] is False
    assert compare(wrong(*MANY), wrong(*MANY))["better"] is False


def test_it_must_be_better_by_the_margin() -> None:
    assert compare(wrong(), wrong(*MANY), margin=0.10)["better"] is True
    assert compare(wrong(), wrong(*MANY), margin=0.15)["better"] is False


def test_the_level_is_what_both_tests_go_by() -> None:
    ours, theirs = wrong(), wrong(0, 1, 2, 100, 101, 102, 200, 201)  # McNemar's p is 2 / 2^8

    assert compare(ours, theirs, level=0.01)["better"] is True
    assert compare(ours, theirs, level=0.005)["better"] is False


def test_no_label_may_pay_for_the_others() -> None:
    theirs, ours = ACTUAL.copy(), ACTUAL.copy()
    theirs[0:60], theirs[100:160] = 1, 0
    ours[200:215] = 0

    assert compare(ours, theirs) == {"better": True, "no label worse": False}
    assert compare(ours, theirs, class_margin=0.2) == {"better": True, "no label worse": True}


@pytest.mark.parametrize(("baseline", "passed"), [(wrong(*MANY), True), (wrong(), False), (None, False)])
def test_the_baseline_is_to_be_beaten_and_must_have_been_asked_the_same_posts(
    baseline: np.ndarray | None, passed: bool
) -> None:
    verdict = Verdict()

    gate.add_beats_baseline(verdict, POSTS, wrong(5), None if baseline is None else np.eye(3)[baseline])

    assert [criterion.passed for criterion in verdict.criteria] == [passed]


@pytest.mark.parametrize(("off", "passed"), [(0.0, True), (0.0005, True), (0.1, False)])
def test_the_model_that_serves_must_answer_as_the_one_that_was_evaluated(off: float, passed: bool) -> None:
    noted = np.full((300, 3), 1 / 3)
    asked = noted.copy()
    asked[7] += [off, -off, 0]
    verdict = Verdict()

    gate.add_prediction_consistency(verdict, Predictions(["a", "b", "c"], asked, 1.0, 1.0, 1.0), noted)

    assert [criterion.passed for criterion in verdict.criteria] == [passed]


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
    command = [sys.executable, "-P", str(gate.SCORE), "model", "answers.npz", "examples.parquet"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_a_models_answers_come_with_its_labels_and_times(tmp_path: Path) -> None:
    done = score(tmp_path, GOOD)

    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "answers.npz") as answers:
        assert answers["labels"].tolist() == ["a", "b"]
        assert answers["probabilities"].tolist() == [[0.75, 0.25], [0.75, 0.25]]
        assert answers["load"] > 0
        assert answers["latency"] > 0


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("raise KeyError('banana')", "KeyError: 'banana'"),
        (GOOD.replace('"a"]', '"b"]'), "the label it gives is not the most probable one"),
        (GOOD.replace("0.25", "0.5"), "its probabilities do not sum to 1"),
        (
            GOOD.replace("probability_b", "other"),
            "its answers are not those that its signature promises",
        ),
        ("pickle.loads(pickle.dumps(collections.OrderedDict())); " + GOOD, "it unpickles collections.OrderedDict"),
    ],
)
def test_a_model_that_does_wrong_is_said_to_in_a_line(tmp_path: Path, body: str, sentence: str) -> None:
    done = score(tmp_path, body)

    assert done.returncode == 1
    assert sentence in done.stderr.strip().splitlines()[-1]
