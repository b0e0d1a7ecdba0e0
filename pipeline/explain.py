"""Stage 7, explain: posts worth a look, and the words that moved the answer.

    python -m pipeline.explain

Chosen are the mistakes, those that the classifier was surest of first, posts that the recurrent network or the baseline
alone gets right, some right answers for comparison, and the posts of two labels that are most alike. They stand in
`reports/explanations.json`. What moved an answer is what each word adds to the log-odds of the label predicted, against the
right one, or where that was predicted against the next: by integrated gradients for the network's half of the answer
(`pipeline.model.attribution`), exactly for the linear model's (`pipeline.model.linear.shares`).
"""

import csv
import json
import re
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from pipeline import cli, params
from pipeline.corpus import tables
from pipeline.features import batches, ngram_features
from pipeline.features.tokenizer import encode_texts, token_spans
from pipeline.model import attribution, linear
from pipeline.model.backend import keras, tf
from pipeline.model.classifier import Classifier

TEST = Path("data/split/test.parquet")
MODELS = Path("models")
EVALUATION = Path("reports/evaluation")
OUT = Path("reports/explanations.json")

MISTAKES, ALONE, RIGHT = 1000, 100, 3  # at most; right ones are per label, of the surest and of the least sure
WORD = re.compile(r"\w+|[^\w\s]")
WORDS = 15  # of a post, that moved its answer most
COMPARED = 10_000  # posts among which those most alike are looked for
BLOCK = 500  # posts compared with all others at once
PAIRS, PER_LABELS = 12, 2  # of posts most alike: in all, and of the same two labels


def main() -> None:
    params.load()
    start = time.monotonic()
    ids, texts, names = (tables.read_column(TEST, name) for name in ("id", "text", "label"))
    classifier = Classifier(MODELS)
    labels = classifier.labels
    y_true = np.array([labels.index(name) for name in names])
    answers = {path.parent.name: read(path, labels) for path in EVALUATION.glob("*/predictions.csv")}
    right = {model: answer == y_true for model, (answer, _) in answers.items()}
    network_right = right.get("network", right["classifier"])

    y_pred, probabilities = answers["classifier"]
    confidence = probabilities.max(axis=1)
    chosen = choose(y_true, confidence, right["classifier"], network_right, right["baseline"])
    others = np.where(np.arange(len(labels)) == y_pred[:, None], -1, probabilities)
    against = np.where(right["classifier"], others.argmax(axis=1), y_true)
    moved = what_moved(classifier, [texts[row] for row in chosen], y_pred[chosen], against[chosen])
    posts = [
        {
            "id": ids[row],
            "text": texts[row],
            "y_true": labels[y_true[row]],
            "y_pred": labels[y_pred[row]],
            "against": labels[against[row]],
            "confidence": round(float(confidence[row]), 4),
            "network": "right" if network_right[row] else "wrong",
            "baseline": "right" if right["baseline"][row] else "wrong",
            "words": words,
        }
        for row, words in zip(chosen, moved, strict=True)
    ]
    alike = [
        {"similarity": share}
        | {
            side: {
                "id": ids[row],
                "text": texts[row],
                "y_true": labels[y_true[row]],
                "y_pred": labels[y_pred[row]],
            }
            for side, row in (("one", one), ("other", other))
        }
        for one, other, share in most_alike(texts, y_true)
    ]
    mistakes = int((~right["classifier"]).sum())
    result = {"mistakes": mistakes, "posts": posts, "alike": alike}
    OUT.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"explain: {mistakes:,} mistakes, {len(posts):,} posts with the words that moved the answer, "
          f"in {time.monotonic() - start:.1f} s")  # fmt: skip


def read(path: Path, labels: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """The labels predicted, as indices `[posts]`, and the probabilities `[posts, labels]`, as `evaluate` wrote them."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    y_pred = np.array([labels.index(row["y_pred"]) for row in rows])
    return y_pred, np.array([[float(row[f"probability_{label}"]) for label in labels] for row in rows])


def choose(
    y_true: np.ndarray,
    confidence: np.ndarray,
    right: np.ndarray,
    network_right: np.ndarray,
    baseline_right: np.ndarray,
) -> list[int]:
    """Rows of the posts to show, each once: mistakes, then those that one alone gets right, then some right ones.

    All are `[posts]`: label indices, how sure the classifier is, and who is right.
    """
    surest = np.argsort(-confidence, kind="stable")
    rows = [
        *surest[~right[surest]][:MISTAKES],
        *surest[(network_right & ~baseline_right)[surest]][:ALONE],
        *surest[(~network_right & baseline_right)[surest]][:ALONE],
    ]
    for label in np.unique(y_true)[: MISTAKES // (2 * RIGHT)]:
        of_label = surest[(right & (y_true == label))[surest]]
        rows += [*of_label[:RIGHT], *of_label[-RIGHT:]]
    return [int(row) for row in dict.fromkeys(rows)]


def what_moved(
    classifier: Classifier, texts: list[str], toward: np.ndarray, against: np.ndarray
) -> list[list[tuple[int, int, float]]]:
    """The words that moved each answer most, in the order in which they stand.

    Each as its begin and its end in the text, and what it adds to the log-odds of one label against another.
    """
    posts = batches.from_encoded(encode_texts(classifier.tokenizer, texts), labels=np.zeros(len(texts), int))
    posts = replace(posts, evidence=ngram_features.transform(classifier.evidence, posts))
    # Else its sums are made in whatever order the threads come.
    tf.config.experimental.enable_op_determinism()
    model: keras.Model = attribution.load_network(MODELS)
    result = []
    with cli.progress_bar("explaining", texts, "posts") as bar:
        by_token = attribution.token_attributions(model, posts, toward, against, classifier.width, bar.update)
    for row, (text, shares) in enumerate(zip(texts, by_token, strict=True)):
        by_character = np.zeros(len(text))
        # A text without a token has one share, of the unknown token that stands for it, and no place for it.
        for (begin, end), share in zip(token_spans(classifier.tokenizer, text), shares, strict=False):
            by_character[begin:end] += share / max(end - begin, 1)
        if classifier.linear:
            by_label = linear.attributions(classifier.linear, text) / classifier.linear.temperature
            by_character += by_label[:, toward[row]] - by_label[:, against[row]]
            by_character /= 2
        result.append(strongest(text, by_character / classifier.temperature))
    return result


def strongest(text: str, by_character: np.ndarray) -> list[tuple[int, int, float]]:
    words = [match.span() for match in WORD.finditer(text)]
    shares = [(begin, end, round(float(by_character[begin:end].sum()), 3)) for begin, end in words]
    most = sorted(shares, key=lambda word: -abs(word[2]))[:WORDS]
    return sorted(word for word in most if word[2])


def most_alike(texts: list[str], y_true: np.ndarray) -> list[tuple[int, int, float]]:
    """Pairs of posts of different labels with the most alike words, and their cosine similarity by tf-idf.

    Of the same two labels `PER_LABELS` at most. Of more than `COMPARED` posts, that many are looked at.
    """
    rows = np.arange(len(texts))
    if len(rows) > COMPARED:
        rows = np.sort(np.random.default_rng(1).choice(rows, COMPARED, replace=False))
    labels = y_true[rows]
    try:
        vectors = TfidfVectorizer(sublinear_tf=True, min_df=2, dtype=np.float32).fit_transform(
            texts[row] for row in rows
        )
    except ValueError:  # no word is in two posts
        return []
    pairs: set[tuple[float, int, int]] = set()
    for begin in range(0, len(rows), BLOCK):
        block = slice(begin, begin + BLOCK)
        alike = (vectors[block] @ vectors.T).toarray()
        alike[labels[block, None] == labels] = 0
        for one, other in enumerate(alike.argmax(axis=1)):
            first, second = sorted((begin + one, int(other)))
            pairs.add((round(float(alike[one, other]), 4), first, second))
    chosen: list[tuple[int, int, float]] = []
    count = Counter[tuple[int, ...]]()
    for share, one, other in sorted(pairs, key=lambda pair: (-pair[0], pair[1:])):
        of_labels = tuple(sorted((labels[one], labels[other])))
        if share and count[of_labels] < PER_LABELS and len(chosen) < PAIRS:
            count[of_labels] += 1
            chosen.append((int(rows[one]), int(rows[other]), share))
    return chosen


if __name__ == "__main__":
    cli.run(main)
