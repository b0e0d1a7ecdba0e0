"""N-gram features: what each time step of the network sees beside the token's vector.

For each class, the naive Bayes log-count ratio of the token, of the bigram and of the trigram that end at it (Wang
& Manning 2012 use these ratios as features of a linear model), and the sum of the ratios of all character n-grams of
length three to five that end inside it. A GRU cannot learn some hundred thousand n-grams from a few thousand texts;
given their ratios, it learns which of them to trust, and in which order.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import safetensors.numpy

from pipeline import cli
from pipeline.features import batches, ngrams
from pipeline.features.batches import EncodedExamples
from pipeline.features.ngrams import CHAR_BITS, CHAR_ORDERS, TOKEN_BITS, LogCountRatios, NgramIndex
from pipeline.files import written_beside

if TYPE_CHECKING:  # serving needs no parameters
    from pipeline.params.train import Train

# They bring the ratios to about the scale of a token vector's elements.
TOKEN_SCALE, CHAR_SCALE = np.float32(0.3), np.float32(0.04)
FOLDS = 5


class NgramFeatures(NamedTuple):
    """The fitted features."""

    tokens: LogCountRatios
    max_ngram: int  # tokens in an n-gram, at most; 0 for none
    characters: LogCountRatios | None


def fit(examples: EncodedExamples, n_classes: int, params: Train) -> NgramFeatures:
    """Count the n-grams of the training examples by class."""
    return fit_index(extract(examples, params), examples.labels, n_classes, params)


def fit_index(
    index: tuple[NgramIndex, NgramIndex | None], labels: np.ndarray, n_classes: int, params: Train
) -> NgramFeatures:
    tokens, characters = index
    return NgramFeatures(
        ngrams.log_count_ratios(tokens, labels, n_classes, params.ngram_min_df),
        params.max_ngram,
        ngrams.log_count_ratios(characters, labels, n_classes, params.char_min_df) if characters else None,
    )


def extract(examples: EncodedExamples, params: Train) -> tuple[NgramIndex, NgramIndex | None]:
    """The distinct n-grams of tokens and, if `char_ngrams` is set, of characters of each example."""
    tokens = ngrams.extract_ngrams(encode_token_ngrams(examples, params.max_ngram), examples.starts)
    if not params.char_ngrams:
        return tokens, None
    return tokens, ngrams.extract_ngrams(encode_char_ngrams(examples), examples.character_starts)


def encode_token_ngrams(examples: EncodedExamples, max_ngram: int) -> list[np.ndarray]:
    orders = range(1, max_ngram + 1)
    return [ngrams.encode_ngrams(examples.tokens, examples.starts, order, TOKEN_BITS) for order in orders]


def encode_char_ngrams(examples: EncodedExamples) -> list[np.ndarray]:
    symbols, starts = examples.characters, examples.character_starts
    return [ngrams.encode_ngrams(symbols, starts, order, CHAR_BITS) for order in CHAR_ORDERS]


def transform(fitted: NgramFeatures, examples: EncodedExamples) -> np.ndarray:
    """The features of each token, float32 `[tokens, feature_dim]`.

    For each order of token n-grams, and then for the characters, one column per class; 0 for unknown n-grams.
    """
    columns = [np.zeros((len(examples.tokens), 0), np.float32)]
    columns += [
        ngrams.transform(fitted.tokens, codes) * TOKEN_SCALE
        for codes in encode_token_ngrams(examples, fitted.max_ngram)
    ]
    if fitted.characters:
        at_character = np.zeros((len(examples.characters), fitted.characters.ratios.shape[1]), np.float32)
        for codes in encode_char_ngrams(examples):
            at_character += ngrams.transform(fitted.characters, codes)
        # The sum over a token's characters is a difference of cumulative sums.
        total = np.vstack([np.zeros((1, at_character.shape[1])), np.cumsum(at_character, axis=0, dtype=np.float64)])
        begins = np.append(0, examples.ends[:-1])
        begins[examples.starts[:-1]] = examples.character_starts[:-1]
        columns.append((total[examples.ends] - total[begins]).astype(np.float32) * CHAR_SCALE)
    return np.concatenate(columns, axis=1)


def out_of_fold(examples: EncodedExamples, n_classes: int, params: Train) -> np.ndarray:
    """As `transform`, for the training examples: the features of each are fitted without it, in `FOLDS` folds.

    Otherwise an n-gram would reveal the label of the very example that it was counted in, and the network would learn
    to trust it more than new examples warrant.
    """
    tokens, characters = extract(examples, params)
    fold = np.random.default_rng(0).permutation(len(examples)) % FOLDS
    by_fold = []
    for held_out in cli.progress_bar("n-gram features", range(FOLDS), "folds"):
        rest = fold != held_out
        index = ngrams.select(tokens, rest), ngrams.select(characters, rest) if characters else None
        fitted = fit_index(index, examples.labels[rest], n_classes, params)
        by_fold.append(transform(fitted, batches.select(examples, ~rest)))
    # From the order of the folds to the order of the examples.
    lengths = np.diff(examples.starts)
    order = np.argsort(np.repeat(fold, lengths), kind="stable")
    result = np.empty((len(examples.tokens), by_fold[0].shape[1]), np.float32)
    result[order] = np.concatenate(by_fold)
    return result


def save(fitted: NgramFeatures, path: Path) -> None:
    arrays = fitted.tokens.to_arrays("tokens") | {"max_ngram": np.array(fitted.max_ngram)}
    if fitted.characters:
        arrays |= fitted.characters.to_arrays("characters")
    with written_beside(path) as beside:
        safetensors.numpy.save_file(arrays, beside)


def load(content: bytes) -> NgramFeatures:
    """The fitted features from the content of a file that `save` wrote."""
    arrays = safetensors.numpy.load(content)
    has_characters = "characters.ngrams" in arrays
    return NgramFeatures(
        LogCountRatios.from_arrays(arrays, "tokens"),
        int(arrays["max_ngram"]),
        LogCountRatios.from_arrays(arrays, "characters") if has_characters else None,
    )
