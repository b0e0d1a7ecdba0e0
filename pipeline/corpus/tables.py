"""Parquet tables, read and written in batches, so that memory does not grow with the number of rows."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.files import reading, written_beside

T = TypeVar("T")

RAW_SCHEMA = pa.schema([("id", pa.string()), ("text", pa.string()), ("label", pa.string()), ("split", pa.string())])
REJECTS_SCHEMA = pa.schema(
    [("file", pa.string()), ("row", pa.int64()), ("reason", pa.string()), ("detail", pa.string())]
)
# The fingerprint (see `pipeline.corpus.near_duplicates`) stays with its example, up to the stage that is fitted on it.
SPLIT_SCHEMA = pa.schema(
    [("id", pa.string()), ("text", pa.string()), ("label", pa.string()), ("fingerprint", pa.binary())]
)
IDS_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("tokens", pa.list_(pa.int32())),
        ("ends", pa.list_(pa.int32())),
        ("characters", pa.binary()),
        ("label", pa.int32()),
        ("fingerprint", pa.binary()),
    ]
)
FINGERPRINT_SCHEMA = pa.schema([("id", pa.string()), ("fingerprint", pa.binary())])

BATCH_ROWS = 4096
BATCH_LENGTH = 1 << 26  # characters and bytes of a batch of rows; one column must have less than 2^31


def write_table(path: Path, schema: pa.Schema, rows: Iterable[dict[str, Any]]) -> None:
    options: dict[str, Any] = {"compression": "zstd", "write_page_checksum": True}
    with written_beside(path) as beside, pq.ParquetWriter(beside, schema, **options) as writer:
        for batch in batches_of(rows, row_length, BATCH_ROWS, BATCH_LENGTH):
            writer.write_batch(pa.RecordBatch.from_pylist(batch, schema))


def row_length(row: dict[str, Any]) -> int:
    return sum(len(value) for value in row.values() if isinstance(value, str | bytes | list))


def batches_of(rows: Iterable[T], length_of: Callable[[T], int], max_rows: int, max_length: int) -> Iterator[list[T]]:
    """Batches of up to `max_rows` rows, fewer where the sum of their lengths reaches `max_length`."""
    batch: list[T] = []
    length = 0
    for row in rows:
        batch.append(row)
        length += length_of(row)
        if len(batch) == max_rows or length >= max_length:
            yield batch
            batch, length = [], 0
    if batch:
        yield batch


def read_batches(path: Path, columns: list[str]) -> Iterator[dict[str, list[Any]]]:
    """Yield the rows in batches of columns: `{"text": [...], "label": [...]}`. Raises UserError if it is damaged."""
    with open_parquet(path) as file:
        for group in range(file.num_row_groups):
            batches = file.iter_batches(BATCH_ROWS, row_groups=[group], columns=columns)
            while batch := next_batch(path, batches):
                yield batch


def next_batch(path: Path, batches: Iterator[pa.RecordBatch]) -> dict[str, list[Any]] | None:
    with reading(path):
        batch = next(batches, None)
        return None if batch is None else batch.to_pydict()


def open_parquet(path: Path) -> pq.ParquetFile:
    """Raises FileNotFoundError, with the file's name, if there is none, and UserError if it is damaged."""
    path.stat()
    # Opened by Arrow itself, and nothing read ahead: an Arrow thread that still holds a Python file when the process
    # ends can abort it ("terminate called without an active exception").
    with reading(path):
        return pq.ParquetFile(pa.memory_map(str(path)), pre_buffer=False, page_checksum_verification=True)


def read_rows(path: Path, schema: pa.Schema) -> Iterator[tuple[Any, ...]]:
    """Yield the rows as tuples of the schema's columns, in its order."""
    for batch in read_batches(path, schema.names):
        yield from zip(*(batch[name] for name in schema.names), strict=True)


def read_column(path: Path, name: str) -> list[Any]:
    """Read one whole column."""
    return [value for batch in read_batches(path, [name]) for value in batch[name]]
