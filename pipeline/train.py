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

from pipeline import cli, params
from pipeline.cli import UserError
from pipeline.corpus import near_duplicates, tables
from pipeline.features import batches, ngram_features, token_vectors
from pipeline.metrics import calibration, classification
from pipeline.model import export, gradients, linear, network
from pipeline.model.backend import keras, tf
from pipeline.model.classifier import Classifier, apply_temperature, log_probabilities
from pipeline.model.training import TrainingDiverged, TrainingProgress, train_network
from pipeline.report import plots
from pipeline.tracking import runs

IDS = Path("data/ids")
LEARNED_FROM = IDS / "train.parquet", IDS / "validation.parquet"
LEARNED = Path("data/fingerprints/train.parquet")
VALIDATION = Path("data/split/validation.parquet")
TOKENIZER = Path("models/tokenizer.json")
MODELS = Path("models")
REPORTS = Path("reports")


def main() -> None:
    everything = params.load()
    section = everything.train
    labels = json.loads((IDS / "labels.json").read_text())
    tokenizer = Tokenizer.from_str(TOKENIZER.read_text(encoding="utf-8"))
    train, validation = map(batches.read_encoded, LEARNED_FROM)
    if section.batch_size > len(train):
        raise UserError(
            f"train.batch_size is {section.batch_size:,}, but there are {len(train):,} training posts; make it smaller"
        )

    # What a step sees: the token's vector, and what the n-grams ending there say.
    said = ngram_features.fit(train, len(labels), section)
    validation = replace(validation, evidence=ngram_features.transform(said, validation))
    train = replace(train, evidence=ngram_features.out_of_fold(train, len(labels), section))
    size, columns = tokenizer.get_vocab_size(), train.evidence.shape[1]
    known = (
        token_vectors.fit_token_vectors(train, size, section.embedding_dim)
        if section.token_vectors == "cooccurrence"
        else None
    )

    keras.utils.set_random_seed(section.seed)
    # Else the gradients of learned vectors are summed in whatever order the threads come.
    tf.config.experimental.enable_op_determinism()
    assert tokenizer.truncation
    width = None if section.mask else tokenizer.truncation["max_length"]
    batched = network.make_dataset(train, section.batch_size, width, np.random.default_rng(section.seed))
    steps = section.epochs * int(batched.cardinality())
    model = network.build_network(size, len(labels), columns, width, steps, section, known)
    print(f"train: {trained(model):,} parameters, {len(train):,} posts, at most {section.epochs} epochs")
    reaching = gradients.gradient_norms(model, validation, width)
    before = reaching()

    with runs.training_run(everything) as log:
        progress = TrainingProgress(section, log)
        diverged = None
        try:
            train_network(model, batched, network.make_dataset(validation, section.batch_size, width), progress)
        except TrainingDiverged as error:
            if not progress.kept:
                raise
            diverged = error
        model.set_weights(progress.kept)
        after = reaching()

        MODELS.mkdir(exist_ok=True)
        near_duplicates.save_fingerprints(LEARNED, LEARNED_FROM)
        ngram_features.save(said, MODELS / "ngram_features.safetensors")
        export.export_model(model, labels, section, MODELS)
        report = {"parameters": trained(model), "best_epoch": progress.kept_epoch} | validate(section)
        title = f"Gradient that reaches each step ({section.cell}, {section.pooling} pooling)"
        write_reports(progress.history, {"before": before, "after": after}, report, title)
        if diverged:
            raise UserError(f"{diverged}; {MODELS}/ holds the weights of epoch {progress.kept_epoch}")
    print(f"train: kept epoch {progress.kept_epoch}; validation accuracy, log loss: {in_words(report)}")


def trained(model: keras.Model) -> int:
    """How many numbers are learned; vectors that stay as they are do not count."""
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


def validate(section: params.Train) -> dict[str, Any]:
    """The temperature, which is fitted here, and validation's figures of what is shipped.

    And those of its network alone, where it has a linear model beside it.
    """
    classifier = Classifier(MODELS)
    texts = tables.read_column(VALIDATION, "text")
    y_true = np.array([classifier.labels.index(label) for label in tables.read_column(VALIDATION, "label")])
    network = classifier.network(texts)
    answer = classifier.combined(network, linear.predict_proba(classifier.linear, texts) if classifier.linear else None)
    report: dict[str, Any] = {"temperature": 1.0}
    if section.temperature_scaling:
        report["temperature"] = calibration.fit_temperature(y_true, log_probabilities(answer))
        export.set_temperature(MODELS / "model.onnx", report["temperature"])
    report["validation"] = classification.classification_metrics(
        y_true, apply_temperature(answer, report["temperature"])
    )
    if classifier.linear:
        report["network_validation"] = classification.classification_metrics(y_true, network)
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
    plots.plot_gradients(curves, title, REPORTS / "gradients.svg")
    plots.plot_history(history, report["best_epoch"], REPORTS / "history.svg")
    (REPORTS / "train.json").write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    cli.run(main)
