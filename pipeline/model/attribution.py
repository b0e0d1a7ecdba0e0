"""Attributions of the network's predictions to tokens, by integrated gradients (Sundararajan, Taly & Yan 2017).

The gradient of the log-odds is averaged along the straight line from a baseline input, whose token vectors and n-gram
features are all 0, to the actual input. Its product with the input is each token's attribution. They add up to the
difference of the log-odds between the two inputs, more exactly with more steps.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from pipeline.features import batches
from pipeline.features.batches import EncodedExamples
from pipeline.model.onnx_gradients import OnnxNetwork

STEPS = 4
BATCH_SIZE = 64


def token_attributions(
    network: OnnxNetwork,
    examples: EncodedExamples,
    target: np.ndarray,
    reference: np.ndarray,
    length: int | None = None,
    on_batch: Callable[[int], object] = lambda n_examples: None,
) -> list[np.ndarray]:
    """For each example, how much each of its tokens adds to the log-odds of one class against another.

    `target` and `reference` are class indices `[examples]`; the result has a float array `[tokens]` per example. If the
    network reads padding, `length` is its number of time steps; what padding adds is in no token's attribution.
    `on_batch` is called with the number of examples of each batch.
    """
    result: list[np.ndarray] = [np.empty(0)] * len(examples)
    # Batches come in order of length: in place of a label, each example has its row in the result.
    numbered = replace(examples, labels=np.arange(len(examples)))
    for inputs, rows in batches.iterate_batches(numbered, BATCH_SIZE, length):
        x = network.recurrent_input(inputs)
        d_logits = np.zeros((len(rows), network.n_classes), np.float32)
        d_logits[np.arange(len(rows)), target[rows]] += 1
        d_logits[np.arange(len(rows)), reference[rows]] -= 1
        # The gradient at the middle of each step stands for the step.
        scales = (np.arange(STEPS, dtype=np.float32) + 0.5) / STEPS
        gradients = (network.gradient(inputs["ids"], x * scale, d_logits) for scale in scales)
        attributions = (sum(gradients) / STEPS * x).sum(axis=2)
        for row, values in zip(rows, attributions, strict=True):
            result[row] = values[: examples.starts[row + 1] - examples.starts[row]].astype(float)
        on_batch(len(rows))
    return result
