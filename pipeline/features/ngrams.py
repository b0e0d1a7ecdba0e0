"""N-grams of tokens and of characters, encoded as integers, and their log-count ratios per class.

The symbols (token ids or characters) of all examples are one array; those of example `i` are
`symbols[starts[i] : starts[i + 1]]`. Symbol 0 is in no n-gram. An n-gram is encoded as the integer that the bits of its
symbols make side by side, so that n-grams of different orders have different codes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple, Self

import numpy as np

SMOOTHING = 0.5  # added to each count, so that no ratio is infinite
TOKEN_BITS = 21  # three token ids fit into one int64
CHAR_BITS = 12  # five characters fit into one int64
CHAR_ORDERS = range(3, 6)


class NgramIndex(NamedTuple):
    """The distinct n-grams of each example: `ngrams[starts[i] : starts[i + 1]]`, in ascending order."""

    ngrams: np.ndarray  # int64 [all]
    starts: np.ndarray  # int64 [examples + 1]


class HashTable:
    """Finds the rows of n-grams in a vocabulary, for whole arrays at once, four times as fast as a binary search.

    A hash table with linear probing (Knuth, The Art of Computer Programming, vol. 3, section 6.4), at most half full.
    Its hash is the high bits of a product with 2^64 divided by the golden ratio.
    """

    MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)

    def __init__(self, vocabulary: np.ndarray) -> None:
        """`vocabulary` are distinct n-grams, int64 `[rows]`; row 0 is 0 and stands for no n-gram."""
        bits = max(1, (2 * len(vocabulary)).bit_length())
        self.shift, self.last = np.uint64(64 - bits), 2**bits - 1
        self.ngrams = np.zeros(2**bits, np.int64)  # 0: a free slot
        self.rows = np.zeros(2**bits, np.int32)
        rows = np.arange(1, len(vocabulary), dtype=np.int32)
        slots = self.first_slots(vocabulary[1:])
        while len(rows):
            free = self.ngrams[slots] == 0
            self.ngrams[slots[free]], self.rows[slots[free]] = vocabulary[rows[free]], rows[free]
            # Of several that want a free slot, the last one has it now; the others go on to the next slot.
            waits = self.rows[slots] != rows
            rows, slots = rows[waits], (slots[waits] + 1) & self.last

    def first_slots(self, ngrams: np.ndarray) -> np.ndarray:
        return ((ngrams.view(np.uint64) * self.MULTIPLIER) >> self.shift).view(np.int64)

    def find_rows(self, ngrams: np.ndarray) -> np.ndarray:
        """The row of each n-gram, int32 `[ngrams]`; 0 for one that is not in the vocabulary."""
        slots = self.first_slots(ngrams)
        found = self.ngrams[slots]
        (going_on,) = np.nonzero((found != ngrams) & (found != 0))
        while len(going_on):
            slots[going_on] = next_slots = (slots[going_on] + 1) & self.last
            found = self.ngrams[next_slots]
            going_on = going_on[(found != ngrams[going_on]) & (found != 0)]
        return np.where(self.ngrams[slots] == ngrams, self.rows[slots], 0)


@dataclass(frozen=True)
class LogCountRatios:
    """The log-count ratio of each n-gram of the vocabulary for each class. Row 0 stands for no n-gram and is 0."""

    ngrams: np.ndarray  # int64 [rows], ascending: the vocabulary
    ratios: np.ndarray  # float32 [rows, classes]

    @cached_property
    def table(self) -> HashTable:
        return HashTable(self.ngrams)

    def to_arrays(self, prefix: str) -> dict[str, np.ndarray]:
        """The arrays under the names `prefix.field`, as `from_arrays` reads them."""
        return {f"{prefix}.{field.name}": getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], prefix: str) -> Self:
        """Raises KeyError if one of the arrays is missing."""
        return cls(*(arrays[f"{prefix}.{field.name}"] for field in fields(cls)))


def encode_characters(text: str) -> np.ndarray:
    """A symbol per character, uint16 from 1 to 4095, and 0 for NUL: the code point, in lower case if it is ASCII.

    Code points that need more than 12 bits share symbols.
    """
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    symbols = np.where(codes, (codes - 1) % (2**CHAR_BITS - 1) + 1, 0).astype(np.uint16)
    return symbols + np.uint16(32) * ((symbols >= ord("A")) & (symbols <= ord("Z")))


def concatenate(sequences: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The sequences one after the other, and the start of each in the result, int64 `[sequences + 1]`."""
    return np.concatenate([np.empty(0, np.uint8), *sequences]), np.cumsum([0, *map(len, sequences)])


def encode_ngrams(symbols: np.ndarray, starts: np.ndarray, order: int, bits: int) -> np.ndarray:
    """The code of the n-gram of `order` symbols that ends at each symbol, int64 `[symbols]`.

    0 where there is none: at the first symbols of an example, and where one of the symbols is 0.
    """
    symbols = symbols.astype(np.int64)
    codes = np.zeros(len(symbols), np.int64)
    length = max(len(symbols) - order + 1, 0)
    has_zero = np.zeros(len(symbols), bool)
    for offset in range(order):
        part = symbols[offset : offset + length]
        codes[order - 1 :] = codes[order - 1 :] << bits | part
        has_zero[order - 1 :] |= part == 0
    position = np.arange(len(symbols)) - np.repeat(starts[:-1], np.diff(starts))
    codes[has_zero | (position < order - 1)] = 0
    return codes


def extract_ngrams(codes: Sequence[np.ndarray], starts: np.ndarray) -> NgramIndex:
    """The distinct n-grams of each example; `codes` are those of each order, from `encode_ngrams`."""
    distinct = []
    for start, end in pairwise(starts):
        ngrams = np.concatenate([np.zeros(1, np.int64), *(of_order[start:end] for of_order in codes)])
        ngrams.sort()  # five times as fast as np.unique
        distinct.append(ngrams[1:][ngrams[1:] != ngrams[:-1]])
    return NgramIndex(*concatenate(distinct))


def select(index: NgramIndex, mask: np.ndarray) -> NgramIndex:
    """The examples where `mask` is true."""
    lengths = np.diff(index.starts)
    return NgramIndex(index.ngrams[np.repeat(mask, lengths)], np.append(0, np.cumsum(lengths[mask])))


def log_count_ratios(index: NgramIndex, labels: np.ndarray, n_classes: int, min_df: int) -> LogCountRatios:
    """Naive Bayes' log-count ratios (Wang & Manning 2012) of the n-grams that occur in at least `min_df` examples.

    log((p / |p|) / (q / |q|)): p are the smoothed document frequencies in the examples of a class, q in all others.
    """
    vocabulary, frequency = np.unique(index.ngrams, return_counts=True)
    vocabulary = vocabulary[frequency >= min_df]
    counts = np.zeros((len(vocabulary), n_classes))
    for label in range(n_classes):
        ngrams, count = np.unique(select(index, labels == label).ngrams, return_counts=True)
        row, is_known = lookup(vocabulary, ngrams)
        counts[row[is_known], label] = count[is_known]
    p = counts + SMOOTHING
    q = counts.sum(axis=1, keepdims=True) - counts + SMOOTHING
    ratios = np.log((p / p.sum(axis=0)) / (q / q.sum(axis=0))).astype(np.float32)
    return LogCountRatios(np.append(0, vocabulary), np.vstack([np.zeros((1, n_classes), np.float32), ratios]))


def lookup(vocabulary: np.ndarray, ngrams: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The position of each n-gram in the ascending vocabulary, and whether it is in the vocabulary at all.

    Fast for ascending n-grams; for others, `HashTable` is.
    """
    if not len(vocabulary):
        return np.zeros(len(ngrams), np.int64), np.zeros(len(ngrams), bool)
    position = np.minimum(np.searchsorted(vocabulary, ngrams), len(vocabulary) - 1)
    return position, vocabulary[position] == ngrams


def transform(fitted: LogCountRatios, ngrams: np.ndarray) -> np.ndarray:
    """The log-count ratios of each n-gram, float32 `[ngrams, classes]`; 0 for one that is not in the vocabulary."""
    return fitted.ratios.take(fitted.table.find_rows(ngrams), axis=0)
