"""Columns of a table: names, what is in them, and which are text and label if `params.yaml` does not say so."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

TEXT_NAMES = [
    *("text", "content", "review", "sentence", "message", "comment", "tweet", "body", "question", "utterance", "query"),
    *("document", "description", "post", "article", "sms", "email", "headline", "title", "phrase", "utt", "abstract"),
]
LABEL_NAMES = [
    *("label", "class", "category", "target", "intent", "sentiment", "emotion", "topic", "polarity", "labels", "y"),
    *("stars", "rating", "score", "tag", "type", "feeling", "genre", "language", "lang", "domain", "subject"),
]
SPLIT_COLUMNS = {"split", "set", "subset", "partition", "fold"}
MAX_DISTINCT = 10_000  # values counted per column
MAX_LABELS = 1000
NUMBER = re.compile(r"[-+]?\d+(\.\d+)?([eE][-+]?\d+)?")
FRACTION = re.compile(r"[-+]?\d*\.\d*[1-9]\d*")
# Scripts that are written without blanks between words.
UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")


@dataclass
class Profile:
    """What a column holds."""

    filled: int = 0
    characters: int = 0
    phrases: int = 0  # values of two words or more, or in a script without blanks
    numbers: int = 0
    fractions: int = 0
    values: Counter[str] = field(default_factory=Counter)  # of the first distinct values
    counted: int = 0  # rows that are in `values`

    def add(self, value: Any) -> None:
        text = to_text(value)
        if not text:
            return
        self.filled += 1
        self.characters += len(text)
        self.phrases += " " in text or bool(UNSPACED.search(text))
        self.numbers += bool(NUMBER.fullmatch(text))
        self.fractions += bool(FRACTION.fullmatch(text))
        if len(self.values) < MAX_DISTINCT:
            self.values[text[:200]] += 1
            self.counted += 1

    @property
    def mean_length(self) -> float:
        return self.characters / max(1, self.filled)

    @property
    def distinct(self) -> float:
        """The share of distinct values among those that were counted."""
        return len(self.values) / max(1, self.counted)


def to_text(value: Any) -> str:
    """A value as text: None is empty, a list's elements are joined, 1.0 is 1."""
    if value is None or (isinstance(value, float) and value != value):
        return ""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape").strip()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, list | tuple):
        return "\n".join(filter(None, map(to_text, value)))
    return str(value).strip()


def unique_names(cells: Sequence[str]) -> tuple[str, ...]:
    """The cells of a header as names; a cell that is empty or repeated is named by its position: `column3`."""
    names: list[str] = []
    for position, cell in enumerate(cells, 1):
        name = " ".join(cell.split())
        names.append(name if name and name not in names else f"column{position}")
    return tuple(names)


def has_header(records: Sequence[Sequence[str]]) -> bool:
    """Whether the first record names the columns.

    It does not if one of its cells is a number, or a repeated value of its column, as a label is.
    """
    first = [cell.strip() for cell in records[0]]
    rest = [[cell.strip() for cell in record] for record in records[1:]]
    if not rest or not any(first):
        return bool(any(first))
    later = [Counter(record[position] for record in rest if len(record) > position) for position in range(len(first))]
    filled = [(cell, counts) for cell, counts in zip(first, later, strict=True) if cell]
    again = {counts[cell] for cell, counts in filled}
    if any(name_rank(cell, [*TEXT_NAMES, *LABEL_NAMES, "id"]) is not None for cell in first):
        # Where several tables were joined, the whole header is repeated; a label may be called "question", too.
        return max(again) < 2 or len(again) == 1
    if max(again) > 0 or len({cell for cell, _ in filled}) < len(filled):
        return False
    if any(NUMBER.fullmatch(cell) for cell, _ in filled):
        return False
    repeated = any(len(counts) <= len(rest) / 2 for _, counts in filled)
    return all(len(cell) <= 40 and len(cell.split()) <= 4 for cell, _ in filled) and (repeated or len(rest) < 20)


def name_rank(name: str, names: Sequence[str]) -> int | None:
    """The position of a column's name in a list; names that hold one as a word come after equal ones."""
    words = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())
    if "".join(words) in names:
        return names.index("".join(words))
    if len(words) <= 3 and (ranks := [names.index(word) for word in words if word in names]):
        return len(names) + min(ranks)
    return None


def profile(rows: Iterable[Mapping[str, Any]]) -> dict[str, Profile]:
    profiles: dict[str, Profile] = {}
    for row in rows:
        for name, value in row.items():
            profiles.setdefault(name, Profile()).add(value)
    return profiles


def label_candidates(profiles: Mapping[str, Profile]) -> list[str]:
    """The columns that may hold labels: few values that repeat. The likeliest one is the first."""
    rows = max((each.filled for each in profiles.values()), default=0)
    candidates = [
        name
        for name, each in profiles.items()
        if each.filled > 0.5 * rows
        and 2 <= len(each.values) <= max(2, min(MAX_LABELS, rows / 2))
        and each.mean_length <= 60
        and each.fractions <= 0.1 * each.filled
    ]
    order = list(profiles)

    def likelihood(name: str) -> tuple:
        # A name that says so; few values, words before numbers, and the column at the edge.
        rank, each, position = name_rank(name, LABEL_NAMES), profiles[name], order.index(name)
        edge = min(position, len(order) - 1 - position)
        return (
            rank is None, rank or 0, len(each.values) > 50, each.numbers > 0.5 * each.filled, edge, len(each.values)
        )  # fmt: skip

    return sorted(candidates, key=likelihood)


def guess_text(profiles: Mapping[str, Profile], label: str | None) -> str | None:
    """The column of texts: phrases that are long and differ; a name that says so counts four times."""
    rows = max((each.filled for each in profiles.values()), default=0)

    def score(name: str) -> float:
        each = profiles[name]
        named = name_rank(name, TEXT_NAMES)
        weight = 4 if named is not None and named < len(TEXT_NAMES) else 2 if named is not None else 1
        return weight * each.mean_length * each.distinct * (0.05 + each.phrases / max(1, each.filled))

    candidates = [
        name
        for name, each in profiles.items()
        if name != label and each.filled > 0.3 * rows and each.numbers < 0.5 * each.filled
    ]
    return max(candidates, key=score, default=None)


def guess_split(profiles: Mapping[str, Profile], is_split: Any) -> str | None:
    """The column whose name says that it holds splits, if all its values are some."""
    for name, each in profiles.items():
        if name.strip().lower() in SPLIT_COLUMNS and 2 <= len(each.values) <= 5 and all(map(is_split, each.values)):
            return name
    return None
