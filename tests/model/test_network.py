"""The network: padding changes nothing, order matters; sizes, pooling, dropout, optimizer and loss."""

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest

from pipeline.model import network
from pipeline.model.backend import keras
from pipeline.params.train import Train

IDS = np.array([[3, 4, 5, 6, 7], [8, 9, 0, 0, 0], [1, 0, 0, 0, 0]], np.int32)
KINDS: list[dict] = [{"cell": "gru"}, {"cell": "gru", "reset_after": False}, {"cell": "lstm"}, {"cell": "rnn"}]
POOLINGS = ["last", "max", "mean", "max_mean", "attention"]
# Each kind of cell with each pooling; one and two directions, and one and two layers, in turn.
NETWORKS = [
    kind | {"pooling": pooling, "bidirectional": bool(n % 2), "num_layers": 1 + n % 3 // 2}
    for n, (kind, pooling) in enumerate(product(KINDS, POOLINGS))
]


def name_of(network: dict) -> str:
    return "-".join(map(str, network.values()))


@pytest.fixture(scope="module", params=NETWORKS, ids=name_of)
def model(request: pytest.FixtureRequest, random_network: Callable, small: Callable) -> keras.Model:
    """A network with random weights, shared by the tests that only predict: building takes longer than predicting."""
    return random_network(small(**request.param))


# Padding and order


def test_each_example_has_probabilities_that_sum_to_1(model: keras.Model) -> None:
    probabilities = model.predict_on_batch(IDS)

    assert probabilities.shape == (3, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)


def test_more_padding_changes_nothing(model: keras.Model) -> None:
    padded = model.predict_on_batch(np.pad(IDS, ((0, 0), (0, 30))))

    np.testing.assert_allclose(padded, model.predict_on_batch(IDS), atol=1e-5)


def test_longer_examples_in_the_batch_change_nothing(model: keras.Model) -> None:
    alone = [model.predict_on_batch(ids[None, ids > 0])[0] for ids in IDS]

    np.testing.assert_allclose(alone, model.predict_on_batch(IDS), atol=1e-5)


def test_every_token_and_their_order_matter(model: keras.Model) -> None:
    ids = IDS[:1]
    changed = np.repeat(ids, 5, axis=0)
    np.fill_diagonal(changed, 19)

    (original,) = model.predict_on_batch(ids)

    assert np.abs(model.predict_on_batch(changed) - original).max(axis=1).min() > 1e-4
    assert np.abs(model.predict_on_batch(ids[:, ::-1]) - original).max() > 1e-3


@pytest.mark.parametrize("network", NETWORKS[::3], ids=name_of)
def test_without_the_mask_padding_is_read(random_network: Callable, small: Callable, network: dict) -> None:
    model = random_network(small(**network, mask=False))

    short, long = (model.predict_on_batch(np.pad(IDS, ((0, 0), (0, length - 5)))) for length in (5, 12))

    # Not for every example: the maximum over time may be at a token.
    assert np.abs(short - long).max() > 1e-3


def test_the_last_state_of_a_padded_example_is_that_of_its_last_token(
    random_network: Callable, small: Callable
) -> None:
    model = random_network(small(cell="gru", bidirectional=False, pooling="last"))
    states = keras.Model(model.inputs, model.get_layer("recurrent_0").output)

    two_tokens = states.predict_on_batch(IDS[:1, :2])
    padded = states.predict_on_batch(np.pad(IDS[:1, :2], ((0, 0), (0, 9))))

    np.testing.assert_allclose(padded, two_tokens, atol=1e-5)
    assert two_tokens.shape == (1, 5)


# Pooling


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [("max", [0.5, -0.1]), ("mean", [0.1, -0.3]), ("max_mean", [0.5, -0.1, 0.1, -0.3])],
)
def test_pooling_leaves_padding_out(pooling: str, expected: list[float]) -> None:
    # The third state is padding.
    states = np.array([[[0.5, -0.5], [-0.3, -0.1], [0.9, 0.9]]], np.float32)

    (pooled,) = np.asarray(network.pool(states, np.array([[True, True, False]]), pooling))

    np.testing.assert_allclose(pooled, expected, atol=1e-6)


def test_pooling_without_a_mask_includes_every_state() -> None:
    states = np.array([[[0.5, -0.5], [-0.3, -0.1], [0.9, 0.9]]], np.float32)

    (pooled,) = np.asarray(network.pool(states, None, "max_mean"))

    np.testing.assert_allclose(pooled, [0.9, 0.9, 1.1 / 3, 0.1], atol=1e-6)


def test_attention_is_a_weighted_mean_of_the_states_that_are_not_padding() -> None:
    states = np.array([[[0.5, -0.5], [-0.3, -0.1], [0.9, 0.9]]], np.float32)
    mask = np.array([[True, True, False]])

    (pooled,) = np.asarray(network.pool(states, mask, "attention"))

    weight = (pooled[0] + 0.3) / 0.8  # of the first state, by the first element
    assert 0 < weight < 1
    np.testing.assert_allclose(pooled, weight * states[0, 0] + (1 - weight) * states[0, 1], atol=1e-6)


# Scores past the recurrent layers


def test_direct_scores_are_naive_bayes_before_training(small: Callable) -> None:
    """Two kinds of n-gram features of three classes; the recurrent layers' own scores are left out."""
    model = network.build_network(50, 3, 6, None, 10, small())
    dense = model.get_layer("labels")
    dense.set_weights([np.zeros_like(weight) for weight in dense.get_weights()])
    features = np.zeros((2, 4, 6), np.float32)
    features[0] = [1, 0, 0, 0, 2, 0]
    features[1, 0] = [0, 0, 3, 0, 0, -1]
    ids = np.array([[5, 6, 7, 8], [9, 0, 0, 0]], np.int32)

    probabilities = model.predict_on_batch({"ids": ids, "ngram_features": features})

    # The sums over time, divided by the square roots of 4 tokens and 1.
    scores = network.DIRECT_SCALE * np.array([[4 / 2, 8 / 2, 0], [0, 0, 2]])
    np.testing.assert_allclose(probabilities, np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True), atol=1e-6)


def test_network_without_ngram_features_has_no_direct_scores(small: Callable) -> None:
    model = network.build_network(50, 3, 0, None, 10, small())

    assert "direct" not in [layer.name for layer in model.layers]


# Sizes


@pytest.mark.parametrize(
    ("cell", "one_direction"),
    [  # with 13 inputs at each step (7 of the token vector, 6 n-gram features) and 5 units
        ({"cell": "gru"}, 3 * (13 * 5 + 5 * 5 + 2 * 5)),  # biases of input and state
        ({"cell": "gru", "reset_after": False}, 3 * (13 * 5 + 5 * 5 + 5)),
        ({"cell": "lstm"}, 4 * (13 * 5 + 5 * 5 + 5)),
        ({"cell": "rnn"}, 13 * 5 + 5 * 5 + 5),
    ],
)
def test_a_cell_has_as_many_weights_as_its_equations(
    random_network: Callable, small: Callable, cell: dict, one_direction: int
) -> None:
    one, two = (
        random_network(small(**cell, pooling="mean", bidirectional=bidirectional), feature_dim=6).count_params()
        for bidirectional in (False, True)
    )

    direct = 6 * 3
    assert one == 50 * 7 + one_direction + direct + (5 * 3 + 3)
    assert two == 50 * 7 + 2 * one_direction + direct + (2 * 5 * 3 + 3)


def test_each_further_layer_reads_the_states_of_the_previous_one(random_network: Callable, small: Callable) -> None:
    one, two, three = (
        random_network(small(cell="rnn", pooling="last", bidirectional=False, num_layers=num_layers)).count_params()
        for num_layers in (1, 2, 3)
    )

    assert two - one == three - two == 5 * 5 + 5 * 5 + 5


# Dropout

DROPOUTS = ["word_dropout", "embedding_dropout", "spatial_dropout", "ngram_dropout", "recurrent_dropout", "dropout"]
NO_DROPOUT = dict.fromkeys(DROPOUTS, 0.0)


def random_inputs(length: int) -> dict[str, np.ndarray]:
    """A batch of eight examples with six n-gram features, none of which is 0."""
    rng = np.random.default_rng(1)
    features = rng.normal(0.1, 0.01, (8, length, 6)).astype(np.float32)
    return {"ids": rng.integers(1, 50, (8, length)).astype(np.int32), "ngram_features": features}


@pytest.fixture(scope="module")
def without_dropout(request: pytest.FixtureRequest, random_network: Callable, small: Callable) -> tuple:
    """A cell, and the probabilities of its network in training mode without dropout."""
    model = random_network(small(**NO_DROPOUT, cell=request.param), feature_dim=6)
    return request.param, model(random_inputs(12), training=True).numpy()


# Only recurrent dropout is implemented in the cells themselves.
@pytest.mark.parametrize(
    ("without_dropout", "name"),
    [*(("gru", name) for name in DROPOUTS), ("lstm", "recurrent_dropout"), ("rnn", "recurrent_dropout")],
    indirect=["without_dropout"],
)
def test_dropout_acts_in_training_and_not_at_inference(
    random_network: Callable, small: Callable, without_dropout: tuple, name: str
) -> None:
    cell, expected = without_dropout
    keras.utils.set_random_seed(1)
    model = random_network(small(**NO_DROPOUT | {name: 0.5}, cell=cell), feature_dim=6)

    first, second = (model(random_inputs(12), training=True).numpy() for _ in range(2))

    np.testing.assert_allclose(model(random_inputs(12), training=False), expected, atol=1e-5)
    for a, b in ((first, expected), (second, expected), (first, second)):
        assert np.abs(a - b).max() > 1e-3


@pytest.mark.parametrize(
    ("name", "layer", "axes"),
    [
        ("word_dropout", "word_dropout", (2,)),  # whole token vectors
        ("spatial_dropout", "spatial_dropout", (1,)),  # a dimension in all tokens of an example
        ("embedding_dropout", "embedding_dropout", ()),  # single elements
        ("ngram_dropout", "ngram_features_dropout", (2,)),  # all features of a token
    ],
)
def test_each_kind_of_dropout_drops_what_belongs_together(
    random_network: Callable, small: Callable, name: str, layer: str, axes: tuple[int, ...]
) -> None:
    keras.utils.set_random_seed(1)
    model = random_network(small(**NO_DROPOUT | {name: 0.25}), feature_dim=6)
    up_to_dropout = keras.Model(model.inputs, model.get_layer(layer).output)

    complete, result = (up_to_dropout(random_inputs(40), training=training).numpy() for training in (False, True))

    is_dropped = result == 0
    np.testing.assert_allclose(result, np.where(is_dropped, 0, complete / 0.75), rtol=1e-5)  # the rest is scaled up
    together = is_dropped.all(axis=axes, keepdims=True)
    np.testing.assert_array_equal(is_dropped, np.broadcast_to(together, is_dropped.shape))
    assert 0.15 < together.mean() < 0.35
    for axis in {0, 1, 2} - {*axes}:
        assert (together != together.take([0], axis=axis)).any()


# Optimizer and loss


def train(model: keras.Model, n_batches: int) -> list[float]:
    """Train on some batches; gives the learning rate before each, and at the end."""
    rates = [float(model.optimizer.learning_rate)]
    for _ in range(n_batches):
        model.train_on_batch(IDS, np.array([0, 1, 2]))
        rates.append(float(model.optimizer.learning_rate))
    return rates


def build(config: Train, n_steps: int) -> keras.Model:
    return network.build_network(50, n_classes=3, feature_dim=0, length=None, n_steps=n_steps, params=config)


def test_the_cosine_schedule_takes_the_learning_rate_to_0_over_all_steps(small: Callable) -> None:
    rates = train(build(small(learning_rate_schedule="cosine", learning_rate=0.5), n_steps=4), n_batches=4)

    np.testing.assert_allclose(rates, 0.5 * (1 + np.cos(np.pi * np.arange(5) / 4)) / 2, atol=1e-6)


def test_a_constant_learning_rate_stays(small: Callable) -> None:
    rates = train(build(small(learning_rate_schedule="constant", learning_rate=0.5), n_steps=4), n_batches=6)

    assert rates == [0.5] * 7


@pytest.mark.parametrize(("name", "kind"), [("adam", keras.optimizers.Adam), ("rmsprop", keras.optimizers.RMSprop)])
def test_the_parameter_selects_the_optimizer(small: Callable, name: str, kind: type) -> None:
    assert type(build(small(optimizer=name), n_steps=1).optimizer) is kind


@pytest.mark.parametrize("clip_norm", [None, 0.5, 7.0])
def test_the_gradient_is_clipped_to_clip_norm(small: Callable, clip_norm: float | None) -> None:
    optimizer = network.make_optimizer(
        1, small(optimizer="rmsprop", learning_rate_schedule="constant", learning_rate=1.0, clip_norm=clip_norm)
    )
    weights = keras.Variable(np.zeros(2, np.float32))

    # The first gradient has norm 5, and may be clipped; the second is never clipped.
    for gradient in ([3.0, 4.0], [0.1, 0.1]):
        before = weights.numpy()
        optimizer.apply([np.array(gradient, np.float32)], [weights])

    # RMSprop divides by the root of a moving average of squares with momentum 0.9.
    first = np.array([3.0, 4.0]) * (1 if clip_norm is None else min(clip_norm / 5, 1))
    second = np.array([0.1, 0.1])
    root = np.sqrt(0.9 * 0.1 * first**2 + 0.1 * second**2)
    np.testing.assert_allclose(weights.numpy() - before, -second / root, rtol=1e-4)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_weights_are_averaged_if_there_is_a_momentum(small: Callable, momentum: float) -> None:
    optimizer = build(small(ema_momentum=momentum), n_steps=1).optimizer

    assert optimizer.use_ema == bool(momentum)
    assert not momentum or optimizer.ema_momentum == momentum


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_the_loss_is_cross_entropy_with_label_smoothing(smoothing: float) -> None:
    probabilities = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1]], np.float32)

    losses = network.smoothed_cross_entropy(3, smoothing)(np.array([0, 2]), probabilities)

    share = smoothing / 3
    first = -((1 - smoothing + share) * np.log(0.7) + share * np.log(0.2) + share * np.log(0.1))
    second = -(share * np.log(0.1) + share * np.log(0.8) + (1 - smoothing + share) * np.log(0.1))
    np.testing.assert_allclose(losses, [first, second], rtol=1e-5)
