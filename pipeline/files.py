"""Files of the pipeline: written so that each is whole or not there, and read with a sentence about a damaged one.

Each is written beside its place and moved there. DVC may have put a link to its cache in the place of an output
(`cache.type` symlink or hardlink). A file that is moved there replaces the link; one that is written there would
overwrite the cache.
"""

import csv
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.cli import UserError

# What readers of JSON, CSV, Parquet and UTF-8 raise for content that they do not understand.
DAMAGED = (ValueError, TypeError, KeyError, OSError, csv.Error)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Raise UserError, which names the file, if the block fails because its content is damaged."""
    try:
        yield
    except DAMAGED as error:
        if isinstance(error, OSError) and error.filename:  # missing, or not allowed to be read
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path} is damaged ({reason[:200]}); remove it, and `dvc repro` restores it") from None


def read_json(path: Path) -> Any:
    """Raises UserError if the file is damaged."""
    with reading(path):
        return json.loads(path.read_text(encoding="utf-8"))


def read_csv(path: Path) -> list[dict[str, str]]:
    """The rows of a table. Raises UserError if the file is damaged."""
    with reading(path), path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@contextmanager
def written_beside(path: Path) -> Iterator[Path]:
    """Yield a path in the folder of `path` to write to, and move that file to `path` if the block ends without error.

    Makes the folder. After an error, `path` is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".unfinished-{path.name}")  # the suffix stays: it may choose the format
    try:
        yield beside
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    with written_beside(path) as beside:
        beside.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write as UTF-8, with line endings as they are."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any, **options: Any) -> None:
    """Write as JSON, indented by two unless `options` of `json.dumps` say otherwise, with a line ending."""
    write_text(path, json.dumps(value, **{"indent": 2} | options) + "\n")


def write_csv(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows that all have the columns of the first one; without a row, an empty file."""
    rows = iter(rows)
    first = next(rows, None)
    with written_beside(path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        if first is not None:
            writer = csv.DictWriter(file, first)
            writer.writeheader()
            writer.writerow(first)
            writer.writerows(rows)
