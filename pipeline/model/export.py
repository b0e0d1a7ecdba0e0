"""The trained network as files: safetensors weights, a JSON architecture, and the ONNX model that serves.

None of the three carries a date or a path: the same training writes the same bytes.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

from pipeline.model.backend import keras
from pipeline.model.classifier import required_files
from pipeline.params.train import Train

OPSET = 18
TIME = np.array([1])  # the axis, in [batch, time, ..]


def export_model(model: keras.Model, labels: list[str], params: Train, folder: Path) -> None:
    """Write `weights.safetensors`, `network.json` and `model.onnx` into `folder`.

    The ONNX model notes the digests of its companions in the folder, without which its answers mean nothing.
    """
    weights = weights_of(model)
    save_file(weights, folder / "weights.safetensors")
    files = required_files(params.ensemble_with_baseline)
    made_with = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in files}
    architecture = json.loads(model.to_json())
    architecture.pop("compile_config")  # how it was trained is no part of it
    (folder / "network.json").write_text(json.dumps(architecture, indent=1, sort_keys=True) + "\n")
    width, columns = model.inputs[0].shape[1], sum(each.shape[-1] for each in model.inputs[1:])
    onnx_model = to_onnx(weights, columns, width, labels, made_with, params)
    (folder / "model.onnx").write_bytes(onnx_model.SerializeToString(deterministic=True))


def set_temperature(path: Path, temperature: float) -> None:
    """Note in the ONNX model by what its answers are to be scaled; it was 1."""
    model = onnx.load(path)
    noted = {each.key: each.value for each in model.metadata_props} | {"temperature": str(temperature)}
    helper.set_model_props(model, noted)
    path.write_bytes(model.SerializeToString(deterministic=True))


def weights_of(model: keras.Model) -> dict[str, np.ndarray]:
    """The weights by name, without the wrapper's: a network built from `network.json` has none in its paths."""
    return {"/".join(variable.path.split("/")[-3:]): np.asarray(variable) for variable in model.weights}


class Graph:
    """ONNX nodes in the making: each operator's call gives the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: np.ndarray) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def __call__(self, operator: str, *inputs: str, output: str = "", **attributes) -> str:
        output = output or f"{operator}_{len(self.nodes)}"
        outputs = ["", output] if attributes.pop("last_output", False) else [output]
        self.nodes.append(helper.make_node(operator, inputs, outputs, **attributes))
        return output


def to_onnx(
    weights: dict[str, np.ndarray],
    columns: int,
    width: int | None,
    labels: list[str],
    made_with: dict[str, str],
    params: Train,
) -> onnx.ModelProto:
    """The network of `network.build` out of ONNX's own operators; `labels` and `made_with` stand in the metadata,
    and the temperature, 1.

    Inputs: `ids` int32 `[batch, time]`, 0 is padding on the right, and `evidence` float32 `[batch, time, columns]`
    unless `columns` is 0; time is `width` where that is no None. Output: `probabilities` float32 `[batch, labels]`.
    """
    graph = Graph()
    lengths = real = ""  # "" is how ONNX writes an input that is left out
    if params.mask:
        real = graph("Not", graph("Equal", "ids", graph.constant(np.array(0, np.int32))))
        lengths = graph("ReduceSum", graph("Cast", real, to=TensorProto.INT32), graph.constant(TIME), keepdims=0)

    token = graph("Gather", graph.constant(weights["embedding/embeddings"]), "ids")
    shape = ["batch", width or "time"]
    inputs = [helper.make_tensor_value_info("ids", TensorProto.INT32, shape)]
    if columns:
        shape = ["batch", width or "time", columns]
        inputs.append(helper.make_tensor_value_info("evidence", TensorProto.FLOAT, shape))
        token = graph("Concat", token, "evidence", axis=-1)

    steps = graph("Transpose", token, perm=[1, 0, 2])
    for layer in range(params.num_layers):
        last = params.pooling == "last" and layer == params.num_layers - 1
        states = recurrent(graph, weights, layer, steps, lengths, last, params)
        if last:  # [directions, batch, units]
            pooled = graph("Reshape", graph("Transpose", states, perm=[1, 0, 2]), graph.constant(np.array([0, -1])))
        else:  # [time, directions, batch, units]
            steps = graph(
                "Reshape", graph("Transpose", states, perm=[0, 2, 1, 3]), graph.constant(np.array([0, 0, -1]))
            )
    if params.pooling != "last":
        pooled = pool(graph, weights, graph("Transpose", steps, perm=[1, 0, 2]), real, params.pooling)

    logits = graph("Gemm", pooled, *(graph.constant(weights[f"labels/{part}"]) for part in ("kernel", "bias")))
    graph("Softmax", logits, output="probabilities", axis=-1)
    outputs = [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", len(labels)])]
    made = helper.make_graph(graph.nodes, "classifier", inputs, outputs, graph.constants)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    noted = {"labels": json.dumps(labels), "made_with": json.dumps(made_with), "temperature": "1.0"}
    helper.set_model_props(model, noted)
    onnx.checker.check_model(model, full_check=True)
    return model


def recurrent(
    graph: Graph, weights: dict[str, np.ndarray], layer: int, steps: str, lengths: str, last: bool, params: Train
) -> str:
    """A layer's states `[time, directions, batch, units]` over `steps` `[time, batch, inputs]`, or the `last` alone.

    `lengths` is the mask, in both directions. `linear_before_reset` is Keras' `reset_after`.
    """
    ways = ("forward", "backward") if params.bidirectional else ("",)
    by_way = [cell_weights(weights, layer, way, params.cell) for way in ways]
    kernel, recurrent_kernel, bias = (graph.constant(np.stack(part)) for part in zip(*by_way, strict=True))
    only_gru: dict[str, Any] = {"linear_before_reset": int(params.reset_after)} if params.cell == "gru" else {}
    return graph(
        params.cell.upper(), steps, kernel, recurrent_kernel, bias, lengths,
        hidden_size=params.units,
        direction="bidirectional" if params.bidirectional else "forward",
        last_output=last,
        **only_gru,
    )  # fmt: skip


# Where ONNX wants each of the blocks that Keras lays side by side. A GRU's are update, reset, candidate in both; an
# LSTM's are input, forget, candidate, output in Keras, and input, output, forget, candidate in ONNX.
BLOCKS = {"gru": [0, 1, 2], "lstm": [0, 3, 1, 2], "rnn": [0]}


def cell_weights(
    weights: dict[str, np.ndarray], layer: int, way: str, cell: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One direction's W `[blocks * units, inputs]`, R `[blocks * units, units]` and B `[2 * blocks * units]`."""
    start = f"{way}_recurrent_{layer}/" if way else f"recurrent_{layer}/"
    of = {path.rpartition("/")[2]: value for path, value in weights.items() if path.startswith(start)}
    blocks = BLOCKS[cell]

    def arranged(value: np.ndarray) -> np.ndarray:
        return np.concatenate([np.split(value, len(blocks), axis=-1)[block] for block in blocks], axis=-1)

    bias = of["bias"]
    if bias.ndim == 1:  # Keras adds it to the inputs' part alone, where ONNX has one for the state's part, too
        bias = np.stack([bias, np.zeros_like(bias)])
    return arranged(of["kernel"]).T, arranged(of["recurrent_kernel"]).T, arranged(bias).reshape(-1)


def pool(graph: Graph, weights: dict[str, np.ndarray], states: str, real: str, pooling: str) -> str:
    """`network.pool` of `states` `[batch, time, units]`; `real` `[batch, time]` is "" where padding counts."""
    mask = graph("Unsqueeze", real, graph.constant(np.array([-1]))) if real else ""

    def masked(value: str, padding: float) -> str:
        return graph("Where", mask, value, graph.constant(np.array(padding, np.float32))) if mask else value

    if pooling == "attention":
        kernel, bias = (graph.constant(weights[f"attention_view/{part}"]) for part in ("kernel", "bias"))
        view = graph("Tanh", graph("Add", graph("MatMul", states, kernel), bias))
        fit = graph("MatMul", view, graph.constant(weights["attention/kernel"]))
        weighed = graph("Mul", graph("Softmax", masked(fit, -1e9), axis=1), states)
        return graph("ReduceSum", weighed, graph.constant(TIME), keepdims=0)
    pooled = []
    if "max" in pooling:
        pooled.append(graph("ReduceMax", masked(states, -1.0), graph.constant(TIME), keepdims=0))
    if "mean" in pooling and mask:
        total = graph("ReduceSum", masked(states, 0.0), graph.constant(TIME), keepdims=0)
        count = graph("ReduceSum", graph("Cast", mask, to=TensorProto.FLOAT), graph.constant(TIME), keepdims=0)
        pooled.append(graph("Div", total, count))
    elif "mean" in pooling:
        pooled.append(graph("ReduceMean", states, graph.constant(TIME), keepdims=0))
    return graph("Concat", *pooled, axis=-1)
