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

from pipeline import stage
from pipeline.corpus import ngrams
from pipeline.corpus.ngrams import CHARACTER_BITS, CHARACTER_ORDERS, TOKEN_BITS, Held, Ratios
from pipeline.nn import batches
from pipeline.nn.batches import Ids

if TYPE_CHECKING:  # serving needs no parameters
    from pipeline.params import Train

# They bring what is said to about the size of a token vector's numbers.
TOKEN_SCALE, CHARACTER_SCALE = np.float32(0.3), np.float32(0.04)
FOLDS = 5


class Evidence(NamedTuple):
    tokens: Ratios
    token_orders: int  # tokens in an n-gram, at most; 0 for none
    characters: Ratios | None


def fit(posts: Ids, label_count: int, params: Train) -> Evidence:
    """Count the training posts' n-grams by label."""
    return fit_held(hold(posts, params), posts.labels, label_count, params)


def fit_held(held: tuple[Held, Held | None], labels: np.ndarray, label_count: int, params: Train) -> Evidence:
    tokens, characters = held
    return Evidence(
        ngrams.ratios(tokens, labels, label_count, params.ngram_min_posts),
        params.ngrams,
        ngrams.ratios(characters, labels, label_count, params.character_min_posts) if characters else None,
    )


def hold(posts: Ids, params: Train) -> tuple[Held, Held | None]:
    by_tokens = ngrams.hold(number_tokens(posts, params.ngrams), posts.starts)
    if not params.character_ngrams:
        return by_tokens, None
    return by_tokens, ngrams.hold(number_characters(posts), posts.character_starts)


def number_tokens(posts: Ids, orders: int) -> list[np.ndarray]:
    return [ngrams.number(posts.tokens, posts.starts, order, TOKEN_BITS) for order in range(1, orders + 1)]


def number_characters(posts: Ids) -> list[np.ndarray]:
    symbols, starts = posts.characters, posts.character_starts
    return [ngrams.number(symbols, starts, order, CHARACTER_BITS) for order in CHARACTER_ORDERS]


def look_up(evidence: Evidence, posts: Ids) -> np.ndarray:
    """What is said at each token, float32 `[tokens, columns]`: for each order of tokens and then for the characters
    a column per label; 0 where nothing is known.
    """
    said = [np.zeros((len(posts.tokens), 0), np.float32)]
    said += [
        ngrams.look_up(evidence.tokens, asked) * TOKEN_SCALE for asked in number_tokens(posts, evidence.token_orders)
    ]
    if evidence.characters:
        at_each = np.sum([ngrams.look_up(evidence.characters, asked) for asked in number_characters(posts)], axis=0)
        # All up to a token's last character, less all up to that of the token before: a sum over a token's own.
        up_to = np.vstack([np.zeros((1, at_each.shape[1])), np.cumsum(at_each, axis=0, dtype=np.float64)])
        begins = np.append(0, posts.ends[:-1])
        begins[posts.starts[:-1]] = posts.character_starts[:-1]
        said.append((up_to[posts.ends] - up_to[begins]).astype(np.float32) * CHARACTER_SCALE)
    return np.concatenate(said, axis=1)


def cross_fitted(posts: Ids, label_count: int, params: Train) -> np.ndarray:
    """As `look_up`, for the training posts themselves: each is looked up in counts that it is no part of.

    Otherwise an n-gram would give away the label of the very post it was counted in, and the network would learn to
    believe it more than it deserves on new posts.
    """
    tokens, characters = hold(posts, params)
    fold = np.random.default_rng(0).permutation(len(posts)) % FOLDS
    said = []
    for held_out in stage.bar("counting n-grams", range(FOLDS), "folds"):
        others = fold != held_out
        held = ngrams.choose(tokens, others), ngrams.choose(characters, others) if characters else None
        known = fit_held(held, posts.labels[others], label_count, params)
        said.append(look_up(known, batches.choose(posts, ~others)))
    # `said` goes fold by fold, and what is asked for post by post.
    lengths = np.diff(posts.starts)
    by_fold = np.argsort(np.repeat(fold, lengths), kind="stable")
    result = np.empty((len(posts.tokens), said[0].shape[1]), np.float32)
    result[by_fold] = np.concatenate(said)
    return result


def save(evidence: Evidence, path: Path) -> None:
    arrays = {f"tokens.{name}": array for name, array in evidence.tokens._asdict().items()}
    arrays["token_orders"] = np.array(evidence.token_orders)
    if evidence.characters:
        arrays |= {f"characters.{name}": array for name, array in evidence.characters._asdict().items()}
    safetensors.numpy.save_file(arrays, path)


def load(content: bytes) -> Evidence:
    arrays = safetensors.numpy.load(content)
    tokens, characters = (
        Ratios(*(arrays[f"{view}.{name}"] for name in Ratios._fields)) if f"{view}.ngrams" in arrays else None
        for view in ("tokens", "characters")
    )
    assert tokens
    return Evidence(tokens, int(arrays["token_orders"]), characters)
