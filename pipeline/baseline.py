"""Stage 4, baseline: the linear model that the classifier must beat, and that is one half of it.

    python -m pipeline.baseline

Writes `models/baseline.safetensors` (see `pipeline.linear`), its validation figures as `reports/baseline.json`, and the
fingerprints of the posts it has learned from.
"""

import json
from pathlib import Path

import numpy as np
from scipy.special import softmax

from pipeline import linear, params, stage
from pipeline.corpus import duplicates, tables
from pipeline.report import calibration, metrics

LEARNED_FROM = Path("data/split/train.parquet"), Path("data/split/validation.parquet")
LEARNED = Path("data/learned/baseline.parquet")
OUT = Path("models/baseline.safetensors")
REPORT = Path("reports/baseline.json")


def main() -> None:
    section = params.load().baseline
    train, validation = LEARNED_FROM
    names = sorted(set(tables.column(train, "label")))
    labels, actual = (
        np.array([names.index(label) for label in tables.column(p, "label")]) for p in (train, validation)
    )
    model = linear.fit(tables.column(train, "text"), labels, len(names), section)

    # An SVM gives no probabilities. One number, fitted on validation, makes its scores into some.
    scores = linear.scores(model, tables.column(validation, "text"))
    model = model._replace(temperature=calibration.temperature(actual, scores))

    OUT.parent.mkdir(exist_ok=True)
    linear.save(model, OUT)
    duplicates.keep(LEARNED, LEARNED_FROM)
    figures = metrics.figures(actual, softmax(scores / model.temperature, axis=1))
    count = len(model.words.ngrams) + len(model.characters.ngrams) - 2
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps({"ngrams": count, "validation": figures}, indent=2) + "\n")
    print(f"baseline: {count:,} n-grams, validation accuracy {figures['accuracy']:.3f}")


if __name__ == "__main__":
    stage.run(main)
