"""The classifier: token vectors and n-gram evidence, a masked recurrent network, pooling over time, softmax."""

from collections.abc import Callable

import numpy as np

from pipeline.features import batches
from pipeline.features.batches import EncodedExamples
from pipeline.model.backend import keras, tf
from pipeline.params.train import Train

CELLS = {"gru": keras.layers.GRU, "lstm": keras.layers.LSTM, "rnn": keras.layers.SimpleRNN}


def build_network(
    vocabulary: int,
    labels: int,
    columns: int,
    width: int | None,
    steps: int,
    params: Train,
    vectors: np.ndarray | None = None,
) -> keras.Model:
    """A compiled model from posts to probabilities `[batch, labels]`; its learning rate may fall over `steps` batches.

    Inputs: token ids `[batch, time]` (int32, 0 is padding on the right) and, unless `columns` is 0, what the n-grams
    say `[batch, time, columns]` (see `pipeline.features.ngram_features`). `width` fixes the time; None leaves it open.
    `vectors` `[vocabulary, embedding]` are those of the tokens, and stay as they are; None: they start at random, and
    are learned.

    The GRU is that of Cho et al. 2014 (arXiv:1406.1078), `reset_after` says on which side of the matrix product its
    reset gate acts; the LSTM that of Hochreiter & Schmidhuber 1997 with a forget gate; `rnn` is Elman's of 1990.
    """
    layers, ops = keras.layers, keras.ops
    inputs = [keras.Input((width,), dtype="int32", name="ids")]
    # The mask: padding takes no step, else the padded end of a short post washes out the state. It is handed over by
    # hand, as Keras' own way of passing it on loses it where two inputs are joined.
    real = ops.not_equal(inputs[0], 0) if params.mask else None

    embedding = layers.Embedding(vocabulary, params.embedding_dim, trainable=vectors is None, name="embedding")
    x = embedding(inputs[0])
    if vectors is not None:
        embedding.set_weights([vectors])
    x = layers.Dropout(params.word_dropout, noise_shape=(None, None, 1), name="word_dropout")(x)
    x = layers.Dropout(params.spatial_dropout, noise_shape=(None, 1, None), name="spatial_dropout")(x)
    x = layers.Dropout(params.embedding_dropout, name="embedding_dropout")(x)
    if columns:
        inputs.append(keras.Input((width, columns), name="evidence"))
        # All that is said at a token is dropped together, so that the network does not lean on it alone.
        dropout = layers.Dropout(params.ngram_dropout, noise_shape=(None, None, 1), name="evidence_dropout")
        x = layers.Concatenate(name="token")([x, dropout(inputs[1])])

    for layer in range(params.num_layers):
        # The last state is all that is asked of the last layer where it is all that is looked at.
        every_step = params.pooling != "last" or layer < params.num_layers - 1
        cell = CELLS[params.cell](
            params.units,
            return_sequences=every_step,
            recurrent_dropout=params.recurrent_dropout,
            name=f"recurrent_{layer}",
            **({"reset_after": params.reset_after} if params.cell == "gru" else {}),
        )
        x = (layers.Bidirectional(cell, name=f"recurrent_{layer}") if params.bidirectional else cell)(x, mask=real)

    x = layers.Dropout(params.dropout, name="pooled_dropout")(pool(x, real, params.pooling))
    model = keras.Model(inputs, layers.Dense(labels, activation="softmax", name="labels")(x), name="classifier")
    model.compile(
        optimizer=make_optimizer(steps, params),
        loss=smoothed_cross_entropy(labels, params.label_smoothing),
        metrics=["accuracy", keras.metrics.SparseCategoricalCrossentropy(name="log_loss")],
    )
    # Else the first step makes its variables, and is traced a second time without.
    model.optimizer.build(model.trainable_variables)
    return model


def pool(states, real, pooling: str):
    """One vector per post `[batch, features]` out of its `states` `[batch, time, units]`, padding left out.

    `real` `[batch, time]` says which steps are no padding; None: all are. Attention is that of Yang et al. 2016:
    each state is weighed by how well a small network's view of it fits a learned vector.
    """
    layers, ops = keras.layers, keras.ops
    if pooling == "last":
        return states
    real = ops.ones_like(states[:, :, :1], dtype="bool") if real is None else ops.expand_dims(real, -1)
    if pooling == "attention":
        view = layers.Dense(states.shape[-1], activation="tanh", name="attention_view")(states)
        fit = layers.Dense(1, use_bias=False, name="attention")(view)
        return ops.sum(ops.softmax(ops.where(real, fit, -1e9), axis=1) * states, axis=1)
    pooled = []
    if "max" in pooling:
        pooled.append(ops.max(ops.where(real, states, -1.0), axis=1))  # a state lies between -1 and 1
    if "mean" in pooling:
        pooled.append(ops.sum(ops.where(real, states, 0.0), axis=1) / ops.sum(ops.cast(real, "float32"), axis=1))
    return ops.concatenate(pooled, axis=-1)


def make_optimizer(steps: int, params: Train) -> keras.optimizers.Optimizer:
    kinds = {"adam": keras.optimizers.Adam, "rmsprop": keras.optimizers.RMSprop}
    rate = params.learning_rate
    return kinds[params.optimizer](
        keras.optimizers.schedules.CosineDecay(rate, steps) if params.learning_rate_schedule == "cosine" else rate,
        global_clipnorm=params.clip_norm,
        use_ema=params.ema_momentum > 0,
        ema_momentum=params.ema_momentum,
    )


def smoothed_cross_entropy(labels: int, smoothing: float) -> Callable:
    """Cross-entropy (nats) where `smoothing` of a post's label is shared among all labels (Szegedy et al. 2016)."""

    def loss(y_true, probabilities):
        y_true = keras.ops.one_hot(y_true, labels)
        return keras.losses.categorical_crossentropy(y_true, probabilities, label_smoothing=smoothing)

    return loss


def make_dataset(
    ids: EncodedExamples, size: int, width: int | None, rng: np.random.Generator | None = None
) -> tf.data.Dataset:
    """`batches` as TensorFlow reads them; each pass over it is another epoch, shuffled anew when `rng` is given."""
    inputs = {"ids": tf.TensorSpec((None, width), tf.int32)}
    if columns := ids.evidence.shape[1]:
        inputs["evidence"] = tf.TensorSpec((None, width, columns), tf.float32)
    signature = (inputs, tf.TensorSpec((None,), tf.int32))
    made = tf.data.Dataset.from_generator(
        lambda: batches.iterate_batches(ids, size, width, rng), output_signature=signature
    )
    return made.apply(tf.data.experimental.assert_cardinality(-(-len(ids) // size))).prefetch(2)
