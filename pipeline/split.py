"""Stage 2, split: the table of posts becomes train, validation and test, and no post is in two of them.

    python -m pipeline.split

A corpus that brings a test split keeps it; else a stratified one is made. Duplicates are dropped: a post whose twin or
near copy is in test leaves training, never the other way round. `reports/split.json` says what was done.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from sklearn.model_selection import train_test_split

from pipeline import cli, params
from pipeline.cli import UserError
from pipeline.corpus import near_duplicates, tables

POSTS = Path("data/raw/examples.parquet")
MANIFEST = Path("data/raw/manifest.json")
OUT = Path("data/split")
REPORT = Path("reports/split.json")
TRAIN, VALIDATION, TEST, DROPPED = "train", "validation", "test", "dropped"


def main() -> None:
    section = params.load().split
    labels: list[str] = []
    roles: list[str] = []
    digests: list[bytes] = []
    fingerprints: list[bytes] = []
    for batch in tables.read_batches(POSTS, ["text", "label", "split"]):
        labels += batch["label"]
        roles += batch["split"]
        # Case and blanks make no other post: the tokenizer does not see them either.
        texts = [" ".join(text.lower().split()) for text in batch["text"]]
        digests += [hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts]
        fingerprints += map(
            near_duplicates.fingerprint, cli.progress_bar("looking for near copies", batch["text"], "posts")
        )

    dropped = drop_duplicates(roles, labels, digests)
    require_all(labels, roles)
    own_test = TEST in roles
    if not own_test:
        draw(roles, labels, TEST, section.test_size, section.seed)
    dropped["nearly_in_test_too"] = drop_near_copies(roles, fingerprints)
    require_all(labels, roles)
    draw(roles, labels, VALIDATION, section.validation_size, section.seed)

    OUT.mkdir(parents=True, exist_ok=True)
    for role in (TRAIN, VALIDATION, TEST):
        tables.write_table(OUT / f"{role}.parquet", tables.SPLIT_SCHEMA, rows_of(role, roles, fingerprints))
    corpus = json.loads(MANIFEST.read_text())
    report: dict = {
        "corpus": {name: corpus[name] for name in ("source", "sample", "digest", "licence")},
        "test": "the corpus's own" if own_test else "drawn, stratified",
        "posts": {role: roles.count(role) for role in (TRAIN, VALIDATION, TEST)},
        "labels": {
            role: dict(sorted(Counter(l for l, r in zip(labels, roles, strict=True) if r == role).items()))
            for role in (TRAIN, VALIDATION, TEST)
        },
        "duplicates_dropped": dropped,
    }
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=2) + "\n")
    sizes = ", ".join(f"{count:,} {role}" for role, count in report["posts"].items())
    print(f"split: {sizes}; {sum(dropped.values()):,} duplicates and near copies dropped")


def drop_duplicates(roles: list[str], labels: list[str], digests: list[bytes]) -> dict[str, int]:
    """Mark in `roles` all but one of the posts with the same text; test keeps its copy, else the first one stays.

    Where the copies in training do not agree on the label, nobody knows which is right and none of them stays.
    Gives how many posts were dropped, and why.
    """
    count = Counter[str]({"in_test_too": 0, "twice_in_test": 0, "twice_in_train": 0, "labels_disagree": 0})
    in_test: set[bytes] = set()
    for row, digest in enumerate(digests):
        if roles[row] == TEST:
            if digest in in_test:
                roles[row] = DROPPED
                count["twice_in_test"] += 1
            in_test.add(digest)
    label_of: dict[bytes, str] = {}
    disputed: set[bytes] = set()
    for row, digest in enumerate(digests):
        if roles[row] == TRAIN and label_of.setdefault(digest, labels[row]) != labels[row]:
            disputed.add(digest)
    seen: set[bytes] = set()
    for row, digest in enumerate(digests):
        if roles[row] != TRAIN:
            continue
        why = (
            "in_test_too" if digest in in_test
            else "labels_disagree" if digest in disputed
            else "twice_in_train" if digest in seen
            else None
        )  # fmt: skip
        if why:
            roles[row] = DROPPED
            count[why] += 1
        seen.add(digest)
    return dict(count)


def drop_near_copies(roles: list[str], fingerprints: list[bytes]) -> int:
    """Mark in `roles` the training posts that are nearly the same as one in test; gives how many."""
    test, train = ([row for row, now in enumerate(roles) if now == role] for role in (TEST, TRAIN))
    near = near_duplicates.find_near_duplicates(
        (fingerprints[row] for row in test), (fingerprints[row] for row in train)
    )
    rows = [train[place] for place, _, _ in near]
    for row in rows:
        roles[row] = DROPPED
    return len(rows)


def require_all(labels: list[str], roles: list[str]) -> None:
    """Raises Stop where a label has no training post left."""
    if lost := sorted(set(labels) - {label for label, role in zip(labels, roles, strict=True) if role == TRAIN}):
        raise UserError(f"no training post labelled {lost[0]} is left without its duplicates; give other posts of it")


def draw(roles: list[str], labels: list[str], role: str, share: float, seed: int) -> None:
    """Give `share` of the training posts another role, stratified by label."""
    rows = np.array([row for row, now in enumerate(roles) if now == TRAIN])
    try:
        _, drawn = train_test_split(rows, test_size=share, stratify=[labels[row] for row in rows], random_state=seed)
    except ValueError as error:
        raise UserError(
            f"{len(rows):,} training posts are too few to draw {share:.0%} of them for {role}, stratified by label "
            f"({error}); give more posts, or another split.{role}"
        ) from None
    for row in drawn:
        roles[row] = role


def rows_of(role: str, roles: list[str], fingerprints: list[bytes]) -> Iterator[dict]:
    """The posts with this role, with their fingerprints."""
    row = 0
    for batch in tables.read_batches(POSTS, ["id", "text", "label"]):
        for id, text, label in zip(batch["id"], batch["text"], batch["label"], strict=True):
            if roles[row] == role:
                yield {"id": id, "text": text, "label": label, "fingerprint": fingerprints[row]}
            row += 1


if __name__ == "__main__":
    cli.run(main)
