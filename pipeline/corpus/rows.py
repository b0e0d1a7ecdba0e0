"""From rows of tables to checked examples: which columns are read, and which rows cannot be used and why."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tqdm import tqdm

from pipeline.cli import UserError
from pipeline.corpus import columns
from pipeline.corpus.columns import Profile, to_text
from pipeline.corpus.encodings import has_bad_bytes
from pipeline.corpus.readers import MAX_DETAIL, Reject, Row, Table, open_table, read_table, split_of
from pipeline.corpus.sources import MAX_EXAMPLE_BYTES, MAX_EXAMPLES, MAX_TOTAL_BYTES, Source
from pipeline.params.fetch import Fetch

MAX_LABEL_LENGTH = 200  # characters
MAX_NAMES = 20  # of columns in a message
# Reasons why a row is rejected, as the reports say them.
REASONS = {
    "bad_bytes": "bytes that are not valid in the encoding",
    "broken_quotes": "broken quotes",
    "too_many_cells": "more cells than columns",
    "repeated_header": "a repetition of the header",
    "invalid_json": "invalid JSON",
    "no_object": "JSON that is not an object",
    "several_labels": "several labels",
    "no_label": "no label",
    "no_text": "no text",
    "long_label": f"a label of more than {MAX_LABEL_LENGTH} characters",
    "long_text": f"a text of more than {MAX_EXAMPLE_BYTES:,} bytes",
    "control_characters": "control characters",
    "unknown_split": "a split that is neither train, validation nor test",
    "duplicate_id": "an id that another row has",
    "rare_label": "a label with too few examples",
    "label_not_in_train": "a label that no training example has",
}


class Example(NamedTuple):
    id: str
    text: str
    label: str
    split: str  # train, validation or test
    file: str = ""  # of a table's row, as in RejectedRow
    row: int = 0


class RejectedRow(NamedTuple):
    file: str
    row: int  # the line of a text file, otherwise the number of the row
    reason: str  # a key of REASONS
    detail: str  # how the row or its text begins


@dataclass(frozen=True)
class Columns:
    """The columns that are read."""

    text: tuple[str, ...]
    label: str
    split: str | None
    id: str | None

    def describe(self) -> str:
        parts = [f"text {', '.join(map(repr, self.text))}", f"label {self.label!r}"]
        parts += [f"split {self.split!r}"] if self.split else []
        parts += [f"id {self.id!r}"] if self.id else []
        return ", ".join(parts)


def open_tables(source: Source, encoding: str | None) -> list[Table]:
    """Raises UserError for a file that cannot be read, or whose name cannot be printed."""
    for name, _ in source.files:
        if not name.isprintable():
            raise UserError(f"{source.name}: the name {name!r} contains an unprintable character; rename it")
    return [open_table(path, name, encoding) for name, path in source.files]


def profile_tables(tables: Sequence[Table]) -> dict[str, Profile]:
    """A profile of each column, over all rows of all tables."""
    values = (row.values for table in tables for row in read_table(table) if isinstance(row, Row))
    return columns.profile(tqdm(values, desc="  columns", unit=" rows", disable=None, leave=False))


def choose_columns(tables: Sequence[Table], config: Fetch) -> tuple[Columns, bool]:
    """The columns that section `fetch` names, a guess for those it does not; and whether text or label was guessed.

    Raises UserError if a file lacks a column, or none looks like texts or labels.
    """
    text = (config.text,) if isinstance(config.text, str) else tuple(config.text or ())
    label, split = config.label, config.split
    guessed = not text or label is None
    if guessed or split is None:
        profiles = profile_tables(tables)
        others = {name: each for name, each in profiles.items() if name not in text}
        label = label or next(iter(columns.label_candidates(others)), None)
        text = text or tuple(filter(None, [columns.guess_text(profiles, label)]))
        split = split or columns.guess_split(profiles, split_of)
    names = list_names(name for table in tables for name in table.columns)
    if label is None or not text:
        missing = "label" if text else "text"
        raise UserError(
            f"no column of {tables[0].name} looks like {missing}s; set fetch.{missing} to one of its columns: {names}"
        )
    chosen = Columns(text, label, split, config.id)
    if label in text:
        raise UserError(f"fetch.text and fetch.label are both {label!r}; name two columns of {names}")
    for table in tables:
        for key, name in [*(("text", name) for name in text), ("label", label), ("split", split), ("id", config.id)]:
            # Objects of JSON may lack a key, and the first ones may all do.
            if name and name not in table.columns and not (table.format.startswith("json") and key == "split"):
                raise UserError(
                    f"{table.name} has no column {name!r} (fetch.{key}); its columns are {list_names(table.columns)}"
                )
    return chosen, guessed


def list_names(names: Iterable[str]) -> str:
    distinct = list(dict.fromkeys(names))
    return ", ".join(distinct[:MAX_NAMES]) + (" ..." if len(distinct) > MAX_NAMES else "")


def read_checked(tables: Sequence[Table], chosen: Columns) -> Iterator[Example | RejectedRow]:
    """Yield every row of the tables as an example, or the reason why it cannot be used.

    The id is that of the column `fetch.id`, otherwise the line or number of the row, after the file's name if there are
    several. Raises UserError beyond the limits of a source.
    """
    n_rows = n_bytes = 0
    for table in tables:
        prefix = f"{table.name.partition('.')[0]}:" if len(tables) > 1 else ""
        for row in read_table(table):
            n_rows += 1
            if n_rows > MAX_EXAMPLES:
                raise UserError(f"{table.name}: the source has more than {MAX_EXAMPLES:,} rows; use a part of it")
            checked = to_example(row, table, chosen, prefix) if isinstance(row, Row) else row
            if isinstance(checked, Reject):
                detail = checked.detail[:MAX_DETAIL].encode("utf-8", "replace").decode()
                yield RejectedRow(table.name, checked.number, checked.reason, detail)
                continue
            n_bytes += len(checked.text.encode())
            if n_bytes > MAX_TOTAL_BYTES:
                raise UserError(
                    f"{table.name}: the source has more than {MAX_TOTAL_BYTES:,} bytes of text; use a part of it"
                )
            yield checked


def to_example(row: Row, table: Table, chosen: Columns, prefix: str) -> Example | Reject:
    """Check a row. Labels lose blanks at their ends and repeated ones; several text columns are joined by newlines."""
    text = "\n".join(filter(None, (to_text(row.values.get(name)) for name in chosen.text)))
    label = row.values.get(chosen.label)
    several = isinstance(label, list | tuple) and len(label) > 1
    label = " ".join(to_text(label).split())
    split: str | None = "train"
    if chosen.split and (value := to_text(row.values.get(chosen.split))):
        split = split_of(value)
    elif table.split:
        split = table.split
    id = " ".join(to_text(row.values.get(chosen.id)).split()) if chosen.id else ""
    reason = (
        "bad_bytes" if has_bad_bytes(text + label + id)
        else "several_labels" if several
        else "no_label" if not label
        else "no_text" if not text
        else "long_label" if len(label) > MAX_LABEL_LENGTH
        else "long_text" if len(text.encode()) > MAX_EXAMPLE_BYTES
        else "control_characters" if has_control_characters(text + label + id)
        else "unknown_split" if split is None
        else None
    )  # fmt: skip
    if reason or split is None:
        return Reject(row.number, reason or "", text or " ".join(filter(None, map(to_text, row.values.values()))))
    return Example(id or f"{prefix}{row.number}", text, label, split, table.name, row.number)


def has_control_characters(text: str) -> bool:
    """Whether there are control characters other than whitespace."""
    return not text.isprintable() and any(
        (character < " " or "\x7f" <= character <= "\x9f") and not character.isspace() for character in text
    )


def describe_rejects(counts: dict[str, int]) -> str:
    """`3 rows: no text; 1 row: broken quotes`, the most frequent reason first."""
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    return "; ".join(f"{count:,} {'row' if count == 1 else 'rows'}: {REASONS[reason]}" for reason, count in ordered)
