"""What `make repro` ends with. What it says of an experiment is tried in tests/test_pipeline.py."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.report.summary import describe_mcnemar

FIGURES = {"accuracy": 0.91234, "macro_f1": 0.9, "log_loss": 0.25}
MCNEMAR = {"only_classifier_right": 1010, "only_baseline_right": 2, "p": 1.2345e-200}


def write(sample: bool = False, **models: dict) -> None:
    Path("reports").mkdir()
    figures = {"posts": 1200, **models, "mcnemar": MCNEMAR}
    Path("reports/metrics.json").write_text(json.dumps(figures))
    Path("reports/split.json").write_text(json.dumps({"corpus": {"source": "some posts", "sample": sample}}))


@pytest.mark.parametrize("sample", [True, False])
def test_it_says_whose_figures_these_are(workspace: Path, run: Callable, sample: bool) -> None:
    write(sample, classifier=FIGURES, baseline=FIGURES | {"accuracy": 0.5}, network=FIGURES | {"accuracy": 0.25})

    done = run("pipeline.report.summary")

    assert (done.returncode, done.stderr) == (0, "")
    assert "1,200 test posts of some posts" in done.stdout
    assert ("trying out" in done.stdout) == sample
    rows = [line.rsplit(maxsplit=3) for line in done.stdout.splitlines() if line.endswith("0.2500")]
    assert rows == [
        ["  classifier", "0.9123", "0.9000", "0.2500"],
        ["    its network alone", "0.2500", "0.9000", "0.2500"],
        ["  baseline", "0.5000", "0.9000", "0.2500"],
    ]
    assert "The classifier beats the baseline: 1,010 posts only the classifier gets right, 2 only" in done.stdout
    assert "make ui" in done.stdout


def test_an_accuracy_has_its_interval_where_there_is_one(workspace: Path, run: Callable) -> None:
    intervals = {"classifier": {"accuracy": [0.89, 0.93456], "macro_f1": [0.5, 0.6]}}
    write(classifier=FIGURES, baseline=FIGURES, intervals=intervals)

    rows = [line.split() for line in run("pipeline.report.summary").stdout.splitlines() if line.endswith("0.2500")]

    assert rows == [
        ["classifier", "0.9123", "0.8900-0.9346", "0.9000", "0.2500"],
        ["baseline", "0.9123", "0.9000", "0.2500"],
    ]


def test_a_network_without_a_linear_model_has_no_row_of_its_own(workspace: Path, run: Callable) -> None:
    write(classifier=FIGURES, baseline=FIGURES)

    assert "alone" not in run("pipeline.report.summary").stdout


@pytest.mark.parametrize(
    ("ours", "theirs", "p", "said"),
    [
        (10, 2, 0.0386, "The classifier beats the baseline: 10 posts only the classifier gets right, 2 only"),
        (2, 10, 0.0386, "The baseline beats the classifier: 2 posts only the classifier gets right, 10 only"),
        (9, 3, 0.146, "Neither beats the other: 9 posts only the classifier gets right, 3 only the baseline"),
        (9, 3, 0.05, "Neither beats the other: "),
        (0, 0, 1.0, "Neither beats the other: 0 posts only the classifier gets right, 0 only the baseline"),
    ],
)
def test_the_verdict_is_a_sentence(ours: int, theirs: int, p: float, said: str) -> None:
    sentence = describe_mcnemar({"only_classifier_right": ours, "only_baseline_right": theirs, "p": p})

    assert sentence.startswith(said)
    assert sentence.endswith(f" (McNemar's p = {p:.2g}).")


def test_without_a_result_it_says_how_to_make_one(workspace: Path, run: Callable) -> None:
    done = run("pipeline.report.summary")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "error: reports/metrics.json is missing; `dvc repro` makes it, `dvc checkout` brings the last one back\n"
    )
