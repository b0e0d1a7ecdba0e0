"""The network: token vectors and n-gram features, masked recurrent layers, pooling over time, and a softmax.

The n-gram features also reach the softmax past the recurrent layers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from pipeline.features import batches
from pipeline.features.batches import EncodedExamples
from pipeline.model.backend import keras, tf

if TYPE_CHECKING:
    from pipeline.params.train import Train

DIRECT_SCALE = 0.2  # of the direct scores before training; chosen on several corpora, see docs/experiments.md
CELLS = {"gru": keras.layers.GRU, "lstm": keras.layers.LSTM, "rnn": keras.layers.SimpleRNN}


def build_network(
    vocab_size: int,
    n_classes: int,
    feature_dim: int,
    length: int | None,
    n_steps: int,
    params: Train,
    token_vectors: np.ndarray | None = None,
    class_weights: np.ndarray | None = None,
) -> keras.Model:
    """A compiled model from encoded texts to probabilities `[batch, classes]`.

    Inputs: token ids `[batch, time]` (int32, 0 is padding on the right) and, unless `feature_dim` is 0, n-gram features
    `[batch, time, feature_dim]` (see `pipeline.features.ngram_features`). `length` fixes the number of time steps; None
    leaves it open. `token_vectors` `[vocab_size, embedding_dim]` are not trained; with None, the embedding is
    initialized at random and trained. A cosine schedule reaches 0 after `n_steps` batches. `class_weights` `[classes]`
    are the weights of examples in the loss, by their class.

    The GRU is that of Cho et al. 2014 (arXiv:1406.1078); `reset_after` says on which side of the matrix product its
    reset gate acts. The LSTM is that of Hochreiter & Schmidhuber 1997 with a forget gate, the `rnn` that of Elman 1990.
    """
    inputs = [keras.Input((length,), dtype="int32", name="ids")]
    # Without a mask, the padding of a short text washes out the state. It is passed to each layer, as the mask that
    # Keras passes along by itself is lost when two inputs are concatenated.
    mask = keras.ops.not_equal(inputs[0], 0) if params.mask else None
    x, direct = embed(inputs[0], vocab_size, params, token_vectors), None
    if feature_dim:
        inputs.append(keras.Input((length, feature_dim), name="ngram_features"))
        # All features of a token are dropped together, so that the network does not rely on them alone.
        dropout = keras.layers.Dropout(params.ngram_dropout, noise_shape=(None, None, 1), name="ngram_features_dropout")
        features = dropout(inputs[1])
        direct = direct_scores(features, mask, n_classes)
        x = keras.layers.Concatenate(name="token")([x, features])
    for layer in range(params.num_layers):
        x = recurrent_layer(layer, params)(x, mask=mask)
    x = keras.layers.Dropout(params.dropout, name="pooled_dropout")(pool(x, mask, params.pooling))
    scores = keras.layers.Dense(n_classes, name="labels")(x)
    outputs = keras.layers.Softmax(name="probabilities")(scores if direct is None else scores + direct)
    model = keras.Model(inputs, outputs, name="classifier")
    model.compile(
        optimizer=make_optimizer(n_steps, params),
        loss=smoothed_cross_entropy(n_classes, params.label_smoothing, class_weights),
        metrics=["accuracy", keras.metrics.SparseCategoricalCrossentropy(name="log_loss")],
    )
    # Otherwise the first batch would create the optimizer's variables, and the second be traced anew without that.
    model.optimizer.build(model.trainable_variables)
    return model


def embed(ids, vocab_size: int, params: Train, token_vectors: np.ndarray | None):
    """Token vectors `[batch, time, embedding_dim]` with their three kinds of dropout."""
    layers = keras.layers
    embedding = layers.Embedding(vocab_size, params.embedding_dim, trainable=token_vectors is None, name="embedding")
    x = embedding(ids)
    if token_vectors is not None:
        embedding.set_weights([token_vectors])
    x = layers.Dropout(params.word_dropout, noise_shape=(None, None, 1), name="word_dropout")(x)
    x = layers.Dropout(params.spatial_dropout, noise_shape=(None, 1, None), name="spatial_dropout")(x)
    return layers.Dropout(params.embedding_dropout, name="embedding_dropout")(x)


def recurrent_layer(layer: int, params: Train) -> keras.layers.Layer:
    """A recurrent layer that returns its states; with `last` pooling, the last layer returns its last state alone."""
    cell = CELLS[params.cell](
        params.units,
        return_sequences=params.pooling != "last" or layer < params.num_layers - 1,
        recurrent_dropout=params.recurrent_dropout,
        name=f"recurrent_{layer}",
        **({"reset_after": params.reset_after} if params.cell == "gru" else {}),
    )
    return keras.layers.Bidirectional(cell, name=f"recurrent_{layer}") if params.bidirectional else cell


def pool(states, mask, pooling: str):
    """Pool `states` `[batch, time, units]` over the time steps of the mask, to `[batch, features]`.

    `mask` `[batch, time]` is False at padding; None if every step counts. With `last`, `states` are already the last
    ones. `attention` is that of Yang et al. 2016: the weight of a state is a softmax over time of the product of a
    learned vector and a dense layer's output for the state.
    """
    layers, ops = keras.layers, keras.ops
    if pooling == "last":
        return states
    mask = ops.ones_like(states[:, :, :1], dtype="bool") if mask is None else ops.expand_dims(mask, -1)
    if pooling == "attention":
        hidden = layers.Dense(states.shape[-1], activation="tanh", name="attention_hidden")(states)
        score = layers.Dense(1, use_bias=False, name="attention")(hidden)
        return ops.sum(ops.softmax(ops.where(mask, score, -1e9), axis=1) * states, axis=1)
    pooled = []
    if "max" in pooling:
        pooled.append(ops.max(ops.where(mask, states, -1.0), axis=1))  # a state lies between -1 and 1
    if "mean" in pooling:
        pooled.append(ops.sum(ops.where(mask, states, 0.0), axis=1) / ops.sum(ops.cast(mask, "float32"), axis=1))
    return ops.concatenate(pooled, axis=-1)


def direct_scores(features, mask, n_classes: int):
    """Linear scores `[batch, classes]` of the n-gram features `[batch, time, feature_dim]`, past the recurrent layers.

    The features of a text are added up and divided by the square root of its number of tokens. Before training, a
    feature of a class counts for that class alone, as in naive Bayes: with many classes and few examples, the recurrent
    layers alone do not learn which feature belongs to which class.
    """
    ops, feature_dim = keras.ops, features.shape[-1]
    # The features of padding are 0.
    count = features.shape[1] if mask is None else ops.sum(ops.cast(mask, "float32"), axis=1, keepdims=True)
    layer = keras.layers.Dense(n_classes, use_bias=False, name="direct")
    scores = layer(ops.sum(features, axis=1) / ops.sqrt(count))
    layer.set_weights([DIRECT_SCALE * np.tile(np.eye(n_classes, dtype=np.float32), (feature_dim // n_classes, 1))])
    return scores


def make_optimizer(n_steps: int, params: Train) -> keras.optimizers.Optimizer:
    kinds = {"adam": keras.optimizers.Adam, "rmsprop": keras.optimizers.RMSprop}
    rate = params.learning_rate
    return kinds[params.optimizer](
        keras.optimizers.schedules.CosineDecay(rate, n_steps) if params.learning_rate_schedule == "cosine" else rate,
        global_clipnorm=params.clip_norm,
        use_ema=params.ema_momentum > 0,
        ema_momentum=params.ema_momentum,
    )


def smoothed_cross_entropy(n_classes: int, label_smoothing: float, class_weights: np.ndarray | None = None) -> Callable:
    """Sparse categorical cross-entropy (nats) with label smoothing (Szegedy et al. 2016), which Keras' own lacks.

    An example counts with the weight of its class.
    """

    def loss(y_true, y_pred):
        one_hot = keras.ops.one_hot(y_true, n_classes)
        losses = keras.losses.categorical_crossentropy(one_hot, y_pred, label_smoothing=label_smoothing)
        return losses if class_weights is None else losses * keras.ops.matmul(one_hot, class_weights)

    return loss


def make_dataset(
    examples: EncodedExamples, batch_size: int, length: int | None, rng: np.random.Generator | None = None
) -> tf.data.Dataset:
    """The batches of `iterate_batches` as a dataset; each pass over it is an epoch, shuffled anew if `rng` is given."""
    inputs = {"ids": tf.TensorSpec((None, length), tf.int32)}
    if feature_dim := examples.ngram_features.shape[1]:
        inputs["ngram_features"] = tf.TensorSpec((None, length, feature_dim), tf.float32)
    dataset = tf.data.Dataset.from_generator(
        lambda: batches.iterate_batches(examples, batch_size, length, rng),
        output_signature=(inputs, tf.TensorSpec((None,), tf.int32)),
    )
    n_batches = -(-len(examples) // batch_size)
    return dataset.apply(tf.data.experimental.assert_cardinality(n_batches)).prefetch(2)
