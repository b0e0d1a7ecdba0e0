"""The stage evaluate: each figure is one that can be worked out by hand from the posts and the models."""

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline import evaluate, params
from pipeline.corpus import tables
from pipeline.model import linear
from pipeline.model.classifier import apply_temperature, geometric_mean

# The network takes "banana" for fruit and "dict" for pythön, each with e^2 to 1; it knows no other word.
TEST = [("banana", "fruit"), ("a banana", "fruit"), ("dict", "pythön"), ("dict", "fruit"), ("cake", "fruit")]
SURE = math.exp(2) / (1 + math.exp(2))
# What the linear model learns from: that a dict is fruit, too.
POSTS = ["banana tree", "banana dict", "cake tree", "car key", "car value", "car wheel"]


def evaluate_with(
    make_models: Callable, everything: params.Params, wide: bool, temperature: float = 1.0
) -> tuple[dict, linear.LinearModel, list[list[dict]]]:
    """`reports/metrics.json` after the stage, the linear model, and the classifier's and its predictions."""
    beside = linear.fit(POSTS, np.array([0, 0, 0, 1, 1, 1]), 2, everything.baseline)._replace(temperature=0.5)
    make_models(beside if wide else None, temperature)
    linear.save(beside, Path("models/baseline.safetensors"))
    Path("data/split").mkdir(parents=True)
    rows = (
        {"id": f"test/{label}/{number}.txt", "text": text, "label": label} for number, (text, label) in enumerate(TEST)
    )
    tables.write_table(evaluate.TEST, tables.SPLIT_SCHEMA, rows)
    Path("reports").mkdir()
    corpus = {"source": "fruits", "sample": False, "digest": "0" * 64, "licence": "none"}
    Path("reports/split.json").write_text(json.dumps({"corpus": corpus}))
    evaluate.main()
    return json.loads(Path("reports/metrics.json").read_text()), beside, [*map(predictions, MODELS)]


MODELS = ("classifier", "baseline")
KEYS = ["mcnemar", "before_scaling", "temperature", "intervals", "macro_f1_above_baseline"]
KEYS += ["labels", "slices", "agreement"]


def predictions(model: str) -> list[dict]:
    return table(f"{model}/predictions.csv")


def table(path: str) -> list[dict]:
    with Path("reports/evaluation", path).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def everything(set_params: Callable[..., params.Params]) -> params.Params:
    return set_params(baseline={"min_df": 1, "char_min_df": 1})


@pytest.fixture
def evaluated(make_models: Callable, everything: params.Params) -> None:
    """`reports/` after the stage; the classifier is its network alone."""
    evaluate_with(make_models, everything, wide=False)


def test_figures_of_a_network_alone_are_those_of_the_posts(make_models: Callable, everything: params.Params) -> None:
    figures, _, _ = evaluate_with(make_models, everything, wide=False)

    assert list(figures) == ["posts", "classifier", "baseline", *KEYS]
    assert figures["posts"] == 5
    # "cake" says nothing to it: both labels are as likely, and the first one is taken.
    assert figures["classifier"]["accuracy"] == 0.8
    # fruit: 3 of 3 predicted and 3 of 4 there, so 6/7; pythön: 1 of 2 predicted and 1 of 1 there, so 2/3
    assert figures["classifier"]["macro_f1"] == pytest.approx((6 / 7 + 2 / 3) / 2, abs=1e-6)
    loss = -(3 * math.log(SURE) + math.log(1 - SURE) + math.log(0.5)) / 5
    assert figures["classifier"]["log_loss"] == pytest.approx(loss, abs=1e-6)
    # Of four it is as sure as this and gets three right; of one it is half sure, and right.
    assert figures["classifier"]["ece"] == pytest.approx((4 * (SURE - 3 / 4) + 1 / 2) / 5, abs=1e-6)
    # At a temperature of 1 nothing is scaled.
    assert figures["temperature"] == 1
    assert figures["before_scaling"] == {name: figures["classifier"][name] for name in ("log_loss", "ece")}
    # The baseline takes every post for fruit, and so gets the other "dict" right.
    assert figures["baseline"]["accuracy"] == 0.8
    assert figures["mcnemar"] == {"only_classifier_right": 1, "only_baseline_right": 1, "p": 1.0}


def test_a_wide_classifier_has_its_figures_and_those_of_its_network(
    make_models: Callable, everything: params.Params
) -> None:
    figures, beside, (rows, _) = evaluate_with(make_models, everything, wide=True)

    assert list(figures) == ["posts", "classifier", "network", "baseline", *KEYS]
    loss = -(3 * math.log(SURE) + math.log(1 - SURE) + math.log(0.5)) / 5
    assert figures["network"]["log_loss"] == pytest.approx(loss, abs=1e-6)
    network = np.array([[SURE, 1 - SURE], [SURE, 1 - SURE], [1 - SURE, SURE], [1 - SURE, SURE], [0.5, 0.5]])
    expected = geometric_mean(network, linear.predict_proba(beside, [text for text, _ in TEST]))
    given = [[float(row["probability_fruit"]), float(row["probability_pythön"])] for row in rows]
    np.testing.assert_allclose(given, expected, atol=2e-6)
    loss = -np.log(expected[range(5), [0, 0, 1, 0, 0]]).mean()
    assert figures["classifier"]["log_loss"] == pytest.approx(loss, abs=1e-5)
    assert figures["classifier"] != figures["network"]


def test_each_label_each_slice_and_who_gets_what_right_is_told(
    make_models: Callable, everything: params.Params
) -> None:
    figures, _, _ = evaluate_with(make_models, everything, wide=False)

    # Fruit's posts have the probabilities 0.88, 0.88, 0.5 and 0.12, and pythön's one has 0.12, too: by recall, half at
    # precision 1, a quarter at 1, and a quarter at 4 / 5.
    fruit = {"precision": 1, "recall": 3 / 4, "f1": 6 / 7, "average_precision": 0.95, "posts": 4}
    # Of both that it takes for pythön, one is.
    python = {"precision": 1 / 2, "recall": 1, "f1": 2 / 3, "average_precision": 1 / 2, "posts": 1}
    for row, name, expected in zip(figures["labels"], ["fruit", "pythön"], [fruit, python], strict=True):
        assert row == {"label": name} | {key: pytest.approx(value, abs=1e-6) for key, value in expected.items()}
    # Wilson's interval of 4 of 5.
    z = 1.959964
    middle, half = (0.8 + z**2 / 10) / (1 + z**2 / 5), z * math.sqrt(0.8 * 0.2 / 5 + z**2 / 100) / (1 + z**2 / 5)
    interval = pytest.approx([middle - half, middle + half], abs=1e-6)
    same = {"posts": 5, "accuracy": 0.8, "interval": interval, "baseline_accuracy": 0.8}
    slices = {"words and marks": "up to 50", "code": "without code", "read by the network": "all of it"}
    assert figures["slices"] == [{"by": by, "slice": name} | same for by, name in slices.items()]
    assert figures["agreement"] == [
        {"label": "fruit", "posts": 4, "both": 3, "only_network": 0, "only_baseline": 1, "neither": 0},
        {"label": "pythön", "posts": 1, "both": 0, "only_network": 1, "only_baseline": 0, "neither": 0},
    ]


def test_what_luck_of_the_posts_leaves_of_a_figure_is_told(make_models: Callable, everything: params.Params) -> None:
    figures, _, _ = evaluate_with(make_models, everything, wide=False)

    # Of five draws that are right by 4 / 5, one or none is in 7 of 1,000, two or fewer in 58, and all five in 328.
    for model in MODELS:
        assert figures["intervals"][model]["accuracy"] == [0.4, 1.0]
        low, high = figures["intervals"][model]["macro_f1"]
        assert 0 < low < figures[model]["macro_f1"] < high <= 1
    low, high = figures["macro_f1_above_baseline"]
    # The baseline has an F1 of 8 / 9 for fruit, and none for pythön.
    assert low < (6 / 7 + 2 / 3) / 2 - (8 / 9) / 2 < high
    assert low < 0  # where the post of pythön is not drawn, the baseline is ahead


# At a temperature of 2: e to 1, where it was e^2 to 1.
LESS_SURE = math.e / (1 + math.e)


def test_a_temperature_makes_the_classifier_less_sure_and_changes_no_answer(
    make_models: Callable, everything: params.Params
) -> None:
    figures, _, (rows, _) = evaluate_with(make_models, everything, wide=False, temperature=2)

    assert [row["y_pred"] for row in rows] == ["fruit", "fruit", "pythön", "pythön", "fruit"]
    sure = [float(row["probability_fruit"]) for row in rows]
    assert sure == pytest.approx([LESS_SURE, LESS_SURE, 1 - LESS_SURE, 1 - LESS_SURE, 0.5], abs=1e-6)
    loss, before = (-(3 * math.log(p) + math.log(1 - p) + math.log(0.5)) / 5 for p in (LESS_SURE, SURE))
    assert figures["temperature"] == 2
    assert figures["classifier"]["log_loss"] == pytest.approx(loss, abs=1e-6)
    assert figures["classifier"]["ece"] == pytest.approx((4 * (0.75 - LESS_SURE) + 0.5) / 5, abs=1e-6)
    assert figures["before_scaling"] == {
        "log_loss": pytest.approx(before, abs=1e-6),
        "ece": pytest.approx((4 * (SURE - 0.75) + 0.5) / 5, abs=1e-6),
    }


def test_the_mean_of_both_is_scaled_and_neither_of_them(make_models: Callable, everything: params.Params) -> None:
    figures, beside, (rows, baseline) = evaluate_with(make_models, everything, wide=True, temperature=2)

    texts = [text for text, _ in TEST]
    network = np.array([[SURE, 1 - SURE], [SURE, 1 - SURE], [1 - SURE, SURE], [1 - SURE, SURE], [0.5, 0.5]])
    by_linear = linear.predict_proba(beside, texts)
    given = [float(row["probability_fruit"]) for row in rows]
    np.testing.assert_allclose(given, apply_temperature(geometric_mean(network, by_linear), 2)[:, 0], atol=2e-6)
    np.testing.assert_allclose([float(row["probability_fruit"]) for row in baseline], by_linear[:, 0], atol=2e-6)
    loss = -(3 * math.log(SURE) + math.log(1 - SURE) + math.log(0.5)) / 5
    assert figures["network"]["log_loss"] == pytest.approx(loss, abs=1e-6)
    loss = -np.log(geometric_mean(network, by_linear)[range(5), [0, 0, 1, 0, 0]]).mean()
    assert figures["before_scaling"]["log_loss"] == pytest.approx(loss, abs=1e-5)


def test_the_curves_are_there_as_tables_and_as_pictures(make_models: Callable, everything: params.Params) -> None:
    evaluate_with(make_models, everything, wide=True, temperature=2)

    plots = Path("reports/evaluation/plots")
    names = ["agreement", "coverage", "precision_recall", "reliability", "slices"]
    assert sorted(path.name for path in plots.iterdir()) == [
        f"{name}.{kind}" for name in names for kind in ("csv", "svg")
    ]
    assert all("<svg" in path.read_text() for path in plots.glob("*.svg"))
    assert {name: list(table(f"plots/{name}.csv")[0]) for name in names} == {
        "agreement": ["label", "posts", "both", "only_network", "only_baseline", "neither"],
        "coverage": ["model", "coverage", "accuracy", "confidence"],
        "precision_recall": ["label", "recall", "precision"],
        "reliability": ["answer", "posts", "confidence", "accuracy"],
        "slices": ["by", "slice", "posts", "accuracy", "baseline_accuracy", "low", "high"],
    }
    assert {row["model"] for row in table("plots/coverage.csv")} == {"classifier", "network", "baseline"}
    assert {row["label"] for row in table("plots/precision_recall.csv")} == {"fruit", "pythön"}
    # Answered are all five posts, of which four are right.
    last = table("plots/coverage.csv")[19]
    assert (last["model"], last["coverage"], last["accuracy"]) == ("classifier", "1.0", "0.8")


def test_reliability_is_that_of_before_and_after_scaling(make_models: Callable, everything: params.Params) -> None:
    evaluate_with(make_models, everything, wide=False, temperature=2)

    rows = table("plots/reliability.csv")
    told = {(row["answer"], int(row["posts"])): (float(row["confidence"]), float(row["accuracy"])) for row in rows}
    assert told["before scaling", 4] == pytest.approx((SURE, 0.75), abs=1e-6)
    assert told["after scaling", 4] == pytest.approx((LESS_SURE, 0.75), abs=1e-6)
    assert told["before scaling", 1] == told["after scaling", 1] == pytest.approx((0.5, 1), abs=1e-6)
    assert sum(posts for answer, posts in told if answer == "baseline") == 5


def test_every_post_has_its_prediction_in_order(evaluated: None) -> None:
    # The network alone is the classifier.
    assert sorted(path.name for path in Path("reports/evaluation").iterdir()) == ["baseline", "classifier", "plots"]
    for model in MODELS:
        rows = predictions(model)
        assert [row["id"] for row in rows] == [f"test/{label}/{number}.txt" for number, (_, label) in enumerate(TEST)]
        assert [row["y_true"] for row in rows] == [label for _, label in TEST]
        for row in rows:
            sure = float(row["probability_fruit"]) >= float(row["probability_pythön"])
            assert row["y_pred"] == ("fruit" if sure else "pythön")
            assert float(row["probability_fruit"]) + float(row["probability_pythön"]) == pytest.approx(1, abs=2e-6)


def test_the_classification_report_is_there_as_text_and_json(evaluated: None) -> None:
    for model in MODELS:
        as_json = json.loads(Path(f"reports/evaluation/{model}/classification_report.json").read_text())
        text = Path(f"reports/evaluation/{model}/classification_report.txt").read_text()
        assert as_json["fruit"]["support"] == 4
        assert as_json["pythön"]["support"] == 1
        assert text.splitlines()[0] == f"{model}, 5 test posts of fruits"
    assert as_json != json.loads(Path("reports/evaluation/classifier/classification_report.json").read_text())
    text = Path("reports/evaluation/classifier/classification_report.txt").read_text()
    assert "<svg" in Path("reports/evaluation/classifier/confusion_matrix.svg").read_text()
    row = ["fruit", "1.0000", "0.7500", "0.8571", "4"]  # precision, recall, F1, posts
    assert row in [line.split() for line in text.splitlines()]


def test_the_same_inputs_give_the_same_bytes_and_nothing_old_stays(evaluated: None) -> None:
    def files() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in Path("reports").rglob("*") if path.is_file()}

    first = files()
    Path("reports/evaluation/classifier/left-over.txt").write_text("of another run")

    evaluate.main()

    assert files() == first
