"""A repository whose stages take a moment: for tests of DVC, git and MLflow, to which it matters little what trains.

dvc.yaml, params.yaml, `track` and all commands are the real ones. The other stages write what the real ones write, from
a handful of examples, without TensorFlow and scikit-learn. A word gives the class of an example away. The classifier
knows the first `train.embedding_dim` words of each class, the baseline the first `baseline.max_ngram`: all, if there
are as many as in the tests' params.yaml. Metrics of validation and the temperature depend on `train.seed`.
"""

import time
from collections.abc import Sequence
from pathlib import Path

from pipeline import params
from pipeline.corpus import sources
from pipeline.files import write_csv, write_json

STAGES = ("source", "fetch", "split", "vectorize", "baseline", "train", "evaluate", "explain", "plot")
STAGE = '''"""Stage {name} of the toy pipeline."""

from pipeline import cli
from tests import toy_pipeline

if __name__ == "__main__":
    cli.run(toy_pipeline.{name})
'''
SIZES = {"train": 20, "validation": 8, "test": 48}
WORDS = {"fruit": ["banana", "cherry", "mango"], "pythön": ["dict", "list", "tuple"]}
LABELS = list(WORDS)
FITTED_ON = "train"


def install(repository: Path, stages: Sequence[str] = STAGES) -> None:
    """Replace stages of a repository by those of this module."""
    for name in stages:
        (repository / f"pipeline/{name}.py").write_text(STAGE.format(name=name))


def examples(split: str) -> list[dict]:
    """Fruits have bananas, Python has dicts."""
    return [
        {"id": f"{split}/{label}-{n}", "text": f"{words[n % len(words)]} {split} {n}", "label": label}
        for n in range(SIZES[split] // 2)
        for label, words in WORDS.items()
    ]


def class_of_word(n_words: int) -> dict[str, int]:
    """The class of the first so many words of each label."""
    return {word: LABELS.index(label) for label, words in WORDS.items() for word in words[:n_words]}


def source() -> None:
    sources.resolve_source(params.load().fetch, Path())
    write_json(Path("data/source.json"), {"source": "toy"})


def fetch() -> None:
    write_json(Path("data/raw/manifest.json"), {"source": "toy"})


def split() -> None:
    from pipeline.corpus import near_duplicates, tables

    Path("data/split").mkdir(parents=True)
    for name in SIZES:
        rows = [row | {"fingerprint": near_duplicates.fingerprint(row["text"])} for row in examples(name)]
        tables.write_table(Path(f"data/split/{name}.parquet"), tables.SPLIT_SCHEMA, rows)
    write_json(
        Path("reports/split.json"),
        {
            "corpus": {"source": "toy", "sample": True, "digest": "0" * 64, "licence": "none"},
            "test": "drawn",
            "examples": SIZES,
            "label_counts": {name: dict.fromkeys(LABELS, size // 2) for name, size in SIZES.items()},
            "duplicates_dropped": {"duplicate_of_test": 0},
        },
    )


def vectorize() -> None:
    from tests.hand_made_models import write_tokenizer

    Path("models").mkdir(exist_ok=True)
    write_tokenizer(class_of_word(3))
    write_json(Path("data/ids/labels.json"), LABELS)


def write_fingerprints(stage: str) -> None:
    from pipeline.corpus import near_duplicates

    near_duplicates.save_fingerprints(
        Path(f"data/fingerprints/{stage}.parquet"), [Path(f"data/split/{FITTED_ON}.parquet")]
    )


def make_metrics(n_errors: int) -> dict[str, float]:
    accuracy = round(1 - n_errors / SIZES["test"], 6)
    return {"accuracy": accuracy, "macro_f1": accuracy, "log_loss": round(0.1 + n_errors / 10, 6), "ece": 0.05}


def baseline() -> None:
    write_fingerprints("baseline")
    Path("models/baseline.safetensors").write_bytes(b"baseline")
    write_json(Path("reports/baseline.json"), {"ngrams": 2, "validation": make_metrics(3)})


def train() -> None:
    """As many epochs as `train.epochs` says, each a moment long."""
    from pipeline.tracking import runs
    from tests.hand_made_models import write_network

    config = params.load()
    assert config.train.epochs
    history = []
    with runs.training_run(config) as log_epoch:
        for epoch in range(1, config.train.epochs + 1):
            row = {name: round(1 / (epoch + config.train.seed), 6) for name in ("loss", "log_loss", "val_loss")}
            row |= {"epoch": epoch, "accuracy": 0.5, "val_accuracy": 0.5, "val_log_loss": row["val_loss"]}
            history.append(row)
            log_epoch(row | {"epoch_seconds": 0.1})
            time.sleep(0.05)
        write_fingerprints("train")
        known = class_of_word(config.train.embedding_dim)
        write_network(temperature=1 + config.train.seed / 100, is_ensemble=False, class_of_word=known)
        for name in ("network.json", "weights.safetensors"):
            Path("models", name).write_text(f"{name} of seed {config.train.seed}")
        write_csv(Path("reports/history.csv"), history)
        write_csv(Path("reports/gradients.csv"), [{"steps_back": 0, "before": 1.0, "after": 2.0}])
        report = {"parameters": 12, "best_epoch": config.train.epochs, "network_weight": 1.0, "temperature": 1.0}
        write_json(Path("reports/train.json"), report | {"validation": make_metrics(config.train.seed % 3)})
    print(f"train: {config.train.epochs} epochs")


def evaluate() -> None:
    """The classifier's predictions are those of the logged model; the baseline's are certain."""
    import numpy as np

    from pipeline.corpus import tables
    from pipeline.metrics import predictions
    from pipeline.model.classifier import Classifier

    test = Path("data/split/test.parquet")
    ids, texts, names = (tables.read_column(test, name) for name in ("id", "text", "label"))
    classifier = Classifier(Path("models"))
    y_true = predictions.label_indices(names, classifier.labels)
    y_proba = classifier.predict_proba(texts)
    known = class_of_word(params.load().baseline.max_ngram)
    baseline_proba = np.array([np.eye(2)[known.get(text.split()[0], 0)] for text in texts])
    report: dict = {"examples": len(ids)}
    for model, answers in {"classifier": y_proba, "baseline": baseline_proba}.items():
        log_loss = float(-np.log(np.clip(answers[np.arange(len(ids)), y_true], 1e-15, 1)).mean())
        n_errors = int((answers.argmax(axis=1) != y_true).sum())
        report[model] = make_metrics(n_errors) | {"log_loss": round(log_loss, 6)}
        Path("reports/evaluation", model).mkdir(parents=True, exist_ok=True)
        rows = list(predictions.to_rows(ids, y_true, answers, classifier.labels))
        write_csv(Path(f"reports/evaluation/{model}/predictions.csv"), rows)
        Path("reports/evaluation", model, "classification_report.txt").write_text("report")
    interval = {"accuracy": [0.5, 1.0], "macro_f1": [0.5, 1.0]}
    per_class = {"precision": 0.9, "recall": 0.8, "f1": 0.85, "average_precision": 0.95, "support": 12}
    report |= {
        "mcnemar": {"only_classifier_correct": 2, "only_baseline_correct": 0, "p_value": 0.5},
        "uncalibrated": {"log_loss": 0.4, "ece": 0.1},
        "network_weight": classifier.network_weight,
        "temperature": classifier.temperature,
        "confidence_intervals": {"classifier": interval, "baseline": interval},
        "macro_f1_difference_interval": [-0.1, 0.1],
        "per_class": [{"label": label} | per_class for label in classifier.labels],
        "slices": [],
        "agreement": [],
    }
    write_json(Path("reports/metrics.json"), report)


def explain() -> None:
    write_json(Path("reports/explanations.json"), {"errors": 0, "examples": [], "similar_pairs": []})


def plot() -> None:
    from pipeline.report.page import CHARTS

    Path("reports/plots").mkdir(parents=True, exist_ok=True)
    for name in CHARTS:
        Path("reports/plots", f"{name}.svg").write_text(f"<svg><title>{name}</title></svg>")
