"""A result as the stages before `track` leave it, made by hand: small, and with round metrics."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from pipeline import params
from pipeline.corpus import tables
from pipeline.model import linear
from pipeline.report.page import CHARTS
from tests.repository import ROOT, empty_store

METRICS = {"accuracy": 0.9, "macro_f1": 0.8, "log_loss": 0.3, "ece": 0.05}
INTERVALS = {"accuracy": [0.85, 0.95], "macro_f1": [0.75, 0.84]}
MODELS = ["classifier", "network", "baseline"]
# Id, true and predicted label of four test examples; the last prediction is an error.
PREDICTIONS = [
    ("a", "fruit", "fruit"),
    ("b", "fruit", "fruit"),
    ("c", "pythön", "pythön"),
    ("d", "pythön", "fruit"),
]
HISTORY = [{"epoch": 1, "loss": 0.5, "val_log_loss": 0.4}, {"epoch": 2, "loss": 0.4, "val_log_loss": 0.3}]


def write_result(make_models: Callable[..., None], set_params: Callable[..., params.Params]) -> params.Params:
    """Write the result into the workspace, with an empty MLflow store; returns the parameters."""
    config = set_params(baseline={"min_df": 1, "char_min_df": 1})
    make_models(linear.fit(["banana tree", "dict key"], np.array([0, 1]), 2, config.baseline))
    shutil.copy(empty_store(), "mlflow.db")
    for name in ("dvc.yaml", "pipeline"):  # inputs of the result
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, Path(name))
    Path("dvc.lock").write_text("schema: '2.0'\n")
    Path("data/split").mkdir(parents=True)
    for name in ("train", "validation", "test"):
        Path(f"data/split/{name}.parquet").write_bytes(f"{name} examples".encode())
    Path("data/fingerprints").mkdir()
    for name in ("baseline", "train"):
        rows = [{"id": "a", "fingerprint": b"of a"}, {"id": name, "fingerprint": b"of another"}]
        tables.write_table(Path(f"data/fingerprints/{name}.parquet"), tables.FINGERPRINT_SCHEMA, rows)
    write_reports()
    return config


def write_reports() -> None:
    """Write `reports/`."""
    corpus = {"source": "fruits", "sample": False, "digest": "0" * 64, "licence": "none"}
    per_class = {"precision": 0.9, "recall": 0.8, "f1": 0.85, "average_precision": 0.95, "support": 2}
    reports = {
        "split": {
            "corpus": corpus,
            "test": "drawn",
            "examples": {"train": 100, "validation": 20, "test": 4},
            "label_counts": {split: {"fruit": 2, "pythön": 2} for split in ("train", "validation", "test")},
            "duplicates_dropped": {"duplicate_of_test": 0, "near_duplicate_of_test": 0},
            "rejected": {"no_text": 3},
        },
        "metrics": {
            "examples": 4,
            "classifier": METRICS,
            "network": METRICS | {"accuracy": 0.8},
            "baseline": METRICS | {"accuracy": 0.7},
            "mcnemar": {"only_classifier_correct": 10, "only_baseline_correct": 2, "p_value": 0.0386},
            "uncalibrated": {"log_loss": 0.4, "ece": 0.1},
            "temperature": 1.25,
            "confidence_intervals": {model: INTERVALS for model in MODELS},
            "macro_f1_difference_interval": [0.01, 0.2],
            "per_class": [{"label": label} | per_class for label in ("fruit", "pythön")],
            "slices": [],
            "agreement": [],
        },
        "train": {
            "parameters": 12,
            "best_epoch": 2,
            "temperature": 1.25,
            "validation": METRICS,
            "network_validation": METRICS | {"accuracy": 0.75},
        },
        "baseline": {"ngrams": 3, "validation": METRICS},
        "explanations": {"errors": 0, "examples": [], "similar_pairs": []},
    }
    Path("reports").mkdir()
    for name, content in reports.items():
        Path("reports", f"{name}.json").write_text(json.dumps(content))
    lines = [",".join(HISTORY[0]), *(",".join(map(str, row.values())) for row in HISTORY)]
    Path("reports/history.csv").write_text("\n".join(lines) + "\n")
    Path("reports/gradients.csv").write_text("steps_back,before,after\n0,1.0,2.0\n")
    for model in MODELS:
        Path("reports/evaluation", model).mkdir(parents=True)
        Path("reports/evaluation", model, "classification_report.txt").write_text("report")
    write_predictions(PREDICTIONS)
    Path("reports/plots").mkdir()
    for name in CHARTS:
        Path("reports/plots", f"{name}.svg").write_text(f"<svg><title>{name}</title></svg>")


def write_predictions(predictions: Sequence[tuple[str, str, str]]) -> None:
    """Write the classifier's predictions as `evaluate` does; of each the id, the true and the predicted label."""
    lines = ["id,y_true,y_pred,probability_fruit,probability_pythön"]
    lines += [f"{id},{y_true},{y_pred},0.5,0.5" for id, y_true, y_pred in predictions]
    Path("reports/evaluation/classifier/predictions.csv").write_text("\n".join(lines) + "\n")


def change_metrics(model: str, **changes: float) -> None:
    """Change the metrics of a model on the test split: another result."""
    metrics = json.loads(Path("reports/metrics.json").read_text())
    metrics[model] |= changes
    Path("reports/metrics.json").write_text(json.dumps(metrics))
