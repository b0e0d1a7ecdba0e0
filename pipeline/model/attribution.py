"""Which tokens moved the network's answer: integrated gradients (Sundararajan, Taly & Yan 2017).

From a post of which nothing is known (every token's vector and all that the n-grams say are 0) to the post as it is,
the network's input grows in a straight line. On the way, each token's share of what the answer becomes is added up; the
shares of all tokens together are the difference between the two answers, up to the length of the steps.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from pipeline.features import batches
from pipeline.features.batches import EncodedExamples
from pipeline.model.backend import keras, tf
from pipeline.model.export import weights_of

STEPS = 4
BATCH = 64  # posts


def load_network(folder: Path) -> keras.Model:
    """The Keras network whose architecture and weights `export.save` wrote into the folder."""
    model = keras.models.model_from_json((folder / "network.json").read_text())
    weights = load_file(folder / "weights.safetensors")
    model.set_weights([weights[name] for name in weights_of(model)])
    return model


def token_attributions(
    model: keras.Model,
    ids: EncodedExamples,
    toward: np.ndarray,
    against: np.ndarray,
    width: int | None = None,
    done: Callable[[int], object] = lambda posts: None,
) -> list[np.ndarray]:
    """For each post how much each of its tokens adds to the log-odds of one label against another, float `[tokens]`.

    `toward` and `against` are label indices `[posts]`. Where the network reads padding, `width` is the time it reads,
    and what padding adds is in no token's share.
    `done` is told how many posts were just seen to.
    """
    token, labels = tokens_of(model), model.get_layer("labels")
    pooled = keras.Model([model.inputs[0], token], labels.input)

    label = tf.TensorSpec((None,), tf.int32)
    signature = tf.TensorSpec((None, width), tf.int32), tf.TensorSpec((None, width, token.shape[-1])), label, label

    @tf.function(input_signature=signature)  # traced once, whatever the posts' lengths
    def gradient(inputs, x, toward, against):
        with tf.GradientTape() as tape:
            tape.watch(x)
            logits = tf.linalg.matmul(pooled([inputs, x], training=False), labels.kernel) + labels.bias
            odds = tf.gather(logits, toward, batch_dims=1) - tf.gather(logits, against, batch_dims=1)
        return tape.gradient(odds, x)

    whole = keras.Model(model.inputs, token)
    toward, against = (each.astype(np.int32) for each in (toward, against))
    result: list[np.ndarray] = [np.empty(0)] * len(ids)
    numbered = replace(ids, labels=np.arange(len(ids)))  # each post's row takes the label's place
    for inputs, rows in batches.iterate_batches(numbered, BATCH, width):
        x = whole(inputs, training=False)
        # The middle of each step stands for it.
        ways = (np.arange(STEPS, dtype=np.float32) + 0.5) / STEPS
        mean = sum(gradient(inputs["ids"], x * way, toward[rows], against[rows]).numpy() for way in ways) / STEPS
        shares = (mean * x.numpy()).sum(axis=2)
        for row, of_post in zip(rows, shares, strict=True):
            result[row] = of_post[: ids.starts[row + 1] - ids.starts[row]].astype(float)
        done(len(rows))
    return result


def tokens_of(model: keras.Model):
    """What the first recurrent layer reads: a token's vector, and what the n-grams say, if it sees that."""
    names = [layer.name for layer in model.layers]
    return model.get_layer("token" if "token" in names else "embedding_dropout").output
