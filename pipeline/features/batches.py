"""Encoded examples, and batches of examples of similar length, which need little padding."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.features.ngrams import concatenate
from pipeline.features.tokenizer import EncodedText


@dataclass(frozen=True)
class EncodedExamples:
    """Encoded examples, one after the other.

    Example `i` has the tokens `tokens[starts[i] : starts[i + 1]]`, the label `labels[i]`, and the characters (see
    `pipeline.features.ngrams`) `characters[character_starts[i] : character_starts[i + 1]]`.
    """

    tokens: np.ndarray  # int32 [all tokens]
    ends: np.ndarray  # int64 [all tokens]: the position in `characters` where each token ends
    starts: np.ndarray  # int64 [examples + 1]
    characters: np.ndarray  # uint16 [all characters]
    character_starts: np.ndarray  # int64 [examples + 1]
    labels: np.ndarray  # int [examples]
    ngram_features: np.ndarray  # float32 [all tokens, feature_dim], see `pipeline.features.ngram_features`

    def __len__(self) -> int:
        return len(self.labels)


def from_encoded(texts: Iterable[EncodedText], labels: Sequence[int] | np.ndarray) -> EncodedExamples:
    """Concatenate encoded texts, with n-gram features of dimension 0."""
    ids, ends, characters = ([*parts] for parts in zip(*texts, strict=True))
    tokens, starts = concatenate(ids)
    symbols, character_starts = concatenate(characters)
    all_ends = concatenate(ends)[0] + np.repeat(character_starts[:-1], np.diff(starts))
    return EncodedExamples(
        tokens.astype(np.int32), all_ends, starts, symbols, character_starts, np.asarray(labels),
        np.empty((len(tokens), 0), np.float32),
    )  # fmt: skip


def read_encoded(path: Path) -> EncodedExamples:
    """Read a table that the stage vectorize wrote."""
    from pipeline.corpus import tables  # not at the top: serving reads no table, and needs no PyArrow

    with tables.open_parquet(path) as file:
        table = file.read(columns=["tokens", "ends", "characters", "label"])
    rows = zip(*(table[name].to_pylist() for name in ("tokens", "ends", "characters")), strict=True)
    texts = (EncodedText(np.array(ids), np.array(ends), np.frombuffer(text, np.uint16)) for ids, ends, text in rows)
    return from_encoded(texts, table["label"].to_numpy())


def select(examples: EncodedExamples, mask: np.ndarray) -> EncodedExamples:
    """The examples where `mask` is true."""
    lengths, character_lengths = np.diff(examples.starts), np.diff(examples.character_starts)
    tokens, characters = np.repeat(mask, lengths), np.repeat(mask, character_lengths)
    starts, character_starts = (np.append(0, np.cumsum(counts[mask])) for counts in (lengths, character_lengths))
    shift = np.repeat(character_starts[:-1] - examples.character_starts[:-1][mask], lengths[mask])
    return EncodedExamples(
        examples.tokens[tokens], examples.ends[tokens] + shift, starts, examples.characters[characters],
        character_starts, examples.labels[mask], examples.ngram_features[tokens],
    )  # fmt: skip


def pad_batch(
    examples: EncodedExamples, rows: np.ndarray, length: int | None = None
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The examples `rows` as inputs of the network, padded with 0 on the right, and their labels `[batch]`.

    Inputs: `ids` int32 `[batch, time]` and, unless its dimension is 0, `ngram_features` float32
    `[batch, time, feature_dim]`; time is `length`, or the length of the longest of these examples if that is None.
    """
    lengths = examples.starts[rows + 1] - examples.starts[rows]
    steps = np.arange(length or lengths.max())
    mask = steps < lengths[:, None]
    positions = (examples.starts[rows, None] + steps)[mask]
    inputs = {"ids": np.zeros(mask.shape, np.int32)}
    inputs["ids"][mask] = examples.tokens[positions]
    if feature_dim := examples.ngram_features.shape[1]:
        inputs["ngram_features"] = np.zeros((*mask.shape, feature_dim), np.float32)
        inputs["ngram_features"][mask] = examples.ngram_features[positions]
    return inputs, examples.labels[rows]


def iterate_batches(
    examples: EncodedExamples, batch_size: int, length: int | None = None, rng: np.random.Generator | None = None
) -> Iterator[tuple[dict, np.ndarray]]:
    """Yield all examples as padded batches of similar length, or all padded to one `length`.

    With `rng`, for training, lengths are blurred by 5 %, so that batches differ from epoch to epoch, and batches come
    in random order; with one length for all, they are drawn at random. Without `rng`, in order of length.
    """
    lengths = np.diff(examples.starts) if length is None or rng is None else np.ones(len(examples))
    keys = lengths if rng is None else lengths * rng.uniform(0.95, 1.05, len(examples))
    order = np.argsort(keys, kind="stable")
    parts = [order[start : start + batch_size] for start in range(0, len(examples), batch_size)]
    if rng is not None:
        rng.shuffle(parts)
    for rows in parts:
        yield pad_batch(examples, rows, length)
