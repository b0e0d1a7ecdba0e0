"""The baseline, and one half of the classifier: an SVM on n-grams weighted by naive Bayes.

That is NB-SVM (Wang & Manning 2012), with two views of a post, the mean of whose scores counts: words and punctuation
marks in runs of up to three, and characters in runs of three to five. Each n-gram has two numbers per label: its
log-count ratio (how much more often posts of that label hold it) and the weight that the SVM gave it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import safetensors.numpy
from scipy.sparse import csr_matrix
from scipy.special import softmax
from tokenizers import Tokenizer

from pipeline import cli
from pipeline.cli import UserError
from pipeline.features import ngrams, tokenizer
from pipeline.features.ngrams import CHAR_BITS, CHAR_ORDERS, TOKEN_BITS, NgramIndex

if TYPE_CHECKING:  # serving needs no parameters
    from pipeline.params.baseline import Baseline

# A tenth of scikit-learn's default precision costs no accuracy, and halves the time.
TOLERANCE = 1e-3


class NgramView(NamedTuple):
    ngrams: np.ndarray  # int64 [rows], ascending; row 0 is no n-gram
    ratios: np.ndarray  # float32 [rows, labels]
    weights: np.ndarray  # float32 [rows, labels]
    intercepts: np.ndarray  # float32 [labels]


class LinearModel(NamedTuple):
    words: NgramView
    characters: NgramView
    orders: int  # words in an n-gram, at most
    tokenizer: Tokenizer  # of words; the GRU's may be of another kind, and knows fewer of them
    temperature: float = 1.0  # of the probabilities (Guo et al. 2017), fitted on validation


def fit(texts: list[str], labels: np.ndarray, label_count: int, params: Baseline) -> LinearModel:
    """Learn the label, an index below `label_count`, of each text. Raises Stop when no n-gram is in enough posts."""
    # All words, of the whole text.
    words = tokenizer.fit_tokenizer(texts, "code", vocabulary=2**TOKEN_BITS, max_tokens=2**31)
    by_words, by_characters = extract(texts, params.max_ngram, words)
    model = LinearModel(
        fit_view(by_words, labels, label_count, params.min_df, params.C),
        fit_view(by_characters, labels, label_count, params.char_min_df, params.C),
        params.max_ngram,
        words,
    )
    if len(model.words.ngrams) == len(model.characters.ngrams) == 1:
        raise UserError(
            "the baseline finds no n-gram in enough posts; lower baseline.min_df or baseline.char_min_df, "
            "or give more posts"
        )
    return model


def fit_view(
    held: NgramIndex, labels: np.ndarray, label_count: int, min_posts: int, inverse_regularization: float
) -> NgramView:
    """A linear SVM for each label against all others; `labels` are indices `[posts]`. A view may know no n-gram."""
    from sklearn.preprocessing import normalize  # here, as serving needs no scikit-learn
    from sklearn.svm import LinearSVC

    known = ngrams.log_count_ratios(held, labels, label_count, min_posts)
    holds = to_csr(held, known.ngrams)
    weights, intercepts = np.zeros_like(known.ratios), np.zeros(label_count, np.float32)
    for label in cli.progress_bar("learning labels", range(label_count if holds.nnz else 0), "labels"):
        weighted = holds.copy()
        weighted.data = known.ratios[holds.indices, label]
        # Scaled to length 1, long posts weigh no more than short ones.
        svm = LinearSVC(C=inverse_regularization, random_state=0, tol=TOLERANCE)
        svm.fit(normalize(weighted, copy=False), labels == label)
        weights[:, label], intercepts[label] = svm.coef_[0], svm.intercept_[0]
    return NgramView(*known, weights, intercepts)


def decision_function(model: LinearModel, texts: list[str]) -> np.ndarray:
    """Distances from the separating planes, a mean of the two views', float32 `[texts, labels]`."""
    by_view = []
    for held, view in zip(extract(texts, model.orders, model.tokenizer), (model.words, model.characters), strict=True):
        holds = to_csr(held, view.ngrams)
        lengths = np.sqrt(holds @ view.ratios**2)
        by_view.append(holds @ (view.ratios * view.weights) / np.where(lengths, lengths, 1) + view.intercepts)
    return np.mean(by_view, axis=0)


def extract(texts: list[str], orders: int, words: Tokenizer) -> tuple[NgramIndex, NgramIndex]:
    """The n-grams of words that each text holds, and those of characters. A word not known is in none."""
    unknown = words.token_to_id(tokenizer.UNKNOWN)
    ids, starts = ngrams.concatenate([np.array(encoding.ids, np.int32) for encoding in words.encode_batch_fast(texts)])
    ids = np.where(ids == unknown, 0, ids)
    symbols, first = ngrams.concatenate([ngrams.encode_characters(text) for text in texts])
    return (
        ngrams.extract_ngrams(
            [ngrams.encode_ngrams(ids, starts, order, TOKEN_BITS) for order in range(1, orders + 1)], starts
        ),
        ngrams.extract_ngrams([ngrams.encode_ngrams(symbols, first, order, CHAR_BITS) for order in CHAR_ORDERS], first),
    )


def to_csr(held: NgramIndex, known: np.ndarray) -> csr_matrix:
    """1 where a post holds an n-gram, float32 `[posts, rows]`."""
    row, is_known = ngrams.lookup(known, held.ngrams)
    starts = np.append(0, np.cumsum(is_known))[held.starts]
    return csr_matrix((np.ones(starts[-1], np.float32), row[is_known], starts), (len(starts) - 1, len(known)))


def predict_proba(model: LinearModel, texts: list[str]) -> np.ndarray:
    """float32 `[texts, labels]`, each row summing to 1."""
    return softmax(decision_function(model, texts) / np.float32(model.temperature), axis=1)


def attributions(model: LinearModel, text: str) -> np.ndarray:
    """How much each character of the text adds to each label's score, float `[characters, labels]`.

    What an n-gram adds is shared out evenly among the places where it stands and the characters there; with the
    intercepts, all shares make up the score. As a score is linear in its n-grams, this is its gradient times its input.
    """
    encoding = model.tokenizer.encode(text)
    ids = np.array(encoding.ids, np.int32)
    ids[ids == model.tokenizer.token_to_id(tokenizer.UNKNOWN)] = 0
    begins, ends = np.array(encoding.offsets, np.int64).reshape(-1, 2).T
    every = np.arange(len(text))
    added = np.zeros((len(text) + 1, len(model.words.intercepts)))
    for view, symbols, starts, stops, orders, bits in (
        (model.words, ids, begins, ends, range(1, model.orders + 1), TOKEN_BITS),
        (model.characters, ngrams.encode_characters(text), every, every + 1, CHAR_ORDERS, CHAR_BITS),
    ):
        # By place: which n-gram, and from where to where in the text.
        found = [ngrams.encode_ngrams(symbols, np.array([0, len(symbols)]), order, bits) for order in orders]
        first = np.concatenate([starts[: max(len(starts) - order + 1, 0)] for order in orders])
        last = np.concatenate([stops[order - 1 :] for order in orders])
        numbers = np.concatenate([numbers[order - 1 :] for order, numbers in zip(orders, found, strict=True)])
        row, is_known = ngrams.lookup(view.ngrams, numbers)
        is_known &= numbers > 0
        row, first, last = row[is_known], first[is_known], last[is_known]
        held, inverse, places = np.unique(row, return_inverse=True, return_counts=True)
        length = np.sqrt((view.ratios[held].astype(float) ** 2).sum(axis=0))
        adds = view.ratios[held] * view.weights[held] / np.where(length, length, 1)
        # Each view is one half of the score.
        each = (adds / places[:, None])[inverse] / (last - first)[:, None] / 2
        np.add.at(added, first, each)
        np.add.at(added, last, -each)
    return np.cumsum(added[:-1], axis=0)


def save(model: LinearModel, path: Path) -> None:
    views = {"words": model.words, "characters": model.characters}
    arrays = {f"{name}.{part}": array for name, view in views.items() for part, array in view._asdict().items()}
    arrays |= {"orders": np.array(model.orders), "temperature": np.array(model.temperature)}
    arrays["tokenizer"] = np.frombuffer(model.tokenizer.to_str().encode(), np.uint8)
    safetensors.numpy.save_file(arrays, path)


def load(content: bytes) -> LinearModel:
    """The model out of what `save` wrote."""
    arrays = safetensors.numpy.load(content)
    words, characters = (
        NgramView(*(arrays[f"{name}.{part}"] for part in NgramView._fields)) for name in ("words", "characters")
    )
    known_words = Tokenizer.from_str(arrays["tokenizer"].tobytes().decode())
    return LinearModel(words, characters, int(arrays["orders"]), known_words, float(arrays["temperature"]))
