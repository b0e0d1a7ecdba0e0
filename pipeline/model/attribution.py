"""Attributions of the network's predictions to tokens, by integrated gradients (Sundararajan, Taly & Yan 2017).

The gradient of the log-odds is averaged along the straight line from a baseline input, whose token vectors and n-gram
features are all 0, to the actual input. Its product with the input is each token's attribution. They add up to the
difference of the log-odds between the two inputs, more exactly with more steps.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from pipeline.features import batches
from pipeline.features.batches import EncodedExamples
from pipeline.model.backend import keras, tf
from pipeline.model.export import named_weights

STEPS = 4
BATCH_SIZE = 64


def load_network(folder: Path) -> keras.Model:
    """The Keras network whose architecture and weights `export.export_model` wrote into the folder."""
    model = keras.models.model_from_json((folder / "network.json").read_text())
    weights = load_file(folder / "weights.safetensors")
    model.set_weights([weights[name] for name in named_weights(model)])
    return model


def token_attributions(
    model: keras.Model,
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
    token, labels = recurrent_input(model), model.get_layer("labels")
    pooled = keras.Model([model.inputs[0], token], labels.input)
    label_spec = tf.TensorSpec((None,), tf.int32)
    signature = (
        tf.TensorSpec((None, length), tf.int32), tf.TensorSpec((None, length, token.shape[-1]), tf.float32),
        label_spec, label_spec,
    )  # fmt: skip

    @tf.function(input_signature=signature)  # traced once, whatever the lengths
    def gradient(ids, x, target, reference):
        with tf.GradientTape() as tape:
            tape.watch(x)
            logits = tf.linalg.matmul(pooled([ids, x], training=False), labels.kernel) + labels.bias
            log_odds = tf.gather(logits, target, batch_dims=1) - tf.gather(logits, reference, batch_dims=1)
        return tape.gradient(log_odds, x)

    to_recurrent_input = keras.Model(model.inputs, token)
    target, reference = (each.astype(np.int32) for each in (target, reference))
    result: list[np.ndarray] = [np.empty(0)] * len(examples)
    # Batches come in order of length: in place of a label, each example has its row in the result.
    numbered = replace(examples, labels=np.arange(len(examples)))
    for inputs, rows in batches.iterate_batches(numbered, BATCH_SIZE, length):
        x = to_recurrent_input(inputs, training=False)
        # The gradient at the middle of each step stands for the step.
        scales = (np.arange(STEPS, dtype=np.float32) + 0.5) / STEPS
        gradients = (gradient(inputs["ids"], x * scale, target[rows], reference[rows]).numpy() for scale in scales)
        attributions = (sum(gradients) / STEPS * x.numpy()).sum(axis=2)
        for row, values in zip(rows, attributions, strict=True):
            result[row] = values[: examples.starts[row + 1] - examples.starts[row]].astype(float)
        on_batch(len(rows))
    return result


def recurrent_input(model: keras.Model):
    """The input of the first recurrent layer: token vectors, concatenated with n-gram features if there are any."""
    names = [layer.name for layer in model.layers]
    return model.get_layer("token" if "token" in names else "embedding_dropout").output
