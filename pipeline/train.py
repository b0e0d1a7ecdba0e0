"""Stage 5, train: a recurrent network learns the training posts, and stops when validation gets no better.

    python -m pipeline.train

Writes the best epoch's weights, the architecture, the ONNX model and the n-gram evidence into `models/`, the history
per epoch as `reports/history.csv`, the gradient that reaches each time step as `reports/gradients.csv` and `.png`, and
the validation figures as `reports/train.json`. Each epoch also goes to MLflow as it ends.
"""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from pipeline import params, stage
from pipeline.corpus import tables
from pipeline.lineage import runs
from pipeline.nn import batches, evidence, export, gradients, network, vectors
from pipeline.nn.progress import Diverged, Progress
from pipeline.nn.quiet import keras
from pipeline.nn.serving import Classifier
from pipeline.report import metrics, plots
from pipeline.stage import Stop

IDS = Path("data/ids")
VALIDATION = Path("data/split/validation.parquet")
TOKENIZER = Path("models/tokenizer.json")
MODELS = Path("models")
REPORTS = Path("reports")


def main() -> None:
    everything = params.load()
    section = everything.train
    labels = json.loads((IDS / "labels.json").read_text())
    tokenizer = Tokenizer.from_str(TOKENIZER.read_text(encoding="utf-8"))
    train, validation = batches.read(IDS / "train.parquet"), batches.read(IDS / "validation.parquet")
    if section.batch > len(train):
        raise Stop(f"train.batch is {section.batch:,}, but there are {len(train):,} training posts; make it smaller")

    known = evidence.fit(train, len(labels), section)
    validation = replace(validation, evidence=evidence.look_up(known, validation))
    train = replace(train, evidence=evidence.cross_fitted(train, len(labels), section))

    keras.utils.set_random_seed(section.seed)
    width = None if section.mask else json.loads(tokenizer.to_str())["truncation"]["max_length"]
    batched = network.dataset(train, section.batch, width, np.random.default_rng(section.seed))
    steps = section.epochs * int(batched.cardinality())
    size, columns = tokenizer.get_vocab_size(), train.evidence.shape[1]
    known_vectors = vectors.from_posts(train, size, section.embedding) if section.vectors == "posts" else None
    model = network.build(size, len(labels), columns, width, steps, section, known_vectors)
    print(f"train: {model.count_params():,} parameters, {len(train):,} posts, at most {section.epochs} epochs")
    reaching = {"before": gradients.by_step(model, validation, width)}

    def save() -> dict[str, Any]:
        """Write the model of the epoch kept, and the reports; gives the one on validation."""
        model.set_weights(progress.kept)
        reaching["after"] = gradients.by_step(model, validation, width)
        MODELS.mkdir(exist_ok=True)
        evidence.save(known, MODELS / "evidence.safetensors")
        export.save(model, labels, section, MODELS)
        report = {"parameters": model.count_params(), "best_epoch": progress.kept_epoch} | validate(Classifier(MODELS))
        write_reports(progress.history, reaching, report, f"{section.cell}, {section.pooling} pooling")
        return report

    with runs.live(everything) as log:
        progress = Progress(section, log)
        stopping = keras.callbacks.EarlyStopping("val_log_loss", mode="min", patience=section.patience or 0)
        averaging = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
        try:
            model.fit(
                batched,
                validation_data=network.dataset(validation, section.batch, width),
                epochs=section.epochs,
                callbacks=[
                    *([averaging] if section.weight_averaging else []),
                    *([stopping] if section.patience else []),
                    progress,
                ],
                shuffle=False,  # `batches` does it, by length
                verbose=0,
            )
        except Diverged as error:
            if not progress.kept:
                raise
            save()
            raise Stop(f"{error}; {MODELS}/ holds the weights of epoch {progress.kept_epoch}") from None
    report = save()
    print(
        f"train: kept epoch {report['best_epoch']}, validation accuracy {report['validation']['accuracy']:.3f}, "
        f"log loss {report['validation']['log_loss']:.3f}"
    )


def validate(classifier: Classifier) -> dict[str, dict[str, float]]:
    """Validation's figures of what is shipped, and of its network alone where it has a linear model beside it."""
    texts = tables.column(VALIDATION, "text")
    actual = np.array([classifier.labels.index(label) for label in tables.column(VALIDATION, "label")])
    result = {"validation": metrics.figures(actual, classifier.probabilities(texts))}
    if classifier.linear:
        result["network_validation"] = metrics.figures(actual, classifier.network(texts))
    return result


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
    plots.gradients(curves, f"Gradient that reaches each step ({title})", REPORTS / "gradients.png")
    (REPORTS / "train.json").write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    stage.run(main)
