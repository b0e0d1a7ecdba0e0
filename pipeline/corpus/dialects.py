"""Delimited text (CSV, TSV and the like): its dialect, and its records with their line numbers.

The module csv of Python parses the records, because it knows the line of each and can go on after a broken one. Which
dialect fits is decided by how many records then have the same number of cells.
"""

import csv
import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from pipeline.cli import UserError

DELIMITERS = "\t,;|^~\x01"  # of dialects that fit equally well, the first one is taken
SAMPLE_RECORDS = 1000
MAX_RECORD = 1 << 22  # characters
BROKEN_QUOTES = "broken_quotes"


class NotDelimited(UserError):
    """A text file whose lines no delimiter splits into columns."""


@dataclass(frozen=True)
class Dialect:
    delimiter: str
    quoted: bool  # whether " encloses cells
    escaped: bool = False  # whether \\" is a quote within a cell, instead of ""
    padded: bool = False  # whether blanks follow the delimiter before a quote

    def describe(self) -> str:
        name = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "pipe"}.get(self.delimiter, repr(self.delimiter))
        return f"delimiter {name}, {'quoted' if self.quoted else 'no quotes'}"


@dataclass(frozen=True)
class Record:
    """The cells of a record and the line that it begins in; a record that cannot be parsed has none.

    `source` is the line of a record with broken quotes.
    """

    number: int
    cells: list[str] | None
    source: str


class Feed:
    """Lines for `csv.reader`, which remembers those of the current record so that they can be read again."""

    def __init__(self, lines: Iterable[tuple[int, str]]) -> None:
        self.lines, self.again = iter(lines), deque[tuple[int, str]]()
        self.taken: list[tuple[int, str]] = []
        self.size = 0

    def __iter__(self) -> "Feed":
        return self

    def __next__(self) -> str:
        line = self.again.popleft() if self.again else next(self.lines)
        self.taken.append(line)
        self.size += len(line[1])
        if self.size > MAX_RECORD:
            raise csv.Error("the record is too long")
        return line[1]

    def start_record(self) -> None:
        self.taken, self.size = [], 0


def read_records(lines: Iterable[tuple[int, str]], dialect: Dialect) -> Iterator[Record]:
    """Parse the lines. After a record with broken quotes, parsing goes on in the line after its first one."""
    csv.field_size_limit(MAX_RECORD)
    feed = Feed(lines)
    reader = new_reader(feed, dialect)
    while True:
        feed.start_record()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            # A quote that is not closed runs on until another one: only its own line is at fault.
            first, *rest = feed.taken
            feed.again.extendleft(reversed(rest))
            reader = new_reader(feed, dialect)
            yield Record(first[0], split_at_quotes(first[1], dialect) if dialect.quoted else None, first[1])
            continue
        if cells:
            yield Record(feed.taken[0][0], cells, "")


def split_at_quotes(line: str, dialect: Dialect) -> list[str] | None:
    """The cells of a line with quotes that should have been doubled, `"say "hi" to me",a`.

    A cell that begins with a quote ends with the first one before a delimiter or the end. None if a cell has no end.
    """
    line, edge = line.rstrip("\r\n"), re.escape(dialect.delimiter)
    cell = re.compile(rf' *"(.*?)"(?={edge}|$)|([^"{edge}][^{edge}]*|)(?={edge}|$)', re.DOTALL)
    cells, position = [], 0
    while match := cell.match(line, position):
        cells.append(match[2] if match[1] is None else match[1].replace('""', '"'))
        position = match.end() + 1
        if position > len(line):
            return cells
    return None


def new_reader(feed: Feed, dialect: Dialect) -> Iterator[list[str]]:
    return csv.reader(
        feed,
        delimiter=dialect.delimiter,
        quoting=csv.QUOTE_MINIMAL if dialect.quoted else csv.QUOTE_NONE,
        quotechar='"' if dialect.quoted else None,
        doublequote=not dialect.escaped,
        escapechar="\\" if dialect.escaped else None,
        skipinitialspace=dialect.padded,
        strict=True,
    )


def detect_dialect(lines: list[tuple[int, str]], name: str) -> Dialect:
    """The dialect in which the most records have the same number of cells, two or more.

    Raises NotDelimited if none splits most lines into two cells or more.
    """
    text = "".join(line for _, line in lines)
    best, best_score = None, 0.0
    for delimiter in DELIMITERS:
        if delimiter not in text:
            continue
        edge = re.escape(delimiter)
        padded = bool(re.search(rf'{edge} +"', text)) and not re.search(rf'{edge}"', text)
        quoted = Dialect(delimiter, quoted=True, padded=padded)
        begun = len(re.findall(rf'(?m)(?:^|{edge}) *"', text))
        ended = len(re.findall(rf'(?m)(?:^|{edge}) *"[^\r\n]*?" *(?={edge}|[\r\n]|$)', text))
        dialects = [quoted] if begun else []
        dialects += [replace(quoted, escaped=True)] if begun and '\\"' in text else []
        # Where nearly all quotes that begin a cell have one that ends it, they enclose cells.
        dialects += [Dialect(delimiter, quoted=False)] if not begun or ended < 0.9 * begun else []
        for dialect in dialects:
            score = consistency(lines, dialect)
            if score > best_score + 0.005:
                best, best_score = dialect, score
    if best is None or best_score < 0.3:
        raise NotDelimited(
            f"{name} is not a table: neither comma, tab, semicolon nor | splits its lines into columns; "
            "check that it is a CSV, TSV, JSON or Parquet file"
        )
    return best


def consistency(lines: list[tuple[int, str]], dialect: Dialect) -> float:
    """The share of records with the most frequent number of cells, half for broken quotes; 0 if that is one cell."""
    records = list(read_records(iter(lines), dialect))
    if len(lines) >= SAMPLE_RECORDS:
        records = records[:-1]  # cut by the end of the sample
    counts = Counter(len(record.cells) for record in records if record.cells is not None)
    if not counts:
        return 0.0
    cells = counts.most_common(1)[0][0]
    broken = sum(bool(record.source) for record in records if record.cells is not None and len(record.cells) == cells)
    return (counts[cells] - 0.5 * broken) / len(records) if cells > 1 else 0.0
