"""Parquet tables, read and written in batches: memory does not grow with the number of rows."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

POSTS = pa.schema([("id", pa.string()), ("text", pa.string()), ("label", pa.string()), ("split", pa.string())])
SPLIT = pa.schema([("id", pa.string()), ("text", pa.string()), ("label", pa.string())])
IDS = pa.schema(
    [
        ("id", pa.string()),
        ("tokens", pa.list_(pa.int32())),
        ("ends", pa.list_(pa.int32())),
        ("characters", pa.binary()),
        ("label", pa.int32()),
    ]
)

BATCH = 4096  # rows


def write(path: Path, schema: pa.Schema, rows: Iterable[dict[str, Any]]) -> None:
    rows = iter(rows)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        while batch := list(islice(rows, BATCH)):
            writer.write_batch(pa.RecordBatch.from_pylist(batch, schema))


def read(path: Path, columns: list[str]) -> Iterator[dict[str, list[Any]]]:
    """Yield the rows as batches of columns: `{"text": [...], "label": [...]}`."""
    with path.open("rb") as opened, pq.ParquetFile(opened) as file:
        for batch in file.iter_batches(BATCH, columns=columns):
            yield batch.to_pydict()


def column(path: Path, name: str) -> list[Any]:
    """One whole column."""
    return [value for batch in read(path, [name]) for value in batch[name]]
