"""N-grams, of tokens and of characters alike, as numbers: what a post holds, and what that says of its label.

A sequence of symbols is one array for all posts, `symbols[starts[i] : starts[i + 1]]` for post `i`. Symbol 0 is in no
n-gram. An n-gram is the number that its symbols' bits make side by side, so n-grams of different orders differ.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

SMOOTHING = 0.5  # posts added to each count, so that no ratio is infinite
TOKEN_BITS = 21  # three token ids fit into one int64
CHAR_BITS = 12  # five characters fit into one int64
CHAR_ORDERS = range(3, 6)


class NgramIndex(NamedTuple):
    """The n-grams that each post holds, each once: `ngrams[starts[i] : starts[i + 1]]`, in ascending order."""

    ngrams: np.ndarray  # int64 [all]
    starts: np.ndarray  # int64 [posts + 1]


class LogCountRatios(NamedTuple):
    """What each known n-gram says of each label. Row 0 is no n-gram and says nothing."""

    ngrams: np.ndarray  # int64 [rows], ascending
    ratios: np.ndarray  # float32 [rows, labels]


def encode_characters(text: str) -> np.ndarray:
    """A symbol per character, uint16 from 1 to 4095, and 0 for NUL: its code point, in lower case where it is ASCII.

    Code points that need more bits share symbols.
    """
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    symbols = np.where(codes, (codes - 1) % (2**CHAR_BITS - 1) + 1, 0).astype(np.uint16)
    return symbols + np.uint16(32) * ((symbols >= ord("A")) & (symbols <= ord("Z")))


def concatenate(posts: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The posts' symbols one after the other, and where each post starts among them, int64 `[posts + 1]`."""
    return np.concatenate([np.empty(0, np.uint8), *posts]), np.cumsum([0, *map(len, posts)])


def encode_ngrams(symbols: np.ndarray, starts: np.ndarray, order: int, bits: int) -> np.ndarray:
    """The n-gram of `order` symbols that ends at each symbol, int64 `[symbols]`; 0 where there is none.

    There is none where the post has not that many symbols yet, and where one of them is 0.
    """
    symbols = symbols.astype(np.int64)
    numbers = np.zeros(len(symbols), np.int64)
    whole = max(len(symbols) - order + 1, 0)
    has_zero = np.zeros(len(symbols), bool)
    for place in range(order):
        part = symbols[place : place + whole]
        numbers[order - 1 :] = numbers[order - 1 :] << bits | part
        has_zero[order - 1 :] |= part == 0
    position = np.arange(len(symbols)) - np.repeat(starts[:-1], np.diff(starts))
    numbers[has_zero | (position < order - 1)] = 0
    return numbers


def extract_ngrams(numbers: Sequence[np.ndarray], starts: np.ndarray) -> NgramIndex:
    """The n-grams that each post holds, however often; `numbers` are those of each order, by `number`."""
    held = []
    for start, end in pairwise(starts):
        found = np.concatenate([np.zeros(1, np.int64), *(of_order[start:end] for of_order in numbers)])
        found.sort()  # five times as fast as np.unique
        held.append(found[1:][found[1:] != found[:-1]])
    return NgramIndex(*concatenate(held))


def select(held: NgramIndex, posts: np.ndarray) -> NgramIndex:
    """The posts where `posts` is true."""
    lengths = np.diff(held.starts)
    return NgramIndex(held.ngrams[np.repeat(posts, lengths)], np.append(0, np.cumsum(lengths[posts])))


def log_count_ratios(held: NgramIndex, labels: np.ndarray, label_count: int, min_posts: int) -> LogCountRatios:
    """Naive Bayes' log-count ratios (Wang & Manning 2012) of the n-grams that `min_posts` posts hold or more.

    log((p / |p|) / (q / |q|)): p are the smoothed counts of posts of a label that hold each n-gram, q of all others.
    """
    known, every = np.unique(held.ngrams, return_counts=True)
    known = known[every >= min_posts]
    counts = np.zeros((len(known), label_count))
    for label in range(label_count):
        found, count = np.unique(select(held, labels == label).ngrams, return_counts=True)
        row, is_known = lookup(known, found)
        counts[row[is_known], label] = count[is_known]
    p = counts + SMOOTHING
    q = counts.sum(axis=1, keepdims=True) - counts + SMOOTHING
    said = np.log((p / p.sum(axis=0)) / (q / q.sum(axis=0))).astype(np.float32)
    return LogCountRatios(np.append(0, known), np.vstack([np.zeros((1, label_count), np.float32), said]))


def lookup(known: np.ndarray, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each number asked for is in `known`, which ascends, and whether it is there at all."""
    if not len(known):
        return np.zeros(len(asked), np.int64), np.zeros(len(asked), bool)
    place = np.minimum(np.searchsorted(known, asked), len(known) - 1)
    return place, known[place] == asked


def transform(known: LogCountRatios, asked: np.ndarray) -> np.ndarray:
    """What each n-gram says, float32 `[asked, labels]`; 0 where it is not known."""
    row, is_known = lookup(known.ngrams, asked)
    return known.ratios[np.where(is_known, row, 0)]
