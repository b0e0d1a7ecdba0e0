"""Vectors of tokens: what stands near what, worked out by hand; tokens in the same company are near as vectors."""

import warnings

import numpy as np
import pytest

from pipeline.cli import UserError
from pipeline.features import batches, token_vectors
from pipeline.features.batches import EncodedExamples
from pipeline.features.tokenizer import EncodedText


def ids_of(posts: list[list[int]]) -> EncodedExamples:
    encoded = (EncodedText(np.array(post), np.zeros(len(post), np.int64), np.empty(0, np.uint8)) for post in posts)
    return batches.from_encoded(encoded, [0] * len(posts))


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_neighbours_count_by_their_distance_their_side_and_inside_a_post() -> None:
    near = token_vectors.cooccurrences(ids_of([[1, 2, 3], [4, 1]]), vocabulary=5).toarray()

    before, after = near[:, :5], near[:, 5:]
    assert before[2].tolist() == [0, 1, 0, 0, 0]
    assert after[2].tolist() == [0, 0, 0, 1, 0]
    assert before[3].tolist() == [0, 0.5, 1, 0, 0]  # 1 is two tokens away
    assert after[1].tolist() == [0, 0, 1, 0.5, 0]
    assert before[1].tolist() == [0, 0, 0, 0, 1]  # 4, of the second post; 3 ends the first one
    assert after[4].tolist() == [0, 1, 0, 0, 0]


def test_tokens_further_away_than_the_window_do_not_count() -> None:
    near = token_vectors.cooccurrences(ids_of([list(range(1, 9))]), vocabulary=9).toarray()

    assert near[1, 9 + 1 + token_vectors.WINDOW] == 1 / token_vectors.WINDOW
    assert near[1, 9 + 2 + token_vectors.WINDOW] == 0


def test_tokens_in_the_same_company_are_nearer_than_others() -> None:
    # 10 and 11 are said of the same things, 12 of other ones.
    rng = np.random.default_rng(1)
    posts = [[int(rng.choice([1, 2])), int(rng.choice([10, 11])), int(rng.choice([3, 4]))] for _ in range(100)]
    posts += [[int(rng.choice([5, 6])), 12, int(rng.choice([7, 8]))] for _ in range(100)]

    of = token_vectors.fit_token_vectors(ids_of(posts), vocabulary=13, dimensions=4)

    assert cosine(of[10], of[11]) > 0.9
    assert abs(cosine(of[10], of[12])) < 0.1


def test_vectors_have_one_length_and_are_the_same_again() -> None:
    posts = ids_of([[1, 2, 3, 1, 4], [2, 5, 1], [4, 3, 2]])

    of = token_vectors.fit_token_vectors(posts, vocabulary=7, dimensions=3)

    assert of.shape == (7, 3)
    assert of.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(of[1:6], axis=1), token_vectors.SIZE * np.sqrt(3), rtol=1e-5)
    assert not of[6].any()  # a token of the vocabulary that no post has
    np.testing.assert_array_equal(of, token_vectors.fit_token_vectors(posts, vocabulary=7, dimensions=3))


def test_more_dimensions_than_tokens_are_no_trouble() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert token_vectors.fit_token_vectors(ids_of([[1, 2], [2, 1]]), vocabulary=3, dimensions=8).shape == (3, 8)


def test_posts_of_one_token_are_refused() -> None:
    with pytest.raises(UserError, match=r"none stands near another; set train\.token_vectors to random"):
        token_vectors.fit_token_vectors(ids_of([[1], [2]]), vocabulary=3, dimensions=2)
