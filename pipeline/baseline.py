"""Stage 4, baseline: fit the linear model that the network is compared with, and that the ensemble contains.

    python -m pipeline.baseline

Writes `models/baseline.safetensors` (see `pipeline.model.linear`), its validation metrics as `reports/baseline.json`,
and the fingerprints of the examples that it was fitted on.
"""

from pathlib import Path

import numpy as np

from pipeline import cli, params
from pipeline.corpus import near_duplicates, tables
from pipeline.files import write_json
from pipeline.metrics import calibration, classification
from pipeline.model import linear

FITTED_ON = Path("data/split/train.parquet"), Path("data/split/validation.parquet")
FINGERPRINTS = Path("data/fingerprints/baseline.parquet")
OUT = Path("models/baseline.safetensors")
REPORT = Path("reports/baseline.json")


def main() -> None:
    config = params.load().baseline
    train, validation = FITTED_ON
    labels, y_train = np.unique(tables.read_column(train, "label"), return_inverse=True)
    y_validation = np.searchsorted(labels, tables.read_column(validation, "label"))
    model = linear.fit(tables.read_column(train, "text"), y_train, len(labels), config)

    # An SVM gives no probabilities: a temperature, fitted on the validation split, turns its scores into some.
    scores = linear.decision_function(model, tables.read_column(validation, "text"))
    model = model._replace(temperature=calibration.fit_temperature(y_validation, scores))

    linear.save(model, OUT)
    near_duplicates.save_fingerprints(FINGERPRINTS, FITTED_ON)
    y_proba = linear.to_probabilities(scores, model.temperature)
    metrics = classification.classification_metrics(y_validation, y_proba)
    n_ngrams = len(model.words.ngrams) + len(model.characters.ngrams) - 2
    write_json(REPORT, {"ngrams": n_ngrams, "validation": metrics})
    print(f"baseline: {n_ngrams:,} n-grams, validation accuracy {metrics['accuracy']:.3f}")


if __name__ == "__main__":
    cli.run(main)
