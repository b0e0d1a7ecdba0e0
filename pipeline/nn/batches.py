"""Batches of posts of about one length, so that little of what the GRU computes is padding."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq


@dataclass(frozen=True)
class Ids:
    """Encoded posts: post `i` is `tokens[starts[i] : starts[i + 1]]`, with label `labels[i]`."""

    tokens: np.ndarray  # int32 [all tokens]
    starts: np.ndarray  # int64 [posts + 1]
    labels: np.ndarray  # int [posts]
    evidence: np.ndarray  # float32 [all tokens, evidence], see `pipeline.nn.evidence`; evidence may be 0

    def __len__(self) -> int:
        return len(self.labels)


def read(path: Path) -> Ids:
    """What `vectorize` wrote, without evidence yet."""
    with path.open("rb") as file:
        table = pq.read_table(file, columns=["tokens", "label"])
    tokens = table["tokens"].combine_chunks()
    values = tokens.values.to_numpy()
    starts = tokens.offsets.to_numpy().astype(np.int64)
    return Ids(values, starts, table["label"].to_numpy(), np.empty((len(values), 0), np.float32))


def pad(ids: Ids, rows: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The posts `rows` as the network's inputs, padded with 0 on the right, and their labels `[batch]`.

    Inputs: `ids` int32 `[batch, longest]` and, where there is any, `evidence` float32 `[batch, longest, evidence]`.
    """
    lengths = ids.starts[rows + 1] - ids.starts[rows]
    steps = np.arange(lengths.max())
    real = steps < lengths[:, None]
    chosen = (ids.starts[rows, None] + steps)[real]
    inputs = {"ids": np.zeros(real.shape, np.int32)}
    inputs["ids"][real] = ids.tokens[chosen]
    if width := ids.evidence.shape[1]:
        inputs["evidence"] = np.zeros((*real.shape, width), np.float32)
        inputs["evidence"][real] = ids.evidence[chosen]
    return inputs, ids.labels[rows]


def batches(ids: Ids, size: int, rng: np.random.Generator | None = None) -> Iterator[tuple[dict, np.ndarray]]:
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
