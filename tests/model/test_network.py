"""The network: what padding may not do, what order must, what is left out while training, and how it learns."""

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
# Each kind of cell with each pooling; one way and both, and of one layer and two, in turn.
NETWORKS = [
    kind | {"pooling": pooling, "bidirectional": bool(place % 2), "layers": 1 + place % 3 // 2}
    for place, (kind, pooling) in enumerate(product(KINDS, POOLINGS))
]


@pytest.fixture(scope="module", params=NETWORKS, ids=lambda made: "-".join(map(str, made.values())))
def made(request: pytest.FixtureRequest) -> dict:
    return request.param


@pytest.fixture(scope="module")
def model(random_network: Callable, small: Callable, made: dict) -> keras.Model:
    """A network with random weights, one for all the tests that only ask it: it takes longer to make than to ask."""
    return random_network(small(**made))


def test_probabilities_are_a_row_per_post_that_sums_to_one(model: keras.Model) -> None:
    probabilities = model.predict_on_batch(IDS)

    assert probabilities.shape == (3, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)


def test_padding_a_batch_further_changes_nothing(model: keras.Model) -> None:
    padded = model.predict_on_batch(np.pad(IDS, ((0, 0), (0, 30))))

    np.testing.assert_allclose(padded, model.predict_on_batch(IDS), atol=1e-6)


def test_a_post_alone_gets_what_it_gets_beside_longer_ones(model: keras.Model) -> None:
    alone = [model.predict_on_batch(row[None, row > 0])[0] for row in IDS]

    np.testing.assert_allclose(alone, model.predict_on_batch(IDS), atol=1e-6)


def test_every_token_counts_and_so_does_their_order(model: keras.Model) -> None:
    post = IDS[:1]
    changed = np.repeat(post, 5, axis=0)
    np.fill_diagonal(changed, 19)

    (given,) = model.predict_on_batch(post)

    assert np.abs(model.predict_on_batch(changed) - given).max(axis=1).min() > 1e-4
    assert np.abs(model.predict_on_batch(post[:, ::-1]) - given).max() > 1e-3


@pytest.mark.parametrize("made", NETWORKS[::3], ids=lambda made: "-".join(map(str, made.values())))
def test_without_the_mask_padding_is_read(random_network: Callable, small: Callable, made: dict) -> None:
    model = random_network(small(**made, mask=False))

    narrow, wide = (model.predict_on_batch(np.pad(IDS, ((0, 0), (0, width - 5)))) for width in (5, 12))

    # Not for every post: a maximum may lie among the tokens.
    assert np.abs(narrow - wide).max() > 1e-3


def test_the_last_state_is_that_of_the_last_token(random_network: Callable, small: Callable) -> None:
    """Read one way, by its last state, a post's answer is the one that its first token's state leads to."""
    model = random_network(small(cell="gru", bidirectional=False, pooling="last"))
    states = keras.Model(model.inputs, model.get_layer("recurrent_0").output)

    of_two_tokens = states.predict_on_batch(IDS[:1, :2])
    padded = states.predict_on_batch(np.pad(IDS[:1, :2], ((0, 0), (0, 9))))

    np.testing.assert_allclose(padded, of_two_tokens, atol=1e-6)
    assert of_two_tokens.shape == (1, 5)


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [("max", [0.5, -0.1]), ("mean", [0.1, -0.3]), ("max_mean", [0.5, -0.1, 0.1, -0.3])],
)
def test_pooling_is_what_can_be_worked_out_by_hand(pooling: str, expected: list[float]) -> None:
    # The third state is padding's.
    states = np.array([[[0.5, -0.5], [-0.3, -0.1], [0.9, 0.9]]], np.float32)

    (given,) = np.asarray(network.pool(states, np.array([[True, True, False]]), pooling))

    np.testing.assert_allclose(given, expected, atol=1e-6)


def test_pooling_without_a_mask_takes_every_state() -> None:
    states = np.array([[[0.5, -0.5], [-0.3, -0.1], [0.9, 0.9]]], np.float32)

    (given,) = np.asarray(network.pool(states, None, "max_mean"))

    np.testing.assert_allclose(given, [0.9, 0.9, 1.1 / 3, 0.1], atol=1e-6)


def test_attention_is_a_weighted_mean_of_the_real_states() -> None:
    states = np.array([[[0.5, -0.5], [-0.3, -0.1], [0.9, 0.9]]], np.float32)
    real = np.array([[True, True, False]])

    (given,) = np.asarray(network.pool(states, real, "attention"))

    first = (given[0] + 0.3) / 0.8  # the weight of the first state, by the first number
    assert 0 < first < 1
    np.testing.assert_allclose(given, first * states[0, 0] + (1 - first) * states[0, 1], atol=1e-6)


# Size


@pytest.mark.parametrize(
    ("cell", "one_layer"),
    [  # by each step's 11 numbers (7 of the token's vector, 4 of evidence) and 5 of the state
        ({"cell": "gru"}, 3 * (11 * 5 + 5 * 5 + 2 * 5)),  # with a bias each
        ({"cell": "gru", "reset_after": False}, 3 * (11 * 5 + 5 * 5 + 5)),
        ({"cell": "lstm"}, 4 * (11 * 5 + 5 * 5 + 5)),
        ({"cell": "rnn"}, 11 * 5 + 5 * 5 + 5),
    ],
)
def test_a_cell_has_as_many_weights_as_its_equations(
    random_network: Callable, small: Callable, cell: dict, one_layer: int
) -> None:
    one, both = (
        random_network(small(**cell, pooling="mean", bidirectional=ways), evidence=4).count_params()
        for ways in (False, True)
    )

    assert one == 50 * 7 + one_layer + (5 * 3 + 3)
    assert both == 50 * 7 + 2 * one_layer + (2 * 5 * 3 + 3)


def test_layers_are_stacked(random_network: Callable, small: Callable) -> None:
    one, two, three = (
        random_network(small(cell="rnn", pooling="last", bidirectional=False, num_layers=layers)).count_params()
        for layers in (1, 2, 3)
    )

    assert two - one == three - two == 5 * 5 + 5 * 5 + 5


# What is left out while training

DROPOUTS = ["word_dropout", "embedding_dropout", "spatial_dropout", "ngram_dropout", "recurrent_dropout", "dropout"]
NONE = dict.fromkeys(DROPOUTS, 0.0)


def inputs_of(length: int = 40) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    said = rng.normal(1, 0.1, (8, length, 4)).astype(np.float32)
    return {"ids": rng.integers(1, 50, (8, length)).astype(np.int32), "evidence": said}


@pytest.fixture(scope="module")
def without_dropout(request: pytest.FixtureRequest, random_network: Callable, small: Callable) -> tuple:
    """A cell, and what its network says while training where nothing is left out."""
    model = random_network(small(**NONE, cell=request.param), evidence=4)
    return request.param, model(inputs_of(12), training=True).numpy()


# Cells differ in what is dropped inside of them alone.
@pytest.mark.parametrize(
    ("without_dropout", "name"),
    [*(("gru", name) for name in DROPOUTS), ("lstm", "recurrent_dropout"), ("rnn", "recurrent_dropout")],
    indirect=["without_dropout"],
)
def test_dropout_does_something_while_training_and_nothing_at_inference(
    random_network: Callable, small: Callable, without_dropout: tuple, name: str
) -> None:
    cell, plain = without_dropout
    keras.utils.set_random_seed(1)
    model = random_network(small(**NONE | {name: 0.5}, cell=cell), evidence=4)

    first, second = (model(inputs_of(12), training=True).numpy() for _ in range(2))

    np.testing.assert_allclose(model(inputs_of(12), training=False), plain, atol=1e-6)
    for one, other in ((first, plain), (second, plain), (first, second)):
        assert np.abs(one - other).max() > 1e-3


@pytest.mark.parametrize(
    ("name", "layer", "axes"),
    [
        ("word_dropout", "word_dropout", (2,)),  # a token's vector goes or stays as a whole
        ("spatial_dropout", "spatial_dropout", (1,)),  # a dimension does so in all of a post
        ("embedding_dropout", "embedding_dropout", ()),  # each number by itself
        ("ngram_dropout", "evidence_dropout", (2,)),  # all that is said at a token
    ],
)
def test_what_is_dropped_together_is_what_belongs_together(
    random_network: Callable, small: Callable, name: str, layer: str, axes: tuple[int, ...]
) -> None:
    keras.utils.set_random_seed(1)
    model = random_network(small(**NONE | {name: 0.25}), evidence=4)
    part = keras.Model(model.inputs, model.get_layer(layer).output)

    whole, dropped = (part(inputs_of(), training=training).numpy() for training in (False, True))

    gone = dropped == 0
    np.testing.assert_allclose(dropped, np.where(gone, 0, whole / 0.75), rtol=1e-5)  # the rest makes up for it
    together = gone.all(axis=axes, keepdims=True)
    np.testing.assert_array_equal(gone, np.broadcast_to(together, gone.shape))
    assert 0.15 < together.mean() < 0.35
    for axis in {0, 1, 2} - {*axes}:
        assert (together != together.take([0], axis=axis)).any()


# How it learns


def train_on(model: keras.Model, batches: int) -> list[float]:
    """The learning rate before each batch, and at the end."""
    rates = [float(model.optimizer.learning_rate)]
    for _ in range(batches):
        model.train_on_batch(IDS, np.array([0, 1, 2]))
        rates.append(float(model.optimizer.learning_rate))
    return rates


def build(train: Train, steps: int) -> keras.Model:
    return network.build_network(vocabulary=50, labels=3, columns=0, width=None, steps=steps, params=train)


def test_the_cosine_takes_the_learning_rate_to_nothing_over_all_steps(small: Callable) -> None:
    rates = train_on(build(small(learning_rate_schedule="cosine", learning_rate=0.5), steps=4), batches=4)

    np.testing.assert_allclose(rates, 0.5 * (1 + np.cos(np.pi * np.arange(5) / 4)) / 2, atol=1e-6)


def test_a_constant_learning_rate_stays(small: Callable) -> None:
    assert train_on(build(small(learning_rate_schedule="constant", learning_rate=0.5), steps=4), batches=6) == [0.5] * 7


@pytest.mark.parametrize(("name", "kind"), [("adam", keras.optimizers.Adam), ("rmsprop", keras.optimizers.RMSprop)])
def test_the_optimizer_is_the_one_asked_for(small: Callable, name: str, kind: type) -> None:
    assert type(build(small(optimizer=name), steps=1).optimizer) is kind


@pytest.mark.parametrize("norm", [None, 0.5, 7.0])
def test_the_gradient_is_cut_to_the_length_asked_for(small: Callable, norm: float | None) -> None:
    optimizer = network.make_optimizer(
        1, small(optimizer="rmsprop", learning_rate_schedule="constant", learning_rate=1.0, clip_norm=norm)
    )
    weights = keras.Variable(np.zeros(2, np.float32))

    # A first gradient of length 5, cut or not, and then one that no norm cuts.
    for gradient in ([3.0, 4.0], [0.1, 0.1]):
        before = weights.numpy()
        optimizer.apply([np.array(gradient, np.float32)], [weights])

    # RMSprop goes by the root of the mean square: nine tenths of what it was, and a tenth of what comes.
    first = np.array([3.0, 4.0]) * (1 if norm is None else min(norm / 5, 1))
    second = np.array([0.1, 0.1])
    root = np.sqrt(0.9 * 0.1 * first**2 + 0.1 * second**2)
    np.testing.assert_allclose(weights.numpy() - before, -second / root, rtol=1e-4)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_weights_are_averaged_where_that_is_asked_for(small: Callable, momentum: float) -> None:
    optimizer = build(small(ema_momentum=momentum), steps=1).optimizer

    assert optimizer.use_ema == bool(momentum)
    assert not momentum or optimizer.ema_momentum == momentum


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_the_loss_is_cross_entropy_with_part_of_the_label_shared_among_all(smoothing: float) -> None:
    probabilities = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1]], np.float32)

    losses = network.smoothed_cross_entropy(3, smoothing)(np.array([0, 2]), probabilities)

    share = smoothing / 3
    first = -((1 - smoothing + share) * np.log(0.7) + share * np.log(0.2) + share * np.log(0.1))
    second = -(share * np.log(0.1) + share * np.log(0.8) + (1 - smoothing + share) * np.log(0.1))
    np.testing.assert_allclose(losses, [first, second], rtol=1e-5)
