"""Predictions for files of rows: the same rows, with the label and the probabilities that a model predicts.

Rows are read, predicted and written in parts of `PART_ROWS`, so that memory does not grow with their number. The parts
are in a folder beside the output until all of them are there. What is killed goes on after the last whole part if it is
started again with the same files, model and options; otherwise it starts anew.
"""

import csv
import json
import math
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from pipeline.cli import UserError
from pipeline.corpus import columns
from pipeline.corpus.columns import to_text
from pipeline.corpus.dialects import NotDelimited
from pipeline.corpus.readers import Reject, Row, Table, column_types, open_table, open_texts, read_table
from pipeline.corpus.sources import COMPRESSED, MAX_EXAMPLE_BYTES, Source, source_fingerprint
from pipeline.corpus.tables import batches_of
from pipeline.features.tokenizer import replace_surrogates
from pipeline.files import written_beside
from pipeline.serving.models import ServedModel

PART_ROWS = 4096
PART_LENGTH = 1 << 25  # characters
TXT = re.compile(rf"(?i).*\.txt{COMPRESSED}")
LABEL, ABSTAINED = "predicted_label", "abstained"


@dataclass(frozen=True)
class Options:
    text: tuple[str, ...]  # columns of the text, joined by line breaks; empty: guessed
    encoding: str | None  # of text files; None: detected
    threshold: float | None  # below this probability, the model abstains


class Result(NamedTuple):
    rows: int  # that were predicted
    resumed: int  # of them, those that an earlier call predicted
    rejected: Counter[str]  # rows without a prediction, by reason


def predict_files(paths: Sequence[Path], output: Path, model: ServedModel, options: Options) -> Result:
    """Write the rows of the files with their predictions to `output`, and rows that have none to `OUTPUT.rejects.csv`.

    The format of `output` is that of its name: .parquet, .jsonl or .csv. Raises UserError for a file that cannot be
    read, lacks a column of the text, or has a column of the name of a prediction.
    """
    if output.exists():
        raise UserError(f"{output} exists already; remove it, or choose another --output")
    tables = [open_file(path, options) for path in paths]
    n_rows, types = read_columns(tables)
    text = choose_text(tables, types, options.text)
    for table in tables:
        print(f"{table.name} is {table.describe()}; text: {', '.join(map(repr, text))}")
    labels = model.classifier.labels
    new = {LABEL: pa.string()} | {f"probability_{label}": pa.float32() for label in labels}
    new |= {ABSTAINED: pa.bool_()} if options.threshold is not None else {}
    new |= dict.fromkeys(model_columns(model), pa.string())
    schema = output_schema(tables, types, new)
    write, join = FORMATS[output.suffix]

    folder = output.with_name(f".parts-{output.name}")
    files = source_fingerprint(Source("tables", output.name, files=tuple((path.name, path) for path in paths)))
    begin(folder, {"files": files, "options": asdict(options), "model": model_columns(model)})
    rejected, n_predicted, n_resumed = Counter[str](), 0, 0
    parts: list[Path] = []
    with (
        (folder / "rejects.csv").open("w", newline="", encoding="utf-8", errors="replace") as file,
        tqdm(total=n_rows, desc="  predictions", unit=" rows", leave=False, disable=None) as bar,
    ):
        rejects = csv.writer(file)
        rejects.writerow(["file", "row", "reason", "detail"])

        def reject(name: str, number: int, reason: str, detail: str) -> None:
            rejects.writerow([name, number, reason, detail])
            rejected[reason] += 1
            bar.update()

        usable = usable_rows(tables, text, reject)
        for rows in batches_of(usable, lambda row: len(row[0]), PART_ROWS, PART_LENGTH):
            part = folder / f"part-{len(parts):06}{output.suffix}"
            parts.append(part)
            n_predicted += len(rows)
            if part.exists():
                n_resumed += len(rows)
            else:
                predicted = predict_rows(rows, model, options.threshold)
                with written_beside(part) as beside:
                    write(beside, predicted, schema)
            bar.update(len(rows))
    with written_beside(output) as beside:
        join(parts, beside, schema)
        # Before the output is in its place: what is killed now continues, and has both.
        if rejected:
            shutil.copy(folder / "rejects.csv", rejects_of(output))
        else:
            rejects_of(output).unlink(missing_ok=True)
    shutil.rmtree(folder)
    return Result(n_predicted, n_resumed, rejected)


def rejects_of(output: Path) -> Path:
    return output.with_name(f"{output.name}.rejects.csv")


def open_file(path: Path, options: Options) -> Table:
    """A `.txt` file has a text per line, unless columns of it are named; so has a file that is no table."""
    if TXT.fullmatch(path.name) and not options.text:
        return open_texts(path, path.name, options.encoding)
    try:
        return open_table(path, path.name, options.encoding)
    except NotDelimited:
        return open_texts(path, path.name, options.encoding)


def read_columns(tables: Sequence[Table]) -> tuple[int, list[dict[str, pa.DataType]]]:
    """The number of all rows, and the types of the columns of each table: text, unless Parquet or Arrow says another.

    Objects of JSON may have keys that the first ones lack, so that all rows are read.
    """
    n_rows, result = 0, []
    for table in tables:
        types = column_types(table)
        names = dict.fromkeys(table.columns, pa.string())
        for row in read_table(table):
            n_rows += 1
            if not types and isinstance(row, Row):
                names.update(dict.fromkeys(row.values, pa.string()))
        result.append(types or names)
    return n_rows, result


def choose_text(
    tables: Sequence[Table], types: Sequence[dict[str, pa.DataType]], named: tuple[str, ...]
) -> tuple[str, ...]:
    """The columns of the text: those that are named, otherwise a guess. Raises UserError if a table lacks one."""
    text = named
    if not text:
        profiles = columns.profile(row.values for table in tables for row in read_table(table) if isinstance(row, Row))
        guess = columns.guess_text(profiles, label=None) if len(profiles) > 1 else next(iter(profiles), None)
        text = (guess,) if guess else ()
    for table, there in zip(tables, types, strict=True):
        if not text or not set(text) <= set(there):
            missing = ", ".join(map(repr, text)) if text else "that looks like texts"
            raise UserError(
                f"{table.name} has no column {missing}; name one of its columns with --text: {', '.join(there)}"
            )
    return text


def output_schema(
    tables: Sequence[Table], types: Sequence[dict[str, pa.DataType]], new: dict[str, pa.DataType]
) -> pa.Schema:
    """The columns of all files, and the new ones. One that has several types is text."""
    fields: dict[str, pa.DataType] = {}
    for table, of_table in zip(tables, types, strict=True):
        for name, type_ in of_table.items():
            if name in new:
                raise UserError(f"{table.name} has a column {name!r}, as the predictions have; rename it")
            fields[name] = type_ if fields.get(name, type_) == type_ else pa.string()
    return pa.schema(list((fields | new).items()))


def usable_rows(
    tables: Sequence[Table], text: tuple[str, ...], reject: Callable[[str, int, str, str], None]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield `(text, values)` of each row that has a text, and call `reject` with the others."""
    for table in tables:
        # Readers put a replacement character for bytes that are not valid, or in UTF-8 a surrogate.
        replaces = bool(table.encoding) and not str(table.encoding).lower().startswith("utf")
        for row in read_table(table):
            if isinstance(row, Reject):
                reject(table.name, row.number, row.reason, row.detail)
                continue
            values = [row.values.get(name) for name in text]
            # With their blanks, as the service and the logged model take them.
            joined = "\n".join(filter(None, (each if isinstance(each, str) else to_text(each) for each in values)))
            reason = (
                "no_text" if not joined.strip()
                else "bad_bytes" if replace_surrogates([joined]) != [joined] or (replaces and "\ufffd" in joined)
                else "long_text" if len(joined.encode()) > MAX_EXAMPLE_BYTES
                else None
            )  # fmt: skip
            if reason:
                reject(table.name, row.number, reason, joined[:200])
            else:
                yield joined, dict(row.values)


def model_columns(model: ServedModel) -> dict[str, str]:
    """What identifies the model, in each row: version, run and commit if it is registered, otherwise its digest."""
    names = {"model": "model_name", "version": "model_version", "run": "model_run", "commit": "model_commit"}
    registered = {column: model.source[name] for name, column in names.items() if name in model.source}
    return registered or {"model_digest": model.classifier.digest}


def predict_rows(
    rows: Sequence[tuple[str, dict[str, Any]]], model: ServedModel, threshold: float | None
) -> list[dict[str, Any]]:
    y_proba = model.classifier.predict_proba([text for text, _ in rows])
    labels, source = model.classifier.labels, model_columns(model)
    result = []
    for (_, values), probabilities in zip(rows, y_proba, strict=True):
        prediction: dict[str, Any] = {LABEL: labels[probabilities.argmax()]}
        prediction |= {f"probability_{label}": float(p) for label, p in zip(labels, probabilities, strict=True)}
        if threshold is not None:
            prediction[ABSTAINED] = bool(probabilities.max() < threshold)
        result.append(values | prediction | source)
    return result


# The folder of parts


def begin(folder: Path, plan: dict[str, Any]) -> None:
    """Make the folder of parts, without those of another plan."""
    path, text = folder / "plan.json", json.dumps(plan)
    if not path.exists() or path.read_text() != text:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        path.write_text(text)


# Formats: `write` a part from rows, and `join` parts


def write_parquet(path: Path, rows: Sequence[dict[str, Any]], schema: pa.Schema) -> None:
    texts = {field.name for field in schema if field.type == pa.string()}
    as_text = [{name: to_cell(value) if name in texts else value for name, value in row.items()} for row in rows]
    pq.write_table(pa.Table.from_pylist(as_text, schema), path, compression="zstd")


def join_parquet(parts: Iterable[Path], output: Path, schema: pa.Schema) -> None:
    with pq.ParquetWriter(output, schema, compression="zstd") as writer:
        for part in parts:
            writer.write_table(pq.read_table(part, schema=schema))


def write_json_lines(path: Path, rows: Sequence[dict[str, Any]], schema: pa.Schema) -> None:
    with path.open("w", encoding="utf-8", errors="replace") as file:
        for row in rows:
            finite = {name: None if is_infinite(value) else value for name, value in row.items()}
            file.write(f"{json.dumps(finite, ensure_ascii=False, default=json_default)}\n")


def is_infinite(value: Any) -> bool:
    """Whether JSON has no such number."""
    return isinstance(value, float) and not math.isfinite(value)


def json_default(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def join_json_lines(parts: Iterable[Path], output: Path, schema: pa.Schema) -> None:
    append(parts, output)


def append(parts: Iterable[Path], output: Path) -> None:
    with output.open("ab") as target:
        for part in parts:
            with part.open("rb") as file:
                shutil.copyfileobj(file, target)


def write_csv(path: Path, rows: Sequence[dict[str, Any]], schema: pa.Schema) -> None:
    with path.open("w", newline="", encoding="utf-8", errors="replace") as file:
        csv.writer(file).writerows([to_cell(row.get(name)) for name in schema.names] for row in rows)


def join_csv(parts: Iterable[Path], output: Path, schema: pa.Schema) -> None:
    with output.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerow(schema.names)
    append(parts, output)


def to_cell(value: Any) -> str | None:
    """A value as text; lists and objects as JSON."""
    if value is None:
        return None
    if isinstance(value, list | dict):
        value = json.dumps(value, ensure_ascii=False, default=json_default)
    text = value if isinstance(value, str) else to_text(value)
    return text.encode("utf-8", "replace").decode()


FORMATS = {
    ".parquet": (write_parquet, join_parquet),
    ".jsonl": (write_json_lines, join_json_lines),
    ".csv": (write_csv, join_csv),
}
