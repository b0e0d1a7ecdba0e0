"""Attributions: those of all tokens add up to the difference of the log-odds that they explain."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.features import batches
from pipeline.features.batches import EncodedExamples, pad_batch
from pipeline.features.tokenizer import EncodedText
from pipeline.model import attribution, export
from pipeline.model.backend import keras
from pipeline.model.classifier import required_files

LABELS = ["a", "b", "ü"]
IDS = [[3, 4, 5, 6, 3, 3], [7], [9, 10, 11, 2], [8, 4]]
TARGET, REFERENCE = np.array([0, 1, 2, 2]), np.array([1, 2, 0, 1])
LENGTH = 6  # of the longest example
NETWORKS: dict[str, dict] = {
    "gru": {"cell": "gru", "pooling": "max_mean", "feature_dim": 4},
    "gru of Cho et al., last": {"cell": "gru", "reset_after": False, "pooling": "last", "bidirectional": False},
    "lstm of two layers, attention": {"cell": "lstm", "num_layers": 2, "pooling": "attention", "feature_dim": 4},
    "rnn without a mask": {"cell": "rnn", "pooling": "mean", "mask": False},
}
# A network, examples for it, and its number of time steps if it reads padding.
Explained = tuple[keras.Model, EncodedExamples, int | None]


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


def make_network(name: str, random_network: Callable, small: Callable) -> tuple[keras.Model, dict, int | None, int]:
    """The network of that name with its parameters, its number of time steps, and its number of features."""
    values = dict(NETWORKS[name])
    feature_dim = values.pop("feature_dim", 0)
    length = LENGTH if values.get("mask") is False else None
    model = random_network(small(**values), vocab_size=12, feature_dim=feature_dim, length=length)
    return model, values, length, feature_dim


@pytest.fixture(scope="module", params=NETWORKS)
def explained(request: pytest.FixtureRequest, random_network: Callable, small: Callable) -> Explained:
    model, _, length, feature_dim = make_network(request.param, random_network, small)
    # Where padding is read, its vector is 0; otherwise it would have an attribution that belongs to no token.
    vectors = model.get_layer("embedding").get_weights()[0]
    vectors[0] = 0
    model.get_layer("embedding").set_weights([vectors])
    return model, examples_of(IDS, feature_dim), length


def test_attributions_of_all_tokens_add_up_to_the_difference_of_the_log_odds(
    explained: Explained, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, examples, length = explained
    monkeypatch.setattr(attribution, "STEPS", 300)  # max pooling is not smooth

    attributions = attribution.token_attributions(model, examples, TARGET, REFERENCE, length)

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
    model, examples, length = explained
    together = attribution.token_attributions(model, examples, TARGET, REFERENCE, length)
    batch_sizes: list[int] = []
    monkeypatch.setattr(attribution, "BATCH_SIZE", 1)

    reversed_examples = examples_of(IDS[::-1], examples.ngram_features.shape[1])
    alone = attribution.token_attributions(
        model, reversed_examples, TARGET[::-1], REFERENCE[::-1], length, batch_sizes.append
    )

    for values, expected in zip(alone[::-1], together, strict=True):
        np.testing.assert_allclose(values, expected, atol=1e-5)
    assert batch_sizes == [1, 1, 1, 1]


def test_a_network_that_sees_the_last_token_alone_attributes_nothing_to_the_others(
    random_network: Callable, small: Callable
) -> None:
    """A simple RNN without recurrent weights: its last state depends on the last token alone."""
    model = random_network(small(cell="rnn", pooling="last", bidirectional=False), vocab_size=12)
    (layer,) = [layer for layer in model.layers if layer.name.startswith("recurrent")]
    kernel, recurrent_kernel, bias = layer.get_weights()
    layer.set_weights([kernel, np.zeros_like(recurrent_kernel), bias])

    attributions = attribution.token_attributions(model, examples_of(IDS), TARGET, REFERENCE)

    for values in attributions:
        np.testing.assert_allclose(values[:-1], 0, atol=1e-7)
        assert abs(values[-1]) > 1e-3


@pytest.mark.parametrize("name", ["gru", "lstm of two layers, attention", "rnn without a mask"])
def test_the_loaded_network_equals_the_exported_one(
    random_network: Callable, small: Callable, tmp_path: Path, name: str
) -> None:
    model, values, length, feature_dim = make_network(name, random_network, small)
    for file in required_files(ensemble_with_baseline=True):
        (tmp_path / file).write_text(file)
    export.export_model(model, LABELS, small(**values), tmp_path)

    loaded = attribution.load_network(tmp_path)

    inputs, _ = pad_batch(examples_of(IDS, feature_dim), np.arange(len(IDS)), length)
    np.testing.assert_allclose(loaded.predict_on_batch(inputs), model.predict_on_batch(inputs), atol=1e-6)
    weights, expected = export.named_weights(loaded), export.named_weights(model)
    assert list(weights) == list(expected)
    for name, value in weights.items():
        np.testing.assert_array_equal(value, expected[name])
