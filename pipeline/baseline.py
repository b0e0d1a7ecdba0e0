"""Stage 4, baseline: the linear model that the GRU must beat, fitted on the same training posts.

    python -m pipeline.baseline

Writes `models/baseline.parquet` (see `pipeline.linear`) and its validation figures as `reports/baseline.json`.
"""

import json
from pathlib import Path

import numpy as np
from scipy.optimize import minimize_scalar
from sklearn.metrics import log_loss

from pipeline import linear, params, stage
from pipeline.corpus import tables
from pipeline.report import metrics

SPLIT = Path("data/split")
OUT = Path("models/baseline.parquet")
REPORT = Path("reports/baseline.json")


def main() -> None:
    section = params.load().baseline
    train, validation = SPLIT / "train.parquet", SPLIT / "validation.parquet"
    labels = tables.column(train, "label")
    model = linear.fit(tables.column(train, "text"), labels, section)

    # An SVM gives no probabilities. One number, fitted on validation, makes its scores into some.
    scores = linear.scores(model, tables.column(validation, "text"))
    names = sorted(set(labels))
    actual = np.array([names.index(label) for label in tables.column(validation, "label")])
    sharpness = minimize_scalar(
        lambda x: log_loss(actual, linear.probabilities(scores, x).astype(float), labels=range(len(names))),
        bounds=(0.1, 50), method="bounded",
    ).x  # fmt: skip
    sharpness = round(float(sharpness), 3)

    OUT.parent.mkdir(exist_ok=True)
    linear.save(model, sharpness, OUT)
    figures = metrics.figures(actual, linear.probabilities(scores, sharpness))
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps({"ngrams": model.num_rows - 1, "validation": figures}, indent=2) + "\n")
    print(f"baseline: {model.num_rows - 1:,} n-grams, validation accuracy {figures['accuracy']:.3f}")


if __name__ == "__main__":
    stage.run(main)
