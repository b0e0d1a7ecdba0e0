"""Batches of posts of about one length, so that little of what the GRU computes is padding."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq

from pipeline.nn.quiet import tf


class Ids(NamedTuple):
    """Encoded posts: post `i` is `tokens[starts[i] : starts[i + 1]]`, with label `labels[i]`."""

    tokens: np.ndarray  # int32 [all tokens]
    starts: np.ndarray  # int64 [posts + 1]
    labels: np.ndarray  # int32 [posts]

    def __len__(self) -> int:
        return len(self.labels)


def read(path: Path) -> Ids:
    with path.open("rb") as file:
        table = pq.read_table(file, columns=["tokens", "label"])
    tokens = table["tokens"].combine_chunks()
    return Ids(
        tokens.values.to_numpy(),
        tokens.offsets.to_numpy().astype(np.int64),
        table["label"].to_numpy(),
    )


def pad(ids: Ids, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The posts `rows` as `[batch, longest]` int32, padded with 0 on the right, and their labels `[batch]`."""
    lengths = ids.starts[rows + 1] - ids.starts[rows]
    steps = np.arange(lengths.max())
    real = steps < lengths[:, None]
    batch = np.zeros(real.shape, np.int32)
    batch[real] = ids.tokens[(ids.starts[rows, None] + steps)[real]]
    return batch, ids.labels[rows]


def batches(ids: Ids, size: int, rng: np.random.Generator | None = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield all posts as padded batches of about one length.

    With `rng`, for training: lengths are blurred by 5 %, so that batches differ from epoch to epoch, and come in
    random order. Without, in order of length.
    """
    lengths = np.diff(ids.starts)
    order = np.argsort(lengths if rng is None else lengths * rng.uniform(0.95, 1.05, len(ids)), kind="stable")
    parts = [order[start : start + size] for start in range(0, len(ids), size)]
    if rng is not None:
        rng.shuffle(parts)
    for rows in parts:
        yield pad(ids, rows)


def dataset(ids: Ids, size: int, rng: np.random.Generator | None = None) -> tf.data.Dataset:
    """`batches` as TensorFlow reads them; each pass over it is another epoch, shuffled anew when `rng` is given."""
    signature = (tf.TensorSpec((None, None), tf.int32), tf.TensorSpec((None,), tf.int32))
    made = tf.data.Dataset.from_generator(lambda: batches(ids, size, rng), output_signature=signature)
    return made.apply(tf.data.experimental.assert_cardinality(-(-len(ids) // size))).prefetch(2)
