"""Gradient norms by time step: equal to finite differences, and right where the gradient vanishes or explodes."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from pipeline.features import batches
from pipeline.features.batches import EncodedExamples, pad_batch
from pipeline.features.tokenizer import EncodedText
from pipeline.model import gradients
from pipeline.model.backend import keras

# Each token occurs once, so that a change of its vector is a change at one time step of one example.
IDS = [[3, 4, 5, 6], [7, 8], [9, 10, 11]]
LABELS = [0, 2, 1]
NETWORKS = [
    {"cell": "gru", "pooling": "max_mean"},
    {"cell": "gru", "reset_after": False, "pooling": "last", "bidirectional": False},
    {"cell": "lstm", "pooling": "attention"},
    {"cell": "rnn", "pooling": "mean"},
]


def examples_of(ids: list[list[int]], labels: list[int], feature_dim: int = 0) -> EncodedExamples:
    """Examples with these token ids, and random n-gram features."""
    no_characters = np.empty(0, np.uint8)
    texts = (EncodedText(np.array(each), np.zeros(len(each), np.int64), no_characters) for each in ids)
    examples = batches.from_encoded(texts, labels)
    features = np.random.default_rng(1).normal(size=(len(examples.tokens), feature_dim))
    return replace(examples, ngram_features=features.astype(np.float32))


def total_loss(model: keras.Model, examples: EncodedExamples, length: int | None) -> float:
    """The sum of all examples' log losses; in double precision from the softmax on."""
    inputs, labels = pad_batch(examples, np.arange(len(examples)), length)
    probabilities = model.predict_on_batch(inputs).astype(float)
    return -np.log(probabilities[range(len(labels)), labels]).sum()


def finite_differences(
    model: keras.Model, examples: EncodedExamples, length: int | None, step: float = 2e-3
) -> dict[int, np.ndarray]:
    """By token: the gradient of the loss with respect to its vector, from the loss on either side."""
    embedding = model.get_layer("embedding")
    vectors = embedding.get_weights()[0]
    result = {int(token): np.zeros(vectors.shape[1]) for token in examples.tokens}
    for token, gradient in result.items():
        for element in range(len(gradient)):
            losses = []
            for sign in (1, -1):
                changed = vectors.copy()
                changed[token, element] += sign * step
                embedding.set_weights([changed])
                losses.append(total_loss(model, examples, length))
            gradient[element] = (losses[0] - losses[1]) / (2 * step)
    embedding.set_weights([vectors])
    return result


@pytest.mark.parametrize(
    ("network", "feature_dim", "length"), list(zip(NETWORKS, [6, 0, 0, 0], [None, 6, None, 6], strict=True)), ids=str
)
def test_gradients_equal_finite_differences(
    random_network: Callable, small: Callable, network: dict, feature_dim: int, length: int | None
) -> None:
    config = small(**network, mask=length is None)
    model = random_network(config, vocab_size=12, feature_dim=feature_dim, length=length)
    model.run_eagerly = False  # it runs hundreds of times
    examples = examples_of(IDS, LABELS, feature_dim)
    expected = finite_differences(model, examples, length)

    inputs, labels = pad_batch(examples, np.arange(3), length)
    gradient = gradients.input_gradient(model, inputs, labels)()

    for row, ids in enumerate(IDS):
        for step, token in enumerate(ids):
            np.testing.assert_allclose(gradient[row, step], expected[token], atol=2e-3)
    assert max(np.abs(vector).max() for vector in expected.values()) > 0.05
    # 0 steps back is the last token of each example; the mean is over the examples that have so many tokens.
    norm = {token: np.linalg.norm(vector) for token, vector in expected.items()}
    expected_norms = [
        np.mean([norm[6], norm[8], norm[11]]), np.mean([norm[5], norm[7], norm[10]]),
        np.mean([norm[4], norm[9]]), norm[3],
    ]  # fmt: skip
    np.testing.assert_allclose(gradients.gradient_norms(model, examples, length)(), expected_norms, atol=4e-3)


def test_computing_norms_uses_no_dropout_and_changes_no_weight(random_network: Callable, small: Callable) -> None:
    model = random_network(small(), vocab_size=12)
    before = model.get_weights()

    first, second = (gradients.gradient_norms(model, examples_of(IDS, LABELS))() for _ in range(2))

    np.testing.assert_allclose(first, second, rtol=1e-5)
    for weight, expected in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, expected)


def test_norms_are_a_mean_over_the_longest_examples(random_network: Callable, small: Callable) -> None:
    model = random_network(small(), vocab_size=12)
    long = [[3 + n % 9 for n in range(start, start + 7)] for start in range(gradients.MAX_EXAMPLES)]
    labels = [n % 3 for n in range(gradients.MAX_EXAMPLES)]

    alone = gradients.gradient_norms(model, examples_of(long, labels))()
    with_shorter = gradients.gradient_norms(model, examples_of([[11], *long, [3, 4], [5]], [0, *labels, 1, 2]))()

    assert alone.shape == (7,)
    np.testing.assert_allclose(with_shorter, alone, rtol=1e-5)


# Vanishing and exploding gradients


def simple_rnn(random_network: Callable, small: Callable, recurrent_kernel: np.ndarray) -> keras.Model:
    """An almost linear forward RNN with these recurrent weights, pooled by its last state."""
    model = random_network(small(cell="rnn", pooling="last", bidirectional=False), vocab_size=12)
    model.get_layer("embedding").set_weights([model.get_layer("embedding").get_weights()[0] * 1e-3])
    layer = model.get_layer("recurrent_0")
    kernel, _, bias = layer.get_weights()
    layer.set_weights([kernel, recurrent_kernel, bias * 0])
    return model


def orthogonal() -> np.ndarray:
    """A matrix that keeps the norm of what it multiplies."""
    return np.linalg.qr(np.random.default_rng(1).normal(size=(5, 5)))[0].astype(np.float32)


LONG = examples_of([[3 + n % 9 for n in range(30)], [11, *[3 + n % 8 for n in range(29)]]], [0, 1])


@pytest.mark.parametrize("scale", [0.5, 0.8])
def test_small_recurrent_weights_make_the_gradient_vanish(
    random_network: Callable, small: Callable, scale: float
) -> None:
    norms = gradients.gradient_norms(simple_rnn(random_network, small, scale * orthogonal()), LONG)()

    # Each step back multiplies by the recurrent weights once more; the kernel, the same at each step, sees it rotated.
    assert norms[0] > 0
    ratio = norms[25] / norms[5]
    assert scale**20 / 10 < ratio < scale**20 * 10
    assert ratio < 0.05


def test_a_multiple_of_the_identity_below_1_shrinks_the_gradient_at_every_step(
    random_network: Callable, small: Callable
) -> None:
    norms = gradients.gradient_norms(simple_rnn(random_network, small, 0.5 * np.eye(5, dtype=np.float32)), LONG)()

    assert (np.diff(norms) < 0).all()
    np.testing.assert_allclose(norms / norms[0], 0.5 ** np.arange(30.0), rtol=1e-2)


def test_orthogonal_recurrent_weights_keep_the_gradient(random_network: Callable, small: Callable) -> None:
    norms = gradients.gradient_norms(simple_rnn(random_network, small, orthogonal()), LONG)()

    assert norms.max() / norms.min() < 30
    assert 0.1 < norms[20:].mean() / norms[:10].mean() < 10


def test_large_recurrent_weights_make_the_gradient_explode(random_network: Callable, small: Callable) -> None:
    # With such small vectors, the states are in the linear part of tanh also after ten steps.
    examples = examples_of([[3 + n % 9 for n in range(10)]], [0])

    norms = gradients.gradient_norms(simple_rnn(random_network, small, 1.5 * np.eye(5, dtype=np.float32)), examples)()

    assert (np.diff(norms) > 0).all()
    np.testing.assert_allclose(norms / norms[0], 1.5 ** np.arange(10.0), rtol=0.05)
