"""Token vectors: co-occurrences counted by hand; tokens with the same contexts have similar vectors."""

import warnings
from itertools import product

import numpy as np
import pytest

from pipeline.cli import UserError
from pipeline.features import batches, token_vectors
from pipeline.features.batches import EncodedExamples
from pipeline.features.tokenizer import EncodedText


def examples_of(ids: list[list[int]]) -> EncodedExamples:
    no_characters = np.empty(0, np.uint8)
    texts = (EncodedText(np.array(each), np.zeros(len(each), np.int64), no_characters) for each in ids)
    return batches.from_encoded(texts, [0] * len(ids))


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_contexts_count_by_distance_and_side_within_one_example() -> None:
    counts = token_vectors.cooccurrences(examples_of([[1, 2, 3], [4, 1]]), vocab_size=5).toarray()

    before, after = counts[:, :5], counts[:, 5:]
    assert before[2].tolist() == [0, 1, 0, 0, 0]
    assert after[2].tolist() == [0, 0, 0, 1, 0]
    assert before[3].tolist() == [0, 0.5, 1, 0, 0]  # 1 is two tokens away
    assert after[1].tolist() == [0, 0, 1, 0.5, 0]
    assert before[1].tolist() == [0, 0, 0, 0, 1]  # 4 of the second example; 3 ends the first one
    assert after[4].tolist() == [0, 1, 0, 0, 0]


def test_tokens_beyond_the_window_do_not_count() -> None:
    counts = token_vectors.cooccurrences(examples_of([list(range(1, 9))]), vocab_size=9).toarray()

    assert counts[1, 9 + 1 + token_vectors.WINDOW] == 1 / token_vectors.WINDOW
    assert counts[1, 9 + 2 + token_vectors.WINDOW] == 0


def test_tokens_with_the_same_contexts_have_similar_vectors() -> None:
    # 10 and 11 have the same contexts, 12 has others.
    ids = [[before, token, after] for before, token, after in product((1, 2), (10, 11), (3, 4))]
    ids += [[before, 12, after] for before, after in product((5, 6), (7, 8))]

    vectors = token_vectors.fit_token_vectors(examples_of(ids), vocab_size=13, embedding_dim=8)

    assert cosine(vectors[10], vectors[11]) > 0.9
    assert abs(cosine(vectors[10], vectors[12])) < 0.1


def test_vectors_have_the_same_length_and_are_reproducible() -> None:
    examples = examples_of([[1, 2, 3, 1, 4], [2, 5, 1], [4, 3, 2]])

    vectors = token_vectors.fit_token_vectors(examples, vocab_size=7, embedding_dim=3)

    assert vectors.shape == (7, 3)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors[1:6], axis=1), token_vectors.RMS * np.sqrt(3), rtol=1e-5)
    assert not vectors[6].any()  # in the vocabulary, but in no text
    again = token_vectors.fit_token_vectors(examples, vocab_size=7, embedding_dim=3)
    np.testing.assert_array_equal(vectors, again)


def test_there_may_be_more_dimensions_than_tokens() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        vectors = token_vectors.fit_token_vectors(examples_of([[1, 2], [2, 1]]), vocab_size=3, embedding_dim=8)

    assert vectors.shape == (3, 8)


def test_texts_of_one_token_each_are_refused() -> None:
    with pytest.raises(UserError, match=r"no training text has two tokens .*; set train\.token_vectors to random"):
        token_vectors.fit_token_vectors(examples_of([[1], [2]]), vocab_size=3, embedding_dim=2)
