"""Predictions in batches: each row has its own, whatever its batch, and an error of a batch is raised."""

import threading

import numpy as np
import pytest

from pipeline.model.parallel import BATCH_SIZE, MIN_BATCH, map_batches


def probabilities(rows: np.ndarray) -> np.ndarray:
    return np.stack([rows / 1000, 1 - rows / 1000], axis=1)


@pytest.mark.parametrize("n_texts", [0, 1, MIN_BATCH + 1, BATCH_SIZE, BATCH_SIZE + 1, 5 * BATCH_SIZE])
def test_each_row_has_its_own_result(n_texts: int) -> None:
    done: list[int] = []

    result = map_batches(probabilities, [7 * row % 300 for row in range(n_texts)], 2, done.append)

    np.testing.assert_array_equal(result, probabilities(np.arange(n_texts)).astype(np.float32))
    assert result.dtype == np.float32
    assert sum(done) == n_texts
    assert max(done, default=0) <= BATCH_SIZE


def test_a_batch_has_texts_of_similar_length() -> None:
    lengths = [5, 1000] * BATCH_SIZE
    seen = []

    def predict(rows: np.ndarray) -> np.ndarray:
        seen.append({lengths[row] for row in rows})
        return probabilities(rows)

    map_batches(predict, lengths, 2)

    assert sorted(map(sorted, seen)) == [[5], [1000]]


def test_an_error_of_one_batch_is_raised_and_no_thread_is_left() -> None:
    def fail(rows: np.ndarray) -> np.ndarray:
        raise ValueError("no such text")

    before = threading.active_count()
    with pytest.raises(ValueError, match="no such text"):
        map_batches(fail, [1] * 10 * BATCH_SIZE, 2)
    assert threading.active_count() == before
