"""Stage 5, train: a recurrent network learns the training posts, and stops when validation gets no better.

    python -m pipeline.train

Writes the best epoch's weights, the architecture, the ONNX model and the n-gram evidence into `models/`, the history
per epoch as `reports/history.csv` and `.svg`, the gradient that reaches each time step as `reports/gradients.csv` and
`.svg`, and the validation figures as `reports/train.json`; keeps the fingerprints of the posts it has learned from.
Each epoch also goes to MLflow as it ends.
"""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from pipeline import linear, params, stage
from pipeline.corpus import duplicates, tables
from pipeline.lineage import runs
from pipeline.nn import batches, evidence, export, gradients, network, vectors
from pipeline.nn.quiet import keras, tf
from pipeline.nn.serving import Classifier, logits, scaled
from pipeline.nn.training import Diverged, Progress, fit
from pipeline.report import calibration, metrics, plots
from pipeline.stage import Stop

IDS = Path("data/ids")
LEARNED_FROM = IDS / "train.parquet", IDS / "validation.parquet"
LEARNED = Path("data/learned/train.parquet")
VALIDATION = Path("data/split/validation.parquet")
TOKENIZER = Path("models/tokenizer.json")
MODELS = Path("models")
REPORTS = Path("reports")


def main() -> None:
    everything = params.load()
    section = everything.train
    labels = json.loads((IDS / "labels.json").read_text())
    tokenizer = Tokenizer.from_str(TOKENIZER.read_text(encoding="utf-8"))
    train, validation = map(batches.read, LEARNED_FROM)
    if section.batch > len(train):
        raise Stop(f"train.batch is {section.batch:,}, but there are {len(train):,} training posts; make it smaller")

    # What a step sees: the token's vector, and what the n-grams ending there say.
    said = evidence.fit(train, len(labels), section)
    validation = replace(validation, evidence=evidence.look_up(said, validation))
    train = replace(train, evidence=evidence.cross_fitted(train, len(labels), section))
    size, columns = tokenizer.get_vocab_size(), train.evidence.shape[1]
    known = vectors.from_posts(train, size, section.embedding) if section.vectors == "posts" else None

    keras.utils.set_random_seed(section.seed)
    # Else the gradients of learned vectors are summed in whatever order the threads come.
    tf.config.experimental.enable_op_determinism()
    assert tokenizer.truncation
    width = None if section.mask else tokenizer.truncation["max_length"]
    batched = network.dataset(train, section.batch, width, np.random.default_rng(section.seed))
    steps = section.epochs * int(batched.cardinality())
    model = network.build(size, len(labels), columns, width, steps, section, known)
    print(f"train: {trained(model):,} parameters, {len(train):,} posts, at most {section.epochs} epochs")
    reaching = gradients.by_step(model, validation, width)
    before = reaching()

    with runs.live(everything) as log:
        progress = Progress(section, log)
        diverged = None
        try:
            fit(model, batched, network.dataset(validation, section.batch, width), progress)
        except Diverged as error:
            if not progress.kept:
                raise
            diverged = error
        model.set_weights(progress.kept)
        after = reaching()

        MODELS.mkdir(exist_ok=True)
        duplicates.keep(LEARNED, LEARNED_FROM)
        evidence.save(said, MODELS / "evidence.safetensors")
        export.save(model, labels, section, MODELS)
        report = {"parameters": trained(model), "best_epoch": progress.kept_epoch} | validate(section)
        title = f"Gradient that reaches each step ({section.cell}, {section.pooling} pooling)"
        write_reports(progress.history, {"before": before, "after": after}, report, title)
        if diverged:
            raise Stop(f"{diverged}; {MODELS}/ holds the weights of epoch {progress.kept_epoch}")
    print(f"train: kept epoch {progress.kept_epoch}; validation accuracy, log loss: {in_words(report)}")


def trained(model: keras.Model) -> int:
    """How many numbers are learned; vectors that stay as they are do not count."""
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


def validate(section: params.Train) -> dict[str, Any]:
    """The temperature, which is fitted here, and validation's figures of what is shipped.

    And those of its network alone, where it has a linear model beside it.
    """
    classifier = Classifier(MODELS)
    texts = tables.column(VALIDATION, "text")
    actual = np.array([classifier.labels.index(label) for label in tables.column(VALIDATION, "label")])
    network = classifier.network(texts)
    answer = classifier.combined(network, linear.probabilities(classifier.linear, texts) if classifier.linear else None)
    report: dict[str, Any] = {"temperature": 1.0}
    if section.temperature_scaling:
        report["temperature"] = calibration.temperature(actual, logits(answer))
        export.set_temperature(MODELS / "model.onnx", report["temperature"])
    report["validation"] = metrics.figures(actual, scaled(answer, report["temperature"]))
    if classifier.linear:
        report["network_validation"] = metrics.figures(actual, network)
    return report


def in_words(report: dict[str, Any]) -> str:
    """`0.918, 0.216; with the baseline 0.928, 0.193`"""
    names = {"network_validation": "", "validation": "with the baseline "}
    if "network_validation" not in report:
        names = {"validation": ""}
    return "; ".join(
        f"{word}{report[name]['accuracy']:.3f}, {report[name]['log_loss']:.3f}" for name, word in names.items()
    )


def write_reports(history: list[dict], reaching: dict[str, np.ndarray], report: dict, title: str) -> None:
    REPORTS.mkdir(exist_ok=True)
    norms = [
        {"steps_back": step} | {when: f"{norm[step]:.5e}" for when, norm in reaching.items()}
        for step in range(len(reaching["before"]))
    ]
    for name, rows in {"history": history, "gradients": norms}.items():
        with (REPORTS / f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    curves = {f"{when} training": norm for when, norm in reaching.items()}
    plots.gradients(curves, title, REPORTS / "gradients.svg")
    plots.history(history, report["best_epoch"], REPORTS / "history.svg")
    (REPORTS / "train.json").write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    stage.run(main)
