"""Stage 5, train: train the recurrent network, with early stopping on the validation split.

    python -m pipeline.train

Writes the best epoch's weights, the architecture, the ONNX model and the fitted n-gram features into `models/`; the
history per epoch as `reports/history.csv`, the gradient norm at each time step as `reports/gradients.csv`, and the
validation metrics as `reports/train.json`; and the fingerprints of the examples that it was fitted on. Each epoch is
also logged to MLflow as it ends.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from pipeline import cli, files, params
from pipeline.cli import UserError
from pipeline.corpus import near_duplicates, tables
from pipeline.features import batches, ngram_features
from pipeline.features.batches import EncodedExamples
from pipeline.features.ngram_features import NgramFeatures
from pipeline.params.train import Train

IDS = Path("data/ids")
FITTED_ON = IDS / "train.parquet", IDS / "validation.parquet"
FINGERPRINTS = Path("data/fingerprints/train.parquet")
VALIDATION = Path("data/split/validation.parquet")
TOKENIZER = Path("models/tokenizer.json")
MODELS = Path("models")
REPORTS = Path("reports")


def main() -> None:
    config = params.load()
    train, validation = map(batches.read_encoded, FITTED_ON)
    check_batch_size(config.train, len(train))
    # Not at the top: they import TensorFlow and MLflow, which takes seconds, and invalid parameters fail before that.
    from pipeline.features import token_vectors
    from pipeline.model import export, gradients, network, training
    from pipeline.tracking import runs

    labels = files.read_json(IDS / "labels.json")
    vocab_size, length = read_tokenizer(config.train)
    features, train, validation = add_ngram_features(train, validation, len(labels), config.train)
    pretrained = config.train.token_vectors == "cooccurrence"
    vectors = token_vectors.fit_token_vectors(train, vocab_size, config.train.embedding_dim) if pretrained else None

    training.set_seed(config.train.seed)
    rng, feature_dim = np.random.default_rng(config.train.seed), train.ngram_features.shape[1]
    train_batches = network.make_dataset(train, config.train.batch_size, length, rng)
    validation_batches = network.make_dataset(validation, config.train.batch_size, length)
    epochs = training.max_epochs(config.train, len(train_batches), len(labels))
    weights = training.class_weights(train.labels, len(labels), config.train)
    model = network.build_network(
        vocab_size, len(labels), feature_dim, length, epochs * len(train_batches), config.train, vectors, weights
    )
    parameters = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    print(f"train: {parameters:,} parameters, {len(train):,} examples, at most {epochs} epochs")
    compute_norms = gradients.gradient_norms(model, validation, length)
    norms = {"before": compute_norms()}

    with runs.training_run(config) as log:
        result = training.train_network(model, train_batches, validation_batches, config.train, log)
        norms["after"] = compute_norms()
        near_duplicates.save_fingerprints(FINGERPRINTS, FITTED_ON)
        ngram_features.save(features, MODELS / "ngram_features.safetensors")
        export.export_model(model, labels, config.train, MODELS)
        report = {"parameters": parameters, "best_epoch": result.best_epoch} | validate(validation.labels, config.train)
        write_reports(result.history, norms, report)
        if result.error:
            raise UserError(f"{result.error}; {MODELS}/ has the weights of epoch {result.best_epoch}")
    print(f"train: best epoch {result.best_epoch}, validation {summarize(report)}")


def check_batch_size(config: Train, n_examples: int) -> None:
    """Raises UserError if there are fewer training examples than a batch has."""
    if config.batch_size > n_examples:
        raise UserError(
            f"train.batch_size is {config.batch_size:,}, but there are {n_examples:,} training examples; lower it"
        )


def read_tokenizer(config: Train) -> tuple[int, int | None]:
    """The size of the vocabulary, and the number of time steps if the network reads padding, otherwise None."""
    # Through JSON, because the library's own exception for a damaged file has no class.
    tokenizer = Tokenizer.from_str(json.dumps(files.read_json(TOKENIZER)))
    assert tokenizer.truncation
    return tokenizer.get_vocab_size(), None if config.mask else tokenizer.truncation["max_length"]


def add_ngram_features(
    train: EncodedExamples, validation: EncodedExamples, n_classes: int, config: Train
) -> tuple[NgramFeatures, EncodedExamples, EncodedExamples]:
    """The features fitted on the training examples, and both sets of examples with these features."""
    features = ngram_features.fit(train, n_classes, config)
    validation = replace(validation, ngram_features=ngram_features.transform(features, validation))
    train = replace(train, ngram_features=ngram_features.out_of_fold(train, n_classes, config))
    return features, train, validation


def validate(y_true: np.ndarray, config: Train) -> dict[str, Any]:
    """Fit the network's weight and the temperature on the validation split, and evaluate the exported classifier there.

    If that is an ensemble, its network is also evaluated alone. `y_true` are class indices `[examples]`.
    """
    from pipeline.metrics import calibration, classification  # they import scikit-learn, see main
    from pipeline.model import export, linear
    from pipeline.model.classifier import Classifier, apply_temperature, geometric_mean, log_probabilities

    classifier = Classifier(MODELS)
    texts = tables.read_column(VALIDATION, "text")
    network = classifier.predict_network_proba(texts)
    baseline = linear.predict_proba(classifier.baseline, texts) if classifier.baseline else None
    weight, temperature, y_proba = 1.0, 1.0, network
    if baseline is not None:
        weight = calibration.fit_network_weight(y_true, log_probabilities(network), log_probabilities(baseline))
        y_proba = geometric_mean(network, baseline, weight)
    if config.temperature_scaling:
        temperature = calibration.fit_temperature(y_true, log_probabilities(y_proba))
    export.set_metadata(MODELS / "model.onnx", network_weight=weight, temperature=temperature)
    report = {
        "network_weight": weight,
        "temperature": temperature,
        "validation": classification.classification_metrics(y_true, apply_temperature(y_proba, temperature)),
    }
    if classifier.baseline:
        report["network_validation"] = classification.classification_metrics(y_true, network)
    return report


def write_reports(history: list[dict[str, float]], norms: dict[str, np.ndarray], report: dict[str, Any]) -> None:
    """Write `history.csv`, `gradients.csv` and `train.json`; `norms` are gradient norms by steps back from the end."""
    steps = zip(*norms.values(), strict=True)
    gradients = [
        {"steps_back": step} | {time: f"{norm:.5e}" for time, norm in zip(norms, row, strict=True)}
        for step, row in enumerate(steps)
    ]
    files.write_csv(REPORTS / "history.csv", history)
    files.write_csv(REPORTS / "gradients.csv", gradients)
    files.write_json(REPORTS / "train.json", report)


def summarize(report: dict[str, Any]) -> str:
    """`accuracy 0.974, log loss 0.083 (network alone: accuracy 0.948, log loss 0.127; its weight is 0.61)`"""
    text = "accuracy {accuracy:.3f}, log loss {log_loss:.3f}"
    if "network_validation" not in report:
        return text.format(**report["validation"])
    network = f"{text.format(**report['network_validation'])}; its weight is {report['network_weight']:.2f}"
    return f"{text.format(**report['validation'])} (network alone: {network})"


if __name__ == "__main__":
    cli.run(main)
