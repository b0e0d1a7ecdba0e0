"""N-gram features: naive Bayes' ratios, at the token where the n-gram ends, and out of fold for training examples."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.features import batches, ngram_features, ngrams
from pipeline.features.batches import EncodedExamples
from pipeline.features.ngram_features import CHAR_SCALE, TOKEN_SCALE
from pipeline.features.tokenizer import EncodedText, encode_texts, fit_tokenizer
from pipeline.params.train import Train


@pytest.fixture(scope="module")
def config(small: Callable[..., Train]) -> Callable[..., Train]:
    """`config(max_ngram=2, char_ngrams=True)`: parameters by which even an n-gram of a single text counts."""
    defaults = {"max_ngram": 0, "char_ngrams": False, "ngram_min_df": 1, "char_min_df": 1}
    return lambda **changes: small(**defaults | changes)


def examples_of_ids(ids: list[list[int]], labels: list[int]) -> EncodedExamples:
    """Examples with these token ids, without characters."""
    no_characters = np.empty(0, np.uint8)
    texts = [EncodedText(np.array(each), np.zeros(len(each), np.int64), no_characters) for each in ids]
    return batches.from_encoded(texts, labels)


def examples_of_texts(texts: list[str], labels: list[int], max_length: int = 100) -> EncodedExamples:
    tokenizer = fit_tokenizer(texts, "code", vocab_size=100, max_length=max_length)
    return batches.from_encoded(encode_texts(tokenizer, texts), labels)


# Token n-grams

# Token 7 after 5 is typical of class 0, 7 after 6 of class 1; 7 alone of neither.
EXAMPLES = examples_of_ids([[5, 7], [5, 7, 5, 7], [6, 7], [6, 7]], [0, 0, 1, 1])


def test_the_feature_of_a_token_is_its_scaled_ratio(config: Callable) -> None:
    fitted = ngram_features.fit(EXAMPLES, 2, config(max_ngram=1))

    features = ngram_features.transform(fitted, EXAMPLES)

    # Tokens 5, 6, 7 are in 2, 0, 2 examples of class 0, and in 0, 2, 2 of class 1; 0.5 is added to each count.
    p, q = np.array([2.5, 0.5, 2.5]), np.array([0.5, 2.5, 2.5])
    ratio = dict(zip([5, 6, 7], np.log((p / p.sum()) / (q / q.sum())) * TOKEN_SCALE, strict=True))
    expected = [[ratio[token], -ratio[token]] for token in EXAMPLES.tokens]
    np.testing.assert_allclose(features, expected, rtol=1e-5)
    assert features.dtype == np.float32


def test_the_feature_of_an_ngram_is_at_its_last_token_and_within_one_example(config: Callable) -> None:
    fitted = ngram_features.fit(EXAMPLES, 2, config(max_ngram=2))

    features = ngram_features.transform(fitted, examples_of_ids([[5, 7], [7, 6, 7]], [0, 0]))

    bigrams = features[:, 2:]
    assert features.shape == (5, 4)
    assert bigrams[0].tolist() == [0, 0]  # no bigram yet
    assert bigrams[1, 0] > 0 > bigrams[1, 1]  # 5 7
    assert bigrams[2].tolist() == [0, 0]  # 7 | 7 is no bigram: two examples
    assert bigrams[3].tolist() == [0, 0]  # 7 6 is unknown
    assert bigrams[4, 0] < 0 < bigrams[4, 1]  # 6 7


@pytest.mark.parametrize("min_df", [2, 3, 5])
def test_rare_token_ngrams_have_features_of_0(config: Callable, min_df: int) -> None:
    fitted = ngram_features.fit(EXAMPLES, 2, config(max_ngram=2, ngram_min_df=min_df))

    features = ngram_features.transform(fitted, EXAMPLES)

    document_frequency = {5: 2, 6: 2, 7: 4}
    for token, row in zip(EXAMPLES.tokens, features[:, 0], strict=True):
        assert (row == 0) == (document_frequency[int(token)] < min_df or int(token) == 7)
    assert features[:, 2:].any() == (min_df == 2)


# Character n-grams


def test_the_character_feature_of_a_token_is_the_sum_of_the_ngrams_that_end_in_it(config: Callable) -> None:
    examples = examples_of_texts(["ab cd;", "abc d"], [0, 1])
    fitted = ngram_features.fit(examples, 2, config(char_ngrams=True))

    # Class 0's n-grams of "ab cd;" are "ab ", "b c", " cd", "cd;", "ab c", "b cd", " cd;", "ab cd", "b cd;", nine;
    # class 1's of "abc d" are "abc", "bc ", "c d", "abc ", "bc d", "abc d", six. None is in both: the smoothed counts
    # of all 15 add up to 9 * 1.5 + 6 * 0.5 = 16.5 in class 0 and to 9 * 0.5 + 6 * 1.5 = 13.5 in class 1.
    own, other = np.log((1.5 / 16.5) / (0.5 / 13.5)), np.log((0.5 / 16.5) / (1.5 / 13.5))
    # In "ab" no n-gram ends; in "cd" (and the blank before it) "ab ", "b c", "ab c", " cd", "b cd", "ab cd", and in ";"
    # the other three. In "abc" "abc" ends, in "d" the other five.
    counts = np.array([[0, 6, 3, 0, 0], [0, 0, 0, 1, 5]])
    expected = CHAR_SCALE * (counts[0] * own + counts[1] * other)
    features = ngram_features.transform(fitted, examples)
    np.testing.assert_allclose(features, np.stack([expected, -expected], axis=1), rtol=1e-5)


def test_character_ngrams_are_within_one_example_and_0_if_unknown(config: Callable) -> None:
    fitted = ngram_features.fit(examples_of_texts(["abcdef", "uvwxyz"], [0, 1]), 2, config(char_ngrams=True))

    features = ngram_features.transform(fitted, examples_of_texts(["ab", "cd", "", "qq abc", "..."], [0] * 5))

    assert features.any(axis=1).tolist() == [False, False, False, False, True, False, False, False]
    assert features[4, 0] > 0
    assert features[4, 1] == pytest.approx(-features[4, 0], rel=1e-5)


def test_character_ngrams_after_the_last_token_that_is_kept_do_not_count(config: Callable) -> None:
    def fitted_ratios(text: str, max_length: int) -> ngrams.LogCountRatios:
        examples = examples_of_texts([text, "uvw xyz"], [0, 1], max_length)
        ratios = ngram_features.fit(examples, 2, config(char_ngrams=True)).characters
        assert ratios
        return ratios

    truncated, without, complete = (
        fitted_ratios("abc def;;;", 2), fitted_ratios("abc def", 100), fitted_ratios("abc def;;;", 100)
    )  # fmt: skip

    np.testing.assert_array_equal(truncated.ngrams, without.ngrams)
    np.testing.assert_array_equal(truncated.ratios, without.ratios)
    assert len(complete.ngrams) == len(truncated.ngrams) + 3 * 3  # of each order three more


@pytest.mark.parametrize("min_df", [1, 2, 3])
def test_rare_character_ngrams_have_features_of_0(config: Callable, min_df: int) -> None:
    examples = examples_of_texts(["abc", "abc", "xyz"], [0, 0, 1])
    fitted = ngram_features.fit(examples, 2, config(char_ngrams=True, char_min_df=min_df))

    features = ngram_features.transform(fitted, examples)

    # If the vocabulary has one n-gram alone, it is equally likely in both classes.
    assert features.any(axis=1).tolist() == [min_df == 1] * 3


def test_features_of_a_very_long_text_lose_no_precision(config: Callable) -> None:
    """A token's sum is a difference of cumulative sums, whose rounding error must not grow with the text."""
    texts = ["abc " * 50_000, "xyz " * 50_000]
    examples = examples_of_texts(texts, [0, 1], max_length=1_000_000)

    features = ngram_features.transform(ngram_features.fit(examples, 2, config(char_ngrams=True)), examples)

    # All "abc" but the first have the same features.
    np.testing.assert_allclose(features[2:50_000], np.broadcast_to(features[2], (49_998, 2)), rtol=1e-5)
    np.testing.assert_allclose(features[50_002:], np.broadcast_to(-features[2], (49_998, 2)), rtol=1e-5)


# Columns


@pytest.mark.parametrize("max_ngram", [0, 1, 2, 3])
@pytest.mark.parametrize("char_ngrams", [False, True])
def test_there_is_a_column_per_class_for_each_order_and_for_the_characters(
    config: Callable, max_ngram: int, char_ngrams: bool
) -> None:
    examples = examples_of_texts(["abc def", "abc ghi", "jkl"], [0, 1, 2])
    params = config(max_ngram=max_ngram, char_ngrams=char_ngrams)

    feature_dim = 3 * (max_ngram + char_ngrams)
    assert ngram_features.transform(ngram_features.fit(examples, 3, params), examples).shape == (5, feature_dim)
    assert ngram_features.out_of_fold(examples, 3, params).shape == (5, feature_dim)


def test_the_columns_of_characters_come_after_those_of_tokens(config: Callable) -> None:
    examples = examples_of_texts(["abc def", "abc ghi", "jkl"], [0, 1, 2])

    both, tokens, characters = (
        ngram_features.transform(ngram_features.fit(examples, 3, params), examples)
        for params in (config(max_ngram=2, char_ngrams=True), config(max_ngram=2), config(char_ngrams=True))
    )

    np.testing.assert_array_equal(both, np.concatenate([tokens, characters], axis=1))


# Out of fold


@pytest.mark.parametrize("view", [{"max_ngram": 1}, {"char_ngrams": True}])
def test_features_of_a_training_example_are_fitted_without_it(config: Callable, view: dict) -> None:
    # Each example has a token of its own, which would reveal its label if it were counted.
    examples = examples_of_texts([f"{n:03}" for n in range(20)], [n % 2 for n in range(20)])

    features = ngram_features.out_of_fold(examples, 2, config(**view))

    assert not features.any()
    assert ngram_features.transform(ngram_features.fit(examples, 2, config(**view)), examples).all()


@pytest.mark.parametrize("view", [{"max_ngram": 1}, {"char_ngrams": True}])
def test_features_of_a_training_example_are_fitted_on_the_other_folds(config: Callable, view: dict) -> None:
    rng = np.random.default_rng(1)
    words = ["abcd", "efgh", "abgh", "cdef"]
    texts = [" ".join(rng.choice(words, rng.integers(1, 6))) for _ in range(23)]
    examples = examples_of_texts(texts, [n % 3 for n in range(23)])
    params = config(**view)

    features = ngram_features.out_of_fold(examples, 3, params)

    # Each example is in one of five folds of about the same size.
    fold = np.random.default_rng(0).permutation(23) % 5
    for row in range(23):
        fitted = ngram_features.fit(batches.select(examples, fold != fold[row]), 3, params)
        expected = ngram_features.transform(fitted, batches.select(examples, np.arange(23) == row))
        np.testing.assert_allclose(features[examples.starts[row] : examples.starts[row + 1]], expected, atol=1e-6)


def test_out_of_fold_features_of_common_ngrams_are_largest_for_the_true_class(config: Callable) -> None:
    texts = [("java" if n % 2 else "dict") + " of" for n in range(40)]
    examples = examples_of_texts(texts, [0, 1] * 20)

    features = ngram_features.out_of_fold(examples, 2, config(max_ngram=3, char_ngrams=True))

    assert features.shape == (80, 8)
    bigrams, characters = features[1::2, 2:4], features[0::2, 6:8]
    assert (bigrams.argmax(axis=1) == examples.labels).all()
    assert (characters.argmax(axis=1) == examples.labels).all()


# The file


@pytest.mark.parametrize("max_ngram", [0, 2])
@pytest.mark.parametrize("char_ngrams", [False, True])
def test_saved_features_are_loaded_as_they_were(
    config: Callable, tmp_path: Path, max_ngram: int, char_ngrams: bool
) -> None:
    examples = examples_of_texts(["abc def", "abc ghi", "jkl"], [0, 1, 2])
    fitted = ngram_features.fit(examples, 3, config(max_ngram=max_ngram, char_ngrams=char_ngrams))

    ngram_features.save(fitted, tmp_path / "ngram_features.safetensors")

    loaded = ngram_features.load((tmp_path / "ngram_features.safetensors").read_bytes())
    assert (loaded.max_ngram, bool(loaded.characters)) == (max_ngram, char_ngrams)
    np.testing.assert_array_equal(
        ngram_features.transform(loaded, examples), ngram_features.transform(fitted, examples)
    )
    assert isinstance(loaded.tokens, ngrams.LogCountRatios)
