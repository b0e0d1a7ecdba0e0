"""Charts: the same values give the same bytes, and the text of a chart is text."""

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest

from pipeline.report import charts
from tests.report.svg import assert_has_no_date_image_or_external_link, draw, elements, legend, tags, texts

EPOCHS = [
    {"epoch": 1, "log_loss": 0.9, "val_log_loss": 0.8, "accuracy": 0.5, "val_accuracy": 0.6},
    {"epoch": 2, "log_loss": 0.5, "val_log_loss": 0.7, "accuracy": 0.8, "val_accuracy": 0.7},
    {"epoch": 3, "log_loss": 0.2, "val_log_loss": 0.9, "accuracy": 0.9, "val_accuracy": 0.6},
]
GRADIENTS = {"before training": [1.0, 0.1, 0.01], "after training": [2.0, 1.5, 0.0]}  # 0 has no logarithm
MATRIX = np.array([[8, 2], [0, 0]])  # no example of the second label: its shares must not divide by zero
CURVE = [{"recall": 1.0, "precision": 0.5}, {"recall": 0.5, "precision": 0.75}, {"recall": 0.0, "precision": 1.0}]
STEEP_CURVE = [{"recall": 1.0, "precision": 0.25}, {"recall": 0.0, "precision": 1.0}]
BINS = [
    {"examples": 10, "confidence": 0.6, "accuracy": 0.5},
    {"examples": 12345, "confidence": 0.97, "accuracy": 0.9},
]
ECE = {"before scaling": 0.0876, "after scaling": 0.0123, "baseline": 0.25}
COVERAGE = [
    {"coverage": 0.5, "accuracy": 1.0, "confidence": 0.9},
    {"coverage": 1.0, "accuracy": 0.75, "confidence": 0.4},
]
SLICES: list[dict[str, Any]] = [
    {"by": by, "slice": name, "examples": n, "accuracy": accuracy, "interval": interval, "baseline_accuracy": 0.5}
    for by, name, n, accuracy, interval in [
        ("length", "short", 1234, 0.75, [0.7, 0.8]),
        ("length", "long", 1, 1.0, [0.206549, 1.0]),
        ("code", "with code", 30, 0.0, [0.0, 0.113513]),
    ]
]
AGREEMENT: list[dict[str, Any]] = [
    {"label": "fruit", "examples": 5041, "both": 5000, "only_network": 23, "only_baseline": 17, "neither": 1},
    {"label": "pythön", "examples": 0, "both": 0, "only_network": 0, "only_baseline": 0, "neither": 0},
]
HOSTILE_LABELS = [
    "$x_1$ for $",
    "a < b & c > d",
    "</text><script>alert(1)</script>",
    "&amp; \"quoted\" 'too'",
    "Größe ñ Ёж",
    "_a name that matplotlib's legends omit",
    "中文",
]


def plot_precision_recall(curves: Mapping[str, Sequence[Mapping[str, float]]], path: Path) -> None:
    charts.plot_precision_recall(curves, {label: 1 - number / 1000 for number, label in enumerate(curves)}, path)


def plot_reliability(bins: Sequence[Mapping[str, float]], path: Path) -> None:
    charts.plot_reliability(dict.fromkeys(ECE, bins), ECE, path)


def plot_agreement(labels: Sequence[str], path: Path) -> None:
    counts = {"examples": 9, "both": 5, "only_network": 2, "only_baseline": 1, "neither": 1}
    charts.plot_agreement([{"label": label} | counts for label in labels], path)


# Each chart, another one of its kind, and its title and the labels of its axes.
CHARTS: dict[str, tuple[Callable[[Path], None], Callable[[Path], None], set[str]]] = {
    "history": (
        partial(charts.plot_history, EPOCHS, 2),
        partial(charts.plot_history, EPOCHS, 3),
        {"Log loss by epoch", "Accuracy by epoch", "epoch", "log loss (nats)", "accuracy"},
    ),
    "gradients": (
        partial(charts.plot_gradients, GRADIENTS, "Gradient <of> $a$ & $b$"),
        partial(charts.plot_gradients, GRADIENTS | {"after training": [2.0, 1.5, 1.0]}, "Gradient <of> $a$ & $b$"),
        {"Gradient <of> $a$ & $b$", "steps back from the last token", "gradient norm"},
    ),
    "confusion_matrix": (
        partial(charts.plot_confusion_matrix, MATRIX, ["a", "ü"], "a title"),
        partial(charts.plot_confusion_matrix, MATRIX.T, ["a", "ü"], "a title"),
        {"a title", "predicted label", "true label", "a", "ü"},
    ),
    "precision_recall": (
        partial(plot_precision_recall, {"fruit": CURVE, "pythön": STEEP_CURVE}),
        partial(plot_precision_recall, {"fruit": CURVE, "pythön": CURVE}),
        {"Precision and recall per class", "precision", "recall", "label, average precision"},
    ),
    "reliability": (
        partial(plot_reliability, BINS),
        partial(plot_reliability, BINS[1:]),
        {"Reliability diagram", "accuracy", "examples", "expected calibration error",
         "confidence (probability of the predicted label)"},
    ),
    "coverage": (
        partial(charts.plot_coverage, {"classifier": COVERAGE, "baseline": COVERAGE}),
        partial(charts.plot_coverage, {"classifier": COVERAGE, "baseline": COVERAGE[1:]}),
        {"Accuracy by coverage", "accuracy", "coverage (share of examples, most confident first)"},
    ),
    "slices": (
        partial(charts.plot_slices, SLICES),
        partial(charts.plot_slices, SLICES[:2]),
        {"Accuracy by slice (number of examples)", "accuracy"},
    ),
    "agreement": (
        partial(charts.plot_agreement, AGREEMENT),
        partial(charts.plot_agreement, AGREEMENT[:1]),
        {"Examples that not both models classify correctly", "test examples"},
    ),
}  # fmt: skip
# The charts that contain labels.
WITH_LABELS: dict[str, Callable[[Sequence[str], Path], None]] = {
    "confusion_matrix": lambda labels, path: charts.plot_confusion_matrix(
        np.eye(len(labels), dtype=int), labels, labels[0], path
    ),
    "precision_recall": lambda labels, path: plot_precision_recall(dict.fromkeys(labels, CURVE), path),
    "agreement": plot_agreement,
}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all charts; not to be changed."""
    return draw(tmp_path_factory.mktemp("charts"), {name: (first, other) for name, (first, other, _) in CHARTS.items()})


# All charts


@pytest.mark.parametrize("name", CHARTS)
def test_same_values_give_the_same_bytes_and_others_give_others(name: str, drawn: Path) -> None:
    first, other, again = ((drawn / folder / f"{name}.svg").read_bytes() for folder in ("", "other", "again"))

    assert again == first != other


@pytest.mark.parametrize("name", CHARTS)
def test_title_and_axes_are_text_and_there_is_no_date_image_or_external_link(name: str, drawn: Path) -> None:
    assert CHARTS[name][2] <= set(texts(drawn / f"{name}.svg"))
    assert_has_no_date_image_or_external_link(drawn / f"{name}.svg")


@pytest.mark.parametrize("name", CHARTS)
def test_background_can_be_removed(name: str, drawn: Path) -> None:
    paths, background = (elements(drawn / f"{name}.svg", "path", group) for group in (None, "background"))

    (page,) = (path.get("d") for path in background)
    assert "fill: #ffffff" in background[0].get("style", "")
    # Nothing else of that size is white: a diamond of the baseline and a cell of a matrix may be.
    white = [path.get("d") for path in paths if "fill: #ffffff" in path.get("style", "")]
    assert white.count(page) == 1
    if name in ("history", "gradients"):
        assert white == [page]


@pytest.mark.parametrize("name", WITH_LABELS)
def test_labels_are_text_whatever_they_contain(name: str, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        WITH_LABELS[name](HOSTILE_LABELS, tmp_path / "hostile.svg")
    WITH_LABELS[name](["a", "b", "c", "d", "e", "f"], tmp_path / "plain.svg")

    drawn_texts = texts(tmp_path / "hostile.svg")
    assert all(any(text.startswith(label) for text in drawn_texts) for label in HOSTILE_LABELS)
    assert tags(tmp_path / "hostile.svg") <= tags(tmp_path / "plain.svg")


@pytest.mark.parametrize("name", WITH_LABELS)
def test_long_labels_are_shortened(name: str, tmp_path: Path) -> None:
    WITH_LABELS[name](["a name that goes on " + "and on " * 40, "b"], tmp_path / "long.svg")

    assert any(text.startswith("a name that goes on and on and on and o…") for text in texts(tmp_path / "long.svg"))


def test_path_that_ends_in_png_gives_the_same_image_again(tmp_path: Path) -> None:
    for number in range(2):
        charts.plot_gradients(GRADIENTS, "title", tmp_path / f"new/folder/{number}.png")

    first, again = ((tmp_path / f"new/folder/{number}.png").read_bytes() for number in range(2))
    assert again == first
    image = matplotlib.image.imread(tmp_path / "new/folder/0.png")
    assert min(image.shape[:2]) > 300
    assert len(np.unique(image[::7, ::7].reshape(-1, image.shape[2]), axis=0)) > 3


# History and gradients


def test_history_has_its_curves_in_the_legend(drawn: Path) -> None:
    assert texts(drawn / "history.svg").count("epoch") == 2
    assert legend(drawn / "history.svg") == ["training (with dropout)", "validation", "best epoch"]


def test_epochs_are_whole_numbers(drawn: Path) -> None:
    *ticks, label = texts(drawn / "history.svg", "matplotlib.axis_1")

    assert label == "epoch"
    assert {"1", "2", "3"} <= set(ticks)
    assert all(tick.isdigit() for tick in ticks)


def test_history_of_one_epoch_has_one_tick(tmp_path: Path) -> None:
    charts.plot_history(EPOCHS[:1], 1, tmp_path / "history.svg")

    assert texts(tmp_path / "history.svg", "matplotlib.axis_1") == ["1", "epoch"]


def test_gradients_have_the_names_of_their_curves_in_the_legend(tmp_path: Path) -> None:
    names = ["a <b>, before", "a <b>, after", "$c$ & d, before", "$c$ & d, after"]

    charts.plot_gradients({name: [1.0, 0.1] for name in names}, "Gradient <of> $a$ & $b$", tmp_path / "gradients.svg")

    assert "Gradient <of> $a$ & $b$" in texts(tmp_path / "gradients.svg")
    assert legend(tmp_path / "gradients.svg") == names


# Confusion matrix


def fills(path: Path) -> list[str]:
    """The colours of a matrix, row by row."""
    cells = elements(path, "path", "PolyCollection")
    return [re.findall(r"fill: (#\w+)", cell.get("style", ""))[0] for cell in cells]


def test_matrix_of_two_hundred_labels_draws_only_cells_that_are_not_empty(tmp_path: Path) -> None:
    labels = [f"label {number}" for number in range(200)]

    charts.plot_confusion_matrix(3 * np.eye(200, dtype=int), labels, "title", tmp_path / "matrix.svg")

    assert set(labels) <= set(texts(tmp_path / "matrix.svg"))
    assert len(fills(tmp_path / "matrix.svg")) == 200
    assert (tmp_path / "matrix.svg").stat().st_size < 1_000_000


def test_matrix_has_counts_and_shares_of_the_true_label_also_without_examples(tmp_path: Path) -> None:
    charts.plot_confusion_matrix(np.array([[1998, 2], [0, 0]]), ["a", "b"], "title", tmp_path / "matrix.svg")

    others = ("a", "b", "title", "true label", "predicted label")
    cells = [text for text in texts(tmp_path / "matrix.svg") if text not in others]
    assert cells == ["1,998", "99.9%", "2", "0.1%", "0", "0.0%", "0", "0.0%"]


def test_matrix_has_predicted_labels_from_left_to_right_and_true_labels_from_top_to_bottom(drawn: Path) -> None:
    x_axis, y_axis = (elements(drawn / "confusion_matrix.svg", "text", f"matplotlib.axis_{n}") for n in (1, 2))

    assert [text.text for text in (*x_axis, *y_axis)] == ["a", "ü", "predicted label", "a", "ü", "true label"]
    assert float(x_axis[0].get("x", "")) < float(x_axis[1].get("x", ""))
    assert float(y_axis[0].get("y", "")) < float(y_axis[1].get("y", ""))


def test_cell_is_the_darker_the_larger_its_share_of_the_true_label(tmp_path: Path) -> None:
    charts.plot_confusion_matrix(
        np.array([[90, 10, 0], [1, 1, 0], [0, 0, 7]]), ["a", "b", "c"], "title", tmp_path / "matrix.svg"
    )

    lightness = [sum(bytes.fromhex(color[1:])) for color in fills(tmp_path / "matrix.svg")]
    # The shares are 0.9, 0.1, 0, then 0.5, 0.5, 0, then 0, 0, 1.
    assert lightness[8] < lightness[0] < lightness[3] == lightness[4] < lightness[1] < lightness[2]
    assert lightness[2] == lightness[5] == lightness[6] == lightness[7]


@pytest.mark.parametrize(("n_labels", "has_counts"), [(20, True), (21, False)])
def test_matrix_of_many_labels_has_no_counts(n_labels: int, has_counts: bool, tmp_path: Path) -> None:
    charts.plot_confusion_matrix(
        7 * np.eye(n_labels, dtype=int), [f"<{n}>" for n in range(n_labels)], "title", tmp_path / "matrix.svg"
    )

    drawn_texts = texts(tmp_path / "matrix.svg")
    assert drawn_texts.count("7") == drawn_texts.count("100.0%") == (n_labels if has_counts else 0)
    assert all(drawn_texts.count(f"<{n}>") == 2 for n in range(n_labels))


# Curves of the evaluation


def test_precision_recall_curves_have_their_average_precision_in_the_legend(tmp_path: Path) -> None:
    charts.plot_precision_recall(
        {"a": CURVE, "b": STEEP_CURVE}, {"a": 0.75, "b": 0.6254, "c": 0.0}, tmp_path / "curves.svg"
    )

    assert sorted(legend(tmp_path / "curves.svg")) == ["a, 0.750", "b, 0.625", "label, average precision"]


def test_legend_of_many_precision_recall_curves_names_those_with_the_lowest_average_precision(tmp_path: Path) -> None:
    labels = [f"label {number}" for number in range(60)]

    plot_precision_recall(dict.fromkeys(labels, CURVE), tmp_path / "curves.svg")  # the last ones have the lowest

    names = {text.partition(",")[0] for text in legend(tmp_path / "curves.svg")} - {"label"}
    assert names == set(labels[-charts.MAX_CURVES :])


def test_reliability_names_each_model_with_its_calibration_error(drawn: Path) -> None:
    names = legend(drawn / "reliability.svg")
    assert {"before scaling: 0.0876", "after scaling: 0.0123", "baseline: 0.2500"} <= set(names)
    assert "perfect calibration" in names
    # The numbers of examples are written out.
    assert {"10", "100", "1,000", "10,000"} <= set(texts(drawn / "reliability.svg"))


def test_reliability_of_models_with_one_bin_is_drawn(tmp_path: Path) -> None:
    plot_reliability([{"examples": 4, "confidence": 1.0, "accuracy": 1.0}], tmp_path / "reliability.svg")

    assert "confidence (probability of the predicted label)" in texts(tmp_path / "reliability.svg")


def test_model_has_the_same_color_with_and_without_the_network(tmp_path: Path) -> None:
    def colors(*models: str) -> list[str]:
        charts.plot_coverage(dict.fromkeys(models, COVERAGE), tmp_path / "coverage.svg")
        styles = [path.get("style", "") for path in elements(tmp_path / "coverage.svg", "path", "legend_1")]
        return [re.findall("stroke: (#[0-9a-f]+)", style)[0] for style in styles if "stroke-width: 1.5" in style]

    without, with_network = colors("classifier", "baseline"), colors("classifier", "network", "baseline")

    assert with_network[::2] == without
    assert len(set(with_network)) == 3


# Slices and agreement


def positions(path: Path) -> dict[str, float]:
    """The heights of the names on the vertical axis, 0 at the top."""
    return {"".join(text.itertext()): float(text.get("y", "")) for text in elements(path, "text", "matplotlib.axis_2")}


def test_slices_have_their_numbers_of_examples_from_top_to_bottom(drawn: Path) -> None:
    heights = positions(drawn / "slices.svg")

    assert sorted(heights, key=lambda name: heights[name]) == ["short (1,234)", "long (1)", "with code (30)"]
    assert set(legend(drawn / "slices.svg")) == {"classifier, 95% interval", "baseline"}


def test_agreement_has_its_counts_and_no_zeros(drawn: Path) -> None:
    drawn_texts = texts(drawn / "agreement.svg")
    assert {"fruit (both: 5,000)", "pythön (both: 0)", "23", "17", "1"} <= set(drawn_texts)
    counts = [text for text in drawn_texts if text.isdigit()]
    assert counts.count("0") <= 1  # a tick of the axis, at most
    assert legend(drawn / "agreement.svg") == ["only the network", "only the baseline", "neither"]


def test_agreement_on_many_labels_has_those_with_the_lowest_share_of_both_the_lowest_on_top(tmp_path: Path) -> None:
    rows = [
        {"label": f"label {n}", "examples": 100, "both": n, "only_network": 0, "only_baseline": 100 - n, "neither": 0}
        for n in range(60, 0, -1)
    ]

    charts.plot_agreement(rows, tmp_path / "agreement.svg")

    heights = positions(tmp_path / "agreement.svg")
    order = [name.partition(" (")[0] for name in sorted(heights, key=lambda name: heights[name])]
    assert order == [f"label {n}" for n in range(1, charts.MAX_ANNOTATED + 1)]


def test_agreement_without_any_disagreement_is_drawn(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        charts.plot_agreement([AGREEMENT[1] | {"examples": 7, "both": 7}], tmp_path / "agreement.svg")

    assert "pythön (both: 7)" in texts(tmp_path / "agreement.svg")
