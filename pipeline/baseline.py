"""Stage 4, baseline: the linear model that the classifier must beat, and that is one half of it.

    python -m pipeline.baseline

Writes `models/baseline.safetensors` (see `pipeline.model.linear`), its validation figures as `reports/baseline.json`, and the
fingerprints of the posts it has learned from.
"""

import json
from pathlib import Path

import numpy as np
from scipy.special import softmax

from pipeline import cli, params
from pipeline.corpus import near_duplicates, tables
from pipeline.metrics import calibration, classification
from pipeline.model import linear

LEARNED_FROM = Path("data/split/train.parquet"), Path("data/split/validation.parquet")
LEARNED = Path("data/fingerprints/baseline.parquet")
OUT = Path("models/baseline.safetensors")
REPORT = Path("reports/baseline.json")


def main() -> None:
    section = params.load().baseline
    train, validation = LEARNED_FROM
    names = sorted(set(tables.read_column(train, "label")))
    labels, y_true = (
        np.array([names.index(label) for label in tables.read_column(p, "label")]) for p in (train, validation)
    )
    model = linear.fit(tables.read_column(train, "text"), labels, len(names), section)

    # An SVM gives no probabilities. One number, fitted on validation, makes its scores into some.
    scores = linear.decision_function(model, tables.read_column(validation, "text"))
    model = model._replace(temperature=calibration.fit_temperature(y_true, scores))

    OUT.parent.mkdir(exist_ok=True)
    linear.save(model, OUT)
    near_duplicates.save_fingerprints(LEARNED, LEARNED_FROM)
    figures = classification.classification_metrics(y_true, softmax(scores / model.temperature, axis=1))
    count = len(model.words.ngrams) + len(model.characters.ngrams) - 2
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps({"ngrams": count, "validation": figures}, indent=2) + "\n")
    print(f"baseline: {count:,} n-grams, validation accuracy {figures['accuracy']:.3f}")


if __name__ == "__main__":
    cli.run(main)
