"""The classifier: token vectors and n-gram evidence, a bidirectional masked GRU, pooling over time, softmax."""

from collections.abc import Callable

import numpy as np

from pipeline.nn import batches
from pipeline.nn.batches import Ids
from pipeline.nn.quiet import keras, tf
from pipeline.params import Train


def build(vocabulary: int, labels: int, evidence: int, steps: int, params: Train) -> keras.Model:
    """A compiled model from posts to probabilities `[batch, labels]`; it trains for `steps` batches.

    Inputs: token ids `[batch, time]` (int32, 0 is padding on the right) and, unless `evidence` is 0, what the n-grams
    say `[batch, time, evidence]` (see `pipeline.nn.evidence`). The GRU is that of Cho et al. 2014 (arXiv:1406.1078)
    with the reset gate applied after the matrix product (`reset_after=True`, Keras' default).
    """
    layers, ops = keras.layers, keras.ops
    inputs = [keras.Input((None,), dtype="int32", name="ids")]
    # The mask: padding takes no step, else the padded end of a short post washes out the state. It is handed over by
    # hand, as Keras' own way of passing it on loses it where two inputs are joined.
    real = ops.not_equal(inputs[0], 0)
    x = layers.Embedding(vocabulary, params.embedding, name="embedding")(inputs[0])
    x = layers.Dropout(params.embedding_dropout, name="embedding_dropout")(x)
    if evidence:
        inputs.append(keras.Input((None, evidence), name="evidence"))
        # All that is said at a token is dropped together, so that the GRU does not lean on it alone.
        dropout = layers.Dropout(params.ngram_dropout, noise_shape=(None, None, 1), name="evidence_dropout")
        x = layers.Concatenate(name="token")([x, dropout(inputs[1])])
    x = layers.Bidirectional(layers.GRU(params.units, return_sequences=True), name="gru")(x, mask=real)
    real = ops.expand_dims(real, -1)
    largest = ops.max(ops.where(real, x, -1.0), axis=1)  # a state lies between -1 and 1
    mean = ops.sum(ops.where(real, x, 0.0), axis=1) / ops.sum(ops.cast(real, "float32"), axis=1)
    x = layers.Dropout(params.dropout, name="pooled_dropout")(ops.concatenate([largest, mean], axis=-1))
    model = keras.Model(inputs, layers.Dense(labels, activation="softmax", name="labels")(x), name="classifier")
    model.compile(
        optimizer=keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(params.learning_rate, steps), global_clipnorm=1.0
        ),
        loss=smoothed_cross_entropy(labels, params.label_smoothing),
        metrics=["accuracy", keras.metrics.SparseCategoricalCrossentropy(name="log_loss")],
    )
    return model


def smoothed_cross_entropy(labels: int, smoothing: float) -> Callable:
    """Cross-entropy (nats) where `smoothing` of a post's label is shared among all labels (Szegedy et al. 2016)."""

    def loss(actual, probabilities):
        actual = keras.ops.one_hot(actual, labels)
        return keras.losses.categorical_crossentropy(actual, probabilities, label_smoothing=smoothing)

    return loss


def dataset(ids: Ids, size: int, rng: np.random.Generator | None = None) -> tf.data.Dataset:
    """`batches` as TensorFlow reads them; each pass over it is another epoch, shuffled anew when `rng` is given."""
    inputs = {"ids": tf.TensorSpec((None, None), tf.int32)}
    if width := ids.evidence.shape[1]:
        inputs["evidence"] = tf.TensorSpec((None, None, width), tf.float32)
    signature = (inputs, tf.TensorSpec((None,), tf.int32))
    made = tf.data.Dataset.from_generator(lambda: batches.batches(ids, size, rng), output_signature=signature)
    return made.apply(tf.data.experimental.assert_cardinality(-(-len(ids) // size))).prefetch(2)
