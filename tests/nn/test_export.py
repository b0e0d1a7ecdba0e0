"""The exported files: ONNX answers as Keras does, and the same network is the same bytes."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from pipeline.nn import export
from pipeline.nn.quiet import keras
from pipeline.nn.serving import COMPANIONS

LABELS = ["a", "b", "ü"]
FILES = ("weights.safetensors", "network.json", "model.onnx")


def save(model: keras.Model, labels: list[str], folder: Path) -> None:
    for name in COMPANIONS:
        (folder / name).write_text(name)
    export.save(model, labels, folder)


def ask_onnx(model: Path | bytes, inputs: dict[str, np.ndarray]) -> np.ndarray:
    content = model if isinstance(model, bytes) else model.read_bytes()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["probabilities"], inputs)[0])


def posts_of(lengths: list[int], vocabulary: int, evidence: int = 0) -> dict[str, np.ndarray]:
    """Posts of random tokens as the network's inputs, with random evidence where `evidence` is not 0."""
    rng = np.random.default_rng(2)
    shape = (len(lengths), max(lengths))
    real = np.arange(max(lengths)) < np.array(lengths)[:, None]
    inputs = {"ids": np.where(real, rng.integers(1, vocabulary, shape), 0).astype(np.int32)}
    if evidence:
        said = rng.normal(size=(*shape, evidence))
        inputs["evidence"] = np.where(real[..., None], said, 0).astype(np.float32)
    return inputs


@pytest.mark.parametrize("lengths", [[1], [40], [1, 1, 1], [7, 1, 40, 2, 39], list(range(1, 65))])
@pytest.mark.parametrize("labels", [2, 3])
@pytest.mark.parametrize("evidence", [0, 6])
def test_onnx_gives_the_probabilities_of_keras(
    random_network: Callable, tmp_path: Path, lengths: list[int], labels: int, evidence: int
) -> None:
    model = random_network(vocabulary=50, labels=labels, evidence=evidence)
    save(model, LABELS[:labels], tmp_path)
    inputs = posts_of(lengths, vocabulary=50, evidence=evidence)

    given = ask_onnx(tmp_path / "model.onnx", inputs)

    expected = model.predict_on_batch(inputs)
    np.testing.assert_allclose(given, expected, atol=1e-5)
    assert len(lengths) == 1 or expected.std(axis=0).min() > 0.01  # the posts do differ


def test_each_direction_has_its_own_weights(random_network: Callable) -> None:
    weights = export.weights_of(random_network(vocabulary=50, labels=3))
    swap = {"forward": "backward", "backward": "forward"}
    swapped = {re.sub("forward|backward", lambda way: swap[way[0]], path): value for path, value in weights.items()}
    ids = posts_of([30], vocabulary=50)

    forward_first, backward_first = (
        ask_onnx(export.to_onnx(w, LABELS, {}).SerializeToString(), ids) for w in (weights, swapped)
    )

    assert np.abs(forward_first - backward_first).max() > 1e-3


def test_the_gru_is_that_of_the_paper_with_its_reset_gate_after_the_product(random_network: Callable) -> None:
    """Cho et al. 2014, as Keras writes it for `reset_after=True`; each direction worked out step by step."""
    weights = export.weights_of(random_network(vocabulary=50, labels=3))
    inputs = posts_of([12], vocabulary=50)
    tokens = inputs["ids"][0]

    def states(way: str, ids: np.ndarray) -> np.ndarray:
        of = {path.rpartition("/")[2]: value for path, value in weights.items() if f"{way}_gru" in path}
        units = len(of["recurrent_kernel"])
        h, all_states = np.zeros(units), []
        for x in weights["embedding/embeddings"][ids]:
            update, reset, new = np.split(x @ of["kernel"] + of["bias"][0], 3)
            h_update, h_reset, h_new = np.split(h @ of["recurrent_kernel"] + of["bias"][1], 3)
            z, r = (1 / (1 + np.exp(-gate)) for gate in (update + h_update, reset + h_reset))
            h = z * h + (1 - z) * np.tanh(new + r * h_new)
            all_states.append(h)
        return np.stack(all_states)

    both = np.concatenate([states("forward", tokens), states("backward", tokens[::-1])[::-1]], axis=1)
    pooled = np.append(both.max(axis=0), both.mean(axis=0))
    logits = pooled @ weights["labels/kernel"] + weights["labels/bias"]

    given = ask_onnx(export.to_onnx(weights, LABELS, {}).SerializeToString(), inputs)

    np.testing.assert_allclose(given[0], np.exp(logits) / np.exp(logits).sum(), atol=1e-5)


def test_the_labels_stand_in_the_model(random_network: Callable, tmp_path: Path) -> None:
    save(random_network(vocabulary=50, labels=3), LABELS, tmp_path)

    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    assert json.loads(session.get_modelmeta().custom_metadata_map["labels"]) == LABELS


def test_weights_and_architecture_are_enough_to_build_the_network_again(
    random_network: Callable, tmp_path: Path
) -> None:
    model = random_network(vocabulary=50, labels=3)
    save(model, LABELS, tmp_path)

    again = keras.models.model_from_json((tmp_path / "network.json").read_text())
    weights = load_file(tmp_path / "weights.safetensors")
    assert sorted(variable.path for variable in again.weights) == sorted(weights)
    again.set_weights([weights[variable.path] for variable in again.weights])

    ids = posts_of([9, 1, 4], vocabulary=50)
    np.testing.assert_array_equal(again.predict_on_batch(ids), model.predict_on_batch(ids))


def test_the_same_network_is_the_same_bytes_and_another_one_is_not(random_network: Callable, tmp_path: Path) -> None:
    def made(folder: str, seed: int) -> dict[str, bytes]:
        (tmp_path / folder).mkdir()
        save(random_network(vocabulary=50, labels=3, seed=seed), LABELS, tmp_path / folder)
        return {path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()}

    first = made("one", seed=1)
    other = made("three", seed=2)

    assert sorted(first) == sorted([*FILES, *COMPANIONS])
    assert made("two", seed=1) == first
    assert other["model.onnx"] != first["model.onnx"]
    assert other["network.json"] == first["network.json"]


def test_no_file_carries_a_date_or_a_path(random_network: Callable, tmp_path: Path) -> None:
    save(random_network(vocabulary=50, labels=3), LABELS, tmp_path)

    for name in FILES:
        content = (tmp_path / name).read_bytes()
        assert str(tmp_path).encode() not in content
        assert not re.search(rb"20\d\d-\d\d|/home/|/work/|/tmp/", content)
    model = onnx.load(tmp_path / "model.onnx")
    assert [prop.key for prop in model.metadata_props] == ["labels", "made_with"]
    assert not model.doc_string + model.graph.doc_string + model.producer_name + model.producer_version
    with safe_open(tmp_path / "weights.safetensors", "numpy") as weights:
        assert weights.metadata() is None
