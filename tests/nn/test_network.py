"""The network: what padding may not do, and what order must."""

from collections.abc import Callable

import numpy as np
import pytest

IDS = np.array([[3, 4, 5, 6, 7], [8, 9, 0, 0, 0], [1, 0, 0, 0, 0]], np.int32)


def test_probabilities_are_a_row_per_post_that_sums_to_one(random_network: Callable) -> None:
    probabilities = random_network(vocabulary=20, labels=3).predict_on_batch(IDS)

    assert probabilities.shape == (3, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("more", [1, 50])
def test_padding_a_batch_further_changes_nothing(random_network: Callable, more: int) -> None:
    model = random_network(vocabulary=20, labels=3)

    padded = model.predict_on_batch(np.pad(IDS, ((0, 0), (0, more))))

    np.testing.assert_allclose(padded, model.predict_on_batch(IDS), atol=1e-6)


def test_a_post_alone_gets_what_it_gets_beside_longer_ones(random_network: Callable) -> None:
    model = random_network(vocabulary=20, labels=3)

    alone = [model.predict_on_batch(row[None, row > 0])[0] for row in IDS]

    np.testing.assert_allclose(alone, model.predict_on_batch(IDS), atol=1e-6)


@pytest.mark.parametrize("position", range(5))
def test_every_token_counts(random_network: Callable, position: int) -> None:
    model = random_network(vocabulary=20, labels=3)
    changed = IDS[:1].copy()
    changed[0, position] = 19

    assert np.abs(model.predict_on_batch(changed) - model.predict_on_batch(IDS[:1])).max() > 1e-3


def test_the_order_of_tokens_counts(random_network: Callable) -> None:
    model = random_network(vocabulary=20, labels=3)

    assert np.abs(model.predict_on_batch(IDS[:1, ::-1]) - model.predict_on_batch(IDS[:1])).max() > 1e-3
