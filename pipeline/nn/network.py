"""The classifier: embedding, bidirectional masked GRU, max pooling over time, softmax."""

from pipeline.nn.quiet import keras
from pipeline.params import Train


def build(vocabulary: int, labels: int, params: Train) -> keras.Model:
    """A compiled model from token ids `[batch, time]` (int32, 0 is padding) to probabilities `[batch, labels]`.

    The GRU is that of Cho et al. 2014 (arXiv:1406.1078) with the reset gate applied after the matrix product
    (`reset_after=True`, Keras' default), which is what ONNX calls `linear_before_reset`.
    """
    layers, ops = keras.layers, keras.ops
    ids = keras.Input((None,), dtype="int32", name="ids")
    # mask_zero: padding takes no step. Without it, the padded end of a short post washes out the state.
    x = layers.Embedding(vocabulary, params.embedding, mask_zero=True, name="embedding")(ids)
    x = layers.Dropout(params.dropout, name="embedding_dropout")(x)
    x = layers.Bidirectional(layers.GRU(params.units, return_sequences=True), name="gru")(x)
    # The mask again, as Keras' own max pooling knows none: padding must not win the maximum.
    real = ops.expand_dims(ops.not_equal(ids, 0), -1)
    x = ops.max(ops.where(real, x, -1.0), axis=1)  # a state lies between -1 and 1
    x = layers.Dropout(params.dropout, name="pooled_dropout")(x)
    model = keras.Model(ids, layers.Dense(labels, activation="softmax", name="labels")(x), name="classifier")
    model.compile(
        optimizer=keras.optimizers.Adam(params.learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model
