"""Stage 7, explain: select errors and other examples, and compute the attributions of their words.

    python -m pipeline.explain

Selected are the errors, those with the highest confidence first, examples that only the network or only the baseline
classifies correctly, some correct predictions for comparison, and pairs of very similar examples with different labels.
They are written to `reports/explanations.json`. An attribution is what a word adds to the log-odds of the predicted
label against a reference: the true label, or for a correct prediction the second most probable one
(`pipeline.model.word_attributions`).
"""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from pipeline import cli, params
from pipeline.corpus import tables
from pipeline.files import write_json
from pipeline.metrics import predictions
from pipeline.metrics.predictions import Predictions
from pipeline.model.classifier import MODEL, Classifier
from pipeline.model.onnx_gradients import OnnxNetwork
from pipeline.model.word_attributions import word_attributions

TEST = Path("data/split/test.parquet")
MODELS = Path("models")
EVALUATION = Path("reports/evaluation")
OUT = Path("reports/explanations.json")

MAX_ERRORS, MAX_DISAGREEMENTS, CORRECT_PER_LABEL = 1000, 100, 3  # the last: of the highest and of the lowest confidence
MAX_COMPARED = 10_000  # examples that similar pairs are searched among
BLOCK = 500  # examples compared with all others at a time
MAX_PAIRS, MAX_PAIRS_PER_LABELS = 12, 2  # of similar examples: in all, and with the same two labels


@dataclass(frozen=True)
class TestSet:
    """The test examples and their evaluated predictions."""

    ids: list[str]
    texts: list[str]
    classifier: Predictions
    network_correct: np.ndarray  # bool [examples]
    baseline_correct: np.ndarray  # bool [examples]

    __test__ = False  # no class of tests

    @property
    def correct(self) -> np.ndarray:
        return self.classifier.y_pred == self.classifier.y_true

    @property
    def confidence(self) -> np.ndarray:
        return self.classifier.y_proba.max(axis=1)


def main() -> None:
    params.load()
    start = time.monotonic()
    test = read_test_set()
    rows = select_examples(test)
    target, reference = test.classifier.y_pred[rows], reference_labels(test)[rows]
    texts = [test.texts[row] for row in rows]
    with cli.progress_bar("attributions", texts, "examples") as bar:
        network = OnnxNetwork(MODELS / MODEL)
        attributions = word_attributions(Classifier(MODELS), network, texts, target, reference, bar.update)
    labels = test.classifier.labels
    examples = [
        describe(test, row)
        | {
            "reference": labels[other],
            "confidence": round(float(test.confidence[row]), 4),
            "network_correct": bool(test.network_correct[row]),
            "baseline_correct": bool(test.baseline_correct[row]),
            "attributions": words,
        }
        for row, other, words in zip(rows, reference, attributions, strict=True)
    ]
    pairs = [
        {"similarity": similarity, "first": describe(test, first), "second": describe(test, second)}
        for first, second, similarity in similar_pairs(test.texts, test.classifier.y_true)
    ]
    n_errors = int((~test.correct).sum())
    result = {"errors": n_errors, "examples": examples, "similar_pairs": pairs}
    write_json(OUT, result, indent=1, ensure_ascii=False)
    print(
        f"explain: {n_errors:,} errors; attributions for {len(examples):,} examples in {time.monotonic() - start:.1f} s"
    )


def read_test_set() -> TestSet:
    """The test split with the predictions that `evaluate` wrote."""
    ids, texts = (tables.read_column(TEST, name) for name in ("id", "text"))
    classifier, baseline = read_predictions("classifier"), read_predictions("baseline")
    has_network = (EVALUATION / "network").exists()  # only if the classifier is an ensemble
    network = read_predictions("network") if has_network else classifier
    network_correct, baseline_correct = (each.y_pred == each.y_true for each in (network, baseline))
    return TestSet(ids, texts, classifier, network_correct, baseline_correct)


def read_predictions(model: str) -> Predictions:
    """The test predictions of a model. Raises FileNotFoundError."""
    return predictions.read(EVALUATION / model / "predictions.csv")


def describe(test: TestSet, row: int) -> dict[str, Any]:
    labels = test.classifier.labels
    return {
        "id": test.ids[row],
        "text": test.texts[row],
        "y_true": labels[test.classifier.y_true[row]],
        "y_pred": labels[test.classifier.y_pred[row]],
    }


def select_examples(test: TestSet) -> list[int]:
    """The rows to explain, each once: errors, disagreements of network and baseline, and some correct predictions."""
    by_confidence = np.argsort(-test.confidence, kind="stable")

    def where(mask: np.ndarray) -> np.ndarray:
        return by_confidence[mask[by_confidence]]

    rows = [
        *where(~test.correct)[:MAX_ERRORS],
        *where(test.network_correct & ~test.baseline_correct)[:MAX_DISAGREEMENTS],
        *where(~test.network_correct & test.baseline_correct)[:MAX_DISAGREEMENTS],
    ]
    y_true = test.classifier.y_true
    for label in np.unique(y_true)[: MAX_ERRORS // (2 * CORRECT_PER_LABEL)]:
        correct = where(test.correct & (y_true == label))
        rows += [*correct[:CORRECT_PER_LABEL], *correct[-CORRECT_PER_LABEL:]]
    return [int(row) for row in dict.fromkeys(rows)]


def reference_labels(test: TestSet) -> np.ndarray:
    """The label that each prediction is compared with, `[examples]`: the true one, or the second most probable."""
    y_true, y_pred, y_proba = test.classifier.y_true, test.classifier.y_pred, test.classifier.y_proba
    others = np.where(np.arange(y_proba.shape[1]) == y_pred[:, None], -1, y_proba)
    return np.where(test.correct, others.argmax(axis=1), y_true)


def similar_pairs(texts: Sequence[str], y_true: np.ndarray) -> list[tuple[int, int, float]]:
    """The most similar pairs of examples with different labels, and the cosine similarity of their TF-IDF vectors.

    With the same two labels at most `MAX_PAIRS_PER_LABELS`. Of more than `MAX_COMPARED` examples, a sample is searched.
    """
    rows = np.arange(len(texts))
    if len(rows) > MAX_COMPARED:
        rows = np.sort(np.random.default_rng(1).choice(rows, MAX_COMPARED, replace=False))
    labels = y_true[rows]
    try:
        vectorizer = TfidfVectorizer(sublinear_tf=True, min_df=2, dtype=np.float32)
        vectors = vectorizer.fit_transform(texts[int(row)] for row in rows)
    except ValueError:  # no word is in two texts
        return []
    pairs: set[tuple[float, int, int]] = set()
    for start in range(0, len(rows), BLOCK):
        block = slice(start, start + BLOCK)
        similarity = (vectors[block] @ vectors.T).toarray()
        similarity[labels[block, None] == labels] = 0
        for offset, nearest in enumerate(similarity.argmax(axis=1)):
            first, second = sorted((start + offset, int(nearest)))
            pairs.add((round(float(similarity[offset, nearest]), 4), first, second))
    selected: list[tuple[int, int, float]] = []
    count = Counter[tuple[int, ...]]()
    for similarity, first, second in sorted(pairs, key=lambda pair: (-pair[0], pair[1:])):
        of_labels = tuple(sorted((labels[first], labels[second])))
        if similarity and count[of_labels] < MAX_PAIRS_PER_LABELS and len(selected) < MAX_PAIRS:
            count[of_labels] += 1
            selected.append((int(rows[first]), int(rows[second]), similarity))
    return selected


if __name__ == "__main__":
    cli.run(main)
