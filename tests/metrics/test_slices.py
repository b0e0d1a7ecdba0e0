"""Slices: each post is where its length, its code and the network's tokenizer say, and figures are those of a slice."""

import math
import random

import numpy as np
import pytest

from pipeline.features.tokenizer import fit_tokenizer
from pipeline.metrics import slices
from pipeline.metrics.slices import Slice

KINDS = ("words and marks", "code", "read by the network")


def sliced(
    texts: list[str], lengths: list[int] | None = None, max_tokens: int = 100
) -> dict[str, dict[str, list[int]]]:
    """The rows of each slice, by kind and name; the network has words and marks as its tokens."""
    tokenizer = fit_tokenizer(texts, "code", vocabulary=50, max_tokens=max_tokens)
    found: dict[str, dict[str, list[int]]] = {}
    for by, name, posts in slices.make_slices(texts, np.array(lengths or [1] * len(texts)), tokenizer):
        found.setdefault(by, {})[name] = np.flatnonzero(posts).tolist()
    return found


def test_a_post_is_in_the_slice_of_its_length_borders_included() -> None:
    lengths = [0, 1, 50, 51, 100, 101, 200, 201, 400, 401, 100_000]

    found = sliced(["text"] * len(lengths), lengths)

    assert found["words and marks"] == {
        "up to 50": [0, 1, 2],
        "51 to 100": [3, 4],
        "101 to 200": [5, 6],
        "201 to 400": [7, 8],
        "over 400": [9, 10],
    }


def test_a_text_without_a_word_is_a_short_one_without_code_that_is_read() -> None:
    found = sliced(["", "  \n", "word"], [0, 0, 1])

    assert found == {
        "words and marks": {"up to 50": [0, 1, 2]},
        "code": {"without code": [0, 1, 2]},
        "read by the network": {"all of it": [0, 1, 2]},
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
        ("(one) (two) (three) (four)", False),  # a bracket after a word is a call, one after a blank is none
        ("Why? Because: it is so, I say. No!", False),
        ("it says &lt;b&gt; &amp; &quot;no&quot; &#39;", False),
        ("&lt;b&gt;;;", False),
        ("&lt;b&gt;;;;", True),
        ("a &#61; b &#61; c &#61; d", True),
        ("a ; b\n; c\n;", True),
    ],
)
def test_three_marks_of_code_make_code_and_the_semicolons_of_html_are_none(text: str, has_code: bool) -> None:
    assert sliced([text])["code"] == {"with code" if has_code else "without code": [0]}


def test_a_post_is_cut_where_the_network_stops_to_read() -> None:
    texts = [" ".join(["word"] * count) for count in (0, 1, 4, 5, 8, 9, 40)]

    found = sliced(texts, max_tokens=4)

    assert found["read by the network"] == {
        "all of it": [0, 1, 2],
        "cut in its second half": [3, 4],
        "cut in its first half": [5, 6],
    }


def test_tokens_are_counted_to_the_end_and_the_tokenizer_goes_on_to_cut() -> None:
    tokenizer = fit_tokenizer(["a b"], "code", vocabulary=10, max_tokens=2)

    kept, counts = slices.token_counts(["", "a", "a b", "unknown, a?!"], tokenizer)

    assert (kept, counts.tolist()) == (2, [0, 1, 2, 5])
    assert len(tokenizer.encode("a b a b").ids) == 2


def test_the_network_may_have_other_tokens_than_words() -> None:
    tokenizer = fit_tokenizer(["abc"], "bpe", vocabulary=1, max_tokens=3)  # a token per character

    found = slices.make_slices(["a", "abcabc"], np.array([1, 1]), tokenizer)

    assert [(name, posts.tolist()) for by, name, posts in found if by == "read by the network"] == [
        ("all of it", [True, False]),
        ("cut in its first half", [False, True]),
    ]


def test_slices_without_a_post_are_left_out() -> None:
    assert sliced(["a = [];", "b = {};"], [60, 70]) == {
        "words and marks": {"51 to 100": [0, 1]},
        "code": {"with code": [0, 1]},
        "read by the network": {"all of it": [0, 1]},
    }


def test_every_post_is_in_one_slice_of_each_kind() -> None:
    rng = random.Random(1)
    texts = [" ".join(rng.choices(["word", "call(x)", ";", "&lt;", "="], k=rng.randint(0, 30))) for _ in range(300)]
    lengths = [rng.choice([0, 50, 51, 100, 101, 200, 201, 400, 401]) for _ in texts]

    found = sliced(texts, lengths, max_tokens=10)

    assert tuple(found) == KINDS
    for of_kind in found.values():
        assert len(of_kind) > 1
        assert sorted(row for rows in of_kind.values() for row in rows) == list(range(300))


def wilson(right: int, posts: int) -> list[float]:
    z, p = 1.959964, right / posts
    middle, half = p + z**2 / (2 * posts), z * math.sqrt(p * (1 - p) / posts + z**2 / (4 * posts**2))
    return [(middle - half) / (1 + z**2 / posts), (middle + half) / (1 + z**2 / posts)]


def test_the_figures_of_a_slice_are_those_of_its_posts() -> None:
    first = np.arange(12) < 10
    right = np.array([True] * 8 + [False] * 2 + [True, False])
    baseline_right = np.array([True, False] * 6)

    rows = slices.slice_metrics([Slice("place", "first", first), Slice("place", "last", ~first)], right, baseline_right)

    assert [[*row] for row in rows] == [["by", "slice", "posts", "accuracy", "interval", "baseline_accuracy"]] * 2
    assert [(row["by"], row["slice"], row["posts"]) for row in rows] == [("place", "first", 10), ("place", "last", 2)]
    assert [(row["accuracy"], row["baseline_accuracy"]) for row in rows] == [(0.8, 0.5), (0.5, 0.5)]
    assert rows[0]["interval"] == pytest.approx([0.490162, 0.943318], abs=1e-6)  # as in tables
    assert rows[1]["interval"] == pytest.approx(wilson(1, 2), abs=1e-6)


@pytest.mark.parametrize(("right", "posts"), [(0, 1), (1, 1), (0, 30), (30, 30), (7, 30), (999, 1000)])
def test_an_interval_is_wilsons_and_holds_the_accuracy_also_at_its_bounds(right: int, posts: int) -> None:
    is_right = np.arange(posts) < right

    (row,) = slices.slice_metrics([Slice("all", "all", np.ones(posts, bool))], is_right, is_right)

    low, high = row["interval"]
    assert [low, high] == pytest.approx(wilson(right, posts), abs=1e-6)
    assert 0 <= low <= row["accuracy"] <= high <= 1
    assert [type(value) for value in (row["posts"], row["accuracy"], low, high)] == [int, float, float, float]
