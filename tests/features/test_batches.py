"""Batches: every example once per epoch, padded on the right, with little padding."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.corpus import tables
from pipeline.features.batches import EncodedExamples, from_encoded, iterate_batches, pad_batch, read_encoded, select
from pipeline.features.tokenizer import EncodedText
from pipeline.model.network import make_dataset

IDS = [[5, 6, 7], [8], [9, 10], [11, 12, 13, 14]]


def encoded_text(ids: list[int]) -> EncodedText:
    """A text whose tokens have two characters each."""
    characters = np.repeat(np.array(ids) % 256, 2).astype(np.uint16)
    return EncodedText(np.array(ids, np.int32), np.arange(2, 2 * len(ids) + 1, 2), characters)


def examples_of(ids: list[list[int]]) -> EncodedExamples:
    """Examples with these token ids; the label of each is its position."""
    return from_encoded(map(encoded_text, ids), np.arange(len(ids)))


def examples_of_lengths(lengths: np.ndarray) -> EncodedExamples:
    """Examples of these lengths; each repeats one token, its position plus one."""
    return examples_of([[position + 1] * length for position, length in enumerate(lengths)])


def realistic_lengths(count: int) -> np.ndarray:
    """Lengths in tokens as in Stack Overflow 16k: median about 200, truncated to 300."""
    return np.random.default_rng(1).lognormal(np.log(200), 0.75, count).astype(int).clip(1, 300)


def test_a_table_of_several_row_batches_is_read_as_it_was_written(tmp_path: Path) -> None:
    ids = IDS * tables.BATCH_ROWS
    rows = (
        {"id": "", "tokens": text.ids, "ends": text.ends, "characters": text.characters.tobytes(), "label": position}
        for position, text in enumerate(map(encoded_text, ids))
    )
    tables.write_table(tmp_path / "ids.parquet", tables.IDS_SCHEMA, rows)

    examples = read_encoded(tmp_path / "ids.parquet")

    assert len(examples) == len(ids)
    for name, expected in vars(examples_of(ids)).items():
        np.testing.assert_array_equal(getattr(examples, name), expected)


def test_encoded_texts_are_concatenated_with_their_characters() -> None:
    examples = from_encoded(
        [
            EncodedText(np.array([5, 6]), np.array([2, 3]), np.array([97, 98, 99], np.uint16)),
            EncodedText(np.array([1]), np.array([0]), np.empty(0, np.uint16)),  # an empty text
            EncodedText(np.array([7]), np.array([2]), np.array([32, 100], np.uint16)),
        ],
        [1, 0, 1],
    )

    assert examples.tokens.tolist() == [5, 6, 1, 7]
    assert examples.starts.tolist() == [0, 2, 3, 4]
    assert examples.characters.tolist() == [97, 98, 99, 32, 100]
    assert examples.character_starts.tolist() == [0, 3, 3, 5]
    assert examples.ends.tolist() == [2, 3, 3, 5]  # positions among all characters
    assert examples.labels.tolist() == [1, 0, 1]
    assert examples.ngram_features.shape == (4, 0)


def test_selected_examples_equal_those_encoded_alone() -> None:
    ids = [[5, 6, 7], [8], [9, 10], [11, 12, 13, 14], [15]]
    examples, expected = examples_of(ids), examples_of([ids[1], ids[3], ids[4]])
    examples = replace(examples, ngram_features=examples.tokens[:, None] / np.float32(2))
    expected = replace(
        expected, ngram_features=expected.tokens[:, None] / np.float32(2), labels=np.array([1, 3, 4])
    )  # fmt: skip

    selected = select(examples, np.array([False, True, False, True, True]))

    for name, value in vars(expected).items():
        np.testing.assert_array_equal(getattr(selected, name), value, name)


# pad_batch


def test_padding_is_0_on_the_right_up_to_the_longest_example_of_the_batch() -> None:
    inputs, labels = pad_batch(examples_of(IDS), np.array([1, 0, 2]))

    assert list(inputs) == ["ids"]
    assert inputs["ids"].tolist() == [[8, 0, 0], [5, 6, 7], [9, 10, 0]]
    assert labels.tolist() == [1, 0, 2]
    assert inputs["ids"].dtype == np.int32


def test_padding_goes_up_to_a_given_length() -> None:
    examples = examples_of(IDS)
    examples = replace(examples, ngram_features=examples.tokens[:, None].astype(np.float32))

    inputs, _ = pad_batch(examples, np.array([1, 2]), length=5)

    assert inputs["ids"].tolist() == [[8, 0, 0, 0, 0], [9, 10, 0, 0, 0]]
    assert inputs["ngram_features"].tolist() == [[[8], [0], [0], [0], [0]], [[9], [10], [0], [0], [0]]]


def test_ngram_features_are_those_of_their_token_and_0_at_padding() -> None:
    examples = examples_of(IDS)
    features = np.stack([examples.tokens, -examples.tokens], axis=1).astype(np.float32)

    inputs, _ = pad_batch(replace(examples, ngram_features=features), np.array([1, 0]))

    assert inputs["ngram_features"].tolist() == [[[8, -8], [0, 0], [0, 0]], [[5, -5], [6, -6], [7, -7]]]


# iterate_batches


def test_every_example_comes_once_per_epoch_complete_and_with_its_label() -> None:
    lengths = realistic_lengths(333)

    for rng in (None, np.random.default_rng(1)):
        seen = []
        for inputs, labels in iterate_batches(examples_of_lengths(lengths), 32, rng=rng):
            assert 0 < len(labels) <= 32
            for row, label in zip(inputs["ids"], labels, strict=True):
                assert (row[: lengths[label]] == label + 1).all()
                assert not row[lengths[label] :].any()
            seen += labels.tolist()
        assert sorted(seen) == list(range(333))


def test_a_seed_reproduces_its_epochs_and_each_epoch_differs() -> None:
    examples = examples_of_lengths(realistic_lengths(200))

    def epochs(seed: int) -> list[list[list[int]]]:
        rng = np.random.default_rng(seed)
        return [[labels.tolist() for _, labels in iterate_batches(examples, 16, rng=rng)] for _ in range(2)]

    first, second = epochs(seed=1)
    assert epochs(seed=1) == [first, second]
    assert epochs(seed=2)[0] != first
    # Not only the order of the batches differs, but also which examples are in a batch together.
    assert {tuple(sorted(batch)) for batch in first} != {tuple(sorted(batch)) for batch in second}


def test_training_batches_do_not_come_in_order_of_length() -> None:
    examples = examples_of_lengths(np.arange(1, 200))
    lengths = [inputs["ids"].shape[1] for inputs, _ in iterate_batches(examples, 8, rng=np.random.default_rng(1))]

    assert abs(np.corrcoef(lengths, range(len(lengths)))[0, 1]) < 0.5


def test_without_a_generator_examples_come_in_order_of_length() -> None:
    assert [labels.tolist() for _, labels in iterate_batches(examples_of(IDS), 3)] == [[1, 2, 0], [3]]


def test_with_a_fixed_length_batches_do_not_depend_on_the_examples_lengths() -> None:
    lengths = np.arange(1, 201)
    epoch = list(iterate_batches(examples_of_lengths(lengths), 20, length=200, rng=np.random.default_rng(1)))

    assert [inputs["ids"].shape for inputs, _ in epoch] == [(20, 200)] * 10
    assert sorted(label for _, labels in epoch for label in labels) == list(range(200))
    # In batches by length, the shortest and the longest example of one would differ by about 20.
    assert min(np.ptp(lengths[labels]) for _, labels in epoch) > 100
    in_order = iterate_batches(examples_of_lengths(lengths), 20, length=200)
    assert [label for _, labels in in_order for label in labels] == list(range(200))


def test_over_nine_tenths_of_all_positions_are_tokens() -> None:
    examples = examples_of_lengths(realistic_lengths(4000))

    epoch = iterate_batches(examples, 64, rng=np.random.default_rng(1))

    assert len(examples.tokens) / sum(inputs["ids"].size for inputs, _ in epoch) > 0.9


# make_dataset


def test_a_dataset_yields_the_batches_and_another_epoch_at_each_pass() -> None:
    examples = examples_of_lengths(realistic_lengths(100))
    rng = np.random.default_rng(1)
    expected = [[labels.tolist() for _, labels in iterate_batches(examples, 16, rng=rng)] for _ in range(2)]

    dataset = make_dataset(examples, 16, None, np.random.default_rng(1))

    assert len(dataset) == 7
    assert [[labels.tolist() for _, labels in dataset.as_numpy_iterator()] for _ in range(2)] == expected
    assert list(dataset.element_spec[0]["ids"].shape) == [None, None]  # so that batches may have any length


def test_a_dataset_of_a_fixed_length_declares_it() -> None:
    dataset = make_dataset(examples_of(IDS), 3, 6)

    assert list(dataset.element_spec[0]["ids"].shape) == [None, 6]
    assert [inputs["ids"].shape for inputs, _ in dataset.as_numpy_iterator()] == [(3, 6), (1, 6)]
