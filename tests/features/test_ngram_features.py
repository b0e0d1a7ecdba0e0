"""What n-grams say: naive Bayes' ratios, at the token in which the n-gram ends, and never from the post itself."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.features import batches, ngram_features, ngrams
from pipeline.features.batches import EncodedExamples
from pipeline.features.ngram_features import CHARACTER_SCALE, TOKEN_SCALE
from pipeline.features.tokenizer import EncodedText, encode_texts, fit_tokenizer
from pipeline.params.train import Train


@pytest.fixture(scope="module")
def said_by(small: Callable[..., Train]) -> Callable[..., Train]:
    """`said_by(ngrams=2, character_ngrams=True)`: parameters by which even an n-gram of a single post counts."""
    nothing = {"ngrams": 0, "character_ngrams": False}
    return lambda **changes: small(**{**nothing, "ngram_min_posts": 1, "character_min_posts": 1, **changes})


def ids_of(posts: list[list[int]], labels: list[int]) -> EncodedExamples:
    """Posts of these tokens, without any characters."""
    nothing = np.empty(0, np.uint8)
    return batches.from_encoded(
        [EncodedText(np.array(post), np.zeros(len(post), np.int64), nothing) for post in posts], labels
    )


def texts_of(texts: list[str], labels: list[int], max_tokens: int = 100) -> EncodedExamples:
    return batches.from_encoded(
        encode_texts(fit_tokenizer(texts, "code", vocabulary=100, max_tokens=max_tokens), texts), labels
    )


# Tokens

# Token 7 after 5 is label 0's, token 7 after 6 label 1's; alone it says nothing.
POSTS = ids_of([[5, 7], [5, 7, 5, 7], [6, 7], [6, 7]], [0, 0, 1, 1])


def test_a_token_says_its_ratio_to_scale(said_by: Callable) -> None:
    known = ngram_features.fit(POSTS, 2, said_by(ngrams=1))

    said = ngram_features.transform(known, POSTS)

    # Tokens 5, 6, 7 are in two, none, two posts of label 0, and in none, two, two of label 1; half a post is added.
    p, q = np.array([2.5, 0.5, 2.5]), np.array([0.5, 2.5, 2.5])
    ratio = dict(zip([5, 6, 7], np.log((p / p.sum()) / (q / q.sum())) * TOKEN_SCALE, strict=True))
    expected = [[ratio[token], -ratio[token]] for token in POSTS.tokens]
    np.testing.assert_allclose(said, expected, rtol=1e-5)
    assert said.dtype == np.float32


def test_what_is_said_stands_where_the_ngram_ends_and_stays_inside_the_post(said_by: Callable) -> None:
    known = ngram_features.fit(POSTS, 2, said_by(ngrams=2))

    said = ngram_features.transform(known, ids_of([[5, 7], [7, 6, 7]], [0, 0]))

    pairs = said[:, 2:]
    assert said.shape == (5, 4)
    assert pairs[0].tolist() == [0, 0]  # no pair yet
    assert pairs[1, 0] > 0 > pairs[1, 1]  # 5 7
    assert pairs[2].tolist() == [0, 0]  # 7 | 7 is no pair: two posts
    assert pairs[3].tolist() == [0, 0]  # 7 6 was never seen
    assert pairs[4, 0] < 0 < pairs[4, 1]  # 6 7


@pytest.mark.parametrize("min_posts", [2, 3, 5])
def test_rare_ngrams_say_nothing(said_by: Callable, min_posts: int) -> None:
    known = ngram_features.fit(POSTS, 2, said_by(ngrams=2, ngram_min_posts=min_posts))

    said = ngram_features.transform(known, POSTS)

    posts_with = {5: 2, 6: 2, 7: 4}
    for token, row in zip(POSTS.tokens, said[:, 0], strict=True):
        assert (row == 0) == (posts_with[int(token)] < min_posts or int(token) == 7)
    assert said[:, 2:].any() == (min_posts == 2)


# Characters


def test_characters_say_at_a_token_the_sum_of_the_runs_that_end_in_it(said_by: Callable) -> None:
    posts = texts_of(["ab cd;", "abc d"], [0, 1])
    known = ngram_features.fit(posts, 2, said_by(character_ngrams=True))

    # Label 0's runs of "ab cd;" are "ab ", "b c", " cd", "cd;", "ab c", "b cd", " cd;", "ab cd", "b cd;", nine;
    # label 1's of "abc d" are "abc", "bc ", "c d", "abc ", "bc d", "abc d", six. None is in both: of 15 runs, label
    # 0's are counted 9 * 1.5 + 6 * 0.5 = 16.5 for it and 9 * 0.5 + 6 * 1.5 = 13.5 for the other.
    ours, theirs = np.log((1.5 / 16.5) / (0.5 / 13.5)), np.log((0.5 / 16.5) / (1.5 / 13.5))
    # In "ab" no run ends; in "cd" (and the blank before it) "ab ", "b c", "ab c", " cd", "b cd", "ab cd", and in ";"
    # the other three. In "abc" "abc" ends, in "d" the other five.
    runs = np.array([[0, 6, 3, 0, 0], [0, 0, 0, 1, 5]])
    expected = CHARACTER_SCALE * (runs[0] * ours + runs[1] * theirs)
    np.testing.assert_allclose(
        ngram_features.transform(known, posts), np.stack([expected, -expected], axis=1), rtol=1e-5
    )


def test_characters_say_nothing_across_posts_and_nothing_where_they_are_unknown(said_by: Callable) -> None:
    known = ngram_features.fit(texts_of(["abcdef", "uvwxyz"], [0, 1]), 2, said_by(character_ngrams=True))

    said = ngram_features.transform(known, texts_of(["ab", "cd", "", "qq abc", "..."], [0] * 5))

    assert said.any(axis=1).tolist() == [False, False, False, False, True, False, False, False]
    assert said[4, 0] == -said[4, 1] > 0


def test_runs_that_end_after_the_last_token_kept_say_nothing(said_by: Callable) -> None:
    def ratios_of(text: str, max_tokens: int) -> ngrams.LogCountRatios:
        posts = texts_of([text, "uvw xyz"], [0, 1], max_tokens)
        known = ngram_features.fit(posts, 2, said_by(character_ngrams=True)).characters
        assert known
        return known

    cut, never_there, whole = ratios_of("abc def;;;", 2), ratios_of("abc def", 100), ratios_of("abc def;;;", 100)

    np.testing.assert_array_equal(cut.ngrams, never_there.ngrams)
    np.testing.assert_array_equal(cut.ratios, never_there.ratios)
    assert len(whole.ngrams) == len(cut.ngrams) + 3 * 3  # of each order three more


@pytest.mark.parametrize("min_posts", [1, 2, 3])
def test_rare_runs_say_nothing(said_by: Callable, min_posts: int) -> None:
    posts = texts_of(["abc", "abc", "xyz"], [0, 0, 1])

    said = ngram_features.transform(
        ngram_features.fit(posts, 2, said_by(character_ngrams=True, character_min_posts=min_posts)), posts
    )

    # A run that is the only one known is as likely under either label.
    assert said.any(axis=1).tolist() == [min_posts == 1] * 3


def test_a_very_long_post_loses_no_digit(said_by: Callable) -> None:
    """Sums are differences of sums over all that came before: these must not grow coarse."""
    texts = ["abc " * 50_000, "xyz " * 50_000]
    tokenizer = fit_tokenizer(texts, "code", vocabulary=100, max_tokens=1_000_000)
    posts = batches.from_encoded(encode_texts(tokenizer, texts), [0, 1])

    said = ngram_features.transform(ngram_features.fit(posts, 2, said_by(character_ngrams=True)), posts)

    # All "abc" but the first say the same.
    np.testing.assert_allclose(said[2:50_000], np.broadcast_to(said[2], (49_998, 2)), rtol=1e-5)
    np.testing.assert_allclose(said[50_002:], np.broadcast_to(-said[2], (49_998, 2)), rtol=1e-5)


# Columns


@pytest.mark.parametrize("orders", [0, 1, 2, 3])
@pytest.mark.parametrize("characters", [False, True])
def test_there_is_a_column_per_label_for_each_order_and_for_the_characters(
    said_by: Callable, orders: int, characters: bool
) -> None:
    posts = texts_of(["abc def", "abc ghi", "jkl"], [0, 1, 2])
    params = said_by(ngrams=orders, character_ngrams=characters)

    columns = 3 * (orders + characters)
    assert ngram_features.transform(ngram_features.fit(posts, 3, params), posts).shape == (5, columns)
    assert ngram_features.out_of_fold(posts, 3, params).shape == (5, columns)


def test_the_characters_come_after_the_tokens(said_by: Callable) -> None:
    posts = texts_of(["abc def", "abc ghi", "jkl"], [0, 1, 2])

    both, tokens, characters = (
        ngram_features.transform(ngram_features.fit(posts, 3, params), posts)
        for params in (said_by(ngrams=2, character_ngrams=True), said_by(ngrams=2), said_by(character_ngrams=True))
    )

    np.testing.assert_array_equal(both, np.concatenate([tokens, characters], axis=1))


# Cross-fitting


@pytest.mark.parametrize("view", [{"ngrams": 1}, {"character_ngrams": True}])
def test_a_training_post_is_looked_up_in_counts_it_is_no_part_of(said_by: Callable, view: dict) -> None:
    # Each post has a token of its own: counted in, it would give its label away; left out, it says nothing.
    texts = [f"{number:03}" for number in range(20)]
    posts = texts_of(texts, [number % 2 for number in range(20)])

    said = ngram_features.out_of_fold(posts, 2, said_by(**view))

    assert not said.any()
    assert ngram_features.transform(ngram_features.fit(posts, 2, said_by(**view)), posts).all()


@pytest.mark.parametrize("view", [{"ngrams": 1}, {"character_ngrams": True}])
def test_each_post_is_looked_up_in_the_counts_of_the_other_folds(said_by: Callable, view: dict) -> None:
    rng = np.random.default_rng(1)
    words = ["abcd", "efgh", "abgh", "cdef"]
    texts = [" ".join(rng.choice(words, rng.integers(1, 6))) for _ in range(23)]
    posts = texts_of(texts, [number % 3 for number in range(23)])
    params = said_by(**view)

    said = ngram_features.out_of_fold(posts, 3, params)

    # Every post belongs to one of five groups of about the same size, in whose absence it was counted.
    fold = np.random.default_rng(0).permutation(23) % 5
    for post in range(23):
        known = ngram_features.fit(batches.select(posts, fold != fold[post]), 3, params)
        expected = ngram_features.transform(known, batches.select(posts, np.arange(23) == post))
        np.testing.assert_allclose(said[posts.starts[post] : posts.starts[post + 1]], expected, atol=1e-6)


def test_cross_fitted_evidence_of_common_ngrams_points_to_the_label(said_by: Callable) -> None:
    posts = texts_of([("java" if number % 2 else "dict") + " of" for number in range(40)], [0, 1] * 20)

    said = ngram_features.out_of_fold(posts, 2, said_by(ngrams=3, character_ngrams=True))

    assert said.shape == (80, 8)
    pair_says, characters_say = said[1::2, 2:4], said[0::2, 6:8]
    assert (pair_says.argmax(axis=1) == posts.labels).all()
    assert (characters_say.argmax(axis=1) == posts.labels).all()


# The file


@pytest.mark.parametrize("orders", [0, 2])
@pytest.mark.parametrize("characters", [False, True])
def test_a_file_gives_the_evidence_back(said_by: Callable, tmp_path: Path, orders: int, characters: bool) -> None:
    posts = texts_of(["abc def", "abc ghi", "jkl"], [0, 1, 2])
    known = ngram_features.fit(posts, 3, said_by(ngrams=orders, character_ngrams=characters))

    ngram_features.save(known, tmp_path / "ngram_features.safetensors")

    again = ngram_features.load((tmp_path / "ngram_features.safetensors").read_bytes())
    assert (again.token_orders, bool(again.characters)) == (orders, characters)
    np.testing.assert_array_equal(ngram_features.transform(again, posts), ngram_features.transform(known, posts))
    assert isinstance(again.tokens, ngrams.LogCountRatios)
