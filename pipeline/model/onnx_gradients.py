"""The gradient of the ONNX model that serves, in NumPy: reverse-mode differentiation of the operators it is made of.

ONNX Runtime computes no gradients, and TensorFlow takes seconds to import and to trace.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, helper, numpy_helper

from pipeline.model.recurrent import recurrent

Values = dict[str, np.ndarray]
# From the gradients of a node's outputs to those of its inputs; None for an input without one, such as a mask.
Backward = Callable[..., tuple[np.ndarray | None, ...]]
RECURRENT = ("GRU", "LSTM", "RNN")


class OnnxNetwork:
    """The nodes of a model from the input of its first recurrent layer to its logits.

    That input, `x` `[batch, time, features]`, is the token vectors, concatenated with the n-gram features if there are
    any.
    """

    def __init__(self, path: Path) -> None:
        graph = onnx.load(path).graph
        self.constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        nodes = list(graph.node)
        first = next(index for index, node in enumerate(nodes) if node.op_type == "Transpose")
        self.x, self.logits = nodes[first].input[0], nodes[-1].input[0]
        embedding = next(index for index, node in enumerate(nodes) if node.op_type == "Gather")
        self.before, self.after = nodes[:first], nodes[first:-1]
        self.masking = nodes[:embedding]
        dense = next(node for node in nodes if node.op_type == "Gemm")
        self.n_classes = self.constants[dense.input[2]].size  # of its bias

    def recurrent_input(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """`x` of the model's inputs, see `pipeline.features.batches.pad_batch`."""
        values = self.constants | dict(inputs)
        for node in self.before:
            run_node(node, values)
        return values[self.x]

    def gradient(self, ids: np.ndarray, x: np.ndarray, d_logits: np.ndarray) -> np.ndarray:
        """The gradient by `x` of the sum of the logits weighted by `d_logits` `[batch, classes]`.

        `ids` `[batch, time]` are the token ids, of which the mask is made.
        """
        values = self.constants | {"ids": ids, self.x: x}
        for node in self.masking:
            run_node(node, values)
        backward = [(node, run_node(node, values)) for node in self.after]
        gradients: Values = {self.logits: d_logits}
        for node, backward_node in reversed(backward):
            if not any(name in gradients for name in node.output):
                continue  # only masks depend on it
            of_outputs = (gradients.get(name, np.zeros_like(values[name])) for name in node.output if name)
            for name, gradient in zip(node.input, backward_node(*of_outputs), strict=False):
                if gradient is not None:
                    gradients[name] = gradients[name] + gradient if name in gradients else gradient
        return gradients[self.x]


def run_node(node: NodeProto, values: Values) -> Backward:
    """Add the outputs of the node to the values, and return its backward pass."""
    inputs = [values[name] if name else None for name in node.input]
    attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    if node.op_type in RECURRENT:
        outputs, recurrent_backward = recurrent(node.op_type, attributes, *inputs)
        values |= {name: output for name, output in zip(node.output, outputs, strict=False) if name}
        has_states = bool(node.output[0])

        def backward(gradient: np.ndarray) -> tuple[np.ndarray | None, ...]:
            both = (gradient, np.zeros_like(outputs[1])) if has_states else (np.zeros_like(outputs[0]), gradient)
            return (recurrent_backward(*both),)

        return backward
    values[node.output[0]], backward = OPERATORS[node.op_type](*inputs, **attributes)
    return backward


def unbroadcast(gradient: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The gradient of an array of that shape, which was broadcast."""
    axes = tuple(axis for axis, (size, own) in enumerate(zip(gradient.shape, shape, strict=True)) if size != own)
    return gradient.sum(axis=axes, keepdims=True)


# The operators that `pipeline.model.export` uses, for the inputs that it gives them: each returns its output and its
# backward pass. An array of weights has no gradient here.


def add(x, y):
    """`y` is another part of the logits, or a bias, which has no gradient."""
    return x + y, lambda d: (d, d if x.shape == y.shape else None)


def mul(a, b):
    return a * b, lambda d: (unbroadcast(d * b, a.shape), unbroadcast(d * a, b.shape))


def softmax(x, axis=-1):
    exponential = np.exp(x - x.max(axis=axis, keepdims=True))
    y = exponential / exponential.sum(axis=axis, keepdims=True)
    return y, lambda d: (y * (d - (d * y).sum(axis=axis, keepdims=True)),)


def reduce_sum(x, axes, keepdims=1):
    axis = tuple(axes)
    y = x.sum(axis=axis, keepdims=bool(keepdims), dtype=x.dtype)
    return y, lambda d: (np.broadcast_to(d if keepdims else np.expand_dims(d, axis), x.shape),)


def reduce_mean(x, axes, keepdims=1):
    y, backward = reduce_sum(x, axes, keepdims)
    count = x.size // y.size
    return y / np.float32(count), lambda d: backward(d / np.float32(count))


def reduce_max(x, axes, keepdims=1):
    """Steps with the same maximum share the gradient."""
    axis = tuple(axes)
    y = x.max(axis=axis, keepdims=True)
    is_max = x == y
    share = is_max / is_max.sum(axis=axis, keepdims=True, dtype=x.dtype)
    return (y if keepdims else y.squeeze(axis)), lambda d: ((d if keepdims else np.expand_dims(d, axis)) * share,)


def concat(*arrays, axis):
    ends = np.cumsum([array.shape[axis] for array in arrays])[:-1]
    return np.concatenate(arrays, axis), lambda d: tuple(np.split(d, ends, axis))


def transpose(x, perm):
    return x.transpose(perm), lambda d: (d.transpose(np.argsort(perm)),)


def reshape(x, shape):
    sizes = [x.shape[axis] if size == 0 else int(size) for axis, size in enumerate(shape)]  # 0 keeps a dimension
    return x.reshape(sizes), lambda d: (d.reshape(x.shape),)


def unsqueeze(x, axes):
    return np.expand_dims(x, tuple(axes)), lambda d: (d.reshape(x.shape),)


def tanh(x):
    y = np.tanh(x)
    return y, lambda d: (d * (1 - y**2),)


def no_gradient(compute: Callable[..., np.ndarray]):
    return lambda *inputs, **attributes: (compute(*inputs, **attributes), lambda d: ())


OPERATORS: dict[str, Any] = {
    "Add": add,
    "Cast": no_gradient(lambda x, to: x.astype(helper.tensor_dtype_to_np_dtype(to))),
    "Concat": concat,
    "Div": lambda x, count: (x / count, lambda d: (d / count,)),
    "Equal": no_gradient(np.equal),
    "Gather": no_gradient(lambda table, rows: table[rows]),
    "Gemm": lambda x, weights, bias: (x @ weights + bias, lambda d: (d @ weights.T,)),
    "MatMul": lambda x, weights: (x @ weights, lambda d: (d @ weights.T,)),
    "Mul": mul,
    "Not": no_gradient(np.logical_not),
    "ReduceMax": reduce_max,
    "ReduceMean": reduce_mean,
    "ReduceSum": reduce_sum,
    "Reshape": reshape,
    "Softmax": softmax,
    "Sqrt": no_gradient(np.sqrt),
    "Tanh": tanh,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
    "Where": lambda mask, x, other: (np.where(mask, x, other), lambda d: (None, np.where(mask, d, np.float32(0)))),
}
