"""The exported files: ONNX and Keras agree, both with the equations, and the same network gives the same bytes."""

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
from tests.keras_network import load_network

LABELS = ["a", "b", "ü"]
FILES = ("weights.safetensors", "network.json", "model.onnx")


def export_network(model: keras.Model, folder: Path, config: Train) -> None:
    """Export into the folder, where the required files contain nothing but their names."""
    for name in required_files(config.ensemble_with_baseline):
        (folder / name).write_text(name)
    export.export_model(model, LABELS, config, folder)


def to_onnx(weights: export.Weights, config: Train, length: int | None = None) -> bytes:
    return export.to_onnx(weights, 0, length, {}, config).SerializeToString()


def predict_onnx(model: Path | bytes, inputs: dict[str, np.ndarray]) -> np.ndarray:
    content = model if isinstance(model, bytes) else model.read_bytes()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["probabilities"], inputs)[0])


def random_inputs(
    lengths: list[int], vocab_size: int = 50, feature_dim: int = 0, length: int | None = None
) -> dict[str, np.ndarray]:
    """The network's inputs: random ids of examples of these lengths, with random n-gram features if there are any."""
    rng = np.random.default_rng(2)
    shape = (len(lengths), length or max(lengths))
    mask = np.arange(shape[1]) < np.array(lengths)[:, None]
    inputs = {"ids": np.where(mask, rng.integers(1, vocab_size, shape), 0).astype(np.int32)}
    if feature_dim:
        features = rng.normal(size=(*shape, feature_dim))
        inputs["ngram_features"] = np.where(mask[..., None], features, 0).astype(np.float32)
    return inputs


# ONNX and Keras agree

KINDS: list[dict] = [{"cell": "gru"}, {"cell": "gru", "reset_after": False}, {"cell": "lstm"}, {"cell": "rnn"}]
POOLINGS = ["last", "max", "mean", "max_mean", "attention"]
# Combined with the poolings, in another order for each cell: num_layers, bidirectional, mask, feature_dim.
OTHERS = [(1, False, True, 6), (2, True, False, 0), (1, True, True, 6), (3, False, False, 6), (2, True, True, 0)]
NETWORKS = [
    kind | {"pooling": pooling} | dict(zip(("num_layers", "bidirectional", "mask", "feature_dim"), others, strict=True))
    for n, kind in enumerate(KINDS)
    for pooling, others in zip(POOLINGS, OTHERS[n:] + OTHERS[:n], strict=True)
]
LENGTHS = [7, 1, 30, 2, 29, *range(3, 20)]


def test_the_networks_below_combine_every_value_with_every_cell() -> None:
    for kind in KINDS:
        of_kind = [network for network in NETWORKS if network | kind == network
                   and network.get("reset_after") == kind.get("reset_after")]  # fmt: skip
        for name, values in {
            "pooling": {*POOLINGS}, "num_layers": {1, 2, 3}, "bidirectional": {False, True}, "mask": {False, True},
            "feature_dim": {0, 6},
        }.items():  # fmt: skip
            assert {network[name] for network in of_kind} == values


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: "-".join(map(str, network.values())))
def test_onnx_gives_the_probabilities_of_keras(
    random_network: Callable, small: Callable, tmp_path: Path, network: dict
) -> None:
    feature_dim = network["feature_dim"]
    config = small(**{name: value for name, value in network.items() if name != "feature_dim"})
    length = None if config.mask else 30
    model = random_network(config, feature_dim=feature_dim, length=length)
    export_network(model, tmp_path, config)
    inputs = random_inputs(LENGTHS, feature_dim=feature_dim, length=length)

    probabilities = predict_onnx(tmp_path / "model.onnx", inputs)

    expected = model.predict_on_batch(inputs)
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)
    assert expected.std(axis=0).max() > 0.005  # predictions differ between examples


@pytest.fixture(scope="module", params=[2, 3], ids=lambda n_classes: f"{n_classes} classes")
def network(request: pytest.FixtureRequest, random_network: Callable, small: Callable) -> tuple[keras.Model, bytes]:
    """A network in Keras and in ONNX."""
    model = random_network(small(), n_classes=request.param)
    return model, to_onnx(export.named_weights(model), small())


@pytest.mark.parametrize("lengths", [[1], [40], [1, 1, 1], [7, 1, 40, 2, 39], list(range(1, 65))])
def test_onnx_takes_batches_of_any_shape(network: tuple[keras.Model, bytes], lengths: list[int]) -> None:
    keras_model, onnx_model = network
    inputs = random_inputs(lengths)

    np.testing.assert_allclose(predict_onnx(onnx_model, inputs), keras_model.predict_on_batch(inputs), atol=1e-5)


def test_a_network_without_a_mask_takes_batches_of_its_length_alone(random_network: Callable, small: Callable) -> None:
    config = small(mask=False)
    weights = export.named_weights(random_network(config, length=9))

    session = onnxruntime.InferenceSession(to_onnx(weights, config, length=9))

    assert session.get_inputs()[0].shape == ["batch", 9]
    with pytest.raises(Exception, match="INVALID_ARGUMENT"):
        session.run(None, random_inputs([3], length=8))


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_each_direction_has_its_own_weights(random_network: Callable, small: Callable, kind: dict) -> None:
    config = small(**kind)
    weights = export.named_weights(random_network(config))
    swap = {"forward": "backward", "backward": "forward"}
    swapped = {re.sub("forward|backward", lambda match: swap[match[0]], name): weights[name] for name in weights}
    inputs = random_inputs([30])

    original, exchanged = (predict_onnx(to_onnx(each, config), inputs) for each in (weights, swapped))

    assert np.abs(original - exchanged).max() > 1e-3


# Keras and ONNX agree with the equations: x is the input of a time step, h the hidden state; W, U and b are weights


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def gru(xs: np.ndarray, kernel: np.ndarray, recurrent: np.ndarray, b: np.ndarray, reset_after: bool) -> np.ndarray:
    """The hidden states of Cho et al. 2014; with `reset_after`, the reset gate acts after the matrix product.

    Keras concatenates the weights of update gate, reset gate and candidate.
    """
    (W_xz, W_xr, W_h), (U_hz, U_hr, U_h) = (np.split(concatenated, 3, axis=1) for concatenated in (kernel, recurrent))
    # With `reset_after` there is a bias of the state, too, on which the reset gate acts.
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

    Keras concatenates the weights of input gate, forget gate, candidate and output gate.
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
    "gru of Cho et al.": partial(gru, reset_after=False),
    "lstm": lstm,
    "rnn": rnn,
}
CELLS = dict(zip(EQUATIONS, KINDS, strict=True))


@pytest.mark.parametrize("name", EQUATIONS)
def test_the_states_of_keras_equal_those_of_the_equations(name: str) -> None:
    rng = np.random.default_rng(3)
    options = {key: value for key, value in CELLS[name].items() if key == "reset_after"}
    kind = {"gru": keras.layers.GRU, "lstm": keras.layers.LSTM, "rnn": keras.layers.SimpleRNN}[CELLS[name]["cell"]]
    layer = kind(5, return_sequences=True, **options)
    xs = rng.normal(size=(4, 12, 7)).astype(np.float32)
    layer.build(xs.shape)
    layer.set_weights([rng.normal(0, 0.7, weight.shape) for weight in layer.get_weights()])

    states = layer(xs).numpy()

    expected = np.stack([EQUATIONS[name](example, *layer.get_weights()) for example in xs])
    np.testing.assert_allclose(states, expected, atol=1e-5)
    assert expected.std(axis=(0, 1)).min() > 0.05  # states differ between steps and examples


def test_the_reset_gate_before_and_after_the_matrix_product_gives_different_states() -> None:
    rng = np.random.default_rng(3)
    xs, W, U, b = (rng.normal(size=shape) for shape in [(12, 7), (7, 15), (5, 15), (2, 15)])
    b[1] = 0

    after, before = gru(xs, W, U, b, reset_after=True), gru(xs, W, U, b[0], reset_after=False)

    np.testing.assert_allclose(after[0], before[0])  # there is no state to reset yet
    assert np.abs(after[1:] - before[1:]).max() > 0.1


@pytest.mark.parametrize("name", EQUATIONS)
def test_the_exported_network_agrees_with_the_equations(random_network: Callable, small: Callable, name: str) -> None:
    config = small(**CELLS[name])
    weights = export.named_weights(random_network(config))
    inputs = random_inputs([12])
    vectors = weights["embedding/embeddings"][inputs["ids"][0]]

    def states(direction: str, xs: np.ndarray) -> np.ndarray:
        of = {path.rpartition("/")[2]: array for path, array in weights.items() if path.startswith(f"{direction}_")}
        return EQUATIONS[name](xs, of["kernel"], of["recurrent_kernel"], of["bias"])

    both = np.concatenate([states("forward", vectors), states("backward", vectors[::-1])[::-1]], axis=1)
    pooled = np.append(both.max(axis=0), both.mean(axis=0))
    logits = pooled @ weights["labels/kernel"] + weights["labels/bias"]

    probabilities = predict_onnx(to_onnx(weights, config), inputs)

    np.testing.assert_allclose(probabilities[0], np.exp(logits) / np.exp(logits).sum(), atol=1e-5)


# The files


def metadata_of(path: Path) -> dict[str, str]:
    return onnxruntime.InferenceSession(path).get_modelmeta().custom_metadata_map


def test_the_metadata_has_the_labels(random_network: Callable, small: Callable, tmp_path: Path) -> None:
    export_network(random_network(small()), tmp_path, small())

    assert json.loads(metadata_of(tmp_path / "model.onnx")["labels"]) == LABELS


@pytest.mark.parametrize("ensemble", [False, True])
def test_the_metadata_has_the_digests_of_the_required_files(
    random_network: Callable, small: Callable, tmp_path: Path, ensemble: bool
) -> None:
    config = small(ensemble_with_baseline=ensemble)
    export_network(random_network(config), tmp_path, config)

    digests = json.loads(metadata_of(tmp_path / "model.onnx")["required_files"])
    names = ["tokenizer.json", "ngram_features.safetensors", *(["baseline.safetensors"] if ensemble else [])]
    assert digests == {name: hashlib.sha256(name.encode()).hexdigest() for name in names}


def test_the_temperature_is_set_in_the_metadata_and_changes_nothing_else(
    random_network: Callable, small: Callable, tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    export_network(random_network(small()), tmp_path, small())
    content, metadata = path.read_bytes(), metadata_of(path)
    probabilities = predict_onnx(path, random_inputs([7, 3]))

    export.set_metadata(path, temperature=1.2345)

    assert metadata["temperature"] == "1.0"
    changed = metadata_of(path)
    assert changed == metadata | {"temperature": "1.2345", "sha256": changed["sha256"]}
    assert changed["sha256"] != metadata["sha256"]
    np.testing.assert_allclose(predict_onnx(path, random_inputs([7, 3])), probabilities, atol=1e-6)
    # Set several times, it is there once: the same bytes whatever it was in between.
    export.set_metadata(path, temperature=0.5)
    export.set_metadata(path, temperature=1.0)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("network", "feature_dim", "length"),
    [
        ({"cell": "gru"}, 0, None),
        ({"cell": "gru", "pooling": "attention"}, 6, None),
        ({"cell": "lstm", "num_layers": 3, "bidirectional": False, "pooling": "last"}, 6, None),
        ({"cell": "rnn", "num_layers": 2, "mask": False, "pooling": "mean"}, 0, 12),
    ],
    ids=str,
)
def test_the_network_can_be_rebuilt_from_architecture_and_weights(
    random_network: Callable, small: Callable, tmp_path: Path, network: dict, feature_dim: int, length: int | None
) -> None:
    model = random_network(small(**network), feature_dim=feature_dim, length=length)
    export_network(model, tmp_path, small(**network))

    rebuilt = keras.models.model_from_json((tmp_path / "network.json").read_text())
    weights = load_file(tmp_path / "weights.safetensors")
    assert sorted(variable.path for variable in rebuilt.weights) == sorted(weights)
    rebuilt.set_weights([weights[variable.path] for variable in rebuilt.weights])

    inputs = random_inputs([9, 1, 4], feature_dim=feature_dim, length=length)
    np.testing.assert_allclose(rebuilt.predict_on_batch(inputs), model.predict_on_batch(inputs), atol=1e-6)


@pytest.mark.parametrize(
    "network", [{}, {"cell": "lstm", "num_layers": 2, "pooling": "attention"}, {"mask": False, "pooling": "last"}],
    ids=str,
)  # fmt: skip
def test_the_same_network_gives_the_same_bytes_and_another_one_does_not(
    random_network: Callable, small: Callable, tmp_path: Path, network: dict
) -> None:
    def exported(folder: str, seed: int) -> dict[str, bytes]:
        (tmp_path / folder).mkdir()
        length = None if network.get("mask", True) else 9
        model = random_network(small(**network), feature_dim=6, length=length, seed=seed)
        export_network(model, tmp_path / folder, small(**network))
        return {path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()}

    first = exported("first", seed=1)
    other = exported("other", seed=2)

    assert sorted(first) == sorted([*FILES, *required_files(ensemble_with_baseline=True)])
    assert exported("again", seed=1) == first
    assert other["model.onnx"] != first["model.onnx"]
    assert other["network.json"] == first["network.json"]


def test_no_file_contains_a_date_or_a_path(random_network: Callable, small: Callable, tmp_path: Path) -> None:
    export_network(random_network(small()), tmp_path, small())

    for name in FILES:
        content = (tmp_path / name).read_bytes()
        assert str(tmp_path).encode() not in content
        assert not re.search(rb"20\d\d-\d\d|/home/|/work/|/tmp/", content)
    model = onnx.load(tmp_path / "model.onnx")
    assert [entry.key for entry in model.metadata_props] == [
        "labels", "required_files", "network_weight", "temperature", "sha256",
    ]  # fmt: skip
    assert not model.doc_string + model.graph.doc_string + model.producer_name + model.producer_version
    with safe_open(tmp_path / "weights.safetensors", "numpy") as weights:
        assert weights.metadata() is None


@pytest.mark.parametrize("changes", [{"cell": "gru"}, {"cell": "lstm", "num_layers": 2, "pooling": "attention"}])
def test_keras_loads_what_was_exported(
    random_network: Callable, small: Callable, tmp_path: Path, changes: dict
) -> None:
    config = small(**changes)
    model = random_network(config)
    for file in required_files(config.ensemble_with_baseline):
        (tmp_path / file).write_text(file)
    export.export_model(model, LABELS, config, tmp_path)

    loaded = load_network(tmp_path)

    weights, expected = export.named_weights(loaded), export.named_weights(model)
    assert list(weights) == list(expected)
    for name, value in weights.items():
        np.testing.assert_array_equal(value, expected[name])
    ids = np.array([[3, 4, 5, 0], [7, 8, 0, 0]], np.int32)
    np.testing.assert_allclose(loaded.predict_on_batch(ids), model.predict_on_batch(ids), atol=1e-6)
