"""The gradient norm at each time step: does the gradient vanish or explode on its way back through time?

A recurrent network multiplies the gradient by its recurrent weights at every step back. Where that shrinks it step by
step, the network cannot learn from the start of a long text (Bengio, Simard & Frasconi 1994); where it grows, training
diverges (Pascanu, Mikolov & Bengio 2013). The gates of an LSTM or a GRU let the gradient pass.
"""

from collections.abc import Callable

import numpy as np

from pipeline.features.batches import EncodedExamples, pad_batch
from pipeline.model.backend import keras, tf

MAX_EXAMPLES = 64


def gradient_norms(
    model: keras.Model, examples: EncodedExamples, length: int | None = None
) -> Callable[[], np.ndarray]:
    """A function that computes, with the weights of the moment, the norm of the gradient at each time step.

    It is the gradient of the loss with respect to a token's vector, without dropout, as an array `[steps]` counted back
    from an example's last token; the mean over the `MAX_EXAMPLES` longest examples, of those with so many tokens.
    """
    lengths = np.diff(examples.starts)
    rows = np.argsort(-lengths, kind="stable")[:MAX_EXAMPLES]
    inputs, labels = pad_batch(examples, rows, length)
    gradient = input_gradient(model, inputs, labels)
    # The number of steps back from the last token, which is 0 for every example.
    back = (lengths[rows, None] - 1) - np.arange(inputs["ids"].shape[1])
    steps = range(lengths[rows].max())

    def compute() -> np.ndarray:
        norms = np.linalg.norm(gradient().astype(float), axis=-1)
        return np.array([norms[back == step].mean() for step in steps])

    return compute


def input_gradient(model: keras.Model, inputs: dict[str, np.ndarray], labels: np.ndarray) -> Callable[[], np.ndarray]:
    """A function that computes the gradient of each example's log loss with respect to its token vectors.

    It returns float32 `[batch, time, embedding_dim]`.
    """
    embeddings = model.get_layer("embedding").embeddings.value

    @tf.function  # outside of one, Keras loops over time in Python
    def compute():
        with tf.GradientTape() as tape:
            tape.watch(embeddings)  # they may not be trainable
            probabilities = model(inputs, training=False)
            loss = tf.reduce_sum(keras.losses.sparse_categorical_crossentropy(labels, probabilities))
        # The gradient of an embedding lookup has a row per lookup, not yet summed by token: just what is wanted.
        return tape.gradient(loss, embeddings).values

    return lambda: compute().numpy().reshape(*inputs["ids"].shape, -1)
