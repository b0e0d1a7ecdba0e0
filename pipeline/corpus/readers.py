"""Files of labelled rows: CSV and TSV, JSON Lines and JSON arrays, fastText, Parquet and Arrow, read row by row.

    table = open_table(path, "spam.csv")
    for row in read_table(table): ...     # a Row, or a Reject with the reason why the row cannot be read

The format is recognized by a file's content, not by its name. Each file may be compressed with gzip, zstd, bzip2 or xz.
"""

import codecs
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.cli import UserError
from pipeline.corpus import columns, dialects
from pipeline.corpus.dialects import Dialect
from pipeline.corpus.encodings import detect_encoding, open_decompressed, open_lines, open_text, readable
from pipeline.corpus.sources import SPLIT_NAMES

FORMATS = {
    "csv": "CSV",
    "fasttext": "fastText",
    "lines": "a text per line",
    "json_lines": "JSON Lines",
    "json_array": "JSON array",
    "json_object": "JSON object of arrays",
    "parquet": "Parquet",
    "arrow_file": "Arrow",
    "arrow_stream": "Arrow",
}
MAX_JSON = 1 << 24  # characters of one element of a JSON array
MAX_JSON_OBJECT = 1 << 26  # characters of an object of arrays, which is read at once
JSON_CHUNK = 1 << 16
MAX_DETAIL = 200  # characters of a rejected row that are kept
BATCH_ROWS = 1024


@dataclass(frozen=True)
class Row:
    """A row's values by column, and its line (of a text file) or its number (the first is 1)."""

    number: int
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Reject:
    """A row that cannot be used, and why; `detail` is the begin of its content."""

    number: int
    reason: str
    detail: str


@dataclass(frozen=True)
class Table:
    """A file of rows, and how it is read."""

    path: Path
    name: str  # for messages and ids
    format: str  # a key of FORMATS
    columns: tuple[str, ...]
    split: str | None = None  # that the file's name says
    encoding: str | None = None
    dialect: Dialect | None = None
    header: bool = True
    class_names: Mapping[str, list[str]] = field(default_factory=dict)  # of label columns that hold indices

    def describe(self) -> str:
        parts = [FORMATS[self.format]]
        if self.dialect:
            parts.append(self.dialect.describe() + ("" if self.header else ", no header"))
        if self.encoding:
            parts.append(f"encoding {self.encoding}")
        return ", ".join(parts)


def split_of(name: str) -> str | None:
    """The split that a value or the words of a file's name say: train, validation, test, or None."""
    words = [SPLIT_NAMES[word] for word in re.split(r"[^a-z]+", name.lower()) if word in SPLIT_NAMES]
    return words[-1] if words else None


def open_table(path: Path, name: str, encoding: str | None = None) -> Table:
    """Recognize how a file is read; `encoding` is that of a text file, None detects it.

    Raises UserError for a file that is empty, damaged or of another kind.
    """
    # of the file's name, otherwise of its folder's
    split = next(filter(None, map(split_of, reversed(re.sub(r"\.[^/]*$", "", name).split("/")))), None)
    with readable(name), open_decompressed(path) as file:
        start = file.read(4096)
    if not start.strip():
        raise UserError(f"{name} is empty; give a file with labelled texts")
    if start.startswith((b"PAR1", b"ARROW1", b"\xff\xff\xff\xff")):
        binary = "parquet" if start[:4] == b"PAR1" else "arrow_file" if start[:6] == b"ARROW1" else "arrow_stream"
        return open_arrow(Table(path, name, binary, (), split))
    if start.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"%PDF", b"SQLite format 3")) or (
        encoding is None and not start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and is_binary(start)
    ):
        raise UserError(f"{name} is not text, Parquet or Arrow; save it as CSV (a spreadsheet: Save as, CSV UTF-8)")
    encoding = encoding or detect_encoding(path, name)
    with open_lines(path, encoding, name) as lines:
        sample = sample_of(lines)
    text = "".join(line for _, line in sample).lstrip()
    if not text:
        raise UserError(f"{name} is empty; give a file with labelled texts")
    if re.match(r"(?i)<(!doctype|html|\?xml)", text):
        raise UserError(f"{name} is a web page or XML, not a table; download the file itself, or save it as CSV")
    table = Table(path, name, "csv", (), split, encoding)
    if text.startswith("__label__"):
        return replace_table(table, "fasttext", ("label", "text"))
    if text.startswith("[") and re.match(r"\[\s*[{\[\]]", text):
        return open_json(replace_table(table, "json_array", ()))
    if text.startswith("{"):
        is_lines = is_json_row([line for _, line in sample if line.strip()])
        return open_json(replace_table(table, "json_lines" if is_lines else "json_object", ()))
    return open_csv(table, sample)


def open_texts(path: Path, name: str, encoding: str | None = None) -> Table:
    """A text file of one column: a text per line, or CSV whose header is a name such as `text`. Raises UserError."""
    encoding = encoding or detect_encoding(path, name)
    with open_lines(path, encoding, name) as lines:
        first = next((line.strip().strip('"') for _, line in lines), "")
    if first.lower() in columns.TEXT_NAMES:
        return Table(path, name, "csv", (first,), None, encoding, Dialect(",", quoted=True), header=True)
    return Table(path, name, "lines", ("text",), None, encoding)


def is_json_row(lines: list[str]) -> bool:
    """Whether the first of the lines is a row of JSON Lines, and not an object that holds arrays of rows."""
    try:
        value = json.loads(lines[0])
    except (ValueError, RecursionError):
        return len(lines) > 1 and lines[1].startswith("{")
    arrays = [each for each in value.values() if isinstance(each, list) and each and isinstance(each[0], list | dict)]
    columns_of_rows = len(value) > 1 and all(isinstance(each, dict) and len(each) > 1 for each in value.values())
    return len(lines) > 1 or not (arrays or columns_of_rows)


def is_binary(start: bytes) -> bool:
    """Whether the bytes are no text: control characters beyond the zeros of UTF-16."""
    control = sum(byte < 32 and byte not in b"\0\t\n\v\f\r\x1a\x1b\x01\x1c\x1d\x1e\x1f" for byte in start)
    return control > len(start) * 0.02


def sample_of(lines: Iterator[tuple[int, str]]) -> list[tuple[int, str]]:
    """The first lines, up to a megabyte of them."""
    sample, size = [], 0
    for line in islice(lines, dialects.SAMPLE_RECORDS):
        sample.append(line)
        size += len(line[1])
        if size > 1 << 20:
            break
    return sample


def replace_table(table: Table, format: str, names: tuple[str, ...]) -> Table:
    return Table(table.path, table.name, format, names, table.split, table.encoding)


def read_table(table: Table) -> Iterator[Row | Reject]:
    """Yield every row, or the reason why it cannot be read. Raises UserError for a file that is damaged."""
    read = {
        "csv": read_csv,
        "fasttext": read_fasttext,
        "lines": read_lines,
        "json_lines": read_json_lines,
        "json_array": read_json_array,
        "json_object": read_json_object,
    }
    yield from read.get(table.format, read_arrow)(table)


# CSV


def open_csv(table: Table, sample: list[tuple[int, str]]) -> Table:
    skipped = skip_separator_line(sample)
    dialect = Dialect(skipped, quoted=True) if skipped else dialects.detect_dialect(sample, table.name)
    records = [record.cells for record in dialects.read_records(iter(sample[bool(skipped) :]), dialect) if record.cells]
    if not records:
        raise UserError(f"{table.name} has no row that can be read; check its quotes and its delimiter")
    header = columns.has_header(records)
    size = len(records[0]) if header else max(set(map(len, records)), key=[len(each) for each in records].count)
    names = columns.unique_names(records[0] if header else [""] * size)
    return Table(table.path, table.name, "csv", names, table.split, table.encoding, dialect, header)


def skip_separator_line(lines: list[tuple[int, str]]) -> str | None:
    """The delimiter that a first line `sep=;` of Excel names, or None."""
    match = re.fullmatch(r'"?sep=(.)"?\s*', lines[0][1]) if lines else None
    return match[1] if match else None


def read_csv(table: Table) -> Iterator[Row | Reject]:
    assert table.dialect is not None
    assert table.encoding is not None
    broken = total = 0
    with open_lines(table.path, table.encoding, table.name) as lines:
        first = list(islice(lines, 1))
        if not skip_separator_line(first):
            lines = chain_first(first, lines)
        records = dialects.read_records(lines, table.dialect)
        header = next(records).cells if table.header else None
        for record in records:
            total += 1
            if record.cells is None or (record.source and len(record.cells) != len(table.columns)):
                broken += 1
                if broken > 1000 and broken > total / 2:
                    raise UserError(f"{table.name}: the quotes of most rows are broken; export it again as CSV")
                yield Reject(record.number, dialects.BROKEN_QUOTES, record.source[:MAX_DETAIL].rstrip())
                continue
            if table.header and record.cells == header:
                yield Reject(record.number, "repeated_header", table.dialect.delimiter.join(record.cells)[:MAX_DETAIL])
                continue
            extra = record.cells[len(table.columns) :]
            if any(cell.strip() for cell in extra):
                detail = table.dialect.delimiter.join(record.cells)
                yield Reject(record.number, "too_many_cells", detail[:MAX_DETAIL])
            else:
                yield Row(record.number, dict(zip(table.columns, record.cells, strict=False)))


def chain_first(first: list[tuple[int, str]], lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    yield from first
    yield from lines


def read_fasttext(table: Table) -> Iterator[Row | Reject]:
    """`__label__spam free entry`: labels, then the text."""
    assert table.encoding is not None
    with open_lines(table.path, table.encoding, table.name) as lines:
        for number, line in lines:
            words = line.split()
            if not words:
                continue
            labels = [word.removeprefix("__label__") for word in words if word.startswith("__label__")]
            text = " ".join(word for word in words if not word.startswith("__label__"))
            yield Row(number, {"label": labels, "text": text})


def read_lines(table: Table) -> Iterator[Row | Reject]:
    assert table.encoding is not None
    with open_lines(table.path, table.encoding, table.name) as lines:
        for number, line in lines:
            yield Row(number, {"text": line.strip()})


# JSON


def open_json(table: Table) -> Table:
    names: dict[str, None] = {}
    for row in islice(read_table(table), dialects.SAMPLE_RECORDS):
        if isinstance(row, Row):
            names.update(dict.fromkeys(row.values))
    if not names:
        raise UserError(
            f"{table.name} has no JSON object with values; write one object per line, or an array of objects"
        )
    return replace_table(table, table.format, tuple(names))


def read_json_lines(table: Table) -> Iterator[Row | Reject]:
    assert table.encoding is not None
    with open_lines(table.path, table.encoding, table.name) as lines:
        for number, line in lines:
            if not line.strip():
                continue
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                yield Reject(number, "invalid_json", line[:MAX_DETAIL].strip())
                continue
            yield json_row(number, value, line[:MAX_DETAIL].strip())


def read_json_array(table: Table) -> Iterator[Row | Reject]:
    """The elements, decoded one by one, so that the array is never in memory."""
    assert table.encoding is not None
    decoder = json.JSONDecoder()
    with open_text(table.path, table.encoding, table.name) as text:
        buffer = text.read(JSON_CHUNK)
        position, number, chunk = buffer.index("[") + 1, 0, JSON_CHUNK
        while True:
            while position < len(buffer) and buffer[position] in " \t\r\n,":
                position += 1
            if buffer[position : position + 1] == "]":
                return
            try:
                value, end = decoder.raw_decode(buffer, position)
            except (ValueError, RecursionError) as error:
                more = text.read(chunk)
                buffer, position, chunk = buffer[position:] + more, 0, 2 * chunk
                if not more or len(buffer) > MAX_JSON:
                    detail = getattr(error, "msg", "nested too deeply")
                    raise UserError(
                        f"{table.name} is not valid JSON in element {number + 1} of its array ({detail}); "
                        "check whether the file is complete"
                    ) from None
                continue
            number, chunk = number + 1, JSON_CHUNK
            yield json_row(number, value, buffer[position : min(end, position + MAX_DETAIL)])
            position = end


def read_json_object(table: Table) -> Iterator[Row | Reject]:
    """An object of arrays, `{"train": [...], "test": [...]}`: the rows of all arrays, with their key as split."""
    number = 0
    content = load_json_object(table)
    if all(isinstance(each, dict) for each in content.values()):  # of pandas: {"text": {"0": ...}, "label": {...}}
        content = {
            "": [{name: each.get(key) for name, each in content.items()} for key in next(iter(content.values()))]
        }
    for key, rows in content.items():
        for value in rows if isinstance(rows, list) else []:
            number += 1
            row = json_row(number, value, json.dumps(value)[:MAX_DETAIL])
            if isinstance(row, Row) and (split := split_of(key)):
                row = Row(number, {**row.values, "split": split})
            yield row


def load_json_object(table: Table) -> dict[str, Any]:
    assert table.encoding is not None
    with open_text(table.path, table.encoding, table.name) as text:
        content = text.read(MAX_JSON_OBJECT + 1)
    try:
        value = json.loads(content.removeprefix("\ufeff")) if len(content) <= MAX_JSON_OBJECT else None
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict) or not any(isinstance(each, list | dict) for each in value.values()):
        raise UserError(
            f"{table.name} is neither JSON Lines nor a JSON array of objects; "
            "write one object with text and label per line"
        )
    return value


def json_row(number: int, value: Any, source: str) -> Row | Reject:
    """An object's values, those of nested objects as `outer.inner`; an array's values as column1, column2, ..."""
    if isinstance(value, list):
        value = {f"column{position}": each for position, each in enumerate(value, 1)}
    if not isinstance(value, dict):
        return Reject(number, "no_object", source)
    flat: dict[str, Any] = {}
    for key, each in value.items():
        if isinstance(each, dict):
            flat.update((f"{key}.{inner}", deep) for inner, deep in each.items())
        else:
            flat[key] = each
    return Row(number, flat)


# Parquet and Arrow


def open_arrow(table: Table) -> Table:
    """Column names, and the names of classes where Hugging Face datasets stored them."""
    try:
        with arrow_reader(table) as (schema, _):
            metadata = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UserError(f"{table.name} cannot be read ({first_line(error)}); get it again") from None
    features = metadata.get("info", {}).get("features", {})
    class_names = {
        name: feature["names"]
        for name, feature in features.items()
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" and feature.get("names")
    }
    return Table(table.path, table.name, table.format, tuple(schema.names), table.split, class_names=class_names)


def column_types(table: Table) -> dict[str, pa.DataType] | None:
    """The type of each column of Parquet and Arrow, as `read_table` gives them; None for other formats."""
    if not table.format.startswith(("parquet", "arrow")):
        return None
    with arrow_reader(table) as (schema, _):
        types = {each.name: each.type for field in schema for each in field.flatten()}
    return types | dict.fromkeys(table.class_names, pa.string())


class arrow_reader:  # noqa: N801  # used as a function: `with arrow_reader(table) as (schema, batches):`
    """The schema and the record batches of a Parquet or Arrow file."""

    def __init__(self, table: Table) -> None:
        self.table = table

    def __enter__(self) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        self.file = pa.memory_map(str(self.table.path))
        if self.table.format == "parquet":
            parquet = pq.ParquetFile(self.file, pre_buffer=False)
            return parquet.schema_arrow, parquet.iter_batches(BATCH_ROWS)
        if self.table.format == "arrow_stream":
            stream = pa.ipc.open_stream(self.file)
            return stream.schema, iter(stream)
        reader = pa.ipc.open_file(self.file)
        return reader.schema, (reader.get_batch(index) for index in range(reader.num_record_batches))

    def __exit__(self, *_: object) -> None:
        self.file.close()


def read_arrow(table: Table) -> Iterator[Row | Reject]:
    number = 0
    try:
        with arrow_reader(table) as (_, batches):
            for batch in batches:
                for start in range(0, batch.num_rows, BATCH_ROWS):
                    for values in batch.slice(start, BATCH_ROWS).to_pylist():
                        number += 1
                        for name, names in table.class_names.items():
                            index = values.get(name)
                            if isinstance(index, int) and 0 <= index < len(names):
                                values[name] = names[index]
                        yield json_row(number, values, "")
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{table.name} cannot be read after row {number:,} ({first_line(error)}); get it again"
        ) from None


def first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
