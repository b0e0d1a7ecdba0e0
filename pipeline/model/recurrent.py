"""ONNX's recurrent operators in NumPy, forward and backward (backpropagation through time).

Equations and the order of the gates are those of ONNX's GRU, LSTM and RNN: https://onnx.ai/onnx/operators.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

# A step of a cell takes the gates' input `[batch, gates * units]`, R `[gates * units, units]`, the state's bias
# `[gates * units]` and the previous states. It returns the next states, and a function from the gradients of the next
# states to those of the gates and of the previous states. A GRU and an RNN have one state `h`, an LSTM has `h` and `c`,
# each `[batch, units]`.
Step = Callable[..., tuple[tuple[np.ndarray, ...], Callable[..., tuple[np.ndarray, tuple[np.ndarray, ...]]]]]


def sigmoid(x: np.ndarray) -> np.ndarray:
    return (1 + np.tanh(x / 2)) / 2  # equal to 1 / (1 + exp(-x)), which overflows


def rnn_step(gates: np.ndarray, R: np.ndarray, bias: np.ndarray, h: np.ndarray):
    new = np.tanh(gates + h @ R.T + bias)

    def backward(d_new: np.ndarray):
        d_gates = d_new * (1 - new**2)
        return d_gates, (d_gates @ R,)

    return (new,), backward


def gru_step(gates: np.ndarray, R: np.ndarray, bias: np.ndarray, h: np.ndarray, reset_after: bool):
    units = h.shape[1]
    zr, last = slice(0, 2 * units), slice(2 * units, None)  # gates: update, reset, candidate
    z, r = np.split(sigmoid(gates[:, zr] + h @ R[zr].T + bias[zr]), 2, axis=1)
    if reset_after:
        from_state = h @ R[last].T + bias[last]
        candidate = np.tanh(gates[:, last] + r * from_state)
    else:
        candidate = np.tanh(gates[:, last] + (r * h) @ R[last].T + bias[last])
    new = (1 - z) * candidate + z * h

    def backward(d_new: np.ndarray):
        d_candidate = d_new * (1 - z) * (1 - candidate**2)
        d_h = d_new * z
        if reset_after:
            d_r = d_candidate * from_state
            d_h = d_h + (d_candidate * r) @ R[last]
        else:
            d_reset = d_candidate @ R[last]
            d_r = d_reset * h
            d_h = d_h + d_reset * r
        d_zr = np.concatenate([d_new * (h - candidate) * z * (1 - z), d_r * r * (1 - r)], axis=1)
        return np.concatenate([d_zr, d_candidate], axis=1), (d_h + d_zr @ R[zr],)

    return (new,), backward


def lstm_step(gates: np.ndarray, R: np.ndarray, bias: np.ndarray, h: np.ndarray, c: np.ndarray):
    *iof, last = np.split(gates + h @ R.T + bias, 4, axis=1)  # gates: input, output, forget, candidate
    i, o, f = map(sigmoid, iof)
    candidate = np.tanh(last)
    new_c = f * c + i * candidate
    squashed = np.tanh(new_c)

    def backward(d_h: np.ndarray, d_c: np.ndarray):
        d_c = d_c + d_h * o * (1 - squashed**2)
        d_gates = np.concatenate(
            [
                d_c * candidate * i * (1 - i), d_h * squashed * o * (1 - o), d_c * c * f * (1 - f),
                d_c * i * (1 - candidate**2),
            ],
            axis=1,
        )  # fmt: skip
        return d_gates, (d_gates @ R, d_c * f)

    return (o * squashed, new_c), backward


def run_direction(
    step: Step, n_states: int, x: np.ndarray, W: np.ndarray, R: np.ndarray, B: np.ndarray, lengths: np.ndarray,
    is_reverse: bool,
):  # fmt: skip
    """Run one direction over `x` `[time, batch, inputs]`.

    Returns the states `[time, batch, units]`, the last one `[batch, units]`, and the backward pass.
    After the end of an example, which `lengths` `[batch]` gives, its states are 0. The backward pass takes gradients of
    the states and of the last one, and returns that of `x`.
    """
    bias_of_input, bias_of_state = np.split(B, 2)
    gates = x @ W.T + bias_of_input
    is_active = (np.arange(len(x))[:, None] < lengths)[:, :, None]
    states = (np.zeros((x.shape[1], R.shape[1]), x.dtype),) * n_states
    outputs = np.zeros((*x.shape[:2], R.shape[1]), x.dtype)
    backward_steps: list[Any] = [None] * len(x)
    order = range(len(x))[:: -1 if is_reverse else 1]
    for time in order:
        new, backward_steps[time] = step(gates[time], R, bias_of_state, *states)
        states = tuple(np.where(is_active[time], *pair) for pair in zip(new, states, strict=True))
        outputs[time] = np.where(is_active[time], new[0], 0)

    def backward(d_outputs: np.ndarray, d_last: np.ndarray) -> np.ndarray:
        d_states = (d_last, *(np.zeros_like(state) for state in states[1:]))
        d_gates = np.zeros_like(gates)
        for time in reversed(order):
            d_new = (d_outputs[time] + d_states[0], *d_states[1:])
            d_gates_of_step, d_previous = backward_steps[time](*d_new)
            d_gates[time] = np.where(is_active[time], d_gates_of_step, 0)
            d_states = tuple(np.where(is_active[time], *pair) for pair in zip(d_previous, d_states, strict=True))
        return d_gates @ W

    return outputs, states[0], backward


def recurrent(kind: str, attributes: dict[str, Any], x, W, R, B, lengths=None):
    """ONNX's operator `kind` with one or two directions.

    `x` is `[time, batch, inputs]`; W, R and B have the directions as their first axis. Returns Y
    `[time, directions, batch, units]` and Y_h `[directions, batch, units]`, and the backward pass, which takes the
    gradients of both and returns that of `x`.
    """
    reset_after = bool(attributes.get("linear_before_reset", 0))
    steps: dict[str, Step] = {"GRU": partial(gru_step, reset_after=reset_after), "LSTM": lstm_step, "RNN": rnn_step}
    n_states = 2 if kind == "LSTM" else 1
    lengths = np.full(x.shape[1], len(x)) if lengths is None else lengths
    directions = [
        run_direction(steps[kind], n_states, x, *weights, lengths, is_reverse=index == 1)
        for index, weights in enumerate(zip(W, R, B, strict=True))
    ]

    def backward(d_outputs: np.ndarray, d_last: np.ndarray) -> np.ndarray:
        return sum(
            direction_backward(d_outputs[:, index], d_last[index])
            for index, (_, _, direction_backward) in enumerate(directions)
        )

    outputs, last, _ = zip(*directions, strict=True)
    return (np.stack(outputs, axis=1), np.stack(last)), backward
