"""The linear model that the GRU must beat: an SVM on n-grams weighted by naive Bayes (NB-SVM, Wang & Manning 2012).

It is kept as a table that a person can read, without pickle: a row per n-gram with two numbers for each label, its
log-count ratio (how much more often posts of that label hold it) and the weight that the SVM gave it.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.sparse import csr_matrix
from scipy.special import softmax
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.preprocessing import normalize
from sklearn.svm import LinearSVC

from pipeline.corpus.tokenizer import PATTERN
from pipeline.nn.evidence import log_count_ratios
from pipeline.params import Baseline
from pipeline.stage import Stop

INTERCEPT = ""  # the n-gram of no tokens: its row holds the intercepts


def vectorizer(ngrams: int, **options) -> CountVectorizer:
    """Words and punctuation marks, in runs of up to `ngrams`; whether a post holds them, not how often."""
    return CountVectorizer(
        token_pattern=PATTERN, ngram_range=(1, ngrams), binary=True, dtype=np.float32, **options
    )  # fmt: skip


def fit(texts: list[str], labels: list[str], params: Baseline) -> pa.Table:
    """The model as a table: ngram, then ratio and weight (float32) of each label, labels in sorted order.

    Raises Stop when no n-gram is in enough posts.
    """
    features = vectorizer(params.ngrams, min_df=params.min_posts)
    try:
        holds = features.fit_transform(texts)
    except ValueError as error:
        raise Stop(f"the baseline finds no n-gram ({error}); lower baseline.min_posts or give more posts") from None
    columns: dict[str, list[str] | np.ndarray] = {"ngram": [INTERCEPT, *features.get_feature_names_out()]}
    names = sorted(set(labels))
    is_label = {name: np.array(labels) == name for name in names}
    counts = np.stack([np.asarray(holds[rows].sum(axis=0)).ravel() for rows in is_label.values()], axis=1)
    for name, ratio in zip(names, log_count_ratios(counts).T, strict=True):
        svm = LinearSVC(C=params.C, random_state=0).fit(weighted(holds, ratio), is_label[name])
        columns[f"ratio_{name}"] = np.append(np.float32(0), ratio)
        columns[f"weight_{name}"] = np.append(svm.intercept_, svm.coef_).astype(np.float32)
    return pa.table(columns, metadata={"ngrams": str(params.ngrams)})


def weighted(holds: csr_matrix, ratio: np.ndarray) -> csr_matrix:
    """Each post's n-grams as their ratios, scaled to length 1 so that long posts weigh no more than short ones."""
    return normalize(holds.multiply(ratio).tocsr())


def scores(model: pa.Table, texts: list[str]) -> np.ndarray:
    """Distances from the separating planes, float32 `[texts, labels]`."""
    features = vectorizer(int(model.schema.metadata[b"ngrams"]), vocabulary=model["ngram"].to_pylist()[1:])
    holds = features.transform(texts)
    result = []
    for ratio, weight in zip(model.column_names[1::2], model.column_names[2::2], strict=True):
        weights = model[weight].to_numpy()
        result.append(weighted(holds, model[ratio].to_numpy()[1:]) @ weights[1:] + weights[0])
    return np.stack(result, axis=1)


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
