"""The linear model that the GRU must beat: TF-IDF of token n-grams and a linear SVM (Joachims 1998).

It is kept as a table that a person can read, without pickle: a row per n-gram with its inverse document frequency and
its weight for each label.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.special import softmax
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.svm import LinearSVC

from pipeline.corpus.tokenizer import PATTERN
from pipeline.params import Baseline
from pipeline.stage import Stop

INTERCEPT = ""  # the n-gram of no tokens


def vectorizer(ngrams: int, **options) -> TfidfVectorizer:
    """Words and punctuation marks, in runs of up to `ngrams`; rows of unit length, counts dampened to 1 + log."""
    return TfidfVectorizer(
        token_pattern=PATTERN, ngram_range=(1, ngrams), sublinear_tf=True, dtype=np.float32, **options
    )


def fit(texts: list[str], labels: list[str], params: Baseline) -> pa.Table:
    """The model as a table: ngram, idf, and a float32 weight per label; the first row holds the intercepts.

    Raises Stop when no n-gram is frequent enough.
    """
    features = vectorizer(params.ngrams, min_df=params.min_posts)
    try:
        counts = features.fit_transform(texts)
    except ValueError as error:
        raise Stop(f"the baseline finds no n-gram ({error}); lower baseline.min_posts or give more posts") from None
    names = sorted(set(labels))
    # One model a label also where there are two, so that every label has its column.
    actual = np.array(labels)
    weights = [LinearSVC(C=params.C, random_state=0).fit(counts, actual == name) for name in names]
    columns = {
        "ngram": [INTERCEPT, *features.get_feature_names_out()],
        "idf": np.append(np.float32(0), features.idf_.astype(np.float32)),
    }
    for name, model in zip(names, weights, strict=True):
        columns[f"weight_{name}"] = np.append(model.intercept_, model.coef_).astype(np.float32)
    return pa.table(columns, metadata={"ngrams": str(params.ngrams)})


def scores(model: pa.Table, texts: list[str]) -> np.ndarray:
    """Distances from the separating planes, float32 `[texts, labels]`."""
    features = vectorizer(int(model.schema.metadata[b"ngrams"]), vocabulary=model["ngram"].to_pylist()[1:])
    features.idf_ = model["idf"].to_numpy()[1:]
    weights = np.stack([model[name].to_numpy() for name in model.column_names[2:]], axis=1)
    return features.transform(texts) @ weights[1:] + weights[0]


def probabilities(scores: np.ndarray, sharpness: float) -> np.ndarray:
    """A softmax of the scores; `sharpness` is an inverse temperature (Guo et al. 2017), fitted on validation."""
    return softmax(sharpness * scores, axis=1)


def save(model: pa.Table, sharpness: float, path: Path) -> None:
    metadata = {**model.schema.metadata, b"sharpness": repr(sharpness).encode()}
    pq.write_table(model.replace_schema_metadata(metadata), path, compression="zstd")


def predict(path: Path, texts: list[str]) -> np.ndarray:
    """Probabilities `[texts, labels]` of the saved model, labels in sorted order."""
    with path.open("rb") as file:
        model = pq.read_table(file)
    return probabilities(scores(model, texts), float(model.schema.metadata[b"sharpness"]))
