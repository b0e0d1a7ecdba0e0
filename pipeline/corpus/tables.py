"""Parquet tables, read and written in batches: memory does not grow with the number of rows."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

POSTS = pa.schema([("id", pa.string()), ("text", pa.string()), ("label", pa.string()), ("split", pa.string())])
# A post's fingerprint (see `pipeline.corpus.duplicates`) goes with it, up to whoever learns from it.
SPLIT = pa.schema([("id", pa.string()), ("text", pa.string()), ("label", pa.string()), ("fingerprint", pa.binary())])
IDS = pa.schema(
    [
        ("id", pa.string()),
        ("tokens", pa.list_(pa.int32())),
        ("ends", pa.list_(pa.int32())),
        ("characters", pa.binary()),
        ("label", pa.int32()),
        ("fingerprint", pa.binary()),
    ]
)
LEARNED = pa.schema([("id", pa.string()), ("fingerprint", pa.binary())])

BATCH = 4096  # rows


def write(path: Path, schema: pa.Schema, rows: Iterable[dict[str, Any]]) -> None:
    rows = iter(rows)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        while batch := list(islice(rows, BATCH)):
            writer.write_batch(pa.RecordBatch.from_pylist(batch, schema))


def read(path: Path, columns: list[str]) -> Iterator[dict[str, list[Any]]]:
    """Yield the rows as batches of columns: `{"text": [...], "label": [...]}`."""
    with parquet(path) as file:
        for batch in file.iter_batches(BATCH, columns=columns):
            yield batch.to_pydict()


def parquet(path: Path) -> pq.ParquetFile:
    """Raises FileNotFoundError, with the file's name, where there is none."""
    path.stat()
    # Arrow's own kind of file, and nothing read ahead: a thread of Arrow that still holds a Python file when the
    # process ends can abort it ("terminate called without an active exception"), after all has been done.
    return pq.ParquetFile(pa.memory_map(str(path)), pre_buffer=False)


def rows(path: Path, schema: pa.Schema) -> Iterator[tuple[Any, ...]]:
    """Yield the rows with all columns of the schema, in its order."""
    for batch in read(path, schema.names):
        yield from zip(*(batch[name] for name in schema.names), strict=True)


def column(path: Path, name: str) -> list[Any]:
    """One whole column."""
    return [value for batch in read(path, [name]) for value in batch[name]]
