"""The trained network as files: safetensors weights, a JSON architecture, and the ONNX model that serves.

None of the three carries a date or a path: the same training writes the same bytes.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

from pipeline.nn.quiet import keras
from pipeline.nn.serving import COMPANIONS

OPSET = 18


def save(model: keras.Model, labels: list[str], folder: Path) -> None:
    """Write `weights.safetensors`, `network.json` and `model.onnx` into `folder`.

    The ONNX model notes the digests of the `COMPANIONS` in the folder, without which its answers mean nothing.
    """
    weights = weights_of(model)
    save_file(weights, folder / "weights.safetensors")
    made_with = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in COMPANIONS}
    architecture = json.loads(model.to_json())
    architecture.pop("compile_config")  # how it was trained is no part of it
    (folder / "network.json").write_text(json.dumps(architecture, indent=1, sort_keys=True) + "\n")
    (folder / "model.onnx").write_bytes(to_onnx(weights, labels, made_with).SerializeToString(deterministic=True))


def weights_of(model: keras.Model) -> dict[str, np.ndarray]:
    """The weights by name. The wrapper's own name goes: a network built from `network.json` has none in its paths."""
    return {"/".join(variable.path.split("/")[-3:]): np.asarray(variable) for variable in model.weights}


def to_onnx(weights: dict[str, np.ndarray], labels: list[str], made_with: dict[str, str]) -> onnx.ModelProto:
    """The network of `network.build` out of ONNX's own operators; `labels` and `made_with` stand in the metadata.

    Inputs: `ids` int32 `[batch, time]`, 0 is padding on the right, and `evidence` float32 `[batch, time, evidence]`
    where the network has it. Output: `probabilities` float32 `[batch, labels]`.
    Keras and ONNX both keep the gates in the order update, reset, candidate. `linear_before_reset=1` is Keras'
    `reset_after=True`, and `sequence_lens` is the mask, in both directions.
    """
    gru = {way: gru_weights(weights, f"{way}_gru") for way in ("forward", "backward")}
    constants: dict[str, np.ndarray] = {
        "embedding": weights["embedding/embeddings"],
        "gru_W": np.stack([w for w, _, _ in gru.values()]),
        "gru_R": np.stack([r for _, r, _ in gru.values()]),
        "gru_B": np.stack([b for _, _, b in gru.values()]),
        "dense_W": weights["labels/kernel"],
        "dense_b": weights["labels/bias"],
        "zero": np.array(0, np.int32),
        "last": np.array([-1], np.int64),
        "time": np.array([1], np.int64),
        "merge": np.array([0, 0, -1], np.int64),  # [batch, time, 2, units] -> [batch, time, 2 * units]
        "least": np.array(-1, np.float32),
    }
    units = constants["gru_R"].shape[2]
    evidence = constants["gru_W"].shape[2] - constants["embedding"].shape[1]
    inputs = [helper.make_tensor_value_info("ids", TensorProto.INT32, ["batch", "time"])]
    if evidence:
        inputs.append(helper.make_tensor_value_info("evidence", TensorProto.FLOAT, ["batch", "time", evidence]))
    nodes = [
        helper.make_node("Equal", ["ids", "zero"], ["is_padding"]),
        helper.make_node("Not", ["is_padding"], ["is_real"]),
        helper.make_node("Cast", ["is_real"], ["real"], to=TensorProto.INT32),
        helper.make_node("ReduceSum", ["real", "time"], ["lengths"], keepdims=0),
        helper.make_node("Gather", ["embedding", "ids"], ["embedded"]),
        *([helper.make_node("Concat", ["embedded", "evidence"], ["token"], axis=-1)] if evidence else []),
        helper.make_node("Transpose", ["token" if evidence else "embedded"], ["steps"], perm=[1, 0, 2]),
        helper.make_node(
            "GRU", ["steps", "gru_W", "gru_R", "gru_B", "lengths"], ["states"],
            hidden_size=units, direction="bidirectional", linear_before_reset=1,
        ),
        helper.make_node("Transpose", ["states"], ["by_post"], perm=[2, 0, 1, 3]),
        helper.make_node("Reshape", ["by_post", "merge"], ["joined"]),
        helper.make_node("Unsqueeze", ["is_real", "last"], ["mask"]),
        helper.make_node("Where", ["mask", "joined", "least"], ["masked"]),
        helper.make_node("ReduceMax", ["masked", "time"], ["largest"], keepdims=0),
        # Past a post's end ONNX' states are 0, so that the sum over all steps is the one over real steps.
        helper.make_node("ReduceSum", ["joined", "time"], ["sum"], keepdims=0),
        helper.make_node("Unsqueeze", ["lengths", "last"], ["length"]),
        helper.make_node("Cast", ["length"], ["divisor"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["sum", "divisor"], ["mean"]),
        helper.make_node("Concat", ["largest", "mean"], ["pooled"], axis=-1),
        helper.make_node("Gemm", ["pooled", "dense_W", "dense_b"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes,
        "classifier",
        inputs,
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", len(labels)])],
        [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    helper.set_model_props(model, {"labels": json.dumps(labels), "made_with": json.dumps(made_with)})
    onnx.checker.check_model(model, full_check=True)
    return model


def gru_weights(weights: dict[str, np.ndarray], name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One direction's W `[3 * units, inputs]`, R `[3 * units, units]` and B `[6 * units]`, as ONNX lays them out."""
    cell = next(path.rpartition("/")[0] for path in weights if path.startswith(f"{name}/"))
    kernel, recurrent, bias = (weights[f"{cell}/{part}"] for part in ("kernel", "recurrent_kernel", "bias"))
    return kernel.T, recurrent.T, bias.reshape(-1)
