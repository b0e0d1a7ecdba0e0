"""What each token adds to the answer: all of them together make up what the answer becomes."""

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
POSTS = [[3, 4, 5, 6, 3, 3], [7], [9, 10, 11, 2], [8, 4]]
TOWARD, AGAINST = np.array([0, 1, 2, 2]), np.array([1, 2, 0, 1])
WIDTH = 6  # of the longest one
KINDS: dict[str, dict] = {
    "gru": {"cell": "gru", "pooling": "max_mean", "evidence": 4},
    "gru of the paper, last": {"cell": "gru", "reset_after": False, "pooling": "last", "bidirectional": False},
    "lstm of two layers, attention": {"cell": "lstm", "layers": 2, "pooling": "attention", "evidence": 4},
    "rnn without a mask": {"cell": "rnn", "pooling": "mean", "mask": False},
}


def ids_of(posts: list[list[int]], evidence: int = 0) -> EncodedExamples:
    """Posts of these tokens; what the n-grams say is another number at each of them."""
    nothing = np.empty(0, np.uint8)
    encoded = (EncodedText(np.array(post), np.zeros(len(post), np.int64), nothing) for post in posts)
    ids = batches.from_encoded(encoded, np.zeros(len(posts), int))
    said = np.sin(ids.tokens[:, None] + 0.1 * np.arange(evidence))
    return replace(ids, evidence=said.astype(np.float32))


def log_odds(model: keras.Model, ids: EncodedExamples, width: int | None) -> np.ndarray:
    inputs, _ = pad_batch(ids, np.arange(len(ids)), width)
    logarithms = np.log(model.predict_on_batch(inputs).astype(float))
    every = range(len(ids))
    return logarithms[every, TOWARD] - logarithms[every, AGAINST]


@pytest.fixture(scope="module", params=KINDS)
def made(
    request: pytest.FixtureRequest, random_network: Callable, small: Callable
) -> tuple[keras.Model, EncodedExamples, int | None]:
    """A random network, posts for it, and the width that it reads."""
    kind = KINDS[request.param]
    train = small(**{name: value for name, value in kind.items() if name != "evidence"})
    width, evidence = None if train.mask else WIDTH, kind.get("evidence", 0)
    model = random_network(train, vocabulary=12, evidence=evidence, width=width)
    # Where padding is read, it says nothing, else it would have a share that no token has.
    vectors = model.get_layer("embedding").get_weights()[0]
    vectors[0] = 0
    model.get_layer("embedding").set_weights([vectors])
    return model, ids_of(POSTS, evidence), width


def test_the_shares_of_all_tokens_are_what_the_answer_becomes(
    made: tuple[keras.Model, EncodedExamples, int | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, ids, width = made
    monkeypatch.setattr(attribution, "STEPS", 300)  # a maximum has bends

    shares = attribution.token_attributions(model, ids, TOWARD, AGAINST, width)

    whole = log_odds(model, ids, width)
    embedding = model.get_layer("embedding")
    vectors = embedding.get_weights()[0]
    embedding.set_weights([np.zeros_like(vectors)])
    nothing = log_odds(model, replace(ids, evidence=np.zeros_like(ids.evidence)), width)
    embedding.set_weights([vectors])
    np.testing.assert_allclose([of_post.sum() for of_post in shares], whole - nothing, atol=0.02)
    assert np.abs(whole - nothing).max() > 0.5
    assert [len(of_post) for of_post in shares] == [len(post) for post in POSTS]  # padding has none
    assert all(np.abs(of_post).min() > 1e-5 for of_post in shares)


def test_a_post_alone_gets_what_it_gets_among_others_in_whatever_order(
    made: tuple[keras.Model, EncodedExamples, int | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alone it is not padded, and among others it is."""
    model, ids, width = made
    together = attribution.token_attributions(model, ids, TOWARD, AGAINST, width)
    told: list[int] = []
    monkeypatch.setattr(attribution, "BATCH", 1)

    alone = attribution.token_attributions(
        model, ids_of(POSTS[::-1], ids.evidence.shape[1]), TOWARD[::-1], AGAINST[::-1], width, told.append
    )

    for one, other in zip(alone[::-1], together, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    assert told == [1, 1, 1, 1]


def test_a_network_that_cannot_look_past_the_last_token_gives_the_others_nothing(
    random_network: Callable, small: Callable
) -> None:
    """The forward cell of an Elman network that forgets all: its last state is made of the last token alone."""
    model = random_network(small(cell="rnn", pooling="last", bidirectional=False), vocabulary=12)
    (layer,) = [each for each in model.layers if each.name.startswith("recurrent")]
    kernel, recurrent, bias = layer.get_weights()
    layer.set_weights([kernel, np.zeros_like(recurrent), bias])

    shares = attribution.token_attributions(model, ids_of(POSTS), TOWARD, AGAINST)

    for of_post in shares:
        np.testing.assert_allclose(of_post[:-1], 0, atol=1e-7)
        assert abs(of_post[-1]) > 1e-3


@pytest.mark.parametrize("kind", ["gru", "lstm of two layers, attention", "rnn without a mask"])
def test_what_was_saved_is_the_network_that_is_loaded(
    random_network: Callable, small: Callable, tmp_path: Path, kind: str
) -> None:
    changes = KINDS[kind]
    train = small(**{name: value for name, value in changes.items() if name != "evidence"})
    width, evidence = None if train.mask else WIDTH, changes.get("evidence", 0)
    model = random_network(train, vocabulary=12, evidence=evidence, width=width)
    for name in required_files(train.ensemble_with_baseline):
        (tmp_path / name).write_text(name)
    export.export_model(model, LABELS, train, tmp_path)

    again = attribution.load_network(tmp_path)

    inputs, _ = pad_batch(ids_of(POSTS, evidence), np.arange(len(POSTS)), width)
    np.testing.assert_array_equal(again.predict_on_batch(inputs), model.predict_on_batch(inputs))
    assert {name: value.tolist() for name, value in export.weights_of(again).items()} == {
        name: value.tolist() for name, value in export.weights_of(model).items()
    }
