"""The stage evaluate: every metric is one that can be computed by hand from the texts and the models."""

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline import evaluate, params
from pipeline.corpus import tables
from pipeline.metrics import predictions
from pipeline.metrics.predictions import Predictions
from pipeline.model import linear
from pipeline.model.classifier import apply_temperature, geometric_mean
from pipeline.model.linear import LinearModel

# The network predicts fruit for "banana" and pythön for "dict", each with odds of e^2 to 1; it knows no other word, and
# both labels are equally probable for the last text.
TEST = [("banana", "fruit"), ("a banana", "fruit"), ("dict", "pythön"), ("dict", "fruit"), ("cake", "fruit")]
CONFIDENCE = math.exp(2) / (1 + math.exp(2))
NETWORK = np.array(  # the probabilities of fruit and pythön
    [[CONFIDENCE, 1 - CONFIDENCE]] * 2 + [[1 - CONFIDENCE, CONFIDENCE]] * 2 + [[0.5, 0.5]]
)
LOG_LOSS = -(3 * math.log(CONFIDENCE) + math.log(1 - CONFIDENCE) + math.log(0.5)) / 5
# The baseline is trained on these, of which the first three are fruit: it predicts fruit for a dict, too.
TRAIN = ["banana tree", "banana dict", "cake tree", "car key", "car value", "car wheel"]
MODELS = ("classifier", "baseline")
CURVES = ["agreement", "coverage", "precision_recall", "reliability", "slices"]


def fit_baseline(config: params.Baseline) -> LinearModel:
    model = linear.fit(TRAIN, np.array([0, 0, 0, 1, 1, 1]), 2, config)
    return model._replace(temperature=0.5)


def run_evaluate(make_models: Callable, baseline: LinearModel, is_ensemble: bool, temperature: float = 1.0) -> dict:
    """Run the stage; returns `reports/metrics.json`."""
    make_models(baseline if is_ensemble else None, temperature)
    linear.save(baseline, Path("models/baseline.safetensors"))
    Path("data/split").mkdir(parents=True)
    rows = (
        {"id": f"test/{label}/{number}.txt", "text": text, "label": label} for number, (text, label) in enumerate(TEST)
    )
    tables.write_table(evaluate.TEST, tables.SPLIT_SCHEMA, rows)
    Path("reports").mkdir()
    corpus = {"source": "fruits", "sample": False, "digest": "0" * 64, "licence": "none"}
    Path("reports/split.json").write_text(json.dumps({"corpus": corpus}))
    evaluate.main()
    return json.loads(Path("reports/metrics.json").read_text())


def read_predictions(model: str) -> Predictions:
    with Path(f"reports/evaluation/{model}/predictions.csv").open(newline="", encoding="utf-8") as file:
        return predictions.parse(file)


def read_curves(name: str) -> list[dict[str, str]]:
    with Path(f"reports/evaluation/curves/{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def baseline(set_params: Callable[..., params.Params]) -> LinearModel:
    return fit_baseline(set_params(baseline={"min_df": 1, "char_min_df": 1}).baseline)


@pytest.fixture
def evaluated(make_models: Callable, baseline: LinearModel) -> dict:
    """`reports/metrics.json` after the stage; the classifier is its network alone, not scaled."""
    return run_evaluate(make_models, baseline, is_ensemble=False)


# Metrics


KEYS = ["mcnemar", "uncalibrated", "network_weight", "temperature", "confidence_intervals"]
KEYS += ["macro_f1_difference_interval"]
KEYS += ["per_class", "slices", "agreement"]


def test_metrics_of_a_network_alone_are_those_computed_by_hand(evaluated: dict) -> None:
    assert list(evaluated) == ["examples", "classifier", "baseline", *KEYS]
    assert evaluated["examples"] == 5
    # Of equally probable labels the first one is predicted, which is correct.
    assert evaluated["classifier"]["accuracy"] == 0.8
    # fruit: precision 3 / 3 and recall 3 / 4, so 6 / 7; pythön: precision 1 / 2 and recall 1 / 1, so 2 / 3
    assert evaluated["classifier"]["macro_f1"] == pytest.approx((6 / 7 + 2 / 3) / 2, abs=1e-6)
    assert evaluated["classifier"]["log_loss"] == pytest.approx(LOG_LOSS, abs=1e-6)
    # Four have this confidence, and three of them are correct; one has 0.5, and is correct.
    assert evaluated["classifier"]["ece"] == pytest.approx((4 * (CONFIDENCE - 3 / 4) + 1 / 2) / 5, abs=1e-6)
    # A temperature of 1 changes nothing.
    assert evaluated["temperature"] == 1
    assert evaluated["uncalibrated"] == {name: evaluated["classifier"][name] for name in ("log_loss", "ece")}
    # The baseline predicts fruit for every text, which is correct for the other "dict".
    assert evaluated["baseline"]["accuracy"] == 0.8
    assert evaluated["mcnemar"] == {"only_classifier_correct": 1, "only_baseline_correct": 1, "p_value": 1.0}


def test_ensemble_has_metrics_of_its_own_and_of_its_network(make_models: Callable, baseline: LinearModel) -> None:
    metrics = run_evaluate(make_models, baseline, is_ensemble=True)

    assert list(metrics) == ["examples", "classifier", "network", "baseline", *KEYS]
    assert metrics["network"]["log_loss"] == pytest.approx(LOG_LOSS, abs=1e-6)
    expected = geometric_mean(NETWORK, linear.predict_proba(baseline, [text for text, _ in TEST]), 0.5)
    np.testing.assert_allclose(read_predictions("classifier").y_proba, expected, atol=2e-6)
    log_loss = -np.log(expected[range(5), [0, 0, 1, 0, 0]]).mean()
    assert metrics["classifier"]["log_loss"] == pytest.approx(log_loss, abs=1e-5)
    assert metrics["classifier"] != metrics["network"]


def test_metrics_of_classes_slices_and_agreement_are_those_computed_by_hand(evaluated: dict) -> None:
    # The examples of fruit have the probabilities 0.88, 0.88, 0.5 and 0.12 for it, and that of pythön has 0.12: half of
    # the recall is at precision 1, a quarter at 1, and a quarter at 4 / 5.
    fruit = {"precision": 1, "recall": 3 / 4, "f1": 6 / 7, "average_precision": 0.95, "support": 4}
    # One of the two that are predicted to be pythön is.
    python = {"precision": 1 / 2, "recall": 1, "f1": 2 / 3, "average_precision": 1 / 2, "support": 1}
    for row, name, expected in zip(evaluated["per_class"], ["fruit", "pythön"], [fruit, python], strict=True):
        assert row == {"label": name} | {key: pytest.approx(value, abs=1e-6) for key, value in expected.items()}
    # Wilson's interval of 4 of 5
    z = 1.959964
    center, half = (0.8 + z**2 / 10) / (1 + z**2 / 5), z * math.sqrt(0.8 * 0.2 / 5 + z**2 / 100) / (1 + z**2 / 5)
    interval = pytest.approx([center - half, center + half], abs=1e-6)
    values = {"examples": 5, "accuracy": 0.8, "interval": interval, "baseline_accuracy": 0.8}
    slices = {
        "length (words and punctuation)": "up to 50", "code": "without code", "truncation": "read to the end"
    }  # fmt: skip
    assert evaluated["slices"] == [{"by": by, "slice": name} | values for by, name in slices.items()]
    assert evaluated["agreement"] == [
        {"label": "fruit", "examples": 4, "both": 3, "only_network": 0, "only_baseline": 1, "neither": 0},
        {"label": "pythön", "examples": 1, "both": 0, "only_network": 1, "only_baseline": 0, "neither": 0},
    ]


def test_confidence_intervals_contain_their_metrics(evaluated: dict) -> None:
    # Of five examples, each correct with 4 / 5, at most one is correct in 7 of 1,000 resamples, at most two in 58, and
    # all five in 328.
    for model in MODELS:
        assert evaluated["confidence_intervals"][model]["accuracy"] == [0.4, 1.0]
        low, high = evaluated["confidence_intervals"][model]["macro_f1"]
        assert 0 < low < evaluated[model]["macro_f1"] < high <= 1
    low, high = evaluated["macro_f1_difference_interval"]
    # The baseline has an F1 of 8 / 9 for fruit, and of 0 for pythön.
    assert low < (6 / 7 + 2 / 3) / 2 - (8 / 9) / 2 < high
    assert low < 0  # without the example of pythön the baseline is better


# Temperature


SCALED_CONFIDENCE = math.e / (1 + math.e)  # at a temperature of 2, odds of e^2 to 1 become e to 1


def test_temperature_lowers_the_confidence_and_changes_no_prediction(
    make_models: Callable, baseline: LinearModel
) -> None:
    metrics = run_evaluate(make_models, baseline, is_ensemble=False, temperature=2)

    predicted = read_predictions("classifier")
    assert [predicted.labels[label] for label in predicted.y_pred] == ["fruit", "fruit", "pythön", "pythön", "fruit"]
    expected = [SCALED_CONFIDENCE, SCALED_CONFIDENCE, 1 - SCALED_CONFIDENCE, 1 - SCALED_CONFIDENCE, 0.5]
    assert predicted.y_proba[:, 0].tolist() == pytest.approx(expected, abs=1e-6)
    log_loss = -(3 * math.log(SCALED_CONFIDENCE) + math.log(1 - SCALED_CONFIDENCE) + math.log(0.5)) / 5
    assert metrics["temperature"] == 2
    assert metrics["classifier"]["log_loss"] == pytest.approx(log_loss, abs=1e-6)
    assert metrics["classifier"]["ece"] == pytest.approx((4 * (0.75 - SCALED_CONFIDENCE) + 0.5) / 5, abs=1e-6)
    assert metrics["uncalibrated"] == {
        "log_loss": pytest.approx(LOG_LOSS, abs=1e-6),
        "ece": pytest.approx((4 * (CONFIDENCE - 0.75) + 0.5) / 5, abs=1e-6),
    }


def test_ensemble_is_scaled_and_its_members_are_not(make_models: Callable, baseline: LinearModel) -> None:
    metrics = run_evaluate(make_models, baseline, is_ensemble=True, temperature=2)

    baseline_proba = linear.predict_proba(baseline, [text for text, _ in TEST])
    ensemble = geometric_mean(NETWORK, baseline_proba, 0.5)
    np.testing.assert_allclose(read_predictions("classifier").y_proba, apply_temperature(ensemble, 2), atol=2e-6)
    np.testing.assert_allclose(read_predictions("network").y_proba, NETWORK, atol=2e-6)
    np.testing.assert_allclose(read_predictions("baseline").y_proba, baseline_proba, atol=2e-6)
    assert metrics["network"]["log_loss"] == pytest.approx(LOG_LOSS, abs=1e-6)
    log_loss = -np.log(ensemble[range(5), [0, 0, 1, 0, 0]]).mean()
    assert metrics["uncalibrated"]["log_loss"] == pytest.approx(log_loss, abs=1e-5)


# Files


def test_evaluation_has_a_folder_per_model_and_one_of_curves(make_models: Callable, baseline: LinearModel) -> None:
    run_evaluate(make_models, baseline, is_ensemble=True)

    reports = ["classification_report.json", "classification_report.txt", "predictions.csv"]
    assert sorted(path.relative_to("reports/evaluation").as_posix() for path in evaluate.OUT.glob("*/*")) == [
        *(f"baseline/{name}" for name in reports),
        *(f"classifier/{name}" for name in reports),
        *(f"curves/{name}.csv" for name in CURVES),
        *(f"network/{name}" for name in reports),
    ]


def test_network_alone_has_no_folder_of_its_own(evaluated: dict) -> None:
    assert sorted(path.name for path in evaluate.OUT.iterdir()) == ["baseline", "classifier", "curves"]


def test_curves_are_tables_of_all_models_and_labels(make_models: Callable, baseline: LinearModel) -> None:
    run_evaluate(make_models, baseline, is_ensemble=True, temperature=2)

    assert {name: list(read_curves(name)[0]) for name in CURVES} == {
        "agreement": ["label", "examples", "both", "only_network", "only_baseline", "neither"],
        "coverage": ["model", "coverage", "accuracy", "confidence"],
        "precision_recall": ["label", "recall", "precision"],
        "reliability": ["probabilities", "examples", "confidence", "accuracy"],
        "slices": ["by", "slice", "examples", "accuracy", "baseline_accuracy", "low", "high"],
    }
    assert {row["model"] for row in read_curves("coverage")} == {"classifier", "network", "baseline"}
    assert {row["label"] for row in read_curves("precision_recall")} == {"fruit", "pythön"}
    # At full coverage four of five predictions are correct.
    last = read_curves("coverage")[19]
    assert (last["model"], last["coverage"], last["accuracy"]) == ("classifier", "1.0", "0.8")


def test_reliability_is_before_and_after_scaling(make_models: Callable, baseline: LinearModel) -> None:
    run_evaluate(make_models, baseline, is_ensemble=False, temperature=2)

    bins = {
        (row["probabilities"], int(row["examples"])): (float(row["confidence"]), float(row["accuracy"]))
        for row in read_curves("reliability")
    }
    assert bins["before scaling", 4] == pytest.approx((CONFIDENCE, 0.75), abs=1e-6)
    assert bins["after scaling", 4] == pytest.approx((SCALED_CONFIDENCE, 0.75), abs=1e-6)
    assert bins["before scaling", 1] == bins["after scaling", 1] == pytest.approx((0.5, 1), abs=1e-6)
    assert sum(n_examples for probabilities, n_examples in bins if probabilities == "baseline") == 5


def test_every_example_has_its_prediction_in_order(evaluated: dict) -> None:
    for model in MODELS:
        predicted = read_predictions(model)
        assert predicted.ids == [f"test/{label}/{number}.txt" for number, (_, label) in enumerate(TEST)]
        assert predicted.labels == ["fruit", "pythön"]
        assert [predicted.labels[label] for label in predicted.y_true] == [label for _, label in TEST]
        assert predicted.y_pred.tolist() == [0 if fruit >= python else 1 for fruit, python in predicted.y_proba]
        assert predicted.y_proba.sum(axis=1).tolist() == pytest.approx([1] * 5, abs=2e-6)


def test_classification_report_is_text_and_json(evaluated: dict) -> None:
    reports = {}
    for model in MODELS:
        reports[model] = json.loads(Path(f"reports/evaluation/{model}/classification_report.json").read_text())
        text = Path(f"reports/evaluation/{model}/classification_report.txt").read_text()
        assert reports[model]["fruit"]["support"] == 4
        assert reports[model]["pythön"]["support"] == 1
        assert text.splitlines()[0] == f"{model}, 5 test examples of fruits"
    assert reports["classifier"] != reports["baseline"]
    text = Path("reports/evaluation/classifier/classification_report.txt").read_text()
    row = ["fruit", "1.0000", "0.7500", "0.8571", "4"]  # precision, recall, F1, support
    assert row in [line.split() for line in text.splitlines()]


def test_second_run_gives_the_same_bytes_and_removes_old_files(evaluated: dict) -> None:
    def read_files() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in Path("reports").rglob("*") if path.is_file()}

    first = read_files()
    Path("reports/evaluation/classifier/left-over.txt").write_text("of another run")

    evaluate.main()

    assert read_files() == first
