"""The stage plot: the charts show what the tables of train and evaluate contain."""

import csv
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import plot
from pipeline.metrics import predictions
from tests.report.svg import legend, texts

ROOT = Path(__file__).parent.parent
LABELS = ["fruit", "<b>pythön</b>"]
# Of three examples of fruit the classifier is correct on two, the baseline on all; of the other label on one and none.
Y_TRUE = np.array([0, 0, 0, 1])
Y_PRED = {"classifier": [0, 0, 1, 1], "baseline": [0, 0, 0, 0]}
CHARTS = [
    "agreement", "confusion_matrix", "confusion_matrix_baseline", "coverage", "gradients", "history",
    "precision_recall", "reliability", "slices",
]  # fmt: skip


def write_table(path: str, rows: Sequence[Mapping[str, Any]]) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_reports(models: Sequence[str] = ("classifier", "network", "baseline")) -> None:
    """Write what the stage reads, as train and evaluate write it."""
    names = ["epoch", "loss", "accuracy", "log_loss", "val_loss", "val_accuracy", "val_log_loss"]
    epochs = [[1, 0.9, 0.5, 0.8, 0.9, 0.6, 0.7], [2, 0.6, 0.8, 0.5, 0.7, 0.7, 0.6]]
    write_table("reports/history.csv", [dict(zip(names, epoch, strict=True)) for epoch in epochs])
    write_table("reports/gradients.csv", [{"steps_back": n, "before": 0.1**n, "after": 0.5**n} for n in range(3)])
    for model, y_pred in Y_PRED.items():
        rows = predictions.to_rows(["1", "2", "3", "4"], Y_TRUE, np.eye(2)[y_pred] * 0.5 + 0.25, LABELS)
        write_table(f"reports/evaluation/{model}/predictions.csv", list(rows))
    curves = "reports/evaluation/curves"
    points: list[dict[str, Any]] = [{"recall": 1.0, "precision": 0.5}, {"recall": 0.0, "precision": 1.0}]
    write_table(f"{curves}/precision_recall.csv", [{"label": label} | point for label in LABELS for point in points])
    reliability: list[dict[str, Any]] = [
        {"examples": 3, "confidence": 0.75, "accuracy": 0.5},
        {"examples": 1, "confidence": 1, "accuracy": 1},
    ]
    names = ["before scaling", "after scaling", "baseline"]
    write_table(f"{curves}/reliability.csv", [{"probabilities": name} | row for name in names for row in reliability])
    coverage: list[dict[str, Any]] = [
        {"coverage": 0.5, "accuracy": 1.0, "confidence": 0.9},
        {"coverage": 1, "accuracy": 0.75, "confidence": 0.5},
    ]
    write_table(f"{curves}/coverage.csv", [{"model": model} | row for model in models for row in coverage])
    metrics = {
        "classifier": {"ece": 0.1234}, "baseline": {"ece": 0.2345}, "uncalibrated": {"ece": 0.3456},
        "per_class": [{"label": label, "average_precision": 0.875 - n / 2} for n, label in enumerate(LABELS)],
        "slices": [
            {"by": "code", "slice": "with code", "examples": 4, "accuracy": 0.75, "interval": [0.5, 0.9],
             "baseline_accuracy": 0.5},
        ],
        "agreement": [
            {"label": label, "examples": 40, "both": 13, "only_network": 12, "only_baseline": 11, "neither": 4}
            for label in LABELS
        ],
    }  # fmt: skip
    Path("reports/metrics.json").write_text(json.dumps(metrics))
    Path("reports/train.json").write_text(json.dumps({"best_epoch": 2}))
    Path("reports/split.json").write_text(json.dumps({"corpus": {"source": "some <corpus>"}}))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder after the stage; not to be changed."""
    folder = tmp_path_factory.mktemp("plot")
    shutil.copy(ROOT / "tests/params.yaml", folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_reports()
        plot.main()
    return folder


@pytest.fixture
def plots(folder: Path) -> Path:
    return folder / "reports/plots"


def test_stage_draws_every_chart(plots: Path) -> None:
    assert sorted(path.name for path in plots.iterdir()) == [f"{name}.svg" for name in CHARTS]


def test_confusion_matrices_count_the_predictions_of_their_model(plots: Path) -> None:
    axes = [*LABELS, "predicted label", *LABELS, "true label"]
    expected = {
        "confusion_matrix": ("classifier", ["2", "66.7%", "1", "33.3%", "0", "0.0%", "1", "100.0%"]),
        "confusion_matrix_baseline": ("baseline", ["3", "100.0%", "0", "0.0%", "1", "100.0%", "0", "0.0%"]),
    }
    for name, (model, cells) in expected.items():
        drawn = texts(plots / f"{name}.svg")
        assert sorted(drawn) == sorted([*axes, *cells, f"{model}, 4 test examples of some <corpus>"])
        assert [text for text in drawn if text in cells] == cells


def test_charts_show_the_metrics_that_belong_to_their_curves(plots: Path) -> None:
    assert set(legend(plots / "precision_recall.svg")) == {
        "label, average precision", "fruit, 0.875", "<b>pythön</b>, 0.375"
    }  # fmt: skip
    names = set(legend(plots / "reliability.svg"))
    assert {"before scaling: 0.3456", "after scaling: 0.1234", "baseline: 0.2345"} <= names
    assert legend(plots / "coverage.svg") == ["classifier", "network", "baseline"]
    assert "with code (4)" in texts(plots / "slices.svg")
    assert {"fruit (both: 13)", "<b>pythön</b> (both: 13)"} <= set(texts(plots / "agreement.svg"))
    assert legend(plots / "history.svg") == ["training (with dropout)", "validation", "best epoch"]
    assert legend(plots / "gradients.svg") == ["before training", "after training"]


def test_classifier_without_ensemble_has_two_curves_of_coverage(workspace: Path) -> None:
    write_reports(models=["classifier", "baseline"])

    plot.main()

    assert legend(Path("reports/plots/coverage.svg")) == ["classifier", "baseline"]


def test_second_run_gives_the_same_bytes_and_removes_old_charts(
    folder: Path, plots: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shutil.copytree(folder, tmp_path / "copy"))
    Path("reports/plots/left-over.svg").write_text("of another version")

    plot.main()

    first, again = ({path.name: path.read_bytes() for path in each.iterdir()} for each in (plots, plot.OUT))
    assert again == first


def test_missing_evaluation_is_a_one_line_error(workspace: Path, run: Callable) -> None:
    done = run("pipeline.plot")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "error: reports/metrics.json is missing; `dvc repro` makes it, `dvc checkout` restores the last one\n"
    )


def test_invalid_params_are_refused_before_anything_is_removed(workspace: Path, run: Callable) -> None:
    Path("params.yaml").write_text("fetch: 1\n")
    Path("reports/plots").mkdir(parents=True)

    done = run("pipeline.plot")

    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("error: params.yaml")
    assert Path("reports/plots").exists()
