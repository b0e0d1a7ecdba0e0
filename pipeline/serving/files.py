"""Predictions for files of rows: the same rows, with the label and the probabilities that a model predicts.

Rows are read, predicted and written in parts of `PART_ROWS`, so that memory does not grow with their number. The parts
are in a folder beside the output until all of them are there. What is killed goes on after the last whole part if it is
started again with the same files, model and options; otherwise it starts anew.
"""

import csv
import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from pipeline.cli import UserError
from pipeline.corpus import columns
from pipeline.corpus.columns import to_text
from pipeline.corpus.readers import Reject, Row, Table, column_types, open_table, read_table
from pipeline.corpus.sources import MAX_EXAMPLE_BYTES
from pipeline.features.tokenizer import replace_surrogates
from pipeline.files import written_beside
from pipeline.serving.models import ServedModel

PART_ROWS = 4096
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
    tables = [open_table(path, path.name, options.encoding, may_be_texts=True) for path in paths]
    text = choose_text(tables, options.text)
    n_rows = sum(1 for table in tables for _ in read_table(table))
    labels = model.classifier.labels
    new = {LABEL: pa.string()} | {f"probability_{label}": pa.float32() for label in labels}
    new |= {ABSTAINED: pa.bool_()} if options.threshold is not None else {}
    new |= dict.fromkeys(model_columns(model), pa.string())
    schema = output_schema(tables, new)
    write, join = FORMATS[output.suffix]

    folder = output.with_name(f".parts-{output.name}")
    begin(folder, {"files": digests(paths), "options": asdict(options), "model": model_columns(model)})
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

        rows = usable_rows(tables, text, reject)
        while batch := [*islice(rows, PART_ROWS)]:
            part = folder / f"part-{len(parts):06}{output.suffix}"
            parts.append(part)
            n_predicted += len(batch)
            if part.exists():
                n_resumed += len(batch)
            else:
                predicted = predict_rows(batch, model, options.threshold)
                with written_beside(part) as beside:
                    write(beside, predicted, schema)
            bar.update(len(batch))
    with written_beside(output) as beside:
        join(parts, beside, schema)
    if rejected:
        shutil.move(folder / "rejects.csv", output.with_name(f"{output.name}.rejects.csv"))
    shutil.rmtree(folder)
    return Result(n_predicted, n_resumed, rejected)


def choose_text(tables: Sequence[Table], named: tuple[str, ...]) -> tuple[str, ...]:
    """The columns of the text: those that are named, otherwise a guess. Raises UserError if a table lacks one."""
    text = named
    if not text:
        profiles = columns.profile(row.values for table in tables for row in read_table(table) if isinstance(row, Row))
        guess = columns.guess_text(profiles, label=None) if len(profiles) > 1 else next(iter(profiles), None)
        text = (guess,) if guess else ()
    for table in tables:
        if not text or not set(text) <= set(table.columns):
            missing = f"no column {', '.join(map(repr, text))}" if text else "no column that looks like texts"
            raise UserError(
                f"{table.name} has {missing}; name one of its columns with --text: {', '.join(table.columns)}"
            )
    return text


def output_schema(tables: Sequence[Table], new: dict[str, pa.DataType]) -> pa.Schema:
    """The columns of all files, and the new ones. Those of Parquet and Arrow keep their type; others are text."""
    fields: dict[str, pa.DataType] = {}
    for table in tables:
        for name, type_ in column_types(table).items():
            if name in new:
                raise UserError(f"{table.name} has a column {name!r}, as the predictions have; rename it")
            fields[name] = type_ if fields.get(name, type_) == type_ else pa.string()
    return pa.schema(list((fields | new).items()))


def usable_rows(
    tables: Sequence[Table], text: tuple[str, ...], reject: Callable[[str, int, str, str], None]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield `(text, values)` of each row that has a text, and call `reject` with the others."""
    for table in tables:
        for row in read_table(table):
            if isinstance(row, Reject):
                reject(table.name, row.number, row.reason, row.detail)
                continue
            values = [row.values.get(name) for name in text]
            # With their blanks, as the service and the logged model take them.
            joined = "\n".join(filter(None, (each if isinstance(each, str) else to_text(each) for each in values)))
            reason = (
                "no_text" if not joined.strip()
                else "bad_bytes" if replace_surrogates([joined]) != [joined]
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


def digests(paths: Sequence[Path]) -> list[list[str]]:
    """The name and the sha256 of each file."""
    result = []
    for path in paths:
        with path.open("rb") as file:
            result.append([path.name, hashlib.file_digest(file, "sha256").hexdigest()])
    return result


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
        file.writelines(f"{json.dumps(row, ensure_ascii=False, default=str)}\n" for row in rows)


def join_json_lines(parts: Iterable[Path], output: Path, schema: pa.Schema) -> None:
    with output.open("wb") as target:
        for part in parts:
            with part.open("rb") as file:
                shutil.copyfileobj(file, target)


def write_csv(path: Path, rows: Sequence[dict[str, Any]], schema: pa.Schema) -> None:
    with path.open("w", newline="", encoding="utf-8", errors="replace") as file:
        csv.writer(file).writerows([to_cell(row.get(name)) for name in schema.names] for row in rows)


def join_csv(parts: Iterable[Path], output: Path, schema: pa.Schema) -> None:
    with output.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerow(schema.names)
    with output.open("ab") as target:
        for part in parts:
            with part.open("rb") as file:
                shutil.copyfileobj(file, target)


def to_cell(value: Any) -> str | None:
    """A value as text; lists and objects as JSON."""
    if value is None:
        return None
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, list | dict) else to_text(value)


FORMATS = {
    ".parquet": (write_parquet, join_parquet),
    ".jsonl": (write_json_lines, join_json_lines),
    ".csv": (write_csv, join_csv),
}
