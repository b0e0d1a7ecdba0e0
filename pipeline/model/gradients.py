"""Do gradients vanish or explode on their way through time? The norm of what reaches each step of a post.

A recurrent network multiplies the gradient by its recurrent weights at every step back. Where that shrinks it step by
step, the network cannot learn from what stood early in a long post (Bengio, Simard & Frasconi 1994); where it grows,
training diverges (Pascanu, Mikolov & Bengio 2013). Gates are there to let it pass.
"""

from collections.abc import Callable

import numpy as np

from pipeline.features.batches import EncodedExamples, pad_batch
from pipeline.model.backend import keras, tf

POSTS = 64


def gradient_norms(model: keras.Model, ids: EncodedExamples, width: int | None = None) -> Callable[[], np.ndarray]:
    """Gives what measures, with the weights of that moment, the norm of the loss' gradient by the vector of each token.

    `[steps]`, counted back from a post's last token; a mean over the `POSTS` longest posts, of those that have such a
    step; without dropout.
    """
    lengths = np.diff(ids.starts)
    rows = np.argsort(-lengths, kind="stable")[:POSTS]
    inputs, labels = pad_batch(ids, rows, width)
    ask = gradient(model, inputs, labels)
    # The last token of every post comes to place 0.
    back = (lengths[rows, None] - 1) - np.arange(inputs["ids"].shape[1])
    steps = range(lengths[rows].max())

    def measure() -> np.ndarray:
        norms = np.linalg.norm(ask().astype(float), axis=-1)
        return np.array([norms[back == step].mean() for step in steps])

    return measure


def gradient(model: keras.Model, inputs: dict[str, np.ndarray], labels: np.ndarray) -> Callable[[], np.ndarray]:
    """Gives what asks for each post's log loss by each of its tokens' vectors, float32 `[batch, time, embedding]`."""
    embeddings = model.get_layer("embedding").embeddings.value

    @tf.function  # outside of one, Keras steps through time in Python
    def ask():
        with tf.GradientTape() as tape:
            tape.watch(embeddings)  # they may be kept as they are
            probabilities = model(inputs, training=False)
            loss = tf.reduce_sum(keras.losses.sparse_categorical_crossentropy(labels, probabilities))
        # The gradient of a look-up comes as a row per look-up, not yet summed by token: just what is asked for.
        return tape.gradient(loss, embeddings).values

    return lambda: ask().numpy().reshape(*inputs["ids"].shape, -1)
