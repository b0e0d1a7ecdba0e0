"""What the n-grams that end at a token say about the label: what a step of the network sees beside the token's vector.

For each label that is naive Bayes' log-count ratio (Wang & Manning 2012 use these ratios as features of a linear model)
of the token, of the pair and of the triple that end there, and the sum of the ratios of all runs of three to five
characters that end inside it. A GRU cannot learn some hundred thousand n-grams from a few thousand posts; given what
they say, it learns which to believe, and in which order.
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

if TYPE_CHECKING:  # serving needs no parameters
    from pipeline.params.train import Train

# They bring what is said to about the size of a token vector's numbers.
TOKEN_SCALE, CHARACTER_SCALE = np.float32(0.3), np.float32(0.04)
FOLDS = 5


class NgramFeatures(NamedTuple):
    tokens: LogCountRatios
    token_orders: int  # tokens in an n-gram, at most; 0 for none
    characters: LogCountRatios | None


def fit(posts: EncodedExamples, label_count: int, params: Train) -> NgramFeatures:
    """Count the training posts' n-grams by label."""
    return fit_index(extract(posts, params), posts.labels, label_count, params)


def fit_index(
    held: tuple[NgramIndex, NgramIndex | None], labels: np.ndarray, label_count: int, params: Train
) -> NgramFeatures:
    tokens, characters = held
    return NgramFeatures(
        ngrams.log_count_ratios(tokens, labels, label_count, params.ngram_min_df),
        params.max_ngram,
        ngrams.log_count_ratios(characters, labels, label_count, params.char_min_df) if characters else None,
    )


def extract(posts: EncodedExamples, params: Train) -> tuple[NgramIndex, NgramIndex | None]:
    by_tokens = ngrams.extract_ngrams(number_tokens(posts, params.max_ngram), posts.starts)
    if not params.char_ngrams:
        return by_tokens, None
    return by_tokens, ngrams.extract_ngrams(number_characters(posts), posts.character_starts)


def number_tokens(posts: EncodedExamples, orders: int) -> list[np.ndarray]:
    return [ngrams.encode_ngrams(posts.tokens, posts.starts, order, TOKEN_BITS) for order in range(1, orders + 1)]


def number_characters(posts: EncodedExamples) -> list[np.ndarray]:
    symbols, starts = posts.characters, posts.character_starts
    return [ngrams.encode_ngrams(symbols, starts, order, CHAR_BITS) for order in CHAR_ORDERS]


def transform(evidence: NgramFeatures, posts: EncodedExamples) -> np.ndarray:
    """What is said at each token, float32 `[tokens, columns]`: for each order of tokens and then for the characters
    a column per label; 0 where nothing is known.
    """
    said = [np.zeros((len(posts.tokens), 0), np.float32)]
    said += [
        ngrams.transform(evidence.tokens, asked) * TOKEN_SCALE for asked in number_tokens(posts, evidence.token_orders)
    ]
    if evidence.characters:
        at_each = np.sum([ngrams.transform(evidence.characters, asked) for asked in number_characters(posts)], axis=0)
        # All up to a token's last character, less all up to that of the token before: a sum over a token's own.
        up_to = np.vstack([np.zeros((1, at_each.shape[1])), np.cumsum(at_each, axis=0, dtype=np.float64)])
        begins = np.append(0, posts.ends[:-1])
        begins[posts.starts[:-1]] = posts.character_starts[:-1]
        said.append((up_to[posts.ends] - up_to[begins]).astype(np.float32) * CHARACTER_SCALE)
    return np.concatenate(said, axis=1)


def out_of_fold(posts: EncodedExamples, label_count: int, params: Train) -> np.ndarray:
    """As `look_up`, for the training posts themselves: each is looked up in counts that it is no part of.

    Otherwise an n-gram would give away the label of the very post it was counted in, and the network would learn to
    believe it more than it deserves on new posts.
    """
    tokens, characters = extract(posts, params)
    fold = np.random.default_rng(0).permutation(len(posts)) % FOLDS
    said = []
    for held_out in cli.progress_bar("counting n-grams", range(FOLDS), "folds"):
        others = fold != held_out
        held = ngrams.select(tokens, others), ngrams.select(characters, others) if characters else None
        known = fit_index(held, posts.labels[others], label_count, params)
        said.append(transform(known, batches.select(posts, ~others)))
    # `said` goes fold by fold, and what is asked for post by post.
    lengths = np.diff(posts.starts)
    by_fold = np.argsort(np.repeat(fold, lengths), kind="stable")
    result = np.empty((len(posts.tokens), said[0].shape[1]), np.float32)
    result[by_fold] = np.concatenate(said)
    return result


def save(evidence: NgramFeatures, path: Path) -> None:
    arrays = {f"tokens.{name}": array for name, array in evidence.tokens._asdict().items()}
    arrays["token_orders"] = np.array(evidence.token_orders)
    if evidence.characters:
        arrays |= {f"characters.{name}": array for name, array in evidence.characters._asdict().items()}
    safetensors.numpy.save_file(arrays, path)


def load(content: bytes) -> NgramFeatures:
    arrays = safetensors.numpy.load(content)
    tokens, characters = (
        LogCountRatios(*(arrays[f"{view}.{name}"] for name in LogCountRatios._fields))
        if f"{view}.ngrams" in arrays
        else None
        for view in ("tokens", "characters")
    )
    assert tokens
    return NgramFeatures(tokens, int(arrays["token_orders"]), characters)
