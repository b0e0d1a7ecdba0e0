"""Stage baseline: a linear model of training posts, and its figures on validation."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score

from pipeline import baseline
from pipeline.corpus import tables
from pipeline.model import linear

MODEL = Path("models/baseline.safetensors")
REPORT = Path("reports/baseline.json")
TRAIN = [("a", f"apple {n % 5} red") for n in range(20)] + [("b", f"banana {n % 5} yellow") for n in range(20)]
# The last one is an apple by its words: no model of these posts gets it right.
VALIDATION = [("a", "red apple"), ("b", "banana"), ("b", "yellow 3"), ("b", "apple 4")]


@pytest.fixture(autouse=True)
def split(workspace: Path) -> None:
    Path("data/split").mkdir(parents=True)
    for role, examples in (("train", TRAIN), ("validation", VALIDATION)):
        rows = (
            {"id": f"{role}{n}", "text": text, "label": label, "fingerprint": f"of {role}{n}".encode()}
            for n, (label, text) in enumerate(examples)
        )
        tables.write_table(Path(f"data/split/{role}.parquet"), tables.SPLIT_SCHEMA, rows)


def test_the_report_holds_the_metrics_of_the_saved_model_on_validation() -> None:
    baseline.main()

    y_true = np.array([0, 1, 1, 1])
    model = linear.load(MODEL.read_bytes())
    probabilities = linear.predict_proba(model, [text for _, text in VALIDATION])
    report = json.loads(REPORT.read_text())
    told = report["validation"]
    assert told["accuracy"] == accuracy_score(y_true, probabilities.argmax(axis=1)) == 0.75
    assert told["log_loss"] == pytest.approx(-np.log(probabilities[range(4), y_true]).mean(), abs=1e-5)
    # Row 0 of a view is no n-gram.
    assert report["ngrams"] == len(model.words.ngrams) - 1 + len(model.characters.ngrams) - 1


def test_the_fingerprints_of_training_and_validation_examples_are_kept_and_of_no_other() -> None:
    test = {"id": "test0", "text": "apple", "label": "a", "fingerprint": b"of test0"}
    tables.write_table(Path("data/split/test.parquet"), tables.SPLIT_SCHEMA, [test])

    baseline.main()

    examples = [f"train{n}" for n in range(len(TRAIN))] + [f"validation{n}" for n in range(len(VALIDATION))]
    learned = [*tables.read_rows(Path("data/fingerprints/baseline.parquet"), tables.FINGERPRINT_SCHEMA)]
    assert learned == [(example, f"of {example}".encode()) for example in examples]


def test_the_temperature_is_the_one_of_the_least_validation_loss() -> None:
    baseline.main()

    model = linear.load(MODEL.read_bytes())
    y_true, texts = np.array([0, 1, 1, 1]), [text for _, text in VALIDATION]
    queries = [model.temperature * factor for factor in (0.1, 0.5, 0.8, 0.95, 1, 1.05, 1.25, 2, 10)]
    answers = (linear.predict_proba(model._replace(temperature=each), texts).astype(float) for each in queries)
    # Of four posts, each has its label but for a sixth, which both labels share.
    target = np.where(y_true[:, None] == [0, 1], 11 / 12, 1 / 12)
    losses = [-(target * np.log(answer)).sum(axis=1).mean() for answer in answers]
    assert queries[losses.index(min(losses))] == model.temperature
    assert sorted(set(losses)) == sorted(losses)  # each of them does give another


def test_characters_and_words_of_too_few_examples_are_left_out(set_params: Callable) -> None:
    counts = []
    for words, characters in ((2, 2), (20, 2), (2, 20)):
        set_params(baseline={"min_df": words, "char_min_df": characters})
        baseline.main()
        model = linear.load(MODEL.read_bytes())
        counts.append((len(model.words.ngrams), len(model.characters.ngrams)))

    both, fewer_words, fewer_characters = counts
    assert (fewer_words[0] < both[0], fewer_words[1] == both[1]) == (True, True)
    assert (fewer_characters[0] == both[0], fewer_characters[1] < both[1]) == (True, True)


def test_the_stage_needs_no_test_split_and_writes_the_same_bytes_again(run: Callable) -> None:
    assert not Path("data/split/test.parquet").exists()
    baseline.main()
    first = MODEL.read_bytes(), REPORT.read_bytes()

    done = run("pipeline.baseline")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("validation accuracy 0.750\n")
    assert (MODEL.read_bytes(), REPORT.read_bytes()) == first
