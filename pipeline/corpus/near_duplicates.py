"""Near copies of posts, found by fingerprints: 64 numbers that tell how much two texts share, and no word of either.

A fingerprint is a text's MinHash (Broder 1997) over its runs of three words, in lower case. Of two texts' runs, the
share that both have among all that either has (their Jaccard similarity) is, on average, the share of the 64 numbers
that are equal: for texts that share 0.7 the estimate is off by 0.06 or less in two cases of three. An excerpt, or a
text that quotes another among much else, shares less and is no near copy here.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from datasketch import MinHash, MinHashLSH

from pipeline.corpus import tables

WORDS, MARKS = re.compile(r"\w+"), re.compile(r"\S")  # marks count where there is no word
SHINGLE_SIZE = 3  # words
NUM_PERM = 64
THRESHOLD = 0.7  # a share as large makes a near copy: of a post of twenty words, one with another word in its middle
# Texts that share NEAR are compared with a probability of 0.99: 16 bands of 4 numbers, one of which must be equal.
BANDS = (16, 4)
SEED = 1  # of the hash functions: fingerprints of different seeds cannot be compared


def fingerprint(text: str) -> bytes:
    """64 numbers of 32 bits, in little-endian order; the same on every machine."""
    words = WORDS.findall(text.lower()) or MARKS.findall(text)
    runs = {" ".join(words[start : start + SHINGLE_SIZE]) for start in range(max(1, len(words) - SHINGLE_SIZE + 1))}
    sketch = MinHash(NUM_PERM, seed=SEED, scheme="affine32")
    sketch.update_batch([run.encode("utf-8", "replace") for run in runs])
    return sketch.hashvalues.astype("<u4").tobytes()


def find_near_duplicates(known: Iterable[bytes], asked: Iterable[bytes]) -> Iterator[tuple[int, int, float]]:
    """Which of the fingerprints asked for are of near copies of known ones.

    Yields the place of each among `asked`, that of the known one most like it, and the share that they have in common.
    """
    sketches = [to_minhash(each) for each in known]
    index = MinHashLSH(num_perm=NUM_PERM, params=BANDS)
    for place, each in enumerate(sketches):
        index.insert(place, each)
    for place, each in enumerate(map(to_minhash, asked)):
        alike = [(each.jaccard(sketches[other]), -int(other)) for other in index.query(each)]
        share, other = max(alike, default=(0.0, 0))
        if share >= THRESHOLD:
            yield place, -other, float(share)


def to_minhash(fingerprint: bytes) -> MinHash:
    numbers = np.frombuffer(fingerprint, "<u4").astype(np.uint32)
    return MinHash(NUM_PERM, seed=SEED, scheme="affine32", hashvalues=numbers)


def save_fingerprints(out: Path, learned_from: Iterable[Path]) -> None:
    """Write the fingerprints of all posts in these tables: of those that a stage has learned from, or chosen by."""
    out.parent.mkdir(parents=True, exist_ok=True)
    rows = (
        {"id": id, "fingerprint": fingerprint}
        for path in learned_from
        for id, fingerprint in tables.read_rows(path, tables.FINGERPRINT_SCHEMA)
    )
    tables.write_table(out, tables.FINGERPRINT_SCHEMA, rows)
