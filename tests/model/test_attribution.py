"""Attributions: those of all tokens add up to the difference of the log-odds that they explain."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import pytest

from pipeline.features import batches
from pipeline.features.batches import EncodedExamples, pad_batch
from pipeline.features.tokenizer import EncodedText
from pipeline.model import attribution, export
from pipeline.model.backend import keras, tf
from pipeline.model.onnx_gradients import OnnxNetwork
from pipeline.params.train import Train

IDS = [[3, 4, 5, 6, 3, 3], [7], [9, 10, 11, 2], [8, 4]]
TARGET, REFERENCE = np.array([0, 1, 2, 2]), np.array([1, 2, 0, 1])
LENGTH = 6  # of the longest example
NETWORKS: dict[str, dict] = {
    "gru": {"cell": "gru", "pooling": "max_mean", "feature_dim": 6},
    "gru of Cho et al., last": {"cell": "gru", "reset_after": False, "pooling": "last", "bidirectional": False},
    "lstm of two layers, attention": {"cell": "lstm", "num_layers": 2, "pooling": "attention", "feature_dim": 6},
    "gru without a mask, attention": {"cell": "gru", "pooling": "attention", "mask": False},
    "rnn without a mask": {"cell": "rnn", "pooling": "mean", "mask": False},
}


class Explained(NamedTuple):
    keras: Any  # the network in Keras
    onnx: OnnxNetwork  # the same one
    examples: EncodedExamples
    length: int | None  # the number of time steps, if the network reads padding


def examples_of(ids: list[list[int]], feature_dim: int = 0) -> EncodedExamples:
    """Examples with these token ids, and different n-gram features for each token."""
    no_characters = np.empty(0, np.uint8)
    texts = (EncodedText(np.array(each), np.zeros(len(each), np.int64), no_characters) for each in ids)
    examples = batches.from_encoded(texts, np.zeros(len(ids), int))
    features = np.sin(examples.tokens[:, None] + 0.1 * np.arange(feature_dim))
    return replace(examples, ngram_features=features.astype(np.float32))


def log_odds(model: keras.Model, examples: EncodedExamples, length: int | None) -> np.ndarray:
    inputs, _ = pad_batch(examples, np.arange(len(examples)), length)
    log_probabilities = np.log(model.predict_on_batch(inputs).astype(float))
    rows = range(len(examples))
    return log_probabilities[rows, TARGET] - log_probabilities[rows, REFERENCE]


def explain(model: Any, values: Train, length: int | None, folder: Path) -> Explained:
    """A network with these parameters, exported, with examples that have as many features as it reads."""
    feature_dim = sum(features.shape[-1] for features in model.inputs[1:])
    onnx.save(export.to_onnx(export.named_weights(model), feature_dim, length, {}, values), folder / "model.onnx")
    return Explained(model, OnnxNetwork(folder / "model.onnx"), examples_of(IDS, feature_dim), length)


@pytest.fixture(scope="module", params=NETWORKS)
def explained(
    request: pytest.FixtureRequest, random_network: Callable, small: Callable, tmp_path_factory: pytest.TempPathFactory
) -> Explained:
    values = dict(NETWORKS[request.param])
    feature_dim = values.pop("feature_dim", 0)
    length = LENGTH if values.get("mask") is False else None
    model = random_network(small(**values), vocab_size=12, feature_dim=feature_dim, length=length)
    # Where padding is read, its vector is 0; otherwise it would have an attribution that belongs to no token.
    vectors = model.get_layer("embedding").get_weights()[0]
    vectors[0] = 0
    model.get_layer("embedding").set_weights([vectors])
    return explain(model, small(**values), length, tmp_path_factory.mktemp("network"))


def test_gradient_is_that_of_tensorflow(explained: Explained) -> None:
    model = explained.keras
    names = [layer.name for layer in model.layers]
    token = model.get_layer("token" if "token" in names else "embedding_dropout").output
    labels = model.get_layer("labels")
    pooled = keras.Model([model.inputs[0], token], labels.input)
    direct = model.get_layer("direct") if "direct" in names else None
    inputs, _ = pad_batch(explained.examples, np.arange(len(IDS)), explained.length)
    x = tf.constant(0.3 * keras.Model(model.inputs, token)(inputs, training=False))
    d_logits = np.eye(3, dtype=np.float32)[TARGET] - np.eye(3, dtype=np.float32)[REFERENCE]
    with tf.GradientTape() as tape:
        tape.watch(x)
        logits = tf.linalg.matmul(pooled([tf.constant(inputs["ids"]), x], training=False), labels.kernel) + labels.bias
        if direct:
            count = tf.reduce_sum(tf.cast(inputs["ids"] != 0, tf.float32), axis=1, keepdims=True)
            features = tf.reduce_sum(x[:, :, -direct.kernel.shape[0] :], axis=1)  # those of padding are 0
            logits += tf.linalg.matmul(features / tf.sqrt(count), direct.kernel)
        log_odds = tf.reduce_sum(logits * d_logits)

    expected = tape.gradient(log_odds, x).numpy()

    np.testing.assert_allclose(explained.onnx.recurrent_input(inputs) * np.float32(0.3), x, atol=1e-6)
    np.testing.assert_allclose(explained.onnx.gradient(inputs["ids"], x.numpy(), d_logits), expected, atol=2e-5)
    assert np.abs(expected).max() > 0.1


def test_attributions_of_all_tokens_add_up_to_the_difference_of_the_log_odds(
    explained: Explained, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, network, examples, length = explained
    monkeypatch.setattr(attribution, "STEPS", 300)  # max pooling is not smooth

    attributions = attribution.token_attributions(network, examples, TARGET, REFERENCE, length)

    actual = log_odds(model, examples, length)
    embedding = model.get_layer("embedding")
    vectors = embedding.get_weights()[0]
    embedding.set_weights([np.zeros_like(vectors)])
    baseline = log_odds(model, replace(examples, ngram_features=np.zeros_like(examples.ngram_features)), length)
    embedding.set_weights([vectors])
    np.testing.assert_allclose([values.sum() for values in attributions], actual - baseline, atol=0.02)
    assert np.abs(actual - baseline).max() > 0.5
    assert [len(values) for values in attributions] == [len(ids) for ids in IDS]  # none for padding
    assert all(np.abs(values).min() > 1e-5 for values in attributions)


def test_attributions_do_not_depend_on_the_batch_and_the_order(
    explained: Explained, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An example alone is not padded; among others it is."""
    _, network, examples, length = explained
    together = attribution.token_attributions(network, examples, TARGET, REFERENCE, length)
    batch_sizes: list[int] = []
    monkeypatch.setattr(attribution, "BATCH_SIZE", 1)

    reversed_examples = examples_of(IDS[::-1], examples.ngram_features.shape[1])
    alone = attribution.token_attributions(
        network, reversed_examples, TARGET[::-1], REFERENCE[::-1], length, batch_sizes.append
    )

    for values, expected in zip(alone[::-1], together, strict=True):
        np.testing.assert_allclose(values, expected, atol=1e-5)
    assert batch_sizes == [1, 1, 1, 1]


def test_a_network_that_sees_the_last_token_alone_attributes_nothing_to_the_others(
    random_network: Callable, small: Callable, tmp_path: Path
) -> None:
    """A simple RNN without recurrent weights: its last state depends on the last token alone."""
    values = small(cell="rnn", pooling="last", bidirectional=False)
    model = random_network(values, vocab_size=12)
    (layer,) = [layer for layer in model.layers if layer.name.startswith("recurrent")]
    kernel, recurrent_kernel, bias = layer.get_weights()
    layer.set_weights([kernel, np.zeros_like(recurrent_kernel), bias])
    network = explain(model, values, None, tmp_path).onnx

    attributions = attribution.token_attributions(network, examples_of(IDS), TARGET, REFERENCE)

    for each in attributions:
        np.testing.assert_allclose(each[:-1], 0, atol=1e-7)
        assert abs(each[-1]) > 1e-3
