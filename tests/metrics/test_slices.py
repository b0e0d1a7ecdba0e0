"""Slices: which examples are in which, and their metrics."""

import math
import random

import numpy as np
import pytest

from pipeline.features.tokenizer import fit_tokenizer
from pipeline.metrics import slices
from pipeline.metrics.slices import Slice

LENGTH, CODE, TRUNCATION = "length (words and punctuation)", "code", "truncation"


def slice_rows(
    texts: list[str], lengths: list[int] | None = None, max_length: int = 100
) -> dict[str, dict[str, list[int]]]:
    """The rows of each slice, by kind and name; the tokens of the network are words and punctuation marks."""
    tokenizer = fit_tokenizer(texts, "code", vocab_size=50, max_length=max_length)
    rows: dict[str, dict[str, list[int]]] = {}
    for by, name, mask in slices.make_slices(texts, np.array(lengths or [1] * len(texts)), tokenizer):
        rows.setdefault(by, {})[name] = np.flatnonzero(mask).tolist()
    return rows


def test_slices_by_length_include_their_upper_bounds() -> None:
    lengths = [0, 1, 50, 51, 100, 101, 200, 201, 400, 401, 100_000]

    rows = slice_rows(["text"] * len(lengths), lengths)

    assert rows[LENGTH] == {
        "up to 50": [0, 1, 2],
        "51 to 100": [3, 4],
        "101 to 200": [5, 6],
        "201 to 400": [7, 8],
        "over 400": [9, 10],
    }


def test_text_without_words_is_short_without_code_and_not_truncated() -> None:
    rows = slice_rows(["", "  \n", "word"], [0, 0, 1])

    assert rows == {
        LENGTH: {"up to 50": [0, 1, 2]},
        CODE: {"without code": [0, 1, 2]},
        TRUNCATION: {"read to the end": [0, 1, 2]},
    }


@pytest.mark.parametrize(
    ("text", "has_code"),
    [
        ("for each { call } ;", True),
        ("x = y", False),
        ("x = y; two marks", False),
        ("x = y; z = 1", True),
        ("items[0]", False),
        ("items[0][1]", True),
        ("print(x), len(x)", False),
        ("print(x), len(x), sum(x)", True),
        ("(one) (two) (three) (four)", False),  # a bracket is a call only directly after a word
        ("Why? Because: it is so, I say. No!", False),
        ("it says &lt;b&gt; &amp; &quot;no&quot; &#39;", False),
        ("&lt;b&gt;;;", False),
        ("&lt;b&gt;;;;", True),
        ("a &#61; b &#61; c &#61; d", True),
        ("a ; b\n; c\n;", True),
    ],
)
def test_three_marks_of_code_make_code_but_not_the_semicolons_of_html(text: str, has_code: bool) -> None:
    assert slice_rows([text])[CODE] == {"with code" if has_code else "without code": [0]}


def test_texts_are_truncated_at_the_tokenizers_max_length() -> None:
    texts = [" ".join(["word"] * count) for count in (0, 1, 4, 5, 8, 9, 40)]

    rows = slice_rows(texts, max_length=4)

    assert rows[TRUNCATION] == {
        "read to the end": [0, 1, 2],
        "truncated in the second half": [3, 4],
        "truncated in the first half": [5, 6],
    }


def test_all_tokens_are_counted_and_the_tokenizer_still_truncates() -> None:
    tokenizer = fit_tokenizer(["a b"], "code", vocab_size=10, max_length=2)

    max_length, counts = slices.token_counts(["", "a", "a b", "unknown, a?!"], tokenizer)

    assert (max_length, counts.tolist()) == (2, [0, 1, 2, 5])
    assert len(tokenizer.encode("a b a b").ids) == 2


def test_truncation_is_by_the_networks_tokens_not_by_words() -> None:
    tokenizer = fit_tokenizer(["abc"], "bpe", vocab_size=1, max_length=3)  # a token per character

    truncation = [
        (name, mask.tolist())
        for by, name, mask in slices.make_slices(["a", "abcabc"], np.array([1, 1]), tokenizer)
        if by == TRUNCATION
    ]

    assert truncation == [("read to the end", [True, False]), ("truncated in the first half", [False, True])]


def test_slices_without_examples_are_omitted() -> None:
    assert slice_rows(["a = [];", "b = {};"], [60, 70]) == {
        LENGTH: {"51 to 100": [0, 1]},
        CODE: {"with code": [0, 1]},
        TRUNCATION: {"read to the end": [0, 1]},
    }


def test_every_example_is_in_one_slice_of_each_kind() -> None:
    rng = random.Random(1)
    texts = [" ".join(rng.choices(["word", "call(x)", ";", "&lt;", "="], k=rng.randint(0, 30))) for _ in range(300)]
    lengths = [rng.choice([0, 50, 51, 100, 101, 200, 201, 400, 401]) for _ in texts]

    rows = slice_rows(texts, lengths, max_length=10)

    assert tuple(rows) == (LENGTH, CODE, TRUNCATION)
    for of_kind in rows.values():
        assert len(of_kind) > 1
        assert sorted(row for of_slice in of_kind.values() for row in of_slice) == list(range(300))


def wilson_interval(n_correct: int, n_examples: int) -> list[float]:
    z, p = 1.959964, n_correct / n_examples
    center, half = p + z**2 / (2 * n_examples), z * math.sqrt(p * (1 - p) / n_examples + z**2 / (4 * n_examples**2))
    return [(center - half) / (1 + z**2 / n_examples), (center + half) / (1 + z**2 / n_examples)]


def test_metrics_of_a_slice_are_those_of_its_examples() -> None:
    first = np.arange(12) < 10
    correct = np.array([True] * 8 + [False] * 2 + [True, False])
    baseline_correct = np.array([True, False] * 6)

    rows = slices.slice_metrics(
        [Slice("place", "first", first), Slice("place", "last", ~first)], correct, baseline_correct
    )

    columns = ["by", "slice", "examples", "accuracy", "interval", "baseline_accuracy"]
    assert [list(row) for row in rows] == [columns] * 2
    assert [(row["by"], row["slice"], row["examples"]) for row in rows] == [
        ("place", "first", 10),
        ("place", "last", 2),
    ]
    assert [(row["accuracy"], row["baseline_accuracy"]) for row in rows] == [(0.8, 0.5), (0.5, 0.5)]
    assert rows[0]["interval"] == pytest.approx([0.490162, 0.943318], abs=1e-6)  # from a published table
    assert rows[1]["interval"] == pytest.approx(wilson_interval(1, 2), abs=1e-6)


@pytest.mark.parametrize(("n_correct", "n_examples"), [(0, 1), (1, 1), (0, 30), (30, 30), (7, 30), (999, 1000)])
def test_interval_is_wilsons_and_contains_the_accuracy_also_at_zero_and_one(n_correct: int, n_examples: int) -> None:
    correct = np.arange(n_examples) < n_correct

    (row,) = slices.slice_metrics([Slice("all", "all", np.ones(n_examples, bool))], correct, correct)

    low, high = row["interval"]
    assert [low, high] == pytest.approx(wilson_interval(n_correct, n_examples), abs=1e-6)
    assert 0 <= low <= row["accuracy"] <= high <= 1
    assert [type(value) for value in (row["examples"], row["accuracy"], low, high)] == [int, float, float, float]
