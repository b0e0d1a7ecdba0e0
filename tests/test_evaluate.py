"""The stage evaluate: each figure is one that can be worked out by hand from the posts and the models."""

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline import evaluate, linear, params
from pipeline.corpus import tables
from pipeline.nn.serving import mean

# The network takes "banana" for fruit and "dict" for pythön, each with e^2 to 1; it knows no other word.
TEST = [("banana", "fruit"), ("a banana", "fruit"), ("dict", "pythön"), ("dict", "fruit"), ("cake", "fruit")]
SURE = math.exp(2) / (1 + math.exp(2))
# What the linear model learns from: that a dict is fruit, too.
POSTS = ["banana tree", "banana dict", "cake tree", "car key", "car value", "car wheel"]


def evaluate_with(
    make_models: Callable, everything: params.Params, wide: bool
) -> tuple[dict, linear.Model, list[list[dict]]]:
    """`reports/metrics.json` after the stage, the linear model, and the classifier's and its predictions."""
    beside = linear.fit(POSTS, np.array([0, 0, 0, 1, 1, 1]), 2, everything.baseline)._replace(temperature=0.5)
    make_models(beside if wide else None)
    linear.save(beside, Path("models/baseline.safetensors"))
    Path("data/split").mkdir(parents=True)
    rows = (
        {"id": f"test/{label}/{number}.txt", "text": text, "label": label} for number, (text, label) in enumerate(TEST)
    )
    tables.write(evaluate.TEST, tables.SPLIT, rows)
    Path("reports").mkdir()
    corpus = {"source": "fruits", "sample": False, "digest": "0" * 64, "licence": "none"}
    Path("reports/split.json").write_text(json.dumps({"corpus": corpus}))
    evaluate.main()
    return json.loads(Path("reports/metrics.json").read_text()), beside, [*map(predictions, MODELS)]


MODELS = ("classifier", "baseline")


def predictions(model: str) -> list[dict]:
    with Path(f"reports/{model}/predictions.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def everything(set_params: Callable[..., params.Params]) -> params.Params:
    return set_params(baseline={"min_posts": 1, "character_min_posts": 1})


@pytest.fixture
def evaluated(make_models: Callable, everything: params.Params) -> None:
    """`reports/` after the stage; the classifier is its network alone."""
    evaluate_with(make_models, everything, wide=False)


def test_figures_of_a_network_alone_are_those_of_the_posts(make_models: Callable, everything: params.Params) -> None:
    figures, _, _ = evaluate_with(make_models, everything, wide=False)

    assert list(figures) == ["posts", "classifier", "baseline", "mcnemar"]
    assert figures["posts"] == 5
    # "cake" says nothing to it: both labels are as likely, and the first one is taken.
    assert figures["classifier"]["accuracy"] == 0.8
    # fruit: 3 of 3 predicted and 3 of 4 there, so 6/7; pythön: 1 of 2 predicted and 1 of 1 there, so 2/3
    assert figures["classifier"]["macro_f1"] == pytest.approx((6 / 7 + 2 / 3) / 2, abs=1e-6)
    loss = -(3 * math.log(SURE) + math.log(1 - SURE) + math.log(0.5)) / 5
    assert figures["classifier"]["log_loss"] == pytest.approx(loss, abs=1e-6)
    # The baseline takes every post for fruit, and so gets the other "dict" right.
    assert figures["baseline"]["accuracy"] == 0.8
    assert figures["mcnemar"] == {"only_classifier_right": 1, "only_baseline_right": 1, "p": 1.0}


def test_a_wide_classifier_has_its_figures_and_those_of_its_network(
    make_models: Callable, everything: params.Params
) -> None:
    figures, beside, (rows, _) = evaluate_with(make_models, everything, wide=True)

    assert list(figures) == ["posts", "classifier", "baseline", "network", "mcnemar"]
    loss = -(3 * math.log(SURE) + math.log(1 - SURE) + math.log(0.5)) / 5
    assert figures["network"]["log_loss"] == pytest.approx(loss, abs=1e-6)
    network = np.array([[SURE, 1 - SURE], [SURE, 1 - SURE], [1 - SURE, SURE], [1 - SURE, SURE], [0.5, 0.5]])
    expected = mean(network, linear.probabilities(beside, [text for text, _ in TEST]))
    given = [[float(row["probability_fruit"]), float(row["probability_pythön"])] for row in rows]
    np.testing.assert_allclose(given, expected, atol=2e-6)
    loss = -np.log(expected[range(5), [0, 0, 1, 0, 0]]).mean()
    assert figures["classifier"]["log_loss"] == pytest.approx(loss, abs=1e-5)
    assert figures["classifier"] != figures["network"]


def test_every_post_has_its_prediction_in_order(evaluated: None) -> None:
    for model in MODELS:
        rows = predictions(model)
        assert [row["id"] for row in rows] == [f"test/{label}/{number}.txt" for number, (_, label) in enumerate(TEST)]
        assert [row["actual"] for row in rows] == [label for _, label in TEST]
        for row in rows:
            sure = float(row["probability_fruit"]) >= float(row["probability_pythön"])
            assert row["predicted"] == ("fruit" if sure else "pythön")
            assert float(row["probability_fruit"]) + float(row["probability_pythön"]) == pytest.approx(1, abs=2e-6)


def test_the_classification_report_is_there_as_text_and_json(evaluated: None) -> None:
    for model in MODELS:
        as_json = json.loads(Path(f"reports/{model}/classification_report.json").read_text())
        text = Path(f"reports/{model}/classification_report.txt").read_text()
        assert as_json["fruit"]["support"] == 4
        assert as_json["pythön"]["support"] == 1
        assert text.splitlines()[0] == f"{model}, 5 test posts of fruits"
    assert as_json != json.loads(Path("reports/classifier/classification_report.json").read_text())
    text = Path("reports/classifier/classification_report.txt").read_text()
    row = ["fruit", "1.0000", "0.7500", "0.8571", "4"]  # precision, recall, F1, posts
    assert row in [line.split() for line in text.splitlines()]


def test_the_same_inputs_give_the_same_bytes_and_nothing_old_stays(evaluated: None) -> None:
    def files() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in Path("reports").rglob("*") if path.is_file()}

    first = files()
    Path("reports/classifier/left-over.txt").write_text("of another run")

    evaluate.main()

    assert files() == first
