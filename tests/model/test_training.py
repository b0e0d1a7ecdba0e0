"""Training: when it stops, which weights are kept, and what happens if it diverges. On a model of one parameter."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from pipeline.model import training
from pipeline.model.backend import keras, tf
from pipeline.model.training import TrainingDiverged
from pipeline.params.train import Train

RATE = 0.4
# 9 of 10 training examples have class 1, and 6 of 10 validation examples: on the way from 0.5 to 0.9, the probability
# of class 1 passes 0.6, where the validation loss is lowest.
TRAIN = np.array([1] * 9 + [0])
VALIDATION = np.array([1] * 6 + [0] * 4)


def make_model(rate: float | keras.optimizers.schedules.LearningRateSchedule = RATE, ema_momentum: float = 0.0):
    """A logistic regression without inputs: its one weight is the log-odds of class 1, which start at 0."""
    keras.utils.clear_session()
    inputs = keras.Input((1,), name="one")
    log_odds = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros", name="log_odds")(inputs)
    probability = keras.ops.sigmoid(log_odds)
    model = keras.Model(inputs, keras.ops.concatenate([1 - probability, probability], axis=-1))
    model.compile(
        optimizer=keras.optimizers.SGD(rate, use_ema=ema_momentum > 0, ema_momentum=ema_momentum or 0.99),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy", keras.metrics.SparseCategoricalCrossentropy(name="log_loss")],
    )
    return model


def dataset(labels: np.ndarray, batch_size: int = 10) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices((np.ones((len(labels), 1), np.float32), labels)).batch(batch_size)


def expected_log_odds(epochs: int) -> list[float]:
    """The weight after each epoch, by the equation of gradient descent."""
    log_odds = [0.0]
    for _ in range(epochs):
        log_odds.append(log_odds[-1] + RATE * (TRAIN.mean() - sigmoid(log_odds[-1])))
    return log_odds[1:]


def validation_loss(log_odds: float) -> float:
    p, share = sigmoid(log_odds), VALIDATION.mean()
    return -share * math.log(p) - (1 - share) * math.log(1 - p)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def weight_of(model: keras.Model) -> float:
    return float(model.get_weights()[0][0, 0])


EXPECTED = expected_log_odds(epochs=12)
LOSSES = [validation_loss(log_odds) for log_odds in EXPECTED]
BEST = LOSSES.index(min(LOSSES)) + 1


def test_the_best_epoch_is_neither_the_first_nor_the_last_and_stands_out() -> None:
    assert 1 < BEST < 11
    assert min(loss - LOSSES[BEST - 1] for epoch, loss in enumerate(LOSSES, 1) if epoch != BEST) > 1e-4


@pytest.mark.parametrize("patience", [1, 2])
def test_training_stops_after_patience_and_keeps_the_best_epoch(small: Callable[..., Train], patience: int) -> None:
    model = make_model()
    logged: list[dict[str, float]] = []

    result = training.train_network(
        model, dataset(TRAIN), dataset(VALIDATION), small(epochs=12, patience=patience), logged.append
    )

    assert result.error is None
    assert result.best_epoch == BEST
    assert [row["epoch"] for row in result.history] == [*range(1, BEST + patience + 1)]
    np.testing.assert_allclose([row["val_log_loss"] for row in result.history], LOSSES[: BEST + patience], atol=1e-5)
    assert weight_of(model) == pytest.approx(EXPECTED[BEST - 1], abs=1e-5)
    # Each epoch was logged as it ended.
    assert [{name: row[name] for name in row if name != "epoch_seconds"} for row in logged] == result.history
    assert all(row["epoch_seconds"] >= 0 for row in logged)


def test_without_patience_all_epochs_are_trained_and_the_last_is_kept(small: Callable[..., Train]) -> None:
    model = make_model()

    result = training.train_network(
        model, dataset(TRAIN), dataset(VALIDATION), small(epochs=12, patience=None), lambda row: None
    )

    assert (result.best_epoch, len(result.history)) == (12, 12)
    assert weight_of(model) == pytest.approx(EXPECTED[-1], abs=1e-5)


def test_with_a_moving_average_the_averaged_weights_are_validated_and_kept(small: Callable[..., Train]) -> None:
    model = make_model(ema_momentum=0.5)
    config = small(epochs=3, patience=None, ema_momentum=0.5)

    result = training.train_network(model, dataset(TRAIN), dataset(VALIDATION), config, lambda row: None)

    averages = [EXPECTED[0]]
    for log_odds in EXPECTED[1:3]:
        averages.append(0.5 * averages[-1] + 0.5 * log_odds)
    losses = [validation_loss(log_odds) for log_odds in averages]
    np.testing.assert_allclose([row["val_log_loss"] for row in result.history], losses, atol=1e-5)
    assert weight_of(model) == pytest.approx(averages[-1], abs=1e-5)
    # Training itself continues from the weights that are not averaged.
    train_losses = [-0.9 * math.log(sigmoid(x)) - 0.1 * math.log(1 - sigmoid(x)) for x in [0.0, *EXPECTED[:2]]]
    np.testing.assert_allclose([row["loss"] for row in result.history], train_losses, atol=1e-5)


# Divergence


class DivergingSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that is NaN after some steps, and so are then the weights."""

    def __init__(self, rate: float, n_steps: int) -> None:
        self.rate, self.n_steps = rate, n_steps

    def __call__(self, step):
        return keras.ops.where(step < self.n_steps, self.rate, math.nan)


@pytest.mark.parametrize(("batch_size", "name"), [(10, "val_log_loss"), (5, "loss")])
def test_a_loss_that_is_not_finite_in_the_first_epoch_is_an_error(
    small: Callable[..., Train], batch_size: int, name: str
) -> None:
    model = make_model(math.nan)

    with pytest.raises(TrainingDiverged) as error:
        training.train_network(
            model, dataset(TRAIN, batch_size), dataset(VALIDATION), small(epochs=3), lambda row: None
        )

    assert str(error.value) == f"{name} is nan in epoch 1; lower train.learning_rate"


@pytest.mark.parametrize(("batch_size", "name"), [(10, "val_log_loss"), (5, "loss")])
def test_a_loss_that_is_not_finite_in_a_later_epoch_ends_training_with_the_best_weights(
    small: Callable[..., Train], batch_size: int, name: str
) -> None:
    two_epochs = 2 * 10 // batch_size
    model = make_model(DivergingSchedule(RATE * batch_size / 10, n_steps=two_epochs))

    result = training.train_network(
        model, dataset(TRAIN, batch_size), dataset(VALIDATION), small(epochs=5, patience=5), lambda row: None
    )

    assert str(result.error) == f"{name} is nan in epoch 3; lower train.learning_rate"
    assert [row["epoch"] for row in result.history] == [1, 2]
    assert result.best_epoch == 2
    loss, *_ = model.evaluate(dataset(VALIDATION), verbose=0)
    assert loss == pytest.approx(result.history[1]["val_loss"], abs=1e-5)


@pytest.mark.parametrize("is_finite", [False, True])
def test_an_error_of_tensorflow_is_a_divergence_only_if_weights_are_not_finite(
    small: Callable[..., Train], is_finite: bool
) -> None:
    """Keras' RMSprop can fail like this in the batch after the one that made the weights NaN."""
    model = make_model()

    def fail(row: dict[str, float]) -> None:
        if row["epoch"] == 2:
            if not is_finite:
                model.set_weights([np.full((1, 1), math.nan)])
            raise tf.errors.InvalidArgumentError(None, None, "indices[0] = 7 is not in [0, 5)")

    def train() -> training.TrainingProgress:
        return training.train_network(model, dataset(TRAIN), dataset(VALIDATION), small(epochs=3), fail)

    if is_finite:
        with pytest.raises(tf.errors.InvalidArgumentError, match="indices"):
            train()
    else:
        result = train()
        assert str(result.error) == "loss is nan in epoch 2; lower train.learning_rate"
        assert result.best_epoch == 2
        assert weight_of(model) == pytest.approx(EXPECTED[1], abs=1e-5)


# Rules for corpora of different sizes


@pytest.mark.parametrize(
    ("n_batches", "n_classes", "epochs"),
    [
        (107, 4, 4),  # 428 batches are more than 200 times 2
        (50, 4, 8),
        (32, 2, 9),  # of 283 batches
        (63, 27, 17),
        (131, 77, 14),
    ],
)
def test_epochs_make_enough_steps_for_the_number_of_classes(
    small: Callable[..., Train], n_batches: int, n_classes: int, epochs: int
) -> None:
    assert training.max_epochs(small(epochs=None), n_batches, n_classes) == epochs
    assert training.max_epochs(small(epochs=3), n_batches, n_classes) == 3


def test_class_weights_favour_rare_classes_and_leave_the_mean_loss_as_it_is(small: Callable[..., Train]) -> None:
    labels = np.array([0] * 16 + [1] * 4)

    weights = {
        name: training.class_weights(labels, 3, small(class_weight=name)) for name in ("none", "sqrt", "balanced")
    }

    np.testing.assert_allclose(weights["none"], 1)
    assert weights["sqrt"][1] / weights["sqrt"][0] == pytest.approx(2)
    assert weights["balanced"][1] / weights["balanced"][0] == pytest.approx(4)
    for each in weights.values():
        assert each[labels].mean() == pytest.approx(1)
        assert np.isfinite(each).all()  # the third class has no example
