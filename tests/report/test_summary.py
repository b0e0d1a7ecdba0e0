"""The summary with which `make repro` ends. The one of an experiment is tested in tests/test_pipeline.py."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.report.summary import describe_mcnemar, describe_weights
from tests.repository import commit
from tests.repository import run as run_in

METRICS = {"accuracy": 0.91234, "macro_f1": 0.9, "log_loss": 0.25}
INTERVALS = {"accuracy": [0.89, 0.93456], "macro_f1": [0.5, 0.6]}
MCNEMAR = {"only_classifier_correct": 1010, "only_baseline_correct": 2, "p_value": 1.2345e-200}


def write_reports(is_sample: bool = False, **models: dict) -> None:
    Path("reports").mkdir()
    metrics = {
        "examples": 1200, **models, "confidence_intervals": dict.fromkeys(models, INTERVALS), "mcnemar": MCNEMAR
    }  # fmt: skip
    Path("reports/metrics.json").write_text(json.dumps(metrics))
    Path("reports/split.json").write_text(json.dumps({"corpus": {"source": "some corpus", "sample": is_sample}}))


def metric_rows(output: str) -> list[list[str]]:
    """The rows of the table: the name, its indentation included, then the metrics."""
    return [line.rsplit(maxsplit=4) for line in output.splitlines() if line.endswith("0.2500")]


@pytest.mark.parametrize("is_sample", [True, False])
def test_summary_has_corpus_metrics_and_verdict(workspace: Path, run: Callable, is_sample: bool) -> None:
    write_reports(
        is_sample, classifier=METRICS, baseline=METRICS | {"accuracy": 0.5}, network=METRICS | {"accuracy": 0.25}
    )

    done = run("pipeline.report.summary")

    assert (done.returncode, done.stderr) == (0, "")
    assert "1,200 test examples of some corpus" in done.stdout
    assert ("say nothing about real texts" in done.stdout) == is_sample
    assert metric_rows(done.stdout) == [
        ["  classifier", "0.9123", "0.8900-0.9346", "0.9000", "0.2500"],
        ["    network alone", "0.2500", "0.8900-0.9346", "0.9000", "0.2500"],
        ["  baseline", "0.5000", "0.8900-0.9346", "0.9000", "0.2500"],
    ]
    assert "The classifier is significantly better than the baseline: 1,010 examples only the" in done.stdout
    for place in ("reports/report.html", "models/", "make ui"):
        assert place in done.stdout


def test_summary_without_ensemble_has_no_row_of_the_network(workspace: Path, run: Callable) -> None:
    write_reports(classifier=METRICS, baseline=METRICS)

    output = run("pipeline.report.summary").stdout

    assert [row[0] for row in metric_rows(output)] == ["  classifier", "  baseline"]
    assert "alone" not in output


@pytest.mark.parametrize(
    ("only_classifier", "only_baseline", "p_value", "beginning"),
    [
        (10, 2, 0.0386, "The classifier is significantly better than the baseline: 10 examples only the classifier"),
        (2, 10, 0.0386, "The baseline is significantly better than the classifier: 2 examples only the classifier"),
        (9, 3, 0.146, "No significant difference between classifier and baseline: 9 examples only the classifier"),
        (9, 3, 0.05, "No significant difference between classifier and baseline: "),
        (0, 0, 1.0, "No significant difference between classifier and baseline: 0 examples only the classifier"),
    ],
)
def test_verdict_is_by_the_significance_at_0_05(
    only_classifier: int, only_baseline: int, p_value: float, beginning: str
) -> None:
    sentence = describe_mcnemar(
        {"only_classifier_correct": only_classifier, "only_baseline_correct": only_baseline, "p_value": p_value}
    )

    assert sentence.startswith(beginning)
    assert sentence.endswith(f"{only_baseline} only the baseline (McNemar's test, p = {p_value:.2g}).")


def test_p_value_too_small_for_a_float_is_named_as_a_bound() -> None:
    sentence = describe_mcnemar({"only_classifier_correct": 4000, "only_baseline_correct": 0, "p_value": 0.0})

    assert sentence.startswith("The classifier is significantly better than the baseline: 4,000 examples only the")
    assert sentence.endswith("(McNemar's test, p < 1e-300).")


def test_summary_without_a_result_says_how_to_make_one(workspace: Path, run: Callable) -> None:
    done = run("pipeline.report.summary")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "error: reports/metrics.json is missing; `dvc repro` makes it, `dvc checkout` restores the last one\n"
    )


# What git has


HINT = 'To record this result: git add dvc.lock reports && git commit -m "Result"\n'


def test_summary_ends_with_the_command_that_commits_the_result_until_it_is_committed(
    workspace: Path, run: Callable
) -> None:
    write_reports(classifier=METRICS, baseline=METRICS)
    Path("dvc.lock").write_text("stages: {}\n")
    run_in(workspace, "git", "init", "--quiet")

    untracked = run("pipeline.report.summary").stdout
    commit(workspace, "result")
    committed = run("pipeline.report.summary").stdout
    Path("dvc.lock").write_text("stages: {fetch: {}}\n")
    changed = run("pipeline.report.summary").stdout

    assert untracked.endswith(HINT)
    assert HINT not in committed
    assert changed.endswith(HINT)


def test_summary_outside_of_a_git_repository_or_without_git_has_no_command(workspace: Path, run: Callable) -> None:
    write_reports(classifier=METRICS, baseline=METRICS)

    for env in ({"GIT_CEILING_DIRECTORIES": str(workspace.parent)}, {"PATH": ""}):
        done = run("pipeline.report.summary", env=env)

        assert (done.returncode, done.stderr) == (0, "")
        assert "git" not in done.stdout


def test_summary_imports_neither_mlflow_nor_dvc_nor_numpy() -> None:
    """Each takes a quarter of a second or more to import, and `make repro` waits for it."""
    code = "import pipeline.report.summary, sys; "
    code += "print([name for name in ('mlflow', 'dvc', 'numpy', 'tensorflow') if name in sys.modules])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


def test_help_names_the_experiment_and_usage_errors_are_one_line(workspace: Path, run: Callable) -> None:
    help_text, usage = run("pipeline.report.summary", "--help"), run("pipeline.report.summary", "one", "two")

    assert help_text.returncode == 0
    assert "EXPERIMENT" in help_text.stdout
    assert usage.returncode == 2
    assert usage.stderr.startswith("error: ")
    assert usage.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("weight", "sentence"),
    [
        (0.0, "The network has the weight 0, so the classifier is the baseline. "),
        (1.0, "The baseline has the weight 0, so the classifier is the network. "),
        (0.614, "The weight of the network in the classifier is 0.61, that of the baseline 0.39. "),
    ],
)
def test_weights_of_an_ensemble_are_said_in_a_sentence(weight: float, sentence: str) -> None:
    assert describe_weights({"network_weight": weight, "network": {}}) == sentence


def test_classifier_without_an_ensemble_has_no_weights() -> None:
    assert describe_weights({"network_weight": 1.0}) == ""
