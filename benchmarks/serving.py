"""Answers of the classifier: seconds of one text and texts a second in bulk, beside what people would use instead.

    python -m benchmarks.serving [SECONDS]

Uses `models/` and `data/split/` of the workspace, and measures each way for SECONDS (10 if none are given), in turns
within one run. `Keras' predict` calls the same network as the tutorial calls its own, text by text. scikit-learn's
pipeline is TF-IDF of words and of characters with a linear SVM, fitted on the same training texts.
"""

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from itertools import cycle
from pathlib import Path

import numpy as np
import requests

from pipeline.corpus import tables
from pipeline.features import batches, ngram_features
from pipeline.features.tokenizer import encode_texts
from pipeline.model.classifier import Classifier

MODELS, SPLIT = Path("models"), Path("data/split")
CONNECTIONS, BULK = 32, 1000  # clients at once; texts in a request

Ask = Callable[[list[str]], object]


def main(seconds: float) -> None:
    texts = tables.read_column(SPLIT / "test.parquet", "text")
    classifier = Classifier(MODELS)
    keras, sklearn = keras_network(classifier), sklearn_pipeline()
    with service() as url:
        session = requests.Session()
        ways: dict[str, Ask] = {
            "the classifier in Python": classifier.predict_proba,
            "the service": lambda texts: post(session, url, texts),
            "Keras' predict": keras,
            "scikit-learn": sklearn.decision_function,
        }
        print("| | one text, median | p99 | texts a second in bulk |\n| --- | --- | --- | --- |")
        for name, ask in ways.items():
            one = time_each(ask, texts, 1, seconds)
            bulk = BULK / np.mean(time_each(ask, texts, BULK, seconds)) if name != "Keras' predict" else None
            print_row(name, one, bulk)
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            sessions = [requests.Session() for _ in range(CONNECTIONS)]
            parts = [texts[start::CONNECTIONS] for start in range(CONNECTIONS)]
            start = time.monotonic()

            def client(number: int) -> list[float]:
                return time_each(lambda texts: post(sessions[number], url, texts), parts[number], 1, seconds)

            all_seconds = [each for one in pool.map(client, range(CONNECTIONS)) for each in one]
            total = len(all_seconds) / (time.monotonic() - start)
            print_row(f"the service, {CONNECTIONS} connections, a text each", all_seconds, total)


def time_each(ask: Ask, texts: list[str], size: int, seconds: float) -> list[float]:
    """The seconds of each call with `size` texts, after a first one to warm up."""
    ask(texts[:size])
    taken, end = [], time.monotonic() + seconds
    for start in cycle(range(0, len(texts) - size + 1, size)):
        before = time.monotonic()
        ask(texts[start : start + size])
        taken.append(time.monotonic() - before)
        if time.monotonic() > end:
            return taken
    return taken


def print_row(name: str, seconds: list[float], per_second: float | None) -> None:
    median, p99 = (f"{1000 * value:.1f} ms" for value in np.quantile(seconds, [0.5, 0.99]))
    print(f"| {name} | {median} | {p99} | {f'{per_second:,.0f}' if per_second else ''} |", flush=True)


def post(session: requests.Session, url: str, texts: list[str]) -> None:
    session.post(f"{url}/predict", json={"texts": texts}, timeout=60).raise_for_status()


def keras_network(classifier: Classifier) -> Ask:
    from safetensors.numpy import load_file

    from pipeline.model.backend import keras

    model = keras.models.model_from_json((MODELS / "network.json").read_text())
    weights = load_file(MODELS / "weights.safetensors")
    model.set_weights([weights[variable.path] for variable in model.weights])

    def predict(texts: list[str]) -> np.ndarray:
        examples = batches.from_encoded(encode_texts(classifier.tokenizer, texts), np.zeros(len(texts)))
        features = ngram_features.transform(classifier.ngram_features, examples)
        inputs, _ = batches.pad_batch(replace(examples, ngram_features=features), np.arange(len(texts)))
        return model.predict(inputs, verbose=0)

    return predict


def sklearn_pipeline():
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline, make_union
    from sklearn.svm import LinearSVC

    words = TfidfVectorizer(ngram_range=(1, 3), min_df=3, token_pattern=r"\w+|[^\w\s]")
    characters = TfidfVectorizer(analyzer="char", ngram_range=(3, 5), min_df=5)
    pipeline = make_pipeline(make_union(words, characters), LinearSVC())
    texts, labels = (tables.read_column(SPLIT / "train.parquet", name) for name in ("text", "label"))
    return pipeline.fit(texts, labels)


@contextmanager
def service() -> Iterator[str]:
    command = [sys.executable, "-m", "pipeline.serve", "--folder", str(MODELS), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            while not (match := re.match(r"(http\S+)", process.stdout.readline())):
                assert process.poll() is None, "the service ended"
            yield match[1]
        finally:
            process.terminate()


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 10.0)
