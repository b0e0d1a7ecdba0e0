"""Stage 2, split: split the examples into train, validation and test, with no example in two of them.

    python -m pipeline.split

A corpus that has a test split keeps it; otherwise a stratified one is drawn. Duplicates are dropped: an example whose
duplicate or near-duplicate is in test leaves training, never the other way round. `reports/split.json` records the
sizes and what was dropped.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.model_selection import train_test_split

from pipeline import cli, params
from pipeline.cli import UserError
from pipeline.corpus import near_duplicates, tables
from pipeline.files import read_json, write_json

EXAMPLES = Path("data/raw/examples.parquet")
MANIFEST = Path("data/raw/manifest.json")
OUT = Path("data/split")
REPORT = Path("reports/split.json")
TRAIN, VALIDATION, TEST, DROPPED = "train", "validation", "test", "dropped"
SPLITS = (TRAIN, VALIDATION, TEST)


@dataclass
class Examples:
    """What the split is decided by, one entry per row of the table."""

    labels: list[str]
    splits: list[str]  # train, validation, test or dropped; changed in place
    hashes: list[bytes]  # of the normalized texts: equal for duplicates
    fingerprints: list[bytes]


def main() -> None:
    config = params.load().split
    examples = read_examples()
    dropped = drop_duplicates(examples)
    require_all_labels(examples)
    has_own_test = TEST in examples.splits
    if not has_own_test:
        draw(examples, TEST, config.test_size, config.seed)
    dropped["near_duplicate_of_test"] = drop_near_duplicates(examples)
    require_all_labels(examples)
    draw(examples, VALIDATION, config.validation_size, config.seed)

    for split in SPLITS:
        tables.write_table(OUT / f"{split}.parquet", tables.SPLIT_SCHEMA, rows_of_split(split, examples))
    report = make_report(examples, dropped, has_own_test)
    write_json(REPORT, report)
    sizes = ", ".join(f"{count:,} {split}" for split, count in report["examples"].items())
    print(f"split: {sizes}; {sum(dropped.values()):,} duplicates and near-duplicates dropped")


def read_examples() -> Examples:
    """Labels, splits, hashes and fingerprints of all examples; the texts themselves are not kept in memory."""
    examples = Examples([], [], [], [])
    for batch in tables.read_batches(EXAMPLES, ["text", "label", "split"]):
        examples.labels += batch["label"]
        examples.splits += batch["split"]
        # Texts that differ only by case and whitespace are duplicates: the tokenizer ignores both, too.
        normalized = [" ".join(text.lower().split()) for text in batch["text"]]
        examples.hashes += [hashlib.blake2b(text.encode(), digest_size=16).digest() for text in normalized]
        texts = cli.progress_bar("fingerprints", batch["text"], "examples")
        examples.fingerprints += map(near_duplicates.fingerprint, texts)
    return examples


def drop_duplicates(examples: Examples) -> dict[str, int]:
    """Drop all but one of the examples with the same text: the one in test if there is one, otherwise the first.

    Where duplicates in training have different labels, nobody knows which is correct and all of them are dropped.
    Returns how many were dropped, by reason.
    """
    count = Counter[str](
        {"duplicate_of_test": 0, "duplicate_in_test": 0, "duplicate_in_train": 0, "conflicting_labels": 0}
    )
    test_hashes: set[bytes] = set()
    for row, text_hash in enumerate(examples.hashes):
        if examples.splits[row] == TEST:
            if text_hash in test_hashes:
                examples.splits[row] = DROPPED
                count["duplicate_in_test"] += 1
            test_hashes.add(text_hash)
    label_of: dict[bytes, str] = {}
    conflicting: set[bytes] = set()
    for row, text_hash in enumerate(examples.hashes):
        label = examples.labels[row]
        if examples.splits[row] == TRAIN and label_of.setdefault(text_hash, label) != label:
            conflicting.add(text_hash)
    seen: set[bytes] = set()
    for row, text_hash in enumerate(examples.hashes):
        if examples.splits[row] != TRAIN:
            continue
        reason = (
            "duplicate_of_test" if text_hash in test_hashes
            else "conflicting_labels" if text_hash in conflicting
            else "duplicate_in_train" if text_hash in seen
            else None
        )  # fmt: skip
        if reason:
            examples.splits[row] = DROPPED
            count[reason] += 1
        seen.add(text_hash)
    return dict(count)


def drop_near_duplicates(examples: Examples) -> int:
    """Drop the training examples that are near-duplicates of a test example; returns how many."""
    test, train = ([row for row, split in enumerate(examples.splits) if split == name] for name in (TEST, TRAIN))
    found = near_duplicates.find_near_duplicates(
        (examples.fingerprints[row] for row in test), (examples.fingerprints[row] for row in train)
    )
    rows = [train[position] for position, _, _ in found]
    for row in rows:
        examples.splits[row] = DROPPED
    return len(rows)


def require_all_labels(examples: Examples) -> None:
    """Raises UserError if a label has no training example left."""
    remaining = {label for label, split in zip(examples.labels, examples.splits, strict=True) if split == TRAIN}
    if missing := sorted(set(examples.labels) - remaining):
        raise UserError(
            f"no training example with the label {missing[0]} is left after duplicates were dropped; add examples of it"
        )


def draw(examples: Examples, split: str, share: float, seed: int) -> None:
    """Move `share` of the training examples to another split, stratified by label."""
    rows = np.array([row for row, name in enumerate(examples.splits) if name == TRAIN])
    labels = [examples.labels[row] for row in rows]
    try:
        _, drawn = train_test_split(rows, test_size=share, stratify=labels, random_state=seed)
    except ValueError as error:
        raise UserError(
            f"{len(rows):,} training examples are too few to draw {share:.0%} of them for {split}, stratified by label "
            f"({error}); add examples, or change split.{split}_size"
        ) from None
    for row in drawn:
        examples.splits[row] = split


def rows_of_split(split: str, examples: Examples) -> Iterator[dict]:
    """The rows of a split's table, with their fingerprints."""
    row = 0
    for batch in tables.read_batches(EXAMPLES, ["id", "text", "label"]):
        for id, text, label in zip(batch["id"], batch["text"], batch["label"], strict=True):
            if examples.splits[row] == split:
                yield {"id": id, "text": text, "label": label, "fingerprint": examples.fingerprints[row]}
            row += 1


def make_report(examples: Examples, dropped: dict[str, int], has_own_test: bool) -> dict:
    """The content of `reports/split.json`."""
    corpus = read_json(MANIFEST)
    label_counts: dict[str, Counter[str]] = {split: Counter() for split in (*SPLITS, DROPPED)}
    for label, split in zip(examples.labels, examples.splits, strict=True):
        label_counts[split][label] += 1
    return {
        "corpus": {name: corpus[name] for name in ("source", "sample", "digest", "licence")},
        "test": "from the corpus" if has_own_test else "drawn, stratified",
        "examples": {split: label_counts[split].total() for split in SPLITS},
        "label_counts": {split: dict(sorted(label_counts[split].items())) for split in SPLITS},
        "duplicates_dropped": dropped,
        "rejected": corpus["rejected"],
    }


if __name__ == "__main__":
    cli.run(main)
