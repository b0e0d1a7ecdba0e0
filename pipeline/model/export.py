"""The trained network as files: safetensors weights, a JSON architecture, and the ONNX model that serves.

They contain no date and no path: the same training writes the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

from pipeline import files
from pipeline.model.backend import keras
from pipeline.model.classifier import DIGEST_PLACEHOLDER, insert_digest, required_files

if TYPE_CHECKING:  # `explain`, which imports this module, does not depend on these parameters
    from pipeline.params.train import Train

OPSET, IR_VERSION = 18, 10
TIME_AXIS = np.array([1])  # of [batch, time, ..]

Weights = dict[str, np.ndarray]


def export_model(model: keras.Model, labels: list[str], params: Train, folder: Path) -> None:
    """Write `weights.safetensors`, `network.json` and `model.onnx` into `folder`.

    The ONNX model's metadata has the digests of the files in the folder that the classifier needs in addition to it.
    """
    weights = named_weights(model)
    with files.written_beside(folder / "weights.safetensors") as beside:
        save_file(weights, beside)
    architecture = json.loads(model.to_json())
    architecture.pop("compile_config")  # optimizer and loss are not part of the architecture
    files.write_json(folder / "network.json", architecture, indent=1, sort_keys=True)
    names = required_files(params.ensemble_with_baseline)
    metadata = {
        "labels": json.dumps(labels),
        "required_files": json.dumps(
            {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
        ),
        "network_weight": "0.5" if params.ensemble_with_baseline else "1.0",
        "temperature": "1.0",
        "sha256": DIGEST_PLACEHOLDER.decode(),
    }
    length, feature_dim = model.inputs[0].shape[1], sum(features.shape[-1] for features in model.inputs[1:])
    onnx_model = to_onnx(weights, feature_dim, length, metadata, params)
    files.write_bytes(folder / "model.onnx", insert_digest(onnx_model.SerializeToString(deterministic=True)))


def set_metadata(path: Path, **values: float) -> None:
    """Set `network_weight` or `temperature` in the metadata of the ONNX model."""
    model = onnx.load(path)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    metadata |= {name: str(value) for name, value in values.items()} | {"sha256": DIGEST_PLACEHOLDER.decode()}
    helper.set_model_props(model, metadata)
    files.write_bytes(path, insert_digest(model.SerializeToString(deterministic=True)))


def named_weights(model: keras.Model) -> Weights:
    """The weights by the last three parts of their path.

    A `Bidirectional` layer precedes them with its own name, unless the network was loaded from `network.json`.
    """
    return {"/".join(variable.path.split("/")[-3:]): np.asarray(variable) for variable in model.weights}


class Graph:
    """An ONNX graph under construction. `graph("Add", a, b)` adds a node and returns the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: np.ndarray) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def __call__(self, operator: str, *inputs: str, output: str = "", output_index: int = 0, **attributes) -> str:
        """Add a node; `output_index` selects one of an operator's outputs."""
        output = output or f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [""] * output_index + [output], **attributes))
        return output


def to_onnx(
    weights: Weights, feature_dim: int, length: int | None, metadata: dict[str, str], params: Train
) -> onnx.ModelProto:
    """The network of `network.build_network` with those weights, made of ONNX's own operators.

    Inputs: `ids` int32 `[batch, time]`, where 0 is padding on the right, and, unless `feature_dim` is 0,
    `ngram_features` float32 `[batch, time, feature_dim]`. `length` fixes the number of time steps; None leaves it open.
    Output: `probabilities` float32 `[batch, classes]`.
    """
    graph = Graph()
    mask = lengths = ""  # this is how ONNX writes an input that is left out
    if params.mask:
        mask = graph("Not", graph("Equal", "ids", graph.constant(np.array(0, np.int32))))
        as_int = graph("Cast", mask, to=TensorProto.INT32)
        lengths = graph("ReduceSum", as_int, graph.constant(TIME_AXIS), keepdims=0)
    x = graph("Gather", graph.constant(weights["embedding/embeddings"]), "ids")
    if feature_dim:
        x = graph("Concat", x, "ngram_features", axis=-1)
    pooled = recurrent_layers(graph, weights, x, lengths, params)
    if params.pooling != "last":
        pooled = pool(graph, weights, pooled, mask, params.pooling)
    kernel, bias = (graph.constant(weights[f"labels/{part}"]) for part in ("kernel", "bias"))
    scores = graph("Gemm", pooled, kernel, bias)
    if feature_dim:
        scores = graph("Add", scores, direct_scores(graph, weights, x, lengths, length))
    graph("Softmax", scores, output="probabilities", axis=-1)
    return to_model(graph, feature_dim, length, weights["labels/bias"].size, metadata)


def direct_scores(graph: Graph, weights: Weights, x: str, lengths: str, length: int | None) -> str:
    """`network.direct_scores` of the n-gram features, which are the last columns of `x` `[batch, time, inputs]`.

    `lengths` `[batch]` is "" if all have the same `length`.
    """
    embedding_dim, kernel = weights["embedding/embeddings"].shape[1], weights["direct/kernel"]
    # Of all of `x`, with weights of 0 for the token vectors: attributions are computed from the gradient by `x`.
    kernel = np.vstack([np.zeros((embedding_dim, kernel.shape[1]), np.float32), kernel])
    if lengths:
        count = graph("Unsqueeze", graph("Cast", lengths, to=TensorProto.FLOAT), graph.constant(np.array([-1])))
    else:
        count = graph.constant(np.array([[length]], np.float32))
    total = graph("ReduceSum", x, graph.constant(TIME_AXIS), keepdims=0)
    return graph("MatMul", graph("Div", total, graph("Sqrt", count)), graph.constant(kernel))


def to_model(
    graph: Graph, feature_dim: int, length: int | None, n_classes: int, metadata: dict[str, str]
) -> onnx.ModelProto:
    """The graph as a model with declared inputs, output and metadata, checked by ONNX."""
    shape = ["batch", length or "time"]
    inputs = [helper.make_tensor_value_info("ids", TensorProto.INT32, shape)]
    if feature_dim:
        inputs.append(helper.make_tensor_value_info("ngram_features", TensorProto.FLOAT, [*shape, feature_dim]))
    outputs = [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", n_classes])]
    onnx_graph = helper.make_graph(graph.nodes, "classifier", inputs, outputs, graph.constants)
    model = helper.make_model(onnx_graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    helper.set_model_props(model, metadata)
    onnx.checker.check_model(model, full_check=True)
    return model


def recurrent_layers(graph: Graph, weights: Weights, x: str, lengths: str, params: Train) -> str:
    """From `x` `[batch, time, inputs]` to the last layer's states `[batch, time, directions * units]`.

    With `last` pooling, to its last states alone, `[batch, directions * units]`.
    """
    merge_directions = np.array([0, 0, -1])  # a shape: 0 keeps a dimension, -1 merges the rest
    x = graph("Transpose", x, perm=[1, 0, 2])
    for layer in range(params.num_layers):
        if params.pooling == "last" and layer == params.num_layers - 1:
            states = recurrent_layer(graph, weights, layer, x, lengths, params, last=True)
            states = graph("Transpose", states, perm=[1, 0, 2])  # [directions, batch, units]
            return graph("Reshape", states, graph.constant(merge_directions[1:]))
        states = recurrent_layer(graph, weights, layer, x, lengths, params)
        states = graph("Transpose", states, perm=[0, 2, 1, 3])  # [time, directions, batch, units]
        x = graph("Reshape", states, graph.constant(merge_directions))
    return graph("Transpose", x, perm=[1, 0, 2])


def recurrent_layer(
    graph: Graph, weights: Weights, layer: int, x: str, lengths: str, params: Train, last: bool = False
) -> str:
    """From `x` `[time, batch, inputs]` to the states `[time, directions, batch, units]`, or the `last` states alone.

    `lengths` `[batch]` is the mask, for both directions. `linear_before_reset` is Keras' `reset_after`.
    """
    directions = ("forward", "backward") if params.bidirectional else ("",)
    by_direction = [cell_weights(weights, layer, direction, params.cell) for direction in directions]
    W, R, B = (graph.constant(np.stack(arrays)) for arrays in zip(*by_direction, strict=True))
    gru_attributes: dict[str, Any] = {"linear_before_reset": int(params.reset_after)} if params.cell == "gru" else {}
    return graph(
        params.cell.upper(), x, W, R, B, lengths,
        hidden_size=params.units,
        direction="bidirectional" if params.bidirectional else "forward",
        output_index=int(last),
        **gru_attributes,
    )  # fmt: skip


# The order of a cell's gates in ONNX, as positions in Keras' order. A GRU's are update, reset, candidate in both; an
# LSTM's are input, forget, candidate, output in Keras, and input, output, forget, candidate in ONNX.
GATES = {"gru": [0, 1, 2], "lstm": [0, 3, 1, 2], "rnn": [0]}


def cell_weights(weights: Weights, layer: int, direction: str, cell: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One direction's W `[gates * units, inputs]`, R `[gates * units, units]` and B `[2 * gates * units]`."""
    prefix = f"{direction}_recurrent_{layer}/" if direction else f"recurrent_{layer}/"
    arrays = {name.rpartition("/")[2]: array for name, array in weights.items() if name.startswith(prefix)}
    order = GATES[cell]

    def reorder(array: np.ndarray) -> np.ndarray:
        return np.concatenate([np.split(array, len(order), axis=-1)[gate] for gate in order], axis=-1)

    bias = arrays["bias"]
    if bias.ndim == 1:  # ONNX has a bias of the input and one of the state; this cell has the former alone
        bias = np.stack([bias, np.zeros_like(bias)])
    return reorder(arrays["kernel"]).T, reorder(arrays["recurrent_kernel"]).T, reorder(bias).reshape(-1)


def pool(graph: Graph, weights: Weights, states: str, mask: str, pooling: str) -> str:
    """`network.pool` of `states` `[batch, time, units]`; `mask` `[batch, time]` is "" if every step counts."""
    mask = graph("Unsqueeze", mask, graph.constant(np.array([-1]))) if mask else ""

    def where_mask(value: str, otherwise: float) -> str:
        return graph("Where", mask, value, graph.constant(np.array(otherwise, np.float32))) if mask else value

    def over_time(operator: str, value: str) -> str:
        return graph(operator, value, graph.constant(TIME_AXIS), keepdims=0)

    if pooling == "attention":
        kernel, bias = (graph.constant(weights[f"attention_hidden/{part}"]) for part in ("kernel", "bias"))
        hidden = graph("Tanh", graph("Add", graph("MatMul", states, kernel), bias))
        score = graph("MatMul", hidden, graph.constant(weights["attention/kernel"]))
        weighted = graph("Mul", graph("Softmax", where_mask(score, -1e9), axis=1), states)
        return over_time("ReduceSum", weighted)
    pooled = []
    if "max" in pooling:
        pooled.append(over_time("ReduceMax", where_mask(states, -1.0)))
    if "mean" in pooling and mask:
        total = over_time("ReduceSum", where_mask(states, 0.0))
        count = over_time("ReduceSum", graph("Cast", mask, to=TensorProto.FLOAT))
        pooled.append(graph("Div", total, count))
    elif "mean" in pooling:
        pooled.append(over_time("ReduceMean", states))
    return graph("Concat", *pooled, axis=-1)
