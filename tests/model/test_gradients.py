"""The gradient by step: against differences, and where it is known to vanish or to pass."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from pipeline.features import batches
from pipeline.features.batches import EncodedExamples, pad_batch
from pipeline.features.tokenizer import EncodedText
from pipeline.model import gradients
from pipeline.model.backend import keras

# Each token comes once, so that a change of its vector is a change at one step of one post.
POSTS = [[3, 4, 5, 6], [7, 8], [9, 10, 11]]
LABELS = [0, 2, 1]
KINDS = [
    {"cell": "gru", "pooling": "max_mean"},
    {"cell": "gru", "reset_after": False, "pooling": "last", "bidirectional": False},
    {"cell": "lstm", "pooling": "attention"},
    {"cell": "rnn", "pooling": "mean"},
]


def ids_of(posts: list[list[int]], labels: list[int], evidence: int = 0) -> EncodedExamples:
    nothing = np.empty(0, np.uint8)
    ids = batches.from_encoded(
        (EncodedText(np.array(post), np.zeros(len(post), np.int64), nothing) for post in posts), labels
    )
    return replace(ids, evidence=np.random.default_rng(1).normal(size=(len(ids.tokens), evidence)).astype(np.float32))


def loss_of(model: keras.Model, ids: EncodedExamples, width: int | None) -> float:
    """All posts' log loss, in double precision from the softmax on."""
    inputs, labels = pad_batch(ids, np.arange(len(ids)), width)
    probabilities = model.predict_on_batch(inputs).astype(float)
    return -np.log(probabilities[range(len(labels)), labels]).sum()


def by_differences(
    model: keras.Model, ids: EncodedExamples, width: int | None, step: float = 2e-3
) -> dict[int, np.ndarray]:
    """The gradient by each token's vector: the loss a little on either side, number by number."""
    embedding = model.get_layer("embedding")
    vectors = embedding.get_weights()[0]
    result = {}
    for token in ids.tokens:
        result[int(token)] = np.zeros(vectors.shape[1])
        for number in range(vectors.shape[1]):
            losses = []
            for sign in (1, -1):
                changed = vectors.copy()
                changed[token, number] += sign * step
                embedding.set_weights([changed])
                losses.append(loss_of(model, ids, width))
            result[int(token)][number] = (losses[0] - losses[1]) / (2 * step)
    embedding.set_weights([vectors])
    return result


@pytest.mark.parametrize(
    ("made", "evidence", "width"), zip(KINDS, [4, 0, 0, 0], [None, 6, None, 6], strict=True), ids=str
)
def test_the_gradient_is_the_one_that_differences_give(
    random_network: Callable, small: Callable, made: dict, evidence: int, width: int | None
) -> None:
    model = random_network(small(**made, mask=width is None), vocabulary=12, evidence=evidence, width=width)
    ids = ids_of(POSTS, LABELS, evidence)
    expected = by_differences(model, ids, width)

    inputs, labels = pad_batch(ids, np.arange(3), width)
    given = gradients.gradient(model, inputs, labels)()

    for post, tokens in enumerate(POSTS):
        for step, token in enumerate(tokens):
            np.testing.assert_allclose(given[post, step], expected[token], atol=2e-3)
    assert max(np.abs(vector).max() for vector in expected.values()) > 0.05
    # The last token is place 0 of every post; a post without such a step has no part in the mean.
    norm = {token: np.linalg.norm(vector) for token, vector in expected.items()}
    by_hand = [
        np.mean([norm[6], norm[8], norm[11]]), np.mean([norm[5], norm[7], norm[10]]),
        np.mean([norm[4], norm[9]]), norm[3],
    ]  # fmt: skip
    np.testing.assert_allclose(gradients.gradient_norms(model, ids, width)(), by_hand, atol=4e-3)


def test_what_is_asked_for_leaves_the_network_as_it_was(random_network: Callable, small: Callable) -> None:
    model = random_network(small(), vocabulary=12)
    before = model.get_weights()

    first, second = (gradients.gradient_norms(model, ids_of(POSTS, LABELS))() for _ in range(2))

    np.testing.assert_array_equal(first, second)  # without dropout
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_it_is_a_mean_over_the_longest_posts(random_network: Callable, small: Callable) -> None:
    model = random_network(small(), vocabulary=12)
    long = [[3 + number % 9 for number in range(start, start + 7)] for start in range(gradients.POSTS)]
    labels = [number % 3 for number in range(gradients.POSTS)]

    alone = gradients.gradient_norms(model, ids_of(long, labels))()
    among_shorter = gradients.gradient_norms(model, ids_of([[11], *long, [3, 4], [5]], [0, *labels, 1, 2]))()

    assert alone.shape == (7,)
    np.testing.assert_allclose(among_shorter, alone, rtol=1e-5)


def simple_rnn(random_network: Callable, small: Callable, recurrent: np.ndarray) -> keras.Model:
    """Elman's network read one way by its last state, nearly linear, with these recurrent weights."""
    train = small(cell="rnn", pooling="last", bidirectional=False)
    model = random_network(train, vocabulary=12)
    model.get_layer("embedding").set_weights([model.get_layer("embedding").get_weights()[0] * 1e-3])
    cell = model.get_layer("recurrent_0")
    kernel, _, bias = cell.get_weights()
    cell.set_weights([kernel, recurrent, bias * 0])
    return model


def turned() -> np.ndarray:
    """An orthogonal matrix: what it multiplies keeps its length."""
    return np.linalg.qr(np.random.default_rng(1).normal(size=(5, 5)))[0].astype(np.float32)


LONG = ids_of([[3 + number % 9 for number in range(30)], [11, *[3 + number % 8 for number in range(29)]]], [0, 1])


@pytest.mark.parametrize("size", [0.5, 0.8])
def test_small_recurrent_weights_make_the_gradient_vanish(
    random_network: Callable, small: Callable, size: float
) -> None:
    norms = gradients.gradient_norms(simple_rnn(random_network, small, size * turned()), LONG)()

    # By every step back it is multiplied once more; the kernel, the same at every step, sees it turned.
    assert norms[0] > 0
    shrunk = norms[25] / norms[5]
    assert size**20 / 10 < shrunk < size**20 * 10
    assert shrunk < 0.05


def test_small_recurrent_weights_that_turn_nothing_shrink_it_at_every_step(
    random_network: Callable, small: Callable
) -> None:
    norms = gradients.gradient_norms(simple_rnn(random_network, small, 0.5 * np.eye(5, dtype=np.float32)), LONG)()

    assert (np.diff(norms) < 0).all()
    np.testing.assert_allclose(norms / norms[0], 0.5 ** np.arange(30.0), rtol=1e-2)


def test_orthogonal_recurrent_weights_let_the_gradient_pass(random_network: Callable, small: Callable) -> None:
    norms = gradients.gradient_norms(simple_rnn(random_network, small, turned()), LONG)()

    assert norms.max() / norms.min() < 30
    assert 0.1 < norms[20:].mean() / norms[:10].mean() < 10


def test_large_recurrent_weights_make_it_explode(random_network: Callable, small: Callable) -> None:
    # The states of so small vectors stay where tanh is a straight line, also after ten steps.
    ids = ids_of([[3 + number % 9 for number in range(10)]], [0])

    norms = gradients.gradient_norms(simple_rnn(random_network, small, 1.5 * np.eye(5, dtype=np.float32)), ids)()

    assert (np.diff(norms) > 0).all()
    np.testing.assert_allclose(norms / norms[0], 1.5 ** np.arange(10.0), rtol=0.05)
