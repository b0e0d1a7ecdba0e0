"""Batches: every post once an epoch, padded on the right, with little padding."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.corpus import tables
from pipeline.nn.batches import Ids, batches, pad, read
from pipeline.nn.network import dataset

POSTS = [[5, 6, 7], [8], [9, 10], [11, 12, 13, 14]]


def ids_of(posts: list[list[int]]) -> Ids:
    """The posts, with their numbers as labels."""
    tokens = np.concatenate(posts).astype(np.int32)
    starts = np.cumsum([0, *map(len, posts)])
    return Ids(tokens, starts, np.arange(len(posts), dtype=np.int32), np.empty((len(tokens), 0), np.float32))


def of_lengths(lengths: np.ndarray) -> Ids:
    """Posts of the number of the post plus one, over and over."""
    return ids_of([[number + 1] * length for number, length in enumerate(lengths)])


def like_real_ones(count: int) -> np.ndarray:
    """Lengths as Stack Overflow 16k has them, in tokens: median about 200, cut at 300."""
    return np.random.default_rng(1).lognormal(np.log(200), 0.75, count).astype(int).clip(1, 300)


def test_a_table_is_read_as_it_was_written_also_beyond_a_batch_of_it(tmp_path: Path) -> None:
    posts = POSTS * tables.BATCH
    rows = ({"id": "", "tokens": tokens, "label": number} for number, tokens in enumerate(posts))
    tables.write(tmp_path / "ids.parquet", tables.IDS, rows)

    ids = read(tmp_path / "ids.parquet")

    assert len(ids) == len(posts)
    for name, expected in vars(ids_of(posts)).items():
        np.testing.assert_array_equal(getattr(ids, name), expected)


def test_padding_is_0_on_the_right_up_to_the_longest_post_of_the_batch() -> None:
    inputs, labels = pad(ids_of(POSTS), np.array([1, 0, 2]))

    assert list(inputs) == ["ids"]
    assert inputs["ids"].tolist() == [[8, 0, 0], [5, 6, 7], [9, 10, 0]]
    assert labels.tolist() == [1, 0, 2]
    assert inputs["ids"].dtype == np.int32


def test_evidence_goes_with_its_token_and_is_0_beside_padding() -> None:
    without = ids_of(POSTS)
    ids = replace(without, evidence=np.stack([without.tokens, -without.tokens], axis=1).astype(np.float32))

    inputs, _ = pad(ids, np.array([1, 0]))

    assert inputs["evidence"].tolist() == [[[8, -8], [0, 0], [0, 0]], [[5, -5], [6, -6], [7, -7]]]


def test_every_post_comes_once_an_epoch_whole_and_with_its_label() -> None:
    lengths = like_real_ones(333)

    for rng in (None, np.random.default_rng(1)):
        seen = []
        for inputs, labels in batches(of_lengths(lengths), 32, rng):
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
        return [[labels.tolist() for _, labels in batches(ids, 16, rng)] for _ in range(2)]

    first, second = epochs(seed=1)
    assert epochs(seed=1) == [first, second]
    assert epochs(seed=2)[0] != first
    # Not only the order of the batches differs: other posts meet in them.
    assert {tuple(sorted(batch)) for batch in first} != {tuple(sorted(batch)) for batch in second}


def test_an_epoch_does_not_come_in_order_of_length() -> None:
    widths = [
        inputs["ids"].shape[1] for inputs, _ in batches(of_lengths(np.arange(1, 200)), 8, np.random.default_rng(1))
    ]

    assert abs(np.corrcoef(widths, range(len(widths)))[0, 1]) < 0.5


def test_without_a_generator_posts_come_in_order_of_length() -> None:
    assert [labels.tolist() for _, labels in batches(ids_of(POSTS), 3)] == [[1, 2, 0], [3]]


def test_nine_positions_of_ten_are_real_tokens() -> None:
    ids = of_lengths(like_real_ones(4000))

    positions = sum(inputs["ids"].size for inputs, _ in batches(ids, 64, np.random.default_rng(1)))

    assert len(ids.tokens) / positions > 0.9


def test_a_dataset_gives_the_batches_and_another_epoch_at_each_pass() -> None:
    ids = of_lengths(like_real_ones(100))
    rng = np.random.default_rng(1)
    expected = [[labels.tolist() for _, labels in batches(ids, 16, rng)] for _ in range(2)]

    made = dataset(ids, 16, np.random.default_rng(1))

    assert len(made) == 7
    assert [[labels.tolist() for _, labels in made.as_numpy_iterator()] for _ in range(2)] == expected
    assert list(made.element_spec[0]["ids"].shape) == [None, None]  # so that batches of any width go in
