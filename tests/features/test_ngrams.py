"""N-grams as numbers: which there are, which post holds them, and what naive Bayes makes of that, by hand."""

import numpy as np
import pytest

from pipeline.features import ngrams
from pipeline.features.ngrams import CHAR_BITS, CHAR_ORDERS, TOKEN_BITS, LogCountRatios, NgramIndex


def held_by(posts: list[list[int]], orders: int, bits: int = 4) -> NgramIndex:
    symbols, starts = joined(posts)
    return ngrams.extract_ngrams(
        [ngrams.encode_ngrams(symbols, starts, order, bits) for order in range(1, orders + 1)], starts
    )


def joined(posts: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    return ngrams.concatenate([np.array(post, np.int32) for post in posts])


# characters


def test_a_character_is_a_symbol_and_only_ascii_is_lower_cased() -> None:
    assert ngrams.encode_characters("aZ@[`{0 \n").tolist() == [97, 122, 64, 91, 96, 123, 48, 32, 10]
    assert ngrams.encode_characters("ÀÿÉ").tolist() == [0xC0, 0xFF, 0xC9]
    assert ngrams.encode_characters("A").dtype == np.uint16


def test_characters_of_other_scripts_differ_and_none_becomes_the_symbol_of_no_ngram() -> None:
    assert len(set(ngrams.encode_characters("Āžжψשا").tolist())) == 6
    every = ngrams.encode_characters("".join(map(chr, range(1, 0x110000))))
    assert (every.min(), every.max()) == (1, 2**CHAR_BITS - 1)


@pytest.mark.parametrize("text", ["", "a", "naïve", "e\u0301", "\U0001f600\U0001f600 x", "\ud800", "a\x00b", "İß\r\n"])
def test_there_are_as_many_symbols_as_the_text_has_characters(text: str) -> None:
    assert len(ngrams.encode_characters(text)) == len(text)


def test_nul_is_the_symbol_that_is_in_no_ngram() -> None:
    symbols = ngrams.encode_characters("ab\x00cde")

    assert symbols[2] == 0
    numbers = ngrams.encode_ngrams(symbols, np.array([0, 6]), 3, CHAR_BITS)
    assert (numbers > 0).tolist() == [False, False, False, False, False, True]


# join


def test_joined_posts_stand_one_after_the_other() -> None:
    symbols, starts = joined([[1, 2], [], [3]])

    assert symbols.tolist() == [1, 2, 3]
    assert starts.tolist() == [0, 2, 2, 3]


def test_no_posts_can_be_joined() -> None:
    symbols, starts = ngrams.concatenate([])

    assert (symbols.tolist(), starts.tolist()) == ([], [0])


# number


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (1, [0x1, 0x2, 0x3, 0x4, 0x5]),
        (2, [0x0, 0x12, 0x23, 0x0, 0x45]),
        (3, [0x0, 0x0, 0x123, 0x0, 0x0]),
        (4, [0x0, 0x0, 0x0, 0x0, 0x0]),
        (7, [0x0, 0x0, 0x0, 0x0, 0x0]),  # more than there are symbols
    ],
)
def test_an_ngram_stands_where_it_ends_and_never_crosses_into_the_next_post(order: int, expected: list[int]) -> None:
    assert ngrams.encode_ngrams(*joined([[1, 2, 3], [4, 5]]), order, bits=4).tolist() == expected


def test_symbol_0_is_in_no_ngram() -> None:
    symbols = joined([[1, 0, 2, 3]])

    assert ngrams.encode_ngrams(*symbols, 1, bits=4).tolist() == [1, 0, 2, 3]
    assert ngrams.encode_ngrams(*symbols, 2, bits=4).tolist() == [0, 0, 0, 0x23]
    assert ngrams.encode_ngrams(*symbols, 3, bits=4).tolist() == [0, 0, 0, 0]


def test_posts_without_a_symbol_have_no_ngram() -> None:
    assert ngrams.encode_ngrams(*joined([[], [1, 2], []]), 2, bits=4).tolist() == [0, 0x12]
    assert ngrams.encode_ngrams(*joined([[], []]), 2, bits=4).tolist() == []


@pytest.mark.parametrize(
    ("bits", "orders", "most"), [(TOKEN_BITS, range(1, 4), 2**TOKEN_BITS - 1), (CHAR_BITS, CHAR_ORDERS, 255)]
)
def test_the_largest_symbols_do_not_collide_also_between_orders(bits: int, orders: range, most: int) -> None:
    posts = joined([[a, b, c, d, e] for a in (1, most) for b in (1, most) for c in (1, most) for d in (1, most)
                    for e in (1, most)])  # fmt: skip

    numbers = [ngrams.encode_ngrams(*posts, order, bits) for order in orders]

    assert min(number.min() for number in numbers) >= 0
    assert len({int(number) for some in numbers for number in some if number}) == sum(2**order for order in orders)


# hold and choose


def test_a_post_holds_each_ngram_once_in_ascending_order() -> None:
    held = held_by([[2, 1, 2, 1], [], [3]], orders=2)

    assert held.starts.tolist() == [0, 4, 4, 5]
    assert held.ngrams.tolist() == [0x1, 0x2, 0x12, 0x21, 0x3]
    assert held.ngrams.dtype == np.int64


def test_no_order_is_no_ngram() -> None:
    held = held_by([[1, 2], [3]], orders=0)

    assert (held.ngrams.tolist(), held.starts.tolist()) == ([], [0, 0, 0])


def test_chosen_posts_are_as_if_there_were_no_others() -> None:
    posts = [[1, 2], [3], [], [2, 2, 1]]

    chosen = ngrams.select(held_by(posts, orders=2), np.array([True, False, True, True]))

    expected = held_by([posts[0], posts[2], posts[3]], orders=2)
    for one, other in zip(chosen, expected, strict=True):
        np.testing.assert_array_equal(one, other)


# ratios

# Symbol 7 after 5 is label 0's, 7 after 6 label 1's; alone 7 says nothing.
POSTS = [[5, 7], [5, 7, 5, 7], [6, 7], [6, 7]]
LABELS = np.array([0, 0, 1, 1])


def test_ratios_are_those_of_naive_bayes_and_a_post_counts_once() -> None:
    known = ngrams.log_count_ratios(held_by(POSTS, orders=1), LABELS, label_count=2, min_posts=1)

    # Symbols 5, 6, 7 are in two, none, two posts of label 0, and in none, two, two of label 1; half a post is added.
    p, q = np.array([2.5, 0.5, 2.5]), np.array([0.5, 2.5, 2.5])
    expected = np.log((p / p.sum()) / (q / q.sum()))
    assert known.ngrams.tolist() == [0, 5, 6, 7]
    np.testing.assert_allclose(known.ratios, np.vstack([[0, 0], np.stack([expected, -expected], axis=1)]), rtol=1e-6)
    assert known.ratios.dtype == np.float32


def test_of_three_labels_each_stands_against_both_others() -> None:
    known = ngrams.log_count_ratios(
        held_by([[1], [1, 2], [2]], orders=1), np.array([0, 1, 2]), label_count=3, min_posts=1
    )

    # Label 1's post holds 1 and 2; of both others' posts, one holds 1 and one holds 2.
    # Label 0's holds 1 alone; of the others, one holds 1 and two hold 2. All with half a post more.
    np.testing.assert_allclose(known.ratios[1:, 1], np.log([(1.5 / 3) / (1.5 / 3)] * 2), atol=1e-6)
    np.testing.assert_allclose(known.ratios[1:, 0], np.log([(1.5 / 2) / (1.5 / 4), (0.5 / 2) / (2.5 / 4)]), rtol=1e-6)


@pytest.mark.parametrize(
    ("min_posts", "kept"), [(2, [0x5, 0x6, 0x7, 0x57, 0x67]), (3, [0x7]), (4, [0x7]), (5, [])]
)  # 7 5 is in one post
def test_ngrams_of_too_few_posts_are_not_known(min_posts: int, kept: list[int]) -> None:
    known = ngrams.log_count_ratios(held_by(POSTS, orders=2), LABELS, label_count=2, min_posts=min_posts)

    assert known.ngrams.tolist() == [0, *kept]
    assert known.ratios.shape == (1 + len(kept), 2)
    assert np.isfinite(known.ratios).all()


def test_a_label_without_a_post_and_posts_without_an_ngram_have_finite_ratios() -> None:
    known = ngrams.log_count_ratios(held_by([[1], []], orders=1), np.array([0, 1]), label_count=3, min_posts=1)

    assert known.ngrams.tolist() == [0, 1]
    assert np.isfinite(known.ratios).all()


# look_up

KNOWN = LogCountRatios(np.array([0, 3, 9]), np.array([[0, 0], [1, -1], [2, -2]], np.float32))


def test_what_is_not_known_says_nothing() -> None:
    said = ngrams.transform(KNOWN, np.array([9, 0, 3, 1, 4, 2**62]))

    assert said.tolist() == [[2, -2], [0, 0], [1, -1], [0, 0], [0, 0], [0, 0]]
    assert ngrams.transform(KNOWN, np.empty(0, np.int64)).shape == (0, 2)


def test_a_number_is_found_where_it_is_and_only_there() -> None:
    place, is_known = ngrams.lookup(np.array([3, 9]), np.array([9, 1, 3, 5, 10]))

    assert is_known.tolist() == [True, False, True, False, False]
    assert place[is_known].tolist() == [1, 0]
    assert not ngrams.lookup(np.empty(0, np.int64), np.array([0, 1]))[1].any()
