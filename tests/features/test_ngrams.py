"""N-grams as integers: their codes, those of each example, and naive Bayes' log-count ratios, computed by hand."""

import numpy as np
import pytest

from pipeline.features import ngrams
from pipeline.features.ngrams import CHAR_BITS, CHAR_ORDERS, TOKEN_BITS, HashTable, LogCountRatios, NgramIndex


def index_of(examples: list[list[int]], max_order: int, bits: int = 4) -> NgramIndex:
    symbols, starts = concatenated(examples)
    codes = [ngrams.encode_ngrams(symbols, starts, order, bits) for order in range(1, max_order + 1)]
    return ngrams.extract_ngrams(codes, starts)


def concatenated(examples: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    return ngrams.concatenate([np.array(symbols, np.int32) for symbols in examples])


# encode_characters


def test_a_character_is_a_symbol_and_only_ascii_is_lower_cased() -> None:
    assert ngrams.encode_characters("aZ@[`{0 \n").tolist() == [97, 122, 64, 91, 96, 123, 48, 32, 10]
    assert ngrams.encode_characters("ÀÿÉ").tolist() == [0xC0, 0xFF, 0xC9]
    assert ngrams.encode_characters("A").dtype == np.uint16


def test_characters_of_other_scripts_differ_and_only_nul_is_0() -> None:
    assert len(set(ngrams.encode_characters("Āžжψשا").tolist())) == 6
    symbols = ngrams.encode_characters("".join(map(chr, range(1, 0x110000))))
    assert (symbols.min(), symbols.max()) == (1, 2**CHAR_BITS - 1)


@pytest.mark.parametrize("text", ["", "a", "naïve", "e\u0301", "\U0001f600\U0001f600 x", "\ud800", "a\x00b", "İß\r\n"])
def test_each_character_of_a_text_is_one_symbol(text: str) -> None:
    assert len(ngrams.encode_characters(text)) == len(text)


def test_nul_is_in_no_ngram() -> None:
    symbols = ngrams.encode_characters("ab\x00cde")

    assert symbols[2] == 0
    codes = ngrams.encode_ngrams(symbols, np.array([0, 6]), 3, CHAR_BITS)
    assert (codes > 0).tolist() == [False, False, False, False, False, True]


# concatenate


def test_sequences_are_concatenated_in_order() -> None:
    symbols, starts = concatenated([[1, 2], [], [3]])

    assert symbols.tolist() == [1, 2, 3]
    assert starts.tolist() == [0, 2, 2, 3]


def test_no_sequences_are_concatenated_to_an_empty_one() -> None:
    symbols, starts = ngrams.concatenate([])

    assert (symbols.tolist(), starts.tolist()) == ([], [0])


# encode_ngrams


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (1, [0x1, 0x2, 0x3, 0x4, 0x5]),
        (2, [0x0, 0x12, 0x23, 0x0, 0x45]),
        (3, [0x0, 0x0, 0x123, 0x0, 0x0]),
        (4, [0x0, 0x0, 0x0, 0x0, 0x0]),
        (7, [0x0, 0x0, 0x0, 0x0, 0x0]),  # longer than all symbols
    ],
)
def test_an_ngram_is_at_its_last_symbol_and_within_one_example(order: int, expected: list[int]) -> None:
    assert ngrams.encode_ngrams(*concatenated([[1, 2, 3], [4, 5]]), order, bits=4).tolist() == expected


def test_symbol_0_is_in_no_ngram() -> None:
    symbols = concatenated([[1, 0, 2, 3]])

    assert ngrams.encode_ngrams(*symbols, 1, bits=4).tolist() == [1, 0, 2, 3]
    assert ngrams.encode_ngrams(*symbols, 2, bits=4).tolist() == [0, 0, 0, 0x23]
    assert ngrams.encode_ngrams(*symbols, 3, bits=4).tolist() == [0, 0, 0, 0]


def test_examples_without_symbols_have_no_ngrams() -> None:
    assert ngrams.encode_ngrams(*concatenated([[], [1, 2], []]), 2, bits=4).tolist() == [0, 0x12]
    assert ngrams.encode_ngrams(*concatenated([[], []]), 2, bits=4).tolist() == []


@pytest.mark.parametrize(
    ("bits", "orders", "largest"), [(TOKEN_BITS, range(1, 4), 2**TOKEN_BITS - 1), (CHAR_BITS, CHAR_ORDERS, 255)]
)
def test_the_codes_of_the_largest_symbols_do_not_collide_within_and_across_orders(
    bits: int, orders: range, largest: int
) -> None:
    symbols = (1, largest)
    examples = concatenated([[a, b, c, d, e] for a in symbols for b in symbols for c in symbols for d in symbols
                             for e in symbols])  # fmt: skip

    codes = [ngrams.encode_ngrams(*examples, order, bits) for order in orders]

    assert min(of_order.min() for of_order in codes) >= 0
    assert len({int(code) for of_order in codes for code in of_order if code}) == sum(2**order for order in orders)


# extract_ngrams and select


def test_an_example_has_each_ngram_once_in_ascending_order() -> None:
    index = index_of([[2, 1, 2, 1], [], [3]], max_order=2)

    assert index.starts.tolist() == [0, 4, 4, 5]
    assert index.ngrams.tolist() == [0x1, 0x2, 0x12, 0x21, 0x3]
    assert index.ngrams.dtype == np.int64


def test_without_an_order_there_are_no_ngrams() -> None:
    index = index_of([[1, 2], [3]], max_order=0)

    assert (index.ngrams.tolist(), index.starts.tolist()) == ([], [0, 0, 0])


def test_the_index_of_selected_examples_equals_that_of_these_examples_alone() -> None:
    examples = [[1, 2], [3], [], [2, 2, 1]]

    selected = ngrams.select(index_of(examples, max_order=2), np.array([True, False, True, True]))

    expected = index_of([examples[0], examples[2], examples[3]], max_order=2)
    for array, expected_array in zip(selected, expected, strict=True):
        np.testing.assert_array_equal(array, expected_array)


# log_count_ratios

# Symbol 7 after 5 is typical of class 0, 7 after 6 of class 1; 7 alone of neither.
EXAMPLES = [[5, 7], [5, 7, 5, 7], [6, 7], [6, 7]]
LABELS = np.array([0, 0, 1, 1])


def test_ratios_are_those_of_naive_bayes_on_document_frequencies() -> None:
    fitted = ngrams.log_count_ratios(index_of(EXAMPLES, max_order=1), LABELS, n_classes=2, min_df=1)

    # Symbols 5, 6, 7 are in 2, 0, 2 examples of class 0, and in 0, 2, 2 of class 1; 0.5 is added to each count.
    p, q = np.array([2.5, 0.5, 2.5]), np.array([0.5, 2.5, 2.5])
    expected = np.log((p / p.sum()) / (q / q.sum()))
    assert fitted.ngrams.tolist() == [0, 5, 6, 7]
    np.testing.assert_allclose(fitted.ratios, np.vstack([[0, 0], np.stack([expected, -expected], axis=1)]), rtol=1e-6)
    assert fitted.ratios.dtype == np.float32


def test_each_of_three_classes_is_compared_with_both_others() -> None:
    index = index_of([[1], [1, 2], [2]], max_order=1)

    fitted = ngrams.log_count_ratios(index, np.array([0, 1, 2]), n_classes=3, min_df=1)

    # Class 1's example has 1 and 2; of the two others, one has 1 and one has 2.
    # Class 0's has 1 alone; of the two others, one has 1 and two have 2. 0.5 is added to each count.
    np.testing.assert_allclose(fitted.ratios[1:, 1], np.log([(1.5 / 3) / (1.5 / 3)] * 2), atol=1e-6)
    np.testing.assert_allclose(fitted.ratios[1:, 0], np.log([(1.5 / 2) / (1.5 / 4), (0.5 / 2) / (2.5 / 4)]), rtol=1e-6)


@pytest.mark.parametrize(
    ("min_df", "vocabulary"), [(2, [0x5, 0x6, 0x7, 0x57, 0x67]), (3, [0x7]), (4, [0x7]), (5, [])]
)  # 7 5 is in one example
def test_ngrams_in_too_few_examples_are_not_in_the_vocabulary(min_df: int, vocabulary: list[int]) -> None:
    fitted = ngrams.log_count_ratios(index_of(EXAMPLES, max_order=2), LABELS, n_classes=2, min_df=min_df)

    assert fitted.ngrams.tolist() == [0, *vocabulary]
    assert fitted.ratios.shape == (1 + len(vocabulary), 2)
    assert np.isfinite(fitted.ratios).all()


def test_ratios_are_finite_for_a_class_without_examples_and_examples_without_ngrams() -> None:
    fitted = ngrams.log_count_ratios(index_of([[1], []], max_order=1), np.array([0, 1]), n_classes=3, min_df=1)

    assert fitted.ngrams.tolist() == [0, 1]
    assert np.isfinite(fitted.ratios).all()


# Look-ups and transform

FITTED = LogCountRatios(np.array([0, 3, 9]), np.array([[0, 0], [1, -1], [2, -2]], np.float32))


def test_an_ngram_out_of_the_vocabulary_has_ratios_of_0() -> None:
    ratios = ngrams.transform(FITTED, np.array([9, 0, 3, 1, 4, 2**62]))

    assert ratios.tolist() == [[2, -2], [0, 0], [1, -1], [0, 0], [0, 0], [0, 0]]
    assert ngrams.transform(FITTED, np.empty(0, np.int64)).shape == (0, 2)


def test_a_hash_table_finds_the_rows_of_all_ngrams_and_of_no_other() -> None:
    """Of every size up to some dozens, so that slots collide and the last ones go on at the first."""
    rng = np.random.default_rng(1)
    for size in range(40):
        vocabulary = np.append(0, np.sort(rng.choice(2**20, size, replace=False) * 2**40 + 1))

        table = HashTable(vocabulary)

        assert table.find_rows(vocabulary).tolist() == list(range(size + 1))
        others = np.setdiff1d(rng.integers(1, 2**63, 1000), vocabulary)
        assert not table.find_rows(others).any()
        assert table.find_rows(np.empty(0, np.int64)).shape == (0,)


def test_ngrams_that_hash_to_the_same_slots_are_found() -> None:
    table = HashTable(np.arange(5))
    of_one_slot = [code for code in range(1, 2000) if table.first_slots(np.array([code]))[0] == 15][:5]
    colliding = HashTable(np.array([0, *of_one_slot]))
    assert colliding.last == table.last == 15

    assert colliding.find_rows(np.array([*of_one_slot[::-1], 0, 1])).tolist() == [5, 4, 3, 2, 1, 0, 0]


def test_lookup_finds_an_ngram_of_the_vocabulary_and_no_other() -> None:
    position, is_known = ngrams.lookup(np.array([3, 9]), np.array([9, 1, 3, 5, 10]))

    assert is_known.tolist() == [True, False, True, False, False]
    assert position[is_known].tolist() == [1, 0]
    assert not ngrams.lookup(np.empty(0, np.int64), np.array([0, 1]))[1].any()
