"""The exported files: ONNX answers as Keras does, both as the equations say, and the same network is the same bytes."""

import hashlib
import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from pipeline.model import export
from pipeline.model.backend import keras
from pipeline.model.classifier import required_files
from pipeline.params.train import Train

LABELS = ["a", "b", "ü"]
FILES = ("weights.safetensors", "network.json", "model.onnx")


def save(model: keras.Model, folder: Path, train: Train) -> None:
    for name in required_files(train.ensemble_with_baseline):
        (folder / name).write_text(name)
    export.export_model(model, LABELS, train, folder)


def ask_onnx(model: Path | bytes, inputs: dict[str, np.ndarray]) -> np.ndarray:
    content = model if isinstance(model, bytes) else model.read_bytes()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["probabilities"], inputs)[0])


def posts_of(
    lengths: list[int], vocabulary: int = 50, evidence: int = 0, width: int | None = None
) -> dict[str, np.ndarray]:
    """Posts of random tokens as the network's inputs, with random evidence where `evidence` is not 0."""
    rng = np.random.default_rng(2)
    shape = (len(lengths), width or max(lengths))
    real = np.arange(shape[1]) < np.array(lengths)[:, None]
    inputs = {"ids": np.where(real, rng.integers(1, vocabulary, shape), 0).astype(np.int32)}
    if evidence:
        said = rng.normal(size=(*shape, evidence))
        inputs["evidence"] = np.where(real[..., None], said, 0).astype(np.float32)
    return inputs


# ONNX as Keras

KINDS: list[dict] = [{"cell": "gru"}, {"cell": "gru", "reset_after": False}, {"cell": "lstm"}, {"cell": "rnn"}]
POOLINGS = ["last", "max", "mean", "max_mean", "attention"]
# What goes with each pooling, another for each cell: layers, both ways, mask, evidence.
OTHERS = [(1, False, True, 6), (2, True, False, 0), (1, True, True, 6), (3, False, False, 6), (2, True, True, 0)]
NETWORKS = [
    kind | {"pooling": pooling} | dict(zip(("layers", "bidirectional", "mask", "evidence"), others, strict=True))
    for turned, kind in enumerate(KINDS)
    for pooling, others in zip(POOLINGS, OTHERS[turned:] + OTHERS[:turned], strict=True)
]
LENGTHS = [7, 1, 30, 2, 29, *range(3, 20)]


def test_every_value_is_tried_with_every_cell() -> None:
    for kind in KINDS:
        tried = [made for made in NETWORKS if {name: made.get(name) for name in ("cell", "reset_after")} == {
            "cell": kind["cell"], "reset_after": kind.get("reset_after")}]  # fmt: skip
        for name, values in {
            "pooling": {*POOLINGS}, "layers": {1, 2, 3}, "bidirectional": {False, True}, "mask": {False, True},
            "evidence": {0, 6},
        }.items():  # fmt: skip
            assert {made[name] for made in tried} == values


@pytest.mark.parametrize("made", NETWORKS, ids=lambda made: "-".join(map(str, made.values())))
def test_onnx_gives_the_probabilities_of_keras(
    random_network: Callable, small: Callable, tmp_path: Path, made: dict
) -> None:
    evidence = made["evidence"]
    train = small(**{name: value for name, value in made.items() if name != "evidence"})
    width = None if train.mask else 30
    model = random_network(train, evidence=evidence, width=width)
    save(model, tmp_path, train)
    inputs = posts_of(LENGTHS, evidence=evidence, width=width)

    given = ask_onnx(tmp_path / "model.onnx", inputs)

    expected = model.predict_on_batch(inputs)
    np.testing.assert_allclose(given, expected, atol=1e-5)
    assert expected.std(axis=0).max() > 0.005  # the posts do differ


@pytest.fixture(scope="module", params=[2, 3], ids=lambda labels: f"{labels} labels")
def both(request: pytest.FixtureRequest, random_network: Callable, small: Callable) -> tuple[keras.Model, bytes]:
    """A network in Keras and in ONNX."""
    model = random_network(small(), labels=request.param)
    made = export.to_onnx(export.weights_of(model), 0, None, LABELS[: request.param], {}, small())
    return model, made.SerializeToString()


@pytest.mark.parametrize("lengths", [[1], [40], [1, 1, 1], [7, 1, 40, 2, 39], list(range(1, 65))])
def test_onnx_takes_batches_of_any_shape(both: tuple[keras.Model, bytes], lengths: list[int]) -> None:
    in_keras, in_onnx = both
    inputs = posts_of(lengths)

    np.testing.assert_allclose(ask_onnx(in_onnx, inputs), in_keras.predict_on_batch(inputs), atol=1e-5)


def test_a_network_without_a_mask_takes_posts_of_its_width_alone(random_network: Callable, small: Callable) -> None:
    train = small(mask=False)
    weights = export.weights_of(random_network(train, width=9))

    session = onnxruntime.InferenceSession(export.to_onnx(weights, 0, 9, LABELS, {}, train).SerializeToString())

    assert session.get_inputs()[0].shape == ["batch", 9]
    with pytest.raises(Exception, match="INVALID_ARGUMENT"):
        session.run(None, posts_of([3], width=8))


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_each_direction_has_its_own_weights(random_network: Callable, small: Callable, kind: dict) -> None:
    train = small(**kind)
    weights = export.weights_of(random_network(train))
    swap = {"forward": "backward", "backward": "forward"}
    swapped = {re.sub("forward|backward", lambda way: swap[way[0]], path): value for path, value in weights.items()}
    ids = posts_of([30])

    forward_first, backward_first = (
        ask_onnx(export.to_onnx(w, 0, None, LABELS, {}, train).SerializeToString(), ids) for w in (weights, swapped)
    )

    assert np.abs(forward_first - backward_first).max() > 1e-3


# Keras as the equations: x is what a step sees, h the hidden state; W, U and b are weights.


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def gru(xs: np.ndarray, kernel: np.ndarray, recurrent: np.ndarray, b: np.ndarray, reset_after: bool) -> np.ndarray:
    """The hidden states of Cho et al. 2014; with `reset_after`, the reset gate acts after the matrix product.

    Keras lays update, reset and candidate side by side.
    """
    (W_xz, W_xr, W_h), (U_hz, U_hr, U_h) = (np.split(side_by_side, 3, axis=1) for side_by_side in (kernel, recurrent))
    # After the product there is a bias for the state, too, so that the reset gate can act on it.
    b_z, b_r, b_h = np.split(b[0] if reset_after else b, 3)
    c_z, c_r, c_h = np.split(b[1], 3) if reset_after else (0, 0, 0)
    h, states = np.zeros(len(recurrent)), []
    for x in xs:
        r = sigmoid(x @ W_xr + h @ U_hr + b_r + c_r)  # reset gate
        z = sigmoid(x @ W_xz + h @ U_hz + b_z + c_z)  # update gate
        reset = r * (h @ U_h + c_h) if reset_after else (r * h) @ U_h
        candidate = np.tanh(x @ W_h + reset + b_h)  # candidate hidden state
        h = z * h + (1 - z) * candidate  # hidden state
        states.append(h)
    return np.stack(states)


def lstm(xs: np.ndarray, kernel: np.ndarray, recurrent: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The hidden states of Hochreiter & Schmidhuber 1997 with a forget gate.

    Keras lays input gate, forget gate, candidate and output gate side by side.
    """
    h, c, states = np.zeros(len(recurrent)), np.zeros(len(recurrent)), []
    for x in xs:
        i, f, new, o = np.split(x @ kernel + h @ recurrent + b, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(new)
        h = sigmoid(o) * np.tanh(c)
        states.append(h)
    return np.stack(states)


def rnn(xs: np.ndarray, kernel: np.ndarray, recurrent: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The hidden states of Elman 1990."""
    h, states = np.zeros(len(recurrent)), []
    for x in xs:
        h = np.tanh(x @ kernel + h @ recurrent + b)
        states.append(h)
    return np.stack(states)


EQUATIONS: dict[str, Callable] = {
    "gru": partial(gru, reset_after=True),
    "gru of the paper": partial(gru, reset_after=False),
    "lstm": lstm,
    "rnn": rnn,
}
CELLS = dict(zip(EQUATIONS, KINDS, strict=True))


@pytest.mark.parametrize("name", EQUATIONS)
def test_the_states_of_keras_are_those_of_the_equations(name: str) -> None:
    rng = np.random.default_rng(3)
    options = {key: value for key, value in CELLS[name].items() if key == "reset_after"}
    kind = {"gru": keras.layers.GRU, "lstm": keras.layers.LSTM, "rnn": keras.layers.SimpleRNN}[CELLS[name]["cell"]]
    layer = kind(5, return_sequences=True, **options)
    xs = rng.normal(size=(4, 12, 7)).astype(np.float32)
    layer.build(xs.shape)
    layer.set_weights([rng.normal(0, 0.7, weight.shape) for weight in layer.get_weights()])

    states = layer(xs).numpy()

    expected = np.stack([EQUATIONS[name](post, *layer.get_weights()) for post in xs])
    np.testing.assert_allclose(states, expected, atol=1e-5)
    assert expected.std(axis=(0, 1)).min() > 0.05  # the states do move


def test_on_which_side_of_the_product_the_reset_gate_acts_makes_a_difference() -> None:
    rng = np.random.default_rng(3)
    xs, W, U, b = (rng.normal(size=shape) for shape in [(12, 7), (7, 15), (5, 15), (2, 15)])
    b[1] = 0

    after, before = gru(xs, W, U, b, reset_after=True), gru(xs, W, U, b[0], reset_after=False)

    np.testing.assert_allclose(after[0], before[0])  # there is no state to reset yet
    assert np.abs(after[1:] - before[1:]).max() > 0.1


@pytest.mark.parametrize("name", EQUATIONS)
def test_what_is_exported_gives_what_the_equations_give(random_network: Callable, small: Callable, name: str) -> None:
    train = small(**CELLS[name])
    weights = export.weights_of(random_network(train))
    inputs = posts_of([12])
    vectors = weights["embedding/embeddings"][inputs["ids"][0]]

    def states(way: str, xs: np.ndarray) -> np.ndarray:
        of = {path.rpartition("/")[2]: value for path, value in weights.items() if path.startswith(f"{way}_")}
        return EQUATIONS[name](xs, of["kernel"], of["recurrent_kernel"], of["bias"])

    both = np.concatenate([states("forward", vectors), states("backward", vectors[::-1])[::-1]], axis=1)
    pooled = np.append(both.max(axis=0), both.mean(axis=0))
    logits = pooled @ weights["labels/kernel"] + weights["labels/bias"]

    given = ask_onnx(export.to_onnx(weights, 0, None, LABELS, {}, train).SerializeToString(), inputs)

    np.testing.assert_allclose(given[0], np.exp(logits) / np.exp(logits).sum(), atol=1e-5)


# The files


def test_the_labels_stand_in_the_model(random_network: Callable, small: Callable, tmp_path: Path) -> None:
    save(random_network(small()), tmp_path, small())

    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    assert json.loads(session.get_modelmeta().custom_metadata_map["labels"]) == LABELS


@pytest.mark.parametrize("wide", [False, True])
def test_the_model_notes_the_digests_of_its_companions(
    random_network: Callable, small: Callable, tmp_path: Path, wide: bool
) -> None:
    save(random_network(small(ensemble_with_baseline=wide)), tmp_path, small(ensemble_with_baseline=wide))

    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    noted = json.loads(session.get_modelmeta().custom_metadata_map["made_with"])
    names = ["tokenizer.json", "ngram_features.safetensors", *(["baseline.safetensors"] if wide else [])]
    assert noted == {name: hashlib.sha256(name.encode()).hexdigest() for name in names}


def test_a_temperature_is_noted_beside_all_else_and_changes_no_answer_of_the_network(
    random_network: Callable, small: Callable, tmp_path: Path
) -> None:
    def noted() -> dict[str, str]:
        return onnxruntime.InferenceSession(tmp_path / "model.onnx").get_modelmeta().custom_metadata_map

    save(random_network(small()), tmp_path, small())
    first, before = (tmp_path / "model.onnx").read_bytes(), noted()
    answer = ask_onnx(tmp_path / "model.onnx", posts_of([7, 3]))

    export.set_temperature(tmp_path / "model.onnx", 1.2345)

    assert before["temperature"] == "1.0"
    assert noted() == before | {"temperature": "1.2345"}
    np.testing.assert_array_equal(ask_onnx(tmp_path / "model.onnx", posts_of([7, 3])), answer)
    # Noted once, and the same bytes whatever was noted in between.
    export.set_temperature(tmp_path / "model.onnx", 0.5)
    export.set_temperature(tmp_path / "model.onnx", 1.0)
    assert (tmp_path / "model.onnx").read_bytes() == first


@pytest.mark.parametrize(
    ("made", "evidence", "width"),
    [
        ({"cell": "gru"}, 0, None),
        ({"cell": "gru", "pooling": "attention"}, 6, None),
        ({"cell": "lstm", "layers": 3, "bidirectional": False, "pooling": "last"}, 6, None),
        ({"cell": "rnn", "layers": 2, "mask": False, "pooling": "mean"}, 0, 12),
    ],
    ids=str,
)
def test_weights_and_architecture_are_enough_to_build_the_network_again(
    random_network: Callable, small: Callable, tmp_path: Path, made: dict, evidence: int, width: int | None
) -> None:
    model = random_network(small(**made), evidence=evidence, width=width)
    save(model, tmp_path, small(**made))

    again = keras.models.model_from_json((tmp_path / "network.json").read_text())
    weights = load_file(tmp_path / "weights.safetensors")
    assert sorted(variable.path for variable in again.weights) == sorted(weights)
    again.set_weights([weights[variable.path] for variable in again.weights])

    inputs = posts_of([9, 1, 4], evidence=evidence, width=width)
    np.testing.assert_array_equal(again.predict_on_batch(inputs), model.predict_on_batch(inputs))


@pytest.mark.parametrize(
    "made", [{}, {"cell": "lstm", "layers": 2, "pooling": "attention"}, {"mask": False, "pooling": "last"}], ids=str
)
def test_the_same_network_is_the_same_bytes_and_another_one_is_not(
    random_network: Callable, small: Callable, tmp_path: Path, made: dict
) -> None:
    def files(folder: str, seed: int) -> dict[str, bytes]:
        (tmp_path / folder).mkdir()
        model = random_network(small(**made), evidence=6, width=None if made.get("mask", True) else 9, seed=seed)
        save(model, tmp_path / folder, small(**made))
        return {path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()}

    first = files("one", seed=1)
    other = files("three", seed=2)

    assert sorted(first) == sorted([*FILES, *required_files(wide=True)])
    assert files("two", seed=1) == first
    assert other["model.onnx"] != first["model.onnx"]
    assert other["network.json"] == first["network.json"]


def test_no_file_carries_a_date_or_a_path(random_network: Callable, small: Callable, tmp_path: Path) -> None:
    save(random_network(small()), tmp_path, small())

    for name in FILES:
        content = (tmp_path / name).read_bytes()
        assert str(tmp_path).encode() not in content
        assert not re.search(rb"20\d\d-\d\d|/home/|/work/|/tmp/", content)
    model = onnx.load(tmp_path / "model.onnx")
    assert [prop.key for prop in model.metadata_props] == ["labels", "made_with", "temperature"]
    assert not model.doc_string + model.graph.doc_string + model.producer_name + model.producer_version
    with safe_open(tmp_path / "weights.safetensors", "numpy") as weights:
        assert weights.metadata() is None
