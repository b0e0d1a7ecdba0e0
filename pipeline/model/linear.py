"""The linear baseline, which is also one half of the ensemble: NB-SVM on n-grams of words and of characters.

A linear SVM on n-grams weighted by their naive Bayes log-count ratios (Wang & Manning 2012). Its score is the mean of
two views of a text: n-grams of up to three words and punctuation marks, and of three to five characters.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import safetensors.numpy
from tokenizers import Tokenizer

from pipeline import cli
from pipeline.cli import UserError
from pipeline.features import ngrams, tokenizer
from pipeline.features.ngrams import CHAR_BITS, CHAR_ORDERS, TOKEN_BITS, LogCountRatios, NgramIndex
from pipeline.files import written_beside
from pipeline.model.parallel import map_batches

if TYPE_CHECKING:  # serving needs no parameters, and no SciPy
    from scipy.sparse import csr_matrix

    from pipeline.params.baseline import Baseline

# A tenth of scikit-learn's default precision costs no accuracy, and halves the time.
TOLERANCE = 1e-3


@dataclass(frozen=True)
class NgramView(LogCountRatios):
    """One view of a text: its n-grams, with their log-count ratio and their weight in the SVM of each class."""

    weights: np.ndarray  # float32 [rows, classes]
    intercepts: np.ndarray  # float32 [classes]


class LinearModel(NamedTuple):
    words: NgramView
    characters: NgramView
    max_ngram: int  # words in an n-gram, at most
    tokenizer: Tokenizer  # of words; the network's tokenizer may be of another kind, and has a smaller vocabulary
    temperature: float = 1.0  # of the probabilities (Guo et al. 2017), fitted on the validation split


def fit(texts: list[str], labels: np.ndarray, n_classes: int, params: Baseline) -> LinearModel:
    """Fit the model; `labels` are class indices `[texts]`. Raises UserError if no n-gram occurs in enough texts."""
    # All words, of the whole text.
    words = tokenizer.fit_tokenizer(texts, "code", vocab_size=2**TOKEN_BITS, max_length=2**31)
    word_index, character_index = extract(texts, params.max_ngram, words)
    model = LinearModel(
        fit_view(word_index, labels, n_classes, params.min_df, params.C),
        fit_view(character_index, labels, n_classes, params.char_min_df, params.C),
        params.max_ngram,
        words,
    )
    if len(model.words.ngrams) == len(model.characters.ngrams) == 1:
        raise UserError(
            "no n-gram occurs in enough texts for the baseline; lower baseline.min_df or baseline.char_min_df, "
            "or add examples"
        )
    return model


def fit_view(index: NgramIndex, labels: np.ndarray, n_classes: int, min_df: int, C: float) -> NgramView:
    """A linear SVM for each class against all others, with inverse regularization C. The vocabulary may be empty."""
    from sklearn.preprocessing import normalize  # not at the top: serving needs no scikit-learn
    from sklearn.svm import LinearSVC

    fitted = ngrams.log_count_ratios(index, labels, n_classes, min_df)
    presence = to_csr(index, fitted.ngrams)
    weights, intercepts = np.zeros_like(fitted.ratios), np.zeros(n_classes, np.float32)
    for label in cli.progress_bar("linear SVMs", range(n_classes if presence.nnz else 0), "classes"):
        weighted = presence.copy()
        weighted.data = fitted.ratios[presence.indices, label]
        # Normalized to length 1, long texts weigh no more than short ones.
        svm = LinearSVC(C=C, random_state=0, tol=TOLERANCE)
        svm.fit(normalize(weighted, copy=False), labels == label)
        weights[:, label], intercepts[label] = svm.coef_[0], svm.intercept_[0]
    return NgramView(fitted.ngrams, fitted.ratios, weights, intercepts)


def decision_function(model: LinearModel, texts: list[str]) -> np.ndarray:
    """The mean of the two views' distances from the separating hyperplanes, float32 `[texts, classes]`."""
    return map_batches(
        lambda rows: score_batch(model, [texts[row] for row in rows]),
        [len(text) for text in texts],
        len(model.words.intercepts),
    )


def score_batch(model: LinearModel, texts: list[str]) -> np.ndarray:
    views = model.words, model.characters
    scores = []
    for index, view in zip(extract(texts, model.max_ngram, model.tokenizer), views, strict=True):
        rows = view.table.find_rows(index.ngrams)
        ratios, weights = view.ratios.take(rows, axis=0), view.weights.take(rows, axis=0)
        norms = np.sqrt(sum_by_example(ratios**2, index.starts))
        scores.append(sum_by_example(ratios * weights, index.starts) / np.where(norms, norms, 1) + view.intercepts)
    return np.mean(scores, axis=0)


def sum_by_example(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The sum of the rows `values[starts[i] : starts[i + 1]]` of each example, float32 `[examples, classes]`."""
    sums = np.zeros((len(starts) - 1, values.shape[1]), np.float32)
    filled = starts[1:] > starts[:-1]  # reduceat gives the next row as the sum of none
    if filled.any():
        sums[filled] = np.add.reduceat(values, starts[:-1][filled])
    return sums


def extract(texts: list[str], max_ngram: int, words: Tokenizer) -> tuple[NgramIndex, NgramIndex]:
    """The distinct n-grams of words and of characters of each text. A word out of the vocabulary is in none."""
    unknown = words.token_to_id(tokenizer.UNKNOWN)
    encodings = words.encode_batch_fast(texts)
    ids, starts = ngrams.concatenate([np.array(encoding.ids, np.int32) for encoding in encodings])
    ids = np.where(ids == unknown, 0, ids)
    symbols, character_starts = ngrams.concatenate([ngrams.encode_characters(text) for text in texts])
    word_codes = [ngrams.encode_ngrams(ids, starts, order, TOKEN_BITS) for order in range(1, max_ngram + 1)]
    character_codes = [ngrams.encode_ngrams(symbols, character_starts, order, CHAR_BITS) for order in CHAR_ORDERS]
    return ngrams.extract_ngrams(word_codes, starts), ngrams.extract_ngrams(character_codes, character_starts)


def to_csr(index: NgramIndex, vocabulary: np.ndarray) -> csr_matrix:
    """1 where an example contains an n-gram of the vocabulary, float32 `[examples, rows]`."""
    from scipy.sparse import csr_matrix

    row, is_known = ngrams.lookup(vocabulary, index.ngrams)
    starts = np.append(0, np.cumsum(is_known))[index.starts]
    return csr_matrix((np.ones(starts[-1], np.float32), row[is_known], starts), (len(starts) - 1, len(vocabulary)))


def softmax(scores: np.ndarray) -> np.ndarray:
    """The softmax of each row."""
    # SciPy has it, too, but would be most of what serving installs.
    exp = np.exp(scores - scores.max(axis=1, keepdims=True))
    return exp / exp.sum(axis=1, keepdims=True)


def to_probabilities(scores: np.ndarray, temperature: float) -> np.ndarray:
    return softmax(scores / np.float32(temperature))


def predict_proba(model: LinearModel, texts: list[str]) -> np.ndarray:
    """Probabilities, float32 `[texts, classes]`; each row sums to 1."""
    return to_probabilities(decision_function(model, texts), model.temperature)


def predict_batch(model: LinearModel, texts: list[str]) -> np.ndarray:
    """As `predict_proba`, in this thread."""
    return to_probabilities(score_batch(model, texts), model.temperature)


def attributions(model: LinearModel, text: str) -> np.ndarray:
    """How much each character of the text contributes to the score of each class, float `[characters, classes]`.

    The contribution of an n-gram is divided evenly among the places where it occurs and the characters there. With the
    intercepts, all contributions add up to the score, which is linear in its n-grams: this is gradient times input.
    """
    encoding = model.tokenizer.encode(text)
    ids = np.array(encoding.ids, np.int32)
    ids[ids == model.tokenizer.token_to_id(tokenizer.UNKNOWN)] = 0
    begins, ends = np.array(encoding.offsets, np.int64).reshape(-1, 2).T
    every = np.arange(len(text))
    changes = np.zeros((len(text) + 1, len(model.words.intercepts)))  # of the contribution from character to character
    for view, symbols, starts, stops, orders, bits in (
        (model.words, ids, begins, ends, range(1, model.max_ngram + 1), TOKEN_BITS),
        (model.characters, ngrams.encode_characters(text), every, every + 1, CHAR_ORDERS, CHAR_BITS),
    ):
        # For each occurrence: its n-gram, and its start and end in the text.
        by_order = [ngrams.encode_ngrams(symbols, np.array([0, len(symbols)]), order, bits) for order in orders]
        start = np.concatenate([starts[: max(len(starts) - order + 1, 0)] for order in orders])
        end = np.concatenate([stops[order - 1 :] for order in orders])
        codes = np.concatenate([codes[order - 1 :] for order, codes in zip(orders, by_order, strict=True)])
        row = view.table.find_rows(codes)
        row, start, end = row[row > 0], start[row > 0], end[row > 0]
        distinct, inverse, occurrences = np.unique(row, return_inverse=True, return_counts=True)
        norm = np.sqrt((view.ratios[distinct].astype(float) ** 2).sum(axis=0))
        contribution = view.ratios[distinct] * view.weights[distinct] / np.where(norm, norm, 1)
        # Each view is one half of the score.
        per_character = (contribution / occurrences[:, None])[inverse] / (end - start)[:, None] / 2
        np.add.at(changes, start, per_character)
        np.add.at(changes, end, -per_character)
    return np.cumsum(changes[:-1], axis=0)


def save(model: LinearModel, path: Path) -> None:
    arrays = model.words.to_arrays("words") | model.characters.to_arrays("characters")
    arrays |= {"max_ngram": np.array(model.max_ngram), "temperature": np.array(model.temperature)}
    arrays["tokenizer"] = np.frombuffer(model.tokenizer.to_str().encode(), np.uint8)
    with written_beside(path) as beside:
        safetensors.numpy.save_file(arrays, beside)


def load(content: bytes) -> LinearModel:
    """The model from the content of a file that `save` wrote."""
    arrays = safetensors.numpy.load(content)
    words, characters = (NgramView.from_arrays(arrays, name) for name in ("words", "characters"))
    words_tokenizer = Tokenizer.from_str(arrays["tokenizer"].tobytes().decode())
    return LinearModel(words, characters, int(arrays["max_ngram"]), words_tokenizer, float(arrays["temperature"]))
