"""Tables: what is written is read again, in batches."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.corpus import tables


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    rows = [
        {"id": "train/a/0.txt", "tokens": [3, 1, 2], "ends": [1, 2, 4], "characters": b"a\x00\xff\n", "label": 0},
        {"id": "train/a/1.txt", "tokens": [2**31 - 1], "ends": [0], "characters": b"", "label": 1},
    ]

    tables.write_table(tmp_path / "ids.parquet", tables.IDS_SCHEMA, rows)

    (batch,) = tables.read_batches(tmp_path / "ids.parquet", ["id", "tokens", "ends", "characters", "label"])
    assert [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)] == rows


def test_a_table_larger_than_a_batch_is_read_in_batches_and_in_order(tmp_path: Path) -> None:
    texts = [f"text {number}" for number in range(2 * tables.BATCH_ROWS + 1)]

    tables.write_table(tmp_path / "t.parquet", tables.SPLIT_SCHEMA, ({"id": t, "text": t, "label": "a"} for t in texts))

    batches = list(tables.read_batches(tmp_path / "t.parquet", ["text"]))
    assert [len(batch["text"]) for batch in batches] == [tables.BATCH_ROWS, tables.BATCH_ROWS, 1]
    assert tables.read_column(tmp_path / "t.parquet", "text") == texts


def test_long_rows_are_in_smaller_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "BATCH_LENGTH", 1000)
    texts = ["x" * length for length in (10, 990, 2000, 3, 500, 400, 100)]

    tables.write_table(tmp_path / "t.parquet", tables.RAW_SCHEMA, ({"id": "", "text": t, "label": ""} for t in texts))

    batches = [batch["text"] for batch in tables.read_batches(tmp_path / "t.parquet", ["text"])]
    assert [[len(text) for text in batch] for batch in batches] == [[10, 990], [2000], [3, 500, 400, 100]]


def test_rows_are_asked_for_only_as_they_are_written(tmp_path: Path) -> None:
    ahead = []

    def rows():
        for number in range(2 * tables.BATCH_ROWS):
            ahead.append(sum(file.stat().st_size for file in tmp_path.iterdir()))
            yield {"id": str(number), "text": "", "label": ""}

    tables.write_table(tmp_path / "t.parquet", tables.SPLIT_SCHEMA, rows())

    assert ahead[-1] > ahead[0]  # the first batch was on disk before the last row was made


def test_rows_have_the_schemas_columns_in_its_order_beyond_a_batch(tmp_path: Path) -> None:
    names = [str(number) for number in range(tables.BATCH_ROWS + 1)]
    rows = ({"id": name, "text": f"text {name}", "label": "a", "fingerprint": name.encode()} for name in names)
    tables.write_table(tmp_path / "t.parquet", tables.SPLIT_SCHEMA, rows)
    reversed_order = pa.schema([tables.FINGERPRINT_SCHEMA.field(name) for name in ("fingerprint", "id")])

    assert [*tables.read_rows(tmp_path / "t.parquet", tables.FINGERPRINT_SCHEMA)] == [
        (name, name.encode()) for name in names
    ]
    assert next(tables.read_rows(tmp_path / "t.parquet", reversed_order)) == (b"0", "0")


def test_an_empty_table_has_no_rows(tmp_path: Path) -> None:
    tables.write_table(tmp_path / "t.parquet", tables.FINGERPRINT_SCHEMA, [])

    assert [*tables.read_rows(tmp_path / "t.parquet", tables.FINGERPRINT_SCHEMA)] == []


@pytest.mark.parametrize(
    "ask",
    [
        lambda path: tables.read_column(path, "id"),
        lambda path: list(tables.read_rows(path, tables.FINGERPRINT_SCHEMA)),
        lambda path: list(tables.read_batches(path, ["id"])),
        tables.open_parquet,
    ],
    ids=["column", "rows", "read", "parquet"],
)
def test_a_missing_file_is_named(tmp_path: Path, ask: Callable[[Path], object]) -> None:
    with pytest.raises(FileNotFoundError) as error:
        ask(tmp_path / "missing.parquet")

    # The sentence that a stage ends with is made of it.
    assert str(error.value.filename) == str(tmp_path / "missing.parquet")


def test_an_empty_table_keeps_its_columns(tmp_path: Path) -> None:
    tables.write_table(tmp_path / "t.parquet", tables.SPLIT_SCHEMA, [])

    assert tables.read_column(tmp_path / "t.parquet", "text") == []


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    rows = [{"id": str(number), "text": "text", "label": "a"} for number in range(10)]

    for name in ("one", "other"):
        tables.write_table(tmp_path / name, tables.SPLIT_SCHEMA, rows)

    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_a_value_of_the_wrong_type_is_rejected(tmp_path: Path) -> None:
    with pytest.raises((pa.ArrowTypeError, pa.ArrowInvalid)):
        tables.write_table(tmp_path / "t.parquet", tables.IDS_SCHEMA, [{"id": "a", "tokens": ["b"], "label": 0}])
