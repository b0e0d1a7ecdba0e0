"""Fingerprints: the same everywhere and always, and near copies are found by them, and nothing else."""

import hashlib
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.corpus import near_duplicates, tables
from pipeline.corpus.near_duplicates import fingerprint

ROOT = Path(__file__).parent.parent.parent
# Thirty-one words and marks; with another one in the middle, 26 of the 32 runs that either has are in both.
POST = (
    "i want to sort a dict by its values in python but sorted only gives me the keys , "
    "what is the shortest way to keep both of them together ?"
)
COPY = POST.replace("gives", "returns")
TRUE_SHARE = 26 / 32
OTHER = "how can a thread wait until another one has written all of its lines to the same file without a lock"

# Every run that was ever tracked holds fingerprints: a change here makes them worthless.
PINNED = {
    "How do I sort a dict by its values?": "76a7100ed377dccfa59b6d3a127d13b8710a2d96d350c6016c2f3568730bdc27",
    "": "b324de424edbde51d1ef5a62a2f6b64c18f8b525d0238064656933623a13c144",
    "Grüße, 世界! Ёлка 🎄": "2e1e06656856226cc0ea8459f3530721dde2fbcf865dafd5e8f6d0d253926742",
}


def sha256(text: str) -> str:
    return hashlib.sha256(fingerprint(text)).hexdigest()


def found(known: list[str], queries: list[str]) -> list[tuple[int, int, float]]:
    return list(near_duplicates.find_near_duplicates(map(fingerprint, known), map(fingerprint, queries)))


def share(one: str, other: str) -> float:
    """What a fingerprint estimates: the Jaccard similarity of the runs of three words, of texts of words and blanks."""
    runs = [{tuple(words[n : n + 3]) for n in range(len(words) - 2)} for words in (one.split(), other.split())]
    return len(runs[0] & runs[1]) / len(runs[0] | runs[1])


@pytest.mark.parametrize("other", ["SORT the Dict now", "  sort\tthe\n\ndict now\n", "Sort\u00a0the\u2003dict now"])
def test_case_and_blanks_make_no_other_fingerprint(other: str) -> None:
    assert fingerprint(other) == fingerprint("sort the dict now")


def test_punctuation_makes_none_either_but_where_there_is_no_word() -> None:
    assert fingerprint("sort, (the) dict: now!") == fingerprint("sort the dict now")
    assert fingerprint("!= ->") != fingerprint("{}; ->")


@pytest.mark.parametrize("other", ["sort the dict", "the sort dict now", "sort the dicts now"])
def test_words_and_their_order_do(other: str) -> None:
    assert fingerprint(other) != fingerprint("sort the dict now")


@pytest.mark.parametrize("text", ["", " \n", "a", "?", "a b", "世界", "🎄" * 5000, "a \ud800 b", "\udcff", "a\x00b"])
def test_every_text_has_one_of_256_bytes(text: str) -> None:
    assert len(fingerprint(text)) == 256


@pytest.mark.parametrize(("text", "pinned"), PINNED.items(), ids=["plain", "empty", "other scripts"])
def test_a_fingerprint_never_changes(text: str, pinned: str) -> None:
    assert sha256(text) == pinned


@pytest.mark.parametrize("seed", ["0", "12345"])
def test_it_is_the_same_in_a_process_with_another_hash_seed(seed: str) -> None:
    ask = "import sys; from pipeline.corpus.near_duplicates import fingerprint as f; print(f(sys.argv[1]).hex())"
    env = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed}

    done = subprocess.run([sys.executable, "-c", ask, POST], capture_output=True, text=True, env=env)

    assert (done.stdout.strip(), done.stderr) == (fingerprint(POST).hex(), "")


def test_it_holds_no_word_of_the_text() -> None:
    output = fingerprint("secretword " * 50)

    assert b"secret" not in output
    assert output == fingerprint("secretword " * 500)  # nor how often a run is in it


def test_an_example_with_one_word_changed_is_found_with_its_partner_and_about_what_they_share() -> None:
    assert share(POST, COPY) == TRUE_SHARE

    ((place, partner, told),) = found(known=[OTHER, POST, "sort"], queries=["dict", OTHER[:40], COPY])

    assert (place, partner) == (2, 1)
    assert told == pytest.approx(TRUE_SHARE, abs=0.15)  # three times the deviation of such an estimate


def test_the_same_example_shares_all_of_it() -> None:
    assert found(known=[OTHER, POST], queries=[POST.upper()]) == [(0, 1, 1.0)]


def test_different_examples_are_no_near_copies() -> None:
    assert found(known=[POST, "", "sort a dict"], queries=[OTHER, "sort", "how ?"]) == []


def test_half_an_example_is_no_near_copy() -> None:
    words = POST.split()

    assert found(known=[POST], queries=[" ".join(words[:16]), " ".join(words[16:])]) == []


def test_of_several_partners_the_one_most_alike_is_named_and_of_the_same_the_first() -> None:
    assert found(known=[COPY, POST, POST], queries=[POST]) == [(0, 1, 1.0)]


def test_examples_without_words_are_copies_of_each_other_alone() -> None:
    assert found(known=[POST, ""], queries=["sort", " \n"]) == [(1, 1, 1.0)]


@pytest.mark.parametrize(("known", "queries"), [([], [POST]), ([POST], []), ([], [])])
def test_where_nothing_is_known_or_asked_for_nothing_is_found(known: list[str], queries: list[str]) -> None:
    assert found(known, queries) == []


def test_of_many_examples_all_near_copies_are_found_and_no_other() -> None:
    rng = random.Random(1)
    vocabulary = [f"word{n}" for n in range(500)]

    def example() -> list[str]:
        return rng.choices(vocabulary, k=rng.randint(40, 100))

    known = [example() for _ in range(200)]
    copies = [words.copy() for words in known]
    for words in copies:
        words[rng.randrange(len(words))] = "changed"
    queries = [" ".join(words) for words in [*copies, *(example() for _ in range(2000))]]
    assert all(share(" ".join(one), other) >= 0.8 for one, other in zip(known, queries, strict=False))

    near = found([" ".join(words) for words in known], queries)

    assert [(place, partner) for place, partner, _ in near] == [(n, n) for n in range(200)]


def test_kept_are_the_fingerprints_of_all_examples_of_the_tables_and_no_text(tmp_path: Path) -> None:
    rows = [
        {"id": str(n), "text": f"text {n}", "label": "a", "fingerprint": fingerprint(f"text {n}")} for n in range(5)
    ]
    tables.write_table(tmp_path / "train.parquet", tables.SPLIT_SCHEMA, rows[:3])
    ids = [row | {"tokens": [1], "ends": [1], "characters": b"", "label": 0} for row in rows[3:]]
    tables.write_table(tmp_path / "validation.parquet", tables.IDS_SCHEMA, ids)

    near_duplicates.save_fingerprints(
        tmp_path / "new/folder/kept.parquet", [tmp_path / f"{name}.parquet" for name in ("train", "validation")]
    )

    with tables.open_parquet(tmp_path / "new/folder/kept.parquet") as kept:
        assert kept.schema_arrow.names == ["id", "fingerprint"]
        assert kept.read().to_pylist() == [{"id": row["id"], "fingerprint": row["fingerprint"]} for row in rows]
