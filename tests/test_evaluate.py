"""The stage evaluate: each figure is one that can be worked out by hand from the posts and the models."""

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import evaluate, linear, params
from pipeline.corpus import tables

# The network takes "banana" for fruit and "dict" for pythön, each with e^2 to 1; it knows no other word.
TEST = [("banana", "fruit"), ("a banana", "fruit"), ("dict", "pythön"), ("dict", "fruit")]
SURE = math.exp(2) / (1 + math.exp(2))


@pytest.fixture
def evaluated(models: None, set_params: Callable[..., params.Params]) -> None:
    """`reports/` after the stage, with a baseline that was fitted on its own few posts."""
    everything = set_params(baseline={"min_posts": 1})
    posts = ["banana tree", "banana cake", "dict key", "dict value"]
    linear.save(
        linear.fit(posts, ["fruit", "fruit", "pythön", "pythön"], everything.baseline),
        2.0,
        Path("models/baseline.parquet"),
    )
    Path("data/split").mkdir(parents=True)
    rows = (
        {"id": f"test/{label}/{number}.txt", "text": text, "label": label} for number, (text, label) in enumerate(TEST)
    )
    tables.write(evaluate.TEST, tables.SPLIT, rows)
    Path("reports").mkdir()
    corpus = {"source": "fruits", "sample": False, "digest": "0" * 64, "licence": "none"}
    Path("reports/split.json").write_text(json.dumps({"corpus": corpus}))
    evaluate.main()


def test_figures_are_those_of_the_posts(evaluated: None) -> None:
    figures = json.loads(Path("reports/metrics.json").read_text())

    assert list(figures) == ["posts", "gru", "baseline"]
    assert figures["posts"] == 4
    assert figures["gru"]["accuracy"] == figures["baseline"]["accuracy"] == 0.75
    # fruit: 2 of 2 predicted and 2 of 3 there, so 0.8; pythön: 1 of 2 predicted and 1 of 1 there, so 2/3
    assert figures["gru"]["macro_f1"] == pytest.approx((0.8 + 2 / 3) / 2, abs=1e-6)
    assert figures["gru"]["log_loss"] == pytest.approx(-(3 * math.log(SURE) + math.log(1 - SURE)) / 4, abs=1e-6)


def test_every_post_has_its_prediction_in_order(evaluated: None) -> None:
    for model in ("gru", "baseline"):
        with Path(f"reports/{model}/predictions.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert [row["id"] for row in rows] == [f"test/{label}/{number}.txt" for number, (_, label) in enumerate(TEST)]
        assert [row["actual"] for row in rows] == [label for _, label in TEST]
        assert [row["predicted"] for row in rows] == ["fruit", "fruit", "pythön", "pythön"]
        for row in rows:
            assert float(row["probability_fruit"]) + float(row["probability_pythön"]) == pytest.approx(1, abs=2e-6)


def test_the_classification_report_is_there_as_text_and_json(evaluated: None) -> None:
    for model in ("gru", "baseline"):
        as_json = json.loads(Path(f"reports/{model}/classification_report.json").read_text())
        text = Path(f"reports/{model}/classification_report.txt").read_text()
        assert as_json["fruit"]["recall"] == pytest.approx(2 / 3)
        assert as_json["pythön"]["support"] == 1
        assert "4 test posts of fruits" in text.splitlines()[0]
        assert "trying out" not in text
        assert "0.6667" in text


def test_the_same_inputs_give_the_same_bytes_and_nothing_old_stays(evaluated: None) -> None:
    def files() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in Path("reports").rglob("*") if path.is_file()}

    first = files()
    Path("reports/gru/left-over.txt").write_text("of another run")

    evaluate.main()

    assert files() == first
