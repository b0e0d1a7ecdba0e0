"""Stage baseline: a linear model fitted on the training texts, and its validation metrics."""

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
# The last text has the words of the other class: no model fitted on these texts predicts its label.
VALIDATION = [("a", "red apple"), ("b", "banana"), ("b", "yellow 3"), ("b", "apple 4")]


@pytest.fixture(autouse=True)
def split(workspace: Path) -> None:
    Path("data/split").mkdir(parents=True)
    for name, examples in (("train", TRAIN), ("validation", VALIDATION)):
        rows = (
            {"id": f"{name}{n}", "text": text, "label": label, "fingerprint": f"of {name}{n}".encode()}
            for n, (label, text) in enumerate(examples)
        )
        tables.write_table(Path(f"data/split/{name}.parquet"), tables.SPLIT_SCHEMA, rows)


def test_the_report_has_the_validation_metrics_of_the_saved_model() -> None:
    baseline.main()

    y_true = np.array([0, 1, 1, 1])
    model = linear.load(MODEL.read_bytes())
    probabilities = linear.predict_proba(model, [text for _, text in VALIDATION])
    report = json.loads(REPORT.read_text())
    metrics = report["validation"]
    assert metrics["accuracy"] == accuracy_score(y_true, probabilities.argmax(axis=1)) == 0.75
    assert metrics["log_loss"] == pytest.approx(-np.log(probabilities[range(4), y_true]).mean(), abs=1e-5)
    # Row 0 of a view stands for no n-gram.
    assert report["ngrams"] == len(model.words.ngrams) - 1 + len(model.characters.ngrams) - 1


def test_fingerprints_of_training_and_validation_examples_are_saved_and_no_others() -> None:
    test = {"id": "test0", "text": "apple", "label": "a", "fingerprint": b"of test0"}
    tables.write_table(Path("data/split/test.parquet"), tables.SPLIT_SCHEMA, [test])

    baseline.main()

    ids = [f"train{n}" for n in range(len(TRAIN))] + [f"validation{n}" for n in range(len(VALIDATION))]
    fingerprints = [*tables.read_rows(Path("data/fingerprints/baseline.parquet"), tables.FINGERPRINT_SCHEMA)]
    assert fingerprints == [(id, f"of {id}".encode()) for id in ids]


def test_the_temperature_minimizes_the_validation_loss() -> None:
    baseline.main()

    model = linear.load(MODEL.read_bytes())
    y_true, texts = np.array([0, 1, 1, 1]), [text for _, text in VALIDATION]
    temperatures = [model.temperature * factor for factor in (0.1, 0.5, 0.8, 0.95, 1, 1.05, 1.25, 2, 10)]
    # With four examples, a sixth of each label is shared by both classes (see `fit_temperature`).
    target = np.where(y_true[:, None] == [0, 1], 11 / 12, 1 / 12)
    losses = []
    for temperature in temperatures:
        probabilities = linear.predict_proba(model._replace(temperature=temperature), texts).astype(float)
        losses.append(-(target * np.log(probabilities)).sum(axis=1).mean())
    assert temperatures[losses.index(min(losses))] == model.temperature
    assert sorted(set(losses)) == sorted(losses)  # the temperature matters


def test_word_and_character_ngrams_in_too_few_texts_are_ignored(set_params: Callable) -> None:
    counts = []
    for min_df, char_min_df in ((2, 2), (20, 2), (2, 20)):
        set_params(baseline={"min_df": min_df, "char_min_df": char_min_df})
        baseline.main()
        model = linear.load(MODEL.read_bytes())
        counts.append((len(model.words.ngrams), len(model.characters.ngrams)))

    both, fewer_words, fewer_characters = counts
    assert (fewer_words[0] < both[0], fewer_words[1] == both[1]) == (True, True)
    assert (fewer_characters[0] == both[0], fewer_characters[1] < both[1]) == (True, True)


def test_the_stage_needs_no_test_split_and_reproduces_its_bytes(run: Callable) -> None:
    assert not Path("data/split/test.parquet").exists()
    baseline.main()
    first = MODEL.read_bytes(), REPORT.read_bytes()

    process = run("pipeline.baseline")

    assert (process.returncode, process.stderr) == (0, "")
    assert process.stdout.endswith("validation accuracy 0.750\n")
    assert (MODEL.read_bytes(), REPORT.read_bytes()) == first
