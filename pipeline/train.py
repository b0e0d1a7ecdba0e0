"""Stage 5, train: a masked GRU learns the training posts, and stops when validation gets no better.

    python -m pipeline.train

Writes the best epoch's weights, the architecture, the ONNX model and the n-gram evidence into `models/`, the history
per epoch as `reports/history.csv` and the validation figures as `reports/train.json`. Each epoch also goes to MLflow as
it ends.
"""

import csv
import json
import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer
from tqdm import tqdm

from pipeline import params, stage
from pipeline.lineage import runs
from pipeline.nn import batches, evidence, export, network
from pipeline.nn.quiet import keras
from pipeline.report import metrics
from pipeline.stage import Stop

IDS = Path("data/ids")
TOKENIZER = Path("models/tokenizer.json")
MODELS = Path("models")
HISTORY = Path("reports/history.csv")
REPORT = Path("reports/train.json")


def main() -> None:
    everything = params.load()
    section = everything.train
    labels = json.loads((IDS / "labels.json").read_text())
    vocabulary = Tokenizer.from_str(TOKENIZER.read_text(encoding="utf-8")).get_vocab_size()
    train, validation = batches.read(IDS / "train.parquet"), batches.read(IDS / "validation.parquet")

    known = evidence.fit(train, len(labels), section.ngrams, section.ngram_min_posts)
    validation = replace(validation, evidence=evidence.look_up(known, validation.tokens, validation.starts))
    train = replace(train, evidence=evidence.cross_fitted(train, len(labels), section.ngrams, section.ngram_min_posts))

    keras.utils.set_random_seed(section.seed)
    batched = network.dataset(train, section.batch, np.random.default_rng(section.seed))
    steps = section.epochs * int(batched.cardinality())
    model = network.build(vocabulary, len(labels), train.evidence.shape[1], steps, section)
    print(f"train: {model.count_params():,} parameters, {len(train):,} posts, at most {section.epochs} epochs")

    with runs.live(everything) as log:
        progress = Progress(section.epochs, log)
        model.fit(
            batched,
            validation_data=network.dataset(validation, section.batch),
            epochs=section.epochs,
            callbacks=[
                keras.callbacks.EarlyStopping(
                    "val_log_loss", mode="min", patience=section.patience, restore_best_weights=True
                ),
                progress,
            ],
            shuffle=False,  # `batches` does it, by length
            verbose=0,
        )

    best = min(progress.history, key=lambda row: row["val_log_loss"])
    probabilities, actual = predict(model, validation)
    figures = metrics.figures(actual, probabilities)
    MODELS.mkdir(exist_ok=True)
    evidence.save(known, MODELS / "evidence.safetensors")
    export.save(model, labels, MODELS)
    HISTORY.parent.mkdir(exist_ok=True)
    with HISTORY.open("w", newline="") as file:
        writer = csv.DictWriter(file, progress.history[0])
        writer.writeheader()
        writer.writerows(progress.history)
    report = {"parameters": model.count_params(), "best_epoch": best["epoch"], "validation": figures}
    REPORT.write_text(json.dumps(report, indent=2) + "\n")
    print(f"train: epoch {best['epoch']} was the best, validation accuracy {figures['accuracy']:.3f}")


class Progress(keras.callbacks.Callback):
    """Keeps the history, says a line an epoch, shows a bar where there is a terminal, and tells MLflow."""

    def __init__(self, epochs: int, log: runs.Log) -> None:
        super().__init__()
        self.epochs, self.log = epochs, log
        self.history: list[dict[str, float]] = []

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.start = time.monotonic()
        # disable=None: no bar where there is no terminal
        self.bar = tqdm(
            desc=f"  epoch {epoch + 1}",
            total=self.params["steps"],
            unit=" batches",
            leave=False,
            disable=None,
        )

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self.bar.update()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.bar.close()
        seconds = time.monotonic() - self.start
        row = {"epoch": epoch + 1} | {name: round(float(value), 6) for name, value in (logs or {}).items()}
        if not math.isfinite(row["loss"]):
            raise Stop(f"the loss is {row['loss']} in epoch {epoch + 1}; try a smaller train.learning_rate")
        self.history.append(row)
        print(
            f"  epoch {epoch + 1:2} of {self.epochs}: loss {row['loss']:.3f}, "
            f"validation log loss {row['val_log_loss']:.3f}, accuracy {row['val_accuracy']:.3f} ({seconds:.0f} s)"
        )
        self.log(row | {"epoch_seconds": seconds})


def predict(model: keras.Model, ids: batches.Ids) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities `[posts, labels]` and labels `[posts]`, in the order of the length of the posts."""
    pairs = [(model.predict_on_batch(padded), labels) for padded, labels in batches.batches(ids, 64)]
    probabilities, labels = zip(*pairs, strict=True)
    return np.concatenate(probabilities), np.concatenate(labels)


if __name__ == "__main__":
    stage.run(main)
