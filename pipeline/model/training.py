"""Training: what each epoch gave, the weights to keep, and when to stop."""

import math
import time
from collections.abc import Callable

import numpy as np

from pipeline import cli
from pipeline.cli import UserError
from pipeline.model.backend import keras, tf
from pipeline.params.train import Train


class TrainingDiverged(UserError):
    """The loss is no number any more."""


def train_network(
    model: keras.Model, batched: tf.data.Dataset, validation: tf.data.Dataset, progress: "TrainingProgress"
) -> None:
    """Train until validation gets no better; `progress` has the weights to keep. Raises Diverged."""
    section = progress.section
    callbacks: list[keras.callbacks.Callback] = []
    if section.ema_momentum:
        callbacks.append(keras.callbacks.SwapEMAWeights(swap_on_epoch=True))
    if section.patience:
        callbacks.append(keras.callbacks.EarlyStopping("val_log_loss", mode="min", patience=section.patience))
    try:
        model.fit(
            batched,
            validation_data=validation,
            epochs=section.epochs,
            callbacks=[*callbacks, progress],
            shuffle=False,  # `batches` does it; else Keras warns that it cannot
            verbose=0,
        )
    except tf.errors.InvalidArgumentError:
        # With weights that are no numbers any more, Keras' RMSprop fails before the loss can be looked at.
        if all(np.isfinite(weight).all() for weight in model.get_weights()):
            raise
        raise progress.diverged("loss", math.nan) from None


class TrainingProgress(keras.callbacks.Callback):
    """Keeps the history and the weights to keep, says a line an epoch, shows a bar on a terminal, and tells MLflow."""

    def __init__(self, section: Train, log: Callable[[dict[str, float]], None]) -> None:
        super().__init__()
        self.section, self.log = section, log
        self.history: list[dict[str, float]] = []
        self.kept: list[np.ndarray] = []  # weights: of the best epoch, or of the last where there is no patience
        self.kept_epoch = 0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.epoch, self.start = epoch + 1, time.monotonic()
        self.bar = cli.progress_bar(f"epoch {self.epoch}", range(self.params["steps"]), "batches")

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self.bar.update()
        self.check(logs or {})

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.bar.close()
        self.check(logs or {})
        seconds = time.monotonic() - self.start
        row = {"epoch": self.epoch} | {name: round(float(value), 6) for name, value in (logs or {}).items()}
        if not self.section.patience or row["val_log_loss"] < min(
            (row["val_log_loss"] for row in self.history), default=math.inf
        ):
            self.kept, self.kept_epoch = self.model.get_weights(), self.epoch
        self.history.append(row)
        print(
            f"  epoch {self.epoch:2} of {self.section.epochs}: loss {row['loss']:.3f}, "
            f"validation log loss {row['val_log_loss']:.3f}, accuracy {row['val_accuracy']:.3f} ({seconds:.0f} s)"
        )
        self.log(row | {"epoch_seconds": seconds})

    def check(self, logs: dict) -> None:
        for name in ("loss", "val_log_loss"):
            if not math.isfinite(value := float(logs.get(name, 0.0))):
                raise self.diverged(name, value)

    def diverged(self, what: str, value: float) -> TrainingDiverged:
        self.bar.close()
        return TrainingDiverged(f"{what} is {value} in epoch {self.epoch}; try a smaller train.learning_rate")
