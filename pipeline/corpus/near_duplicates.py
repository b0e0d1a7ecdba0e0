"""Near-duplicate texts, found by MinHash fingerprints, which hold no word of the texts.

A fingerprint is the MinHash (Broder 1997) of a text's shingles: its runs of three words, in lower case. The share of
the 64 hash values that two fingerprints have in common estimates the Jaccard similarity of their shingles. At a
similarity of 0.7 the standard error of the estimate is 0.06. An excerpt, or a text that quotes another among much else,
has a lower similarity and is not found.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.corpus import tables

if TYPE_CHECKING:
    from datasketch import MinHash

WORD, MARK = re.compile(r"\w+"), re.compile(r"\S")  # a text without a word is compared by its other characters
SHINGLE_SIZE = 3  # words
NUM_PERM = 64
THRESHOLD = 0.7  # Jaccard similarity; a text of twenty words with one word changed in its middle has about this
# Locality-sensitive hashing: 16 bands of 4 values find a pair at the threshold with a probability of 0.99.
BANDS = (16, 4)
SEED = 1  # of the hash functions; fingerprints of different seeds cannot be compared


def fingerprint(text: str) -> bytes:
    """The MinHash of a text: 64 values of 32 bits, little-endian; the same on every machine."""
    words = WORD.findall(text.lower()) or MARK.findall(text)
    starts = range(max(1, len(words) - SHINGLE_SIZE + 1))
    shingles = {" ".join(words[start : start + SHINGLE_SIZE]) for start in starts}
    minhash = to_minhash()
    minhash.update_batch([shingle.encode("utf-8", "replace") for shingle in shingles])
    return minhash.hashvalues.astype("<u4").tobytes()


def find_near_duplicates(indexed: Iterable[bytes], queries: Iterable[bytes]) -> Iterator[tuple[int, int, float]]:
    """Yield the queries that are near-duplicates of an indexed text; all are fingerprints.

    Each as its position among the queries, the position of the most similar indexed text, and their similarity.
    """
    from datasketch import MinHashLSH

    minhashes = [to_minhash(each) for each in indexed]
    index = MinHashLSH(num_perm=NUM_PERM, params=BANDS)
    for position, minhash in enumerate(minhashes):
        index.insert(position, minhash)
    for position, minhash in enumerate(map(to_minhash, queries)):
        candidates = [(minhash.jaccard(minhashes[other]), -int(other)) for other in index.query(minhash)]
        similarity, other = max(candidates, default=(0.0, 0))
        if similarity >= THRESHOLD:
            yield position, -other, float(similarity)


def to_minhash(fingerprint: bytes | None = None) -> MinHash:
    """The MinHash of a fingerprint, or an empty one."""
    from datasketch import MinHash  # not at the top: baseline and train, which only copy fingerprints, start without it

    values = None if fingerprint is None else np.frombuffer(fingerprint, "<u4").astype(np.uint32)
    return MinHash(NUM_PERM, seed=SEED, scheme="affine32", hashvalues=values)


def save_fingerprints(path: Path, fitted_on: Iterable[Path]) -> None:
    """Write the fingerprints of all examples in the tables that a model was fitted on, or selected by."""
    rows = (
        {"id": id, "fingerprint": fingerprint}
        for table in fitted_on
        for id, fingerprint in tables.read_rows(table, tables.FINGERPRINT_SCHEMA)
    )
    tables.write_table(path, tables.FINGERPRINT_SCHEMA, rows)
