"""Batches of posts of about one length, so that little of what the GRU computes is padding."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.corpus import tables
from pipeline.features.ngrams import concatenate
from pipeline.features.tokenizer import EncodedText


@dataclass(frozen=True)
class EncodedExamples:
    """Encoded posts, one after the other.

    Post `i` is `tokens[starts[i] : starts[i + 1]]`, with label `labels[i]`, and the symbols of its text (see
    `pipeline.features.ngrams`) are `characters[character_starts[i] : character_starts[i + 1]]`.
    """

    tokens: np.ndarray  # int32 [all tokens]
    ends: np.ndarray  # int64 [all tokens]: where in `characters` each token ends
    starts: np.ndarray  # int64 [posts + 1]
    characters: np.ndarray  # uint16 [all characters]
    character_starts: np.ndarray  # int64 [posts + 1]
    labels: np.ndarray  # int [posts]
    evidence: (
        np.ndarray
    )  # float32 [all tokens, columns], see `pipeline.features.ngram_features`; there may be no column

    def __len__(self) -> int:
        return len(self.labels)


def from_encoded(encoded: Iterable[EncodedText], labels: Sequence[int] | np.ndarray) -> EncodedExamples:
    """Posts put together, without evidence yet."""
    ids, ends, characters = ([*parts] for parts in zip(*encoded, strict=True))
    tokens, starts = concatenate(ids)
    symbols, character_starts = concatenate(characters)
    all_ends = concatenate(ends)[0] + np.repeat(character_starts[:-1], np.diff(starts))
    return EncodedExamples(
        tokens.astype(np.int32), all_ends, starts, symbols, character_starts, np.asarray(labels),
        np.empty((len(tokens), 0), np.float32),
    )  # fmt: skip


def read_encoded(path: Path) -> EncodedExamples:
    """What `vectorize` wrote."""
    with tables.open_parquet(path) as file:
        table = file.read(columns=["tokens", "ends", "characters", "label"])
    rows = zip(*(table[name].to_pylist() for name in ("tokens", "ends", "characters")), strict=True)
    encoded = (EncodedText(np.array(ids), np.array(ends), np.frombuffer(text, np.uint16)) for ids, ends, text in rows)
    return from_encoded(encoded, table["label"].to_numpy())


def select(ids: EncodedExamples, posts: np.ndarray) -> EncodedExamples:
    """The posts where `posts` is true."""
    lengths, widths = np.diff(ids.starts), np.diff(ids.character_starts)
    tokens, characters = np.repeat(posts, lengths), np.repeat(posts, widths)
    starts, character_starts = (np.append(0, np.cumsum(counts[posts])) for counts in (lengths, widths))
    moved = np.repeat(character_starts[:-1] - ids.character_starts[:-1][posts], lengths[posts])
    return EncodedExamples(
        ids.tokens[tokens], ids.ends[tokens] + moved, starts, ids.characters[characters], character_starts,
        ids.labels[posts], ids.evidence[tokens],
    )  # fmt: skip


def pad_batch(
    ids: EncodedExamples, rows: np.ndarray, width: int | None = None
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The posts `rows` as the network's inputs, padded with 0 on the right, and their labels `[batch]`.

    Inputs: `ids` int32 `[batch, time]` and, where there is any, `evidence` float32 `[batch, time, columns]`; time is
    `width`, or for None the length of the longest of these posts.
    """
    lengths = ids.starts[rows + 1] - ids.starts[rows]
    steps = np.arange(width or lengths.max())
    real = steps < lengths[:, None]
    chosen = (ids.starts[rows, None] + steps)[real]
    inputs = {"ids": np.zeros(real.shape, np.int32)}
    inputs["ids"][real] = ids.tokens[chosen]
    if columns := ids.evidence.shape[1]:
        inputs["evidence"] = np.zeros((*real.shape, columns), np.float32)
        inputs["evidence"][real] = ids.evidence[chosen]
    return inputs, ids.labels[rows]


def iterate_batches(
    ids: EncodedExamples, size: int, width: int | None = None, rng: np.random.Generator | None = None
) -> Iterator[tuple[dict, np.ndarray]]:
    """Yield all posts as padded batches of about one length, or all of one `width`.

    With `rng`, for training: lengths are blurred by 5 %, so that batches differ from epoch to epoch, and come in
    random order; with one width for all, length plays no part. Without, in order of length.
    """
    lengths = np.diff(ids.starts) if width is None or rng is None else np.ones(len(ids))
    order = np.argsort(lengths if rng is None else lengths * rng.uniform(0.95, 1.05, len(ids)), kind="stable")
    parts = [order[start : start + size] for start in range(0, len(ids), size)]
    if rng is not None:
        rng.shuffle(parts)
    for rows in parts:
        yield pad_batch(ids, rows, width)
