"""Batches: every post once an epoch, padded on the right, with little padding."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.corpus import tables
from pipeline.features.batches import EncodedExamples, from_encoded, iterate_batches, pad_batch, read_encoded, select
from pipeline.features.tokenizer import EncodedText
from pipeline.model.network import make_dataset

POSTS = [[5, 6, 7], [8], [9, 10], [11, 12, 13, 14]]


def encoded(post: list[int]) -> EncodedText:
    """A post whose tokens are of two characters each."""
    characters = np.repeat(np.array(post) % 256, 2).astype(np.uint16)
    return EncodedText(np.array(post, np.int32), np.arange(2, 2 * len(post) + 1, 2), characters)


def ids_of(posts: list[list[int]]) -> EncodedExamples:
    """The posts, with their numbers as labels."""
    return from_encoded(map(encoded, posts), np.arange(len(posts)))


def of_lengths(lengths: np.ndarray) -> EncodedExamples:
    """Posts of the number of the post plus one, over and over."""
    return ids_of([[number + 1] * length for number, length in enumerate(lengths)])


def like_real_ones(count: int) -> np.ndarray:
    """Lengths as Stack Overflow 16k has them, in tokens: median about 200, cut at 300."""
    return np.random.default_rng(1).lognormal(np.log(200), 0.75, count).astype(int).clip(1, 300)


def test_a_table_is_read_as_it_was_written_also_beyond_a_batch_of_it(tmp_path: Path) -> None:
    posts = POSTS * tables.BATCH_ROWS
    rows = (
        {"id": "", "tokens": post.ids, "ends": post.ends, "characters": post.characters.tobytes(), "label": number}
        for number, post in enumerate(map(encoded, posts))
    )
    tables.write_table(tmp_path / "ids.parquet", tables.IDS_SCHEMA, rows)

    ids = read_encoded(tmp_path / "ids.parquet")

    assert len(ids) == len(posts)
    for name, expected in vars(ids_of(posts)).items():
        np.testing.assert_array_equal(getattr(ids, name), expected)


def test_posts_are_put_together_with_their_characters() -> None:
    ids = from_encoded(
        [
            EncodedText(np.array([5, 6]), np.array([2, 3]), np.array([97, 98, 99], np.uint16)),
            EncodedText(np.array([1]), np.array([0]), np.empty(0, np.uint16)),  # an empty text
            EncodedText(np.array([7]), np.array([2]), np.array([32, 100], np.uint16)),
        ],
        [1, 0, 1],
    )

    assert ids.tokens.tolist() == [5, 6, 1, 7]
    assert ids.starts.tolist() == [0, 2, 3, 4]
    assert ids.characters.tolist() == [97, 98, 99, 32, 100]
    assert ids.character_starts.tolist() == [0, 3, 3, 5]
    assert ids.ends.tolist() == [2, 3, 3, 5]  # among all characters
    assert ids.labels.tolist() == [1, 0, 1]
    assert ids.evidence.shape == (4, 0)


def test_chosen_posts_are_as_if_there_were_no_others() -> None:
    posts = [[5, 6, 7], [8], [9, 10], [11, 12, 13, 14], [15]]
    all_of_them, expected = ids_of(posts), ids_of([posts[1], posts[3], posts[4]])
    all_of_them = replace(all_of_them, evidence=all_of_them.tokens[:, None] / np.float32(2))
    expected = replace(expected, evidence=expected.tokens[:, None] / np.float32(2), labels=np.array([1, 3, 4]))

    chosen = select(all_of_them, np.array([False, True, False, True, True]))

    for name, value in vars(expected).items():
        np.testing.assert_array_equal(getattr(chosen, name), value, name)


def test_padding_is_0_on_the_right_up_to_the_longest_post_of_the_batch() -> None:
    inputs, labels = pad_batch(ids_of(POSTS), np.array([1, 0, 2]))

    assert list(inputs) == ["ids"]
    assert inputs["ids"].tolist() == [[8, 0, 0], [5, 6, 7], [9, 10, 0]]
    assert labels.tolist() == [1, 0, 2]
    assert inputs["ids"].dtype == np.int32


def test_padding_goes_up_to_a_width_where_one_is_given() -> None:
    without = ids_of(POSTS)
    ids = replace(without, evidence=without.tokens[:, None].astype(np.float32))

    inputs, _ = pad_batch(ids, np.array([1, 2]), width=5)

    assert inputs["ids"].tolist() == [[8, 0, 0, 0, 0], [9, 10, 0, 0, 0]]
    assert inputs["evidence"].tolist() == [[[8], [0], [0], [0], [0]], [[9], [10], [0], [0], [0]]]


def test_evidence_goes_with_its_token_and_is_0_beside_padding() -> None:
    without = ids_of(POSTS)
    ids = replace(without, evidence=np.stack([without.tokens, -without.tokens], axis=1).astype(np.float32))

    inputs, _ = pad_batch(ids, np.array([1, 0]))

    assert inputs["evidence"].tolist() == [[[8, -8], [0, 0], [0, 0]], [[5, -5], [6, -6], [7, -7]]]


def test_every_post_comes_once_an_epoch_whole_and_with_its_label() -> None:
    lengths = like_real_ones(333)

    for rng in (None, np.random.default_rng(1)):
        seen = []
        for inputs, labels in iterate_batches(of_lengths(lengths), 32, rng=rng):
            assert 0 < len(labels) <= 32
            for row, label in zip(inputs["ids"], labels, strict=True):
                real = row[: lengths[label]]
                assert (real == label + 1).all()
                assert not row[lengths[label] :].any()
            seen += labels.tolist()
        assert sorted(seen) == list(range(333))


def test_a_seed_gives_the_same_epochs_again_and_each_epoch_is_another() -> None:
    ids = of_lengths(like_real_ones(200))

    def epochs(seed: int) -> list[list[list[int]]]:
        rng = np.random.default_rng(seed)
        return [[labels.tolist() for _, labels in iterate_batches(ids, 16, rng=rng)] for _ in range(2)]

    first, second = epochs(seed=1)
    assert epochs(seed=1) == [first, second]
    assert epochs(seed=2)[0] != first
    # Not only the order of the batches differs: other posts meet in them.
    assert {tuple(sorted(batch)) for batch in first} != {tuple(sorted(batch)) for batch in second}


def test_an_epoch_does_not_come_in_order_of_length() -> None:
    made = iterate_batches(of_lengths(np.arange(1, 200)), 8, rng=np.random.default_rng(1))
    widths = [inputs["ids"].shape[1] for inputs, _ in made]

    assert abs(np.corrcoef(widths, range(len(widths)))[0, 1]) < 0.5


def test_without_a_generator_posts_come_in_order_of_length() -> None:
    assert [labels.tolist() for _, labels in iterate_batches(ids_of(POSTS), 3)] == [[1, 2, 0], [3]]


def test_with_one_width_for_all_length_plays_no_part() -> None:
    lengths = np.arange(1, 201)
    made = list(iterate_batches(of_lengths(lengths), 20, width=200, rng=np.random.default_rng(1)))

    assert [inputs["ids"].shape for inputs, _ in made] == [(20, 200)] * 10
    assert sorted(label for _, labels in made for label in labels) == list(range(200))
    # In batches by length, the shortest and the longest post of one differ by some 20.
    assert min(np.ptp(lengths[labels]) for _, labels in made) > 100
    in_order = iterate_batches(of_lengths(lengths), 20, width=200)
    assert [label for _, labels in in_order for label in labels] == list(range(200))


def test_nine_positions_of_ten_are_real_tokens() -> None:
    ids = of_lengths(like_real_ones(4000))

    positions = sum(inputs["ids"].size for inputs, _ in iterate_batches(ids, 64, rng=np.random.default_rng(1)))

    assert len(ids.tokens) / positions > 0.9


def test_a_dataset_gives_the_batches_and_another_epoch_at_each_pass() -> None:
    ids = of_lengths(like_real_ones(100))
    rng = np.random.default_rng(1)
    expected = [[labels.tolist() for _, labels in iterate_batches(ids, 16, rng=rng)] for _ in range(2)]

    made = make_dataset(ids, 16, None, np.random.default_rng(1))

    assert len(made) == 7
    assert [[labels.tolist() for _, labels in made.as_numpy_iterator()] for _ in range(2)] == expected
    assert list(made.element_spec[0]["ids"].shape) == [None, None]  # so that batches of any width go in


def test_a_dataset_of_one_width_says_so() -> None:
    made = make_dataset(ids_of(POSTS), 3, 6)

    assert list(made.element_spec[0]["ids"].shape) == [None, 6]
    assert [inputs["ids"].shape for inputs, _ in made.as_numpy_iterator()] == [(3, 6), (1, 6)]
