"""Readers on inputs that hypothesis makes up: rows, each with a reason if it is rejected, or an error of one sentence.

`FUZZ=100000 pytest tests/corpus/test_readers_fuzz.py` tries more inputs of each kind.
"""

import csv
import gzip
import io
import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import params
from pipeline.cli import UserError
from pipeline.corpus.readers import Row, open_table, read_table
from pipeline.corpus.rows import REASONS, Example, RejectedRow, choose_columns, read_checked

CONFIG = params.load(Path(__file__).parent.parent / "params.yaml").fetch
fuzz = settings(
    max_examples=int(os.environ.get("FUZZ", "150")),
    deadline=None,
    derandomize="FUZZ" not in os.environ,  # the same inputs in every run of the tests
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

# What a file may begin with so that it is taken for one format or another, and the pieces of the formats.
STARTS = [b"", b"PAR1", b"ARROW1\0\0", b"\xff\xff\xff\xff", b"PK\x03\x04", b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh9"]
STARTS += [b"\xfd7zXZ\0", b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf", b"[", b"[{", b"{", b"__label__", b"sep=;\n"]
PIECES = [
    b'"',
    b'""',
    b",",
    b"\t",
    b";",
    b"|",
    b"\n",
    b"\r\n",
    b"\r",
    b"\\",
    b"\0",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b"a b",
]
PIECES += [
    b"text",
    b"label",
    b"1",
    b"-1e999",
    b"null",
    b'"text":',
    b"\xe9",
    "é".encode(),
    "房".encode(),
    b"\xed\xa0\x80",
]
texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=30)
rows = st.lists(st.tuples(st.sampled_from(["a", "b", "ü c"]), texts), min_size=3, max_size=12)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rows"


def read(path: Path) -> list[Example | RejectedRow] | str:
    """The rows, or the message of the error."""
    try:
        table = open_table(path, "rows")
        chosen, _ = choose_columns([table], CONFIG)
        return list(read_checked([table], chosen))
    except UserError as error:
        return str(error)


def check(path: Path) -> None:
    checked = read(path)
    if isinstance(checked, str):
        assert checked.startswith(("rows ", "rows:", "no column of rows "))
        assert "\n" not in checked
        return
    for row in checked:
        if isinstance(row, RejectedRow):
            assert row.reason in REASONS
            row.detail.encode()
        else:
            assert row.text.strip()
            assert row.label.strip()
            (row.id + row.text + row.label).encode()
    numbers = [row.row for row in checked]
    assert numbers == sorted(numbers)


@fuzz
@given(start=st.sampled_from(STARTS), pieces=st.lists(st.sampled_from(PIECES) | st.binary(max_size=6), max_size=60))
def test_any_bytes_give_rows_or_one_sentence(path: Path, start: bytes, pieces: list[bytes]) -> None:
    path.write_bytes(start + b"".join(pieces))

    check(path)


@fuzz
@given(pieces=st.lists(st.sampled_from(PIECES), max_size=60), cut=st.integers(0, 200))
def test_compressed_bytes_that_are_cut_give_rows_or_one_sentence(path: Path, pieces: list[bytes], cut: int) -> None:
    content = gzip.compress(b"".join(pieces))
    path.write_bytes(content[: max(1, len(content) - cut)])

    check(path)


@fuzz
@given(
    rows=rows,
    delimiter=st.sampled_from(",;\t|"),
    end=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_csv_that_was_written_by_a_library_is_read_as_it_was(
    path: Path, rows: list[tuple[str, str]], delimiter: str, end: str, encoding: str
) -> None:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL).writerows(
        [("label", "text"), *rows]
    )
    path.write_bytes(buffer.getvalue().encode(encoding))

    found = list(read_table(open_table(path, "rows")))

    assert [tuple(row.values.values()) for row in found if isinstance(row, Row)] == rows


@fuzz
@given(rows=rows, as_lines=st.booleans(), ascii_only=st.booleans(), indent=st.sampled_from([None, 1]))
def test_json_is_read_as_it_was_written(
    path: Path, rows: list[tuple[str, str]], as_lines: bool, ascii_only: bool, indent: int | None
) -> None:
    objects = [{"text": text, "label": label} for label, text in rows]
    if as_lines:
        content = "".join(json.dumps(each, ensure_ascii=ascii_only) + "\n" for each in objects)
    else:
        content = json.dumps(objects, ensure_ascii=ascii_only, indent=indent)
    path.write_text(content, encoding="utf-8", newline="")
    table = open_table(path, "rows")

    chosen, _ = choose_columns([table], CONFIG.model_copy(update={"text": "text", "label": "label"}))
    checked = list(read_checked([table], chosen))

    kept = [(row.label, row.text) for row in checked if isinstance(row, Example)]
    assert kept == [(label, text.strip()) for label, text in rows if text.strip()]
    assert len(checked) == len(rows)
