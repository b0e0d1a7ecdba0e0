"""What n-grams say: naive Bayes' ratios, looked up where the n-gram ends, and never from the post itself."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.nn import evidence
from pipeline.nn.batches import Ids


def ids_of(posts: list[list[int]], labels: list[int]) -> Ids:
    tokens = np.concatenate(posts).astype(np.int32)
    return Ids(tokens, np.cumsum([0, *map(len, posts)]), np.array(labels), np.empty((len(tokens), 0), np.float32))


# Token 7 after 5 is label 0's, token 7 after 6 label 1's; alone it says nothing.
POSTS = ids_of([[5, 7], [5, 7, 5, 7], [6, 7], [6, 7]], [0, 0, 1, 1])


def test_ratios_are_those_of_naive_bayes_and_a_post_counts_once() -> None:
    known = evidence.fit(POSTS, label_count=2, orders=1, min_posts=1)

    # Tokens 5, 6, 7 are in two, none, two posts of label 0, and in none, two, two of label 1; half a post is added.
    p, q = np.array([2.5, 0.5, 2.5]), np.array([0.5, 2.5, 2.5])
    expected = np.log((p / p.sum()) / (q / q.sum()))
    assert known.ngrams.tolist() == [0, 5, 6, 7]
    np.testing.assert_allclose(known.ratios, np.vstack([[0, 0], np.stack([expected, -expected], axis=1)]), rtol=1e-6)


def test_what_is_said_stands_where_the_ngram_ends_and_stays_inside_the_post() -> None:
    known = evidence.fit(POSTS, label_count=2, orders=2, min_posts=1)
    asked = ids_of([[5, 7], [7, 6, 7]], [0, 0])

    said = evidence.look_up(known, asked.tokens, asked.starts)

    pairs = said[:, 2:]
    assert said.shape == (5, 4)
    assert pairs[0].tolist() == [0, 0]  # no pair yet
    assert pairs[1, 0] > 0 > pairs[1, 1]  # 5 7
    assert pairs[2].tolist() == [0, 0]  # 7 | 7 is no pair: two posts
    assert pairs[3].tolist() == [0, 0]  # 7 6 was never seen
    assert pairs[4, 0] < 0 < pairs[4, 1]  # 6 7


@pytest.mark.parametrize("min_posts", [2, 3, 5])
def test_rare_ngrams_say_nothing(min_posts: int) -> None:
    known = evidence.fit(POSTS, label_count=2, orders=2, min_posts=min_posts)

    said = evidence.look_up(known, POSTS.tokens, POSTS.starts)

    posts_with = {5: 2, 6: 2, 7: 4}
    for token, row in zip(POSTS.tokens, said[:, 0], strict=True):
        assert (row == 0) == (posts_with[int(token)] < min_posts or int(token) == 7)
    assert said[:, 2:].any() == (min_posts == 2)


def test_a_training_post_is_looked_up_in_counts_it_is_no_part_of() -> None:
    # Each post has a token of its own: counted in, it would give its label away; left out, it says nothing.
    posts = ids_of([[10 + number] for number in range(20)], [number % 2 for number in range(20)])

    said = evidence.cross_fitted(posts, label_count=2, orders=1, min_posts=1)

    assert not said.any()
    known = evidence.fit(posts, label_count=2, orders=1, min_posts=1)
    assert evidence.look_up(known, posts.tokens, posts.starts).all()


def test_cross_fitted_evidence_of_common_ngrams_points_to_the_label() -> None:
    posts = ids_of([[5 + number % 2, 7] for number in range(40)], [number % 2 for number in range(40)])

    said = evidence.cross_fitted(posts, label_count=2, orders=3, min_posts=1)

    assert said.shape == (80, 6)
    pair_says = said[1::2, 2:4]
    assert (pair_says.argmax(axis=1) == posts.labels).all()


def test_no_orders_say_nothing() -> None:
    known = evidence.fit(POSTS, label_count=2, orders=0, min_posts=1)

    assert evidence.look_up(known, POSTS.tokens, POSTS.starts).shape == (10, 0)
    assert evidence.cross_fitted(POSTS, label_count=2, orders=0, min_posts=1).shape == (10, 0)


def test_the_largest_token_ids_do_not_collide() -> None:
    most = 999_999  # the largest vocabulary that params.yaml allows
    posts = ids_of([[most, most, most], [1, 1, 1], [most, 1, most]], [0, 1, 0])

    numbers = [evidence.number_ngrams(posts.tokens, posts.starts, order) for order in (1, 2, 3)]

    assert min(number.min() for number in numbers) == 0
    assert len({int(number) for some in numbers for number in some if number}) == 2 + 4 + 3


def test_a_file_gives_the_evidence_back(tmp_path: Path) -> None:
    known = evidence.fit(POSTS, label_count=2, orders=2, min_posts=1)

    evidence.save(known, tmp_path / "evidence.safetensors")

    again = evidence.load((tmp_path / "evidence.safetensors").read_bytes())
    for one, other in zip(again, known, strict=True):
        np.testing.assert_array_equal(one, other)
