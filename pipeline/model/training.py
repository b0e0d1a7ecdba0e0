"""Training: the history per epoch, the weights of the best epoch, and when to stop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from pipeline import cli
from pipeline.cli import UserError
from pipeline.model.backend import keras, tf

if TYPE_CHECKING:
    from pipeline.params.train import Train


MIN_EPOCHS = 4
STEPS_PER_ROOT_OF_CLASSES = 200  # chosen on several corpora, see docs/experiments.md


class TrainingDiverged(UserError):
    """The loss is not a finite number any more."""

    def __init__(self, name: str, value: float, epoch: int) -> None:
        super().__init__(f"{name} is {value} in epoch {epoch}; lower train.learning_rate")


def set_seed(seed: int) -> None:
    """Make every training in this process reproducible: its random numbers, and the order in which it adds floats."""
    keras.utils.set_random_seed(seed)
    # Otherwise the gradients of trained token vectors are summed in the order in which threads finish.
    tf.config.experimental.enable_op_determinism()


def max_epochs(config: Train, n_batches: int, n_classes: int) -> int:
    """The maximum number of epochs of `n_batches` batches each: `config.epochs`, or what the corpus needs.

    That is `MIN_EPOCHS`, or more if they are fewer than 200 steps times the square root of the number of classes:
    otherwise the schedule of a small corpus, or of one with many classes, would end before the network has learned.
    """
    n_steps = STEPS_PER_ROOT_OF_CLASSES * math.sqrt(n_classes)
    return config.epochs or max(MIN_EPOCHS, math.ceil(n_steps / n_batches))


def class_weights(labels: np.ndarray, n_classes: int, config: Train) -> np.ndarray:
    """The weight of an example in the loss by its class, float32 `[classes]`; its mean over all examples is 1.

    `balanced` gives each class the same weight in total, `sqrt` is the square root of that: halfway between it and
    `none`. `labels` are class indices `[examples]`.
    """
    exponent = {"none": 0.0, "sqrt": 0.5, "balanced": 1.0}[config.class_weight]
    weights = np.bincount(labels, minlength=n_classes).clip(1) ** -exponent
    return (weights / weights[labels].mean()).astype(np.float32)


def train_network(
    model: keras.Model,
    train: tf.data.Dataset,
    validation: tf.data.Dataset,
    config: Train,
    log: Callable[[dict[str, float]], None],
) -> TrainingProgress:
    """Train until the validation loss stops improving, and leave the best epoch's weights in the model.

    `log` is called with the metrics of each epoch. If the loss is not finite any more in a later epoch, training ends,
    and the result has the error. Raises TrainingDiverged if that happens in the first epoch.
    """
    progress = TrainingProgress(config, log)
    callbacks: list[keras.callbacks.Callback] = []
    if config.ema_momentum:
        callbacks.append(keras.callbacks.SwapEMAWeights(swap_on_epoch=True))
    if config.patience:
        callbacks.append(keras.callbacks.EarlyStopping("val_log_loss", mode="min", patience=config.patience))
    try:
        model.fit(
            train,
            validation_data=validation,
            epochs=max_epochs(config, len(train), model.output_shape[-1]),
            callbacks=[*callbacks, progress],
            shuffle=False,  # `iterate_batches` shuffles; with True, Keras warns that it cannot
            verbose=0,
        )
    except tf.errors.InvalidArgumentError:
        # With weights that are not finite, Keras' RMSprop fails before the loss can be checked.
        if all(np.isfinite(weight).all() for weight in model.get_weights()):
            raise
        progress.bar.close()
        progress.error = TrainingDiverged("loss", math.nan, progress.epoch)
    except TrainingDiverged as error:
        progress.error = error
    if progress.error and not progress.best_weights:
        raise progress.error
    model.set_weights(progress.best_weights)
    return progress


class TrainingProgress(keras.callbacks.Callback):
    """Keeps the history and the best weights, shows a progress bar, and prints and logs each epoch's metrics."""

    def __init__(self, config: Train, log: Callable[[dict[str, float]], None]) -> None:
        super().__init__()
        self.config, self.log = config, log
        self.history: list[dict[str, float]] = []
        self.best_weights: list[np.ndarray] = []  # without patience, those of the last epoch
        self.best_epoch = 0
        self.error: TrainingDiverged | None = None

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.epoch, self.start = epoch + 1, time.monotonic()
        self.bar = cli.progress_bar(f"epoch {self.epoch}", range(self.params["steps"]), "batches")

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self.bar.update()
        self.check_finite(logs or {})

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.bar.close()
        self.check_finite(logs or {})
        seconds = time.monotonic() - self.start
        row = {"epoch": self.epoch} | {name: round(float(value), 6) for name, value in (logs or {}).items()}
        lowest = min((row["val_log_loss"] for row in self.history), default=math.inf)
        if not self.config.patience or row["val_log_loss"] < lowest:
            self.best_weights, self.best_epoch = self.model.get_weights(), self.epoch
        self.history.append(row)
        print(
            f"  epoch {self.epoch:2} of {self.params['epochs']}: loss {row['loss']:.3f}, "
            f"validation log loss {row['val_log_loss']:.3f}, accuracy {row['val_accuracy']:.3f} ({seconds:.0f} s)"
        )
        self.log(row | {"epoch_seconds": seconds})

    def check_finite(self, logs: dict) -> None:
        """Raises TrainingDiverged."""
        for name in ("loss", "val_log_loss"):
            if not math.isfinite(value := float(logs.get(name, 0.0))):
                self.bar.close()
                raise TrainingDiverged(name, value, self.epoch)
