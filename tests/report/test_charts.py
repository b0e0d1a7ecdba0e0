"""Pictures of an evaluation: the same figures are the same bytes, and what stands in a picture is text."""

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.report import charts
from tests.report.svg import assert_no_date_no_raster_and_no_way_out, draw, elements, legend, tags, texts

MATRIX = np.array([[8, 2], [0, 0]])  # no post of the second label: its row divides by nothing
CURVE = [{"recall": 1.0, "precision": 0.5}, {"recall": 0.5, "precision": 0.75}, {"recall": 0.0, "precision": 1.0}]
STEEP = [{"recall": 1.0, "precision": 0.25}, {"recall": 0.0, "precision": 1.0}]
BINS = [
    {"posts": 10, "confidence": 0.6, "accuracy": 0.5},
    {"posts": 12345, "confidence": 0.97, "accuracy": 0.9},
]
ERRORS = {"before scaling": 0.0876, "after scaling": 0.0123, "baseline": 0.25}
COVERED = [
    {"coverage": 0.5, "accuracy": 1.0, "confidence": 0.9},
    {"coverage": 1.0, "accuracy": 0.75, "confidence": 0.4},
]
SLICES: list[dict[str, Any]] = [
    {"by": by, "slice": name, "posts": posts, "accuracy": accuracy, "interval": interval, "baseline_accuracy": 0.5}
    for by, name, posts, accuracy, interval in [
        ("length", "short", 1234, 0.75, [0.7, 0.8]),
        ("length", "long", 1, 1.0, [0.206549, 1.0]),
        ("code", "with code", 30, 0.0, [0.0, 0.113513]),
    ]
]
AGREEMENT: list[dict[str, Any]] = [
    {"label": "fruit", "posts": 5041, "both": 5000, "only_network": 23, "only_baseline": 17, "neither": 1},
    {"label": "pythön", "posts": 0, "both": 0, "only_network": 0, "only_baseline": 0, "neither": 0},
]
HARD_NAMES = [
    "$x_1$ for $",
    "a < b & c > d",
    "</text><script>alert(1)</script>",
    "&amp; \"quoted\" 'too'",
    "Größe ñ Ёж",
    "_of a kind that a legend leaves out",
    "中文",
]


def precision_recall(curves: Mapping[str, Sequence[Mapping[str, float]]], path: Path) -> None:
    charts.plot_precision_recall(curves, {label: 1 - number / 1000 for number, label in enumerate(curves)}, path)


def reliability(rows: Sequence[Mapping[str, float]], path: Path) -> None:
    charts.plot_reliability({name: rows for name in ERRORS}, ERRORS, path)


def agreement(labels: Sequence[str], path: Path) -> None:
    rows = [
        {"label": name, "posts": 9, "both": 5, "only_network": 2, "only_baseline": 1, "neither": 1} for name in labels
    ]
    charts.plot_agreement(rows, path)


# Each picture, another one of its kind, and the title and the names of the axes.
PICTURES: dict[str, tuple[Callable[[Path], None], Callable[[Path], None], set[str]]] = {
    "confusion": (
        partial(charts.plot_confusion_matrix, MATRIX, ["a", "ü"], "a title"),
        partial(charts.plot_confusion_matrix, MATRIX.T, ["a", "ü"], "a title"),
        {"a title", "y_pred", "y_true", "a", "ü"},
    ),
    "precision_recall": (
        partial(precision_recall, {"fruit": CURVE, "pythön": STEEP}),
        partial(precision_recall, {"fruit": CURVE, "pythön": CURVE}),
        {"Precision and recall by label", "precision", "recall", "label, average precision"},
    ),
    "reliability": (
        partial(reliability, BINS),
        partial(reliability, BINS[1:]),
        {"Reliability: is it right as often as it is sure?", "accuracy", "posts", "expected calibration error",
         "confidence (probability of the label predicted)"},
    ),
    "coverage": (
        partial(charts.plot_coverage, {"classifier": COVERED, "baseline": COVERED}),
        partial(charts.plot_coverage, {"classifier": COVERED, "baseline": COVERED[1:]}),
        {"Accuracy when it may abstain", "accuracy on these", "coverage (share of posts answered, the surest first)"},
    ),
    "slices": (
        partial(charts.plot_slices, SLICES),
        partial(charts.plot_slices, SLICES[:2]),
        {"Accuracy by slice (posts)", "accuracy"},
    ),
    "agreement": (
        partial(charts.plot_agreement, AGREEMENT),
        partial(charts.plot_agreement, AGREEMENT[:1]),
        {"Who gets right what the other does not", "test posts"},
    ),
}  # fmt: skip
# Each picture of which the labels are a part.
LABELLED: dict[str, Callable[[Sequence[str], Path], None]] = {
    "confusion": lambda names, path: charts.plot_confusion_matrix(np.eye(len(names), dtype=int), names, names[0], path),
    "precision_recall": lambda names, path: precision_recall(dict.fromkeys(names, CURVE), path),
    "agreement": agreement,
}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw(tmp_path_factory.mktemp("pictures"), {name: (one, other) for name, (one, other, _) in PICTURES.items()})


@pytest.mark.parametrize("name", PICTURES)
def test_the_same_figures_are_the_same_bytes_and_others_are_others(name: str, drawn: Path) -> None:
    first, other, again = ((drawn / place / f"{name}.svg").read_bytes() for place in ("", "other", "again"))

    assert again == first != other


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_has_its_title_and_axes_as_text_and_no_date_no_raster_and_no_way_out(name: str, drawn: Path) -> None:
    assert PICTURES[name][2] <= set(texts(drawn / f"{name}.svg"))
    assert_no_date_no_raster_and_no_way_out(drawn / f"{name}.svg")


@pytest.mark.parametrize("name", LABELLED)
def test_a_label_stands_in_a_picture_as_it_is_named_whatever_that_is(name: str, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LABELLED[name](HARD_NAMES, tmp_path / "hard.svg")
    LABELLED[name](["a", "b", "c", "d", "e", "f"], tmp_path / "plain.svg")

    said = texts(tmp_path / "hard.svg")
    assert all(any(text.startswith(label) for text in said) for label in HARD_NAMES)
    assert tags(tmp_path / "hard.svg") <= tags(tmp_path / "plain.svg")


@pytest.mark.parametrize("name", LABELLED)
def test_of_a_long_name_the_beginning_is_shown(name: str, tmp_path: Path) -> None:
    LABELLED[name](["a name that goes on " + "and on " * 40, "b"], tmp_path / "long.svg")

    assert any(text.startswith("a name that goes on and on and on and o…") for text in texts(tmp_path / "long.svg"))


def test_two_hundred_labels_make_a_matrix_of_the_cells_that_are_not_empty(tmp_path: Path) -> None:
    names = [f"label {number}" for number in range(200)]

    charts.plot_confusion_matrix(3 * np.eye(200, dtype=int), names, "title", tmp_path / "matrix.svg")

    assert set(names) <= set(texts(tmp_path / "matrix.svg"))
    assert len(fills(tmp_path / "matrix.svg")) == 200
    assert (tmp_path / "matrix.svg").stat().st_size < 1_000_000


def fills(path: Path) -> list[str]:
    """The colours of a matrix, row by row."""
    return [re.findall(r"fill: (#\w+)", cell.get("style", ""))[0] for cell in elements(path, "path", "PolyCollection")]


def test_a_matrix_has_counts_and_shares_of_the_actual_label_and_none_where_there_are_no_posts(tmp_path: Path) -> None:
    charts.plot_confusion_matrix(np.array([[1998, 2], [0, 0]]), ["a", "b"], "title", tmp_path / "matrix.svg")

    said = texts(tmp_path / "matrix.svg")
    cells = [text for text in said if text not in ("a", "b", "title", "y_true", "y_pred")]
    assert cells == ["1,998", "99.9%", "2", "0.1%", "0", "0.0%", "0", "0.0%"]


def test_a_matrix_is_read_from_top_to_bottom_and_from_left_to_right(drawn: Path) -> None:
    across, down = (elements(drawn / "confusion.svg", "text", f"matplotlib.axis_{n}") for n in (1, 2))

    assert [text.text for text in (*across, *down)] == ["a", "ü", "y_pred", "a", "ü", "y_true"]
    assert float(across[0].get("x", "")) < float(across[1].get("x", ""))
    assert float(down[0].get("y", "")) < float(down[1].get("y", ""))


def test_a_cell_is_the_darker_the_larger_its_share_of_the_actual_label(tmp_path: Path) -> None:
    charts.plot_confusion_matrix(
        np.array([[90, 10, 0], [1, 1, 0], [0, 0, 7]]), ["a", "b", "c"], "title", tmp_path / "matrix.svg"
    )

    colors = fills(tmp_path / "matrix.svg")
    lightness = [sum(bytes.fromhex(color[1:])) for color in colors]
    # By share: 0.9, 0.1, 0, and 0.5, 0.5, 0, and 0, 0, 1
    assert lightness[8] < lightness[0] < lightness[3] == lightness[4] < lightness[1] < lightness[2]
    assert lightness[2] == lightness[5] == lightness[6] == lightness[7]


@pytest.mark.parametrize(("labels", "has_counts"), [(20, True), (21, False)])
def test_of_more_labels_than_can_be_read_the_counts_are_left_out(labels: int, has_counts: bool, tmp_path: Path) -> None:
    charts.plot_confusion_matrix(
        7 * np.eye(labels, dtype=int), [f"<{n}>" for n in range(labels)], "title", tmp_path / "matrix.svg"
    )

    said = texts(tmp_path / "matrix.svg")
    assert said.count("7") == said.count("100.0%") == (labels if has_counts else 0)
    assert all(said.count(f"<{n}>") == 2 for n in range(labels))


def test_curves_are_named_with_their_average_precision(tmp_path: Path) -> None:
    charts.plot_precision_recall({"a": CURVE, "b": STEEP}, {"a": 0.75, "b": 0.6254, "c": 0.0}, tmp_path / "curves.svg")

    assert sorted(legend(tmp_path / "curves.svg")) == ["a, 0.750", "b, 0.625", "label, average precision"]


def test_of_many_curves_those_with_the_lowest_average_precision_are_named(tmp_path: Path) -> None:
    names = [f"label {number}" for number in range(60)]

    precision_recall(dict.fromkeys(names, CURVE), tmp_path / "curves.svg")

    # The further down, the lower.
    named = {text.partition(",")[0] for text in legend(tmp_path / "curves.svg")} - {"label"}
    assert named == set(names[-charts.CURVES :])


def test_reliability_names_each_model_with_its_error(drawn: Path) -> None:
    said = legend(drawn / "reliability.svg")
    assert {"before scaling: 0.0876", "after scaling: 0.0123", "baseline: 0.2500"} <= set(said)
    assert "as sure as it is right" in said
    # Of the posts in a bin, as one reads numbers.
    assert {"10", "100", "1,000", "10,000"} <= set(texts(drawn / "reliability.svg"))


def test_models_that_are_always_sure_have_one_bin_and_a_picture(tmp_path: Path) -> None:
    reliability([{"posts": 4, "confidence": 1.0, "accuracy": 1.0}], tmp_path / "reliability.svg")

    assert "confidence (probability of the label predicted)" in texts(tmp_path / "reliability.svg")


def test_a_model_has_the_same_colour_with_the_network_beside_it_or_without(tmp_path: Path) -> None:
    def colors(*models: str) -> list[str]:
        charts.plot_coverage(dict.fromkeys(models, COVERED), tmp_path / "coverage.svg")
        styles = [path.get("style", "") for path in elements(tmp_path / "coverage.svg", "path", "legend_1")]
        return [re.findall("stroke: (#[0-9a-f]+)", style)[0] for style in styles if "stroke-width: 1.5" in style]

    one, other = colors("classifier", "baseline"), colors("classifier", "network", "baseline")

    assert other[::2] == one
    assert len(set(other)) == 3


def test_slices_are_named_with_their_posts_from_top_to_bottom(drawn: Path) -> None:
    axis = elements(drawn / "slices.svg", "text", "matplotlib.axis_2")
    heights = {"".join(text.itertext()): float(text.get("y", "")) for text in axis}
    assert sorted(heights, key=lambda name: heights[name]) == ["short (1,234)", "long (1)", "with code (30)"]
    assert set(legend(drawn / "slices.svg")) == {"classifier, 95% interval", "baseline"}


def test_of_each_label_stand_the_posts_that_one_alone_gets_right_and_no_zeros(drawn: Path) -> None:
    said = texts(drawn / "agreement.svg")
    assert {"fruit (both: 5,000)", "pythön (both: 0)", "23", "17", "1"} <= set(said)
    assert legend(drawn / "agreement.svg") == ["only the network", "only the baseline", "neither"]


def test_of_many_labels_agreement_shows_those_that_both_get_right_least_often(tmp_path: Path) -> None:
    rows = [
        {"label": f"label {n}", "posts": 100, "both": n, "only_network": 0, "only_baseline": 100 - n, "neither": 0}
        for n in range(60, 0, -1)
    ]

    charts.plot_agreement(rows, tmp_path / "agreement.svg")

    shown = {text.partition(" (")[0] for text in texts(tmp_path / "agreement.svg") if text.startswith("label ")}
    assert shown == {f"label {n}" for n in range(1, charts.MOST + 1)}
