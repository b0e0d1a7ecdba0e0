"""Stage baseline: a linear model of training posts, and its figures on validation."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss

from pipeline import baseline, linear
from pipeline.corpus import tables

MODEL = Path("models/baseline.parquet")
REPORT = Path("reports/baseline.json")
TRAIN = [("a", f"apple {n % 5} red") for n in range(20)] + [("b", f"banana {n % 5} yellow") for n in range(20)]
# The last one is an apple by its words: no model of these posts gets it right.
VALIDATION = [("a", "red apple"), ("b", "banana"), ("b", "yellow 3"), ("b", "apple 4")]


@pytest.fixture(autouse=True)
def split(workspace: Path) -> None:
    Path("data/split").mkdir(parents=True)
    for role, posts in (("train", TRAIN), ("validation", VALIDATION)):
        rows = ({"id": str(n), "text": text, "label": label} for n, (label, text) in enumerate(posts))
        tables.write(Path(f"data/split/{role}.parquet"), tables.SPLIT, rows)


def test_the_report_holds_the_figures_of_the_saved_model_on_validation() -> None:
    baseline.main()

    actual = np.array([0, 1, 1, 1])
    probabilities = linear.predict(MODEL, [text for _, text in VALIDATION])
    told = json.loads(REPORT.read_text())["validation"]
    assert told["accuracy"] == accuracy_score(actual, probabilities.argmax(axis=1)) == 0.75
    assert told["log_loss"] == pytest.approx(-np.log(probabilities[range(4), actual]).mean(), abs=1e-5)


def test_the_sharpness_is_the_one_of_the_least_validation_loss() -> None:
    baseline.main()

    model = linear.pq.read_table(MODEL)
    actual, scores = np.array([0, 1, 1, 1]), linear.scores(model, [text for _, text in VALIDATION]).astype(float)
    chosen = float(model.schema.metadata[b"sharpness"])
    losses = {
        sharpness: log_loss(actual, linear.probabilities(scores, sharpness)) for sharpness in (chosen, *range(1, 51))
    }
    assert min(losses, key=losses.__getitem__) == chosen


def test_the_stage_needs_no_test_split_and_writes_the_same_bytes_again(run: Callable) -> None:
    assert not Path("data/split/test.parquet").exists()
    baseline.main()
    first = MODEL.read_bytes(), REPORT.read_bytes()

    done = run("pipeline.baseline")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("validation accuracy 0.750\n")
    assert (MODEL.read_bytes(), REPORT.read_bytes()) == first
