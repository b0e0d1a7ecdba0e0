"""Stage split: no post in two of train, validation and test, and none of test lost."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import split
from pipeline.cli import UserError
from pipeline.corpus import near_duplicates, tables

ROLES = ("train", "validation", "test")


@pytest.fixture
def rows_of(workspace: Path) -> Callable[[list[tuple[str, str, str]]], dict[str, list[dict]]]:
    """`rows_of([("train", "a", "text"), ...])` runs the stage on a table of these posts, and gives the rows by role."""

    def run(examples: list[tuple[str, str, str]]) -> dict[str, list[dict]]:
        Path("data/raw").mkdir(parents=True, exist_ok=True)
        rows = [
            {"id": f"{role}/{label}/{n}.txt", "text": text, "label": label, "split": role}
            for n, (role, label, text) in enumerate(examples)
        ]
        tables.write_table(Path("data/raw/examples.parquet"), tables.RAW_SCHEMA, rows)
        manifest = {
            "source": "hand-made",
            "sample": False,
            "digest": "0" * 64,
            "licence": "none",
            "examples": len(rows),
            "rejected": {"no_text": 2},
        }
        Path("data/raw/manifest.json").write_text(json.dumps(manifest))
        split.main()
        return {role: read(role) for role in ROLES}

    return run


def read(role: str) -> list[dict]:
    columns = ("id", "text", "label")
    table = [tables.read_column(Path(f"data/split/{role}.parquet"), name) for name in columns]
    return [dict(zip(columns, values, strict=True)) for values in zip(*table, strict=True)]


def report() -> dict:
    return json.loads(Path("reports/split.json").read_text())


def texts(rows: list[dict]) -> list[str]:
    return [row["text"] for row in rows]


def many(role: str, a: int, b: int) -> list[tuple[str, str, str]]:
    """Posts without duplicates, `a` of label a and `b` of label b."""
    return [(role, label, f"{role} {label} {n}") for label, count in (("a", a), ("b", b)) for n in range(count)]


TRAIN = many("train", 60, 40)
TEST = many("test", 10, 20)


def long(name: str) -> str:
    """A post of forty words that no other has."""
    return " ".join(f"{name}{n}" for n in range(40))


def nearly(text: str) -> str:
    """The post with its last word changed, which leaves it 37 of 39 runs of words."""
    return f"{text.rpartition(' ')[0]} changed"


def test_a_test_split_of_the_corpus_is_kept_as_it_is(rows_of: Callable) -> None:
    rows = rows_of([*TRAIN, *TEST])

    assert texts(rows["test"]) == [text for _, _, text in TEST]
    assert report()["test"] == "from the corpus"


def test_without_one_a_stratified_test_split_is_drawn(rows_of: Callable, set_params: Callable) -> None:
    set_params(split={"test_size": 0.2, "validation_size": 0.25})

    rows = rows_of(TRAIN)

    assert Counter(row["label"] for row in rows["test"]) == {"a": 12, "b": 8}
    assert Counter(row["label"] for row in rows["validation"]) == {"a": 12, "b": 8}
    assert Counter(row["label"] for row in rows["train"]) == {"a": 36, "b": 24}
    assert report()["test"] == "drawn, stratified"


def test_validation_is_15_percent_of_the_training_examples_stratified(rows_of: Callable) -> None:
    rows = rows_of([*TRAIN, *TEST])

    assert Counter(row["label"] for row in rows["validation"]) == {"a": 9, "b": 6}
    assert Counter(row["label"] for row in rows["train"]) == {"a": 51, "b": 34}


@pytest.mark.parametrize("examples", [TRAIN, [*TRAIN, *TEST], [*TRAIN, *TRAIN, *TEST, *TEST]])
def test_every_text_is_in_one_split_and_none_is_lost(rows_of: Callable, examples: list[tuple[str, str, str]]) -> None:
    rows = rows_of(examples)

    everything = [row for role in ROLES for row in rows[role]]
    assert sorted(texts(everything)) == sorted({text for _, _, text in examples})
    assert len({row["id"] for row in everything}) == len(everything)
    assert all(row["id"].split("/")[1] == row["label"] == row["text"].split()[1] for row in everything)


def test_an_example_whose_twin_is_in_test_leaves_training(rows_of: Callable) -> None:
    rows = rows_of([*TRAIN, ("train", "a", "twin"), ("test", "a", "twin"), *TEST])

    assert "twin" in texts(rows["test"])
    assert "twin" not in texts(rows["train"]) + texts(rows["validation"])
    assert report()["duplicates_dropped"]["duplicate_of_test"] == 1


def test_case_and_blanks_make_no_other_example(rows_of: Callable) -> None:
    rows = rows_of([*TRAIN, ("train", "a", "The  twin\n"), ("test", "a", "the twin"), *TEST])

    assert "The  twin\n" not in texts(rows["train"]) + texts(rows["validation"])


def test_it_leaves_training_under_another_label_too(rows_of: Callable) -> None:
    rows = rows_of([*TRAIN, ("train", "b", "twin"), ("test", "a", "twin"), *TEST])

    assert [row["label"] for role in ROLES for row in rows[role] if row["text"] == "twin"] == ["a"]


@pytest.mark.parametrize("label", ["a", "b"])
def test_a_training_example_nearly_like_a_test_example_leaves_training_and_the_test_example_stays(
    rows_of: Callable, label: str
) -> None:
    near = ("train", label, nearly(long("word")))

    rows = rows_of([near, *TRAIN, ("test", "a", long("word")), *TEST, near])

    assert texts(rows["test"]) == [long("word"), *(text for _, _, text in TEST)]
    assert sorted(texts(rows["train"] + rows["validation"])) == sorted(text for _, _, text in TRAIN)
    assert report()["duplicates_dropped"] == {
        "duplicate_of_test": 0, "duplicate_in_test": 0, "duplicate_in_train": 1, "conflicting_labels": 0,
        "near_duplicate_of_test": 1,
    }  # fmt: skip


def test_examples_of_one_split_may_be_nearly_alike(rows_of: Callable) -> None:
    pairs = [(role, "a", text) for role in ("train", "test") for text in (long(role), nearly(long(role)))]

    rows = rows_of([*TRAIN, *pairs, *TEST])

    assert set(texts(rows["test"])) >= {long("test"), nearly(long("test"))}
    assert set(texts(rows["train"] + rows["validation"])) >= {long("train"), nearly(long("train"))}
    assert report()["duplicates_dropped"]["near_duplicate_of_test"] == 0


def test_near_copies_leave_training_too_where_the_test_split_is_drawn(rows_of: Callable, set_params: Callable) -> None:
    set_params(split={"test_size": 0.5})
    copy_of = {long(f"{label}{n}x"): nearly(long(f"{label}{n}x")) for label in "ab" for n in range(20)}

    rows = rows_of([("train", text[0], text) for text in (*copy_of, *copy_of.values())])

    tested, learned = set(texts(rows["test"])), set(texts(rows["train"] + rows["validation"]))
    assert len(tested) == 40
    torn = sum((text in tested) != (copy in tested) for text, copy in copy_of.items())
    assert report()["duplicates_dropped"]["near_duplicate_of_test"] == torn > 0
    assert len(learned) == 40 - torn
    assert not any(learned & {text, copy} for text, copy in copy_of.items() if tested & {text, copy})


def test_every_example_has_its_fingerprint_in_all_three_tables(rows_of: Callable) -> None:
    rows_of([*TRAIN, ("train", "a", "twin"), ("train", "b", long("word")), ("test", "a", "twin"), *TEST])

    for role in ROLES:
        table = [*tables.read_rows(Path(f"data/split/{role}.parquet"), tables.SPLIT_SCHEMA)]
        assert len(table) == report()["examples"][role]
        assert all(fingerprint == near_duplicates.fingerprint(text) for _, text, _, fingerprint in table)


def test_an_example_duplicate_in_training_stays_once(rows_of: Callable) -> None:
    rows = rows_of([("train", "a", "twice"), *TRAIN, ("train", "a", "twice"), *TEST])

    kept = [row["id"] for row in rows["train"] + rows["validation"] if row["text"] == "twice"]
    assert kept == ["train/a/0.txt"]
    assert report()["duplicates_dropped"] == {
        "duplicate_of_test": 0, "duplicate_in_test": 0, "duplicate_in_train": 1, "conflicting_labels": 0,
        "near_duplicate_of_test": 0,
    }  # fmt: skip


def test_an_example_duplicate_in_test_is_counted_once(rows_of: Callable) -> None:
    rows = rows_of([*TRAIN, ("test", "a", "twice"), *TEST, ("test", "a", "twice")])

    assert texts(rows["test"]).count("twice") == 1
    assert report()["duplicates_dropped"]["duplicate_in_test"] == 1


def test_copies_that_disagree_on_the_label_all_leave_training(rows_of: Callable) -> None:
    rows = rows_of([("train", "a", "either"), *TRAIN, ("train", "b", "either"), ("train", "a", "either"), *TEST])

    assert "either" not in [text for role in ROLES for text in texts(rows[role])]
    assert report()["duplicates_dropped"]["conflicting_labels"] == 3


def test_a_twin_is_found_beyond_a_batch_of_the_table(rows_of: Callable) -> None:
    far = many("train", tables.BATCH_ROWS, 10)

    rows = rows_of([("train", "a", "twin"), *far, ("test", "a", "twin"), *TEST])

    assert len(rows["train"]) + len(rows["validation"]) == len(far)
    assert "twin" not in texts(rows["train"]) + texts(rows["validation"])


def test_the_same_table_and_seed_give_the_same_bytes_and_another_seed_others(
    rows_of: Callable, set_params: Callable
) -> None:
    def made() -> list[bytes]:
        rows_of(TRAIN)
        return [Path(f"data/split/{role}.parquet").read_bytes() for role in ROLES]

    first = made()
    assert made() == first

    set_params(split={"seed": 21})
    assert made() != first


def test_the_report_counts_what_was_written_and_names_the_corpus(rows_of: Callable) -> None:
    rows = rows_of([*TRAIN, *TRAIN[:5], *TEST])

    told = report()
    assert told["examples"] == {role: len(rows[role]) for role in ROLES}
    assert told["label_counts"] == {role: Counter(row["label"] for row in rows[role]) for role in ROLES}
    assert sum(told["duplicates_dropped"].values()) == 5
    assert told["rejected"] == {"no_text": 2}
    assert told["corpus"] == {"source": "hand-made", "sample": False, "digest": "0" * 64, "licence": "none"}


@pytest.mark.parametrize("examples", [many("train", 20, 1), many("train", 2, 2), [*many("train", 9, 1), *TEST]])
def test_too_few_examples_of_a_label_are_refused(rows_of: Callable, examples: list[tuple[str, str, str]]) -> None:
    with pytest.raises(UserError, match=r"training examples are too few to draw \d+% of them for (test|validation)"):
        rows_of(examples)

    assert not Path("data/split").exists()


def test_a_label_whose_training_examples_all_have_twins_in_test_is_rejected(rows_of: Callable) -> None:
    twins = [("train", label, text) for _, label, text in TEST if label == "b"]

    with pytest.raises(UserError, match="no training example with the label b is left after duplicates were dropped"):
        rows_of([*many("train", 50, 0), *twins, *TEST])


def test_so_is_one_whose_training_examples_are_all_near_copies_of_test_examples(rows_of: Callable) -> None:
    pairs = [
        (role, "b", text)
        for n in range(3)
        for role, text in (("test", long(f"{n}b")), ("train", nearly(long(f"{n}b"))))
    ]

    with pytest.raises(UserError, match="no training example with the label b is left after duplicates were dropped"):
        rows_of([*many("train", 50, 0), *pairs, *TEST])

    assert not Path("data/split").exists()


def test_so_is_one_whose_examples_are_near_copies_of_what_is_drawn_for_test(
    rows_of: Callable, set_params: Callable
) -> None:
    set_params(split={"test_size": 0.5})

    with pytest.raises(UserError, match="no training example with the label b is left after duplicates were dropped"):
        rows_of([*many("train", 50, 0), ("train", "b", long("b")), ("train", "b", nearly(long("b")))])

    assert not Path("data/split").exists()
