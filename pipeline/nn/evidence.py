"""What the n-grams that end at a token say about the label: what a GRU step sees beside the token's vector.

For each label that is naive Bayes' log-count ratio of the token, of the pair and of the triple that end there (Wang &
Manning 2012 use these ratios as features of a linear model). A GRU cannot learn a hundred thousand n-grams from a few
thousand posts; given what they say, it learns which to believe, and in which order.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors.numpy

from pipeline.nn.batches import Ids

SMOOTHING = 0.5  # posts added to each count, so that no ratio is infinite
SCALE = 0.3  # brings the ratios to about the size of a word vector's numbers
TOKEN_BITS = 21  # three token ids fit into one int64
FOLDS = 5


class Evidence(NamedTuple):
    """The n-grams known, as sorted numbers, and what each says of each label. Row 0 is no n-gram and says nothing."""

    ngrams: np.ndarray  # int64 [rows]
    ratios: np.ndarray  # float32 [rows, labels]
    orders: np.ndarray  # int64 [orders]: 1, 2, 3


def log_count_ratios(counts: np.ndarray) -> np.ndarray:
    """log((p / |p|) / (q / |q|)): p are the smoothed counts of a label, q those of all others; `[ngrams, labels]`."""
    p = counts + SMOOTHING
    q = counts.sum(axis=1, keepdims=True) - counts + SMOOTHING
    return np.log((p / p.sum(axis=0)) / (q / q.sum(axis=0))).astype(np.float32)


def fit(posts: Ids, label_count: int, orders: int, min_posts: int) -> Evidence:
    """Count in how many posts of each label each n-gram of up to `orders` tokens is; rarer ones are left out."""
    tokens, starts, labels = posts.tokens, posts.starts, posts.labels
    post_of = np.repeat(np.arange(len(labels)), np.diff(starts))
    asked = [number_ngrams(tokens, starts, order) for order in range(1, orders + 1)]
    found, which = np.unique(np.concatenate([[0], *asked]), return_inverse=True)
    # A post counts once for an n-gram, however often it holds it.
    pairs = np.unique(which[1:] * len(labels) + np.tile(post_of, orders))
    counts = np.bincount(
        (pairs // len(labels)) * label_count + labels[pairs % len(labels)], minlength=len(found) * label_count
    ).reshape(-1, label_count)
    kept = (counts.sum(axis=1) >= min_posts) & (found != 0)
    nothing = np.zeros((1, label_count), np.float32)
    return Evidence(
        np.append(0, found[kept]), np.vstack([nothing, log_count_ratios(counts[kept])]), np.arange(1, orders + 1)
    )


def look_up(evidence: Evidence, tokens: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """What the n-grams that end at each token say, float32 `[tokens, orders * labels]`; 0 where one is not known."""
    said = [np.empty((len(tokens), 0), np.float32)]
    for order in evidence.orders:
        asked = number_ngrams(tokens, starts, order)
        place = np.searchsorted(evidence.ngrams, asked, side="right") - 1
        said.append(evidence.ratios[np.where(evidence.ngrams[place] == asked, place, 0)] * np.float32(SCALE))
    return np.concatenate(said, axis=1)


def cross_fitted(posts: Ids, label_count: int, orders: int, min_posts: int) -> np.ndarray:
    """As `look_up`, for the training posts themselves: each is looked up in counts that it is no part of.

    Otherwise an n-gram would give away the label of the very post it was counted in, and the GRU would learn to
    believe it more than it deserves on new posts.
    """
    fold = np.random.default_rng(0).permutation(len(posts)) % FOLDS
    said = np.zeros((len(posts.tokens), orders * label_count), np.float32)
    for held_out in range(FOLDS):
        others, _ = part(posts, fold != held_out)
        asked, tokens = part(posts, fold == held_out)
        said[tokens] = look_up(fit(others, label_count, orders, min_posts), asked.tokens, asked.starts)
    return said


def part(posts: Ids, rows: np.ndarray) -> tuple[Ids, np.ndarray]:
    """The posts where `rows` is true, and where their tokens are among all."""
    lengths = np.diff(posts.starts)
    tokens = np.repeat(rows, lengths)
    starts = np.append(0, np.cumsum(lengths[rows]))
    return Ids(posts.tokens[tokens], starts, posts.labels[rows], posts.evidence[tokens]), tokens


def number_ngrams(tokens: np.ndarray, starts: np.ndarray, order: int) -> np.ndarray:
    """The n-gram of `order` tokens that ends at each token, as a number; 0 where the post has not that many yet.

    int64 `[tokens]`. Orders do not collide, as no token of a post is 0 (padding).
    """
    numbers = np.zeros(len(tokens), np.int64)
    whole = len(tokens) - order + 1
    for place in range(order):
        numbers[order - 1 :] = numbers[order - 1 :] << TOKEN_BITS | tokens[place : place + max(whole, 0)]
    position = np.arange(len(tokens)) - np.repeat(starts[:-1], np.diff(starts))
    numbers[position < order - 1] = 0
    return numbers


def save(evidence: Evidence, path: Path) -> None:
    safetensors.numpy.save_file(evidence._asdict(), path)


def load(content: bytes) -> Evidence:
    return Evidence(**safetensors.numpy.load(content))
