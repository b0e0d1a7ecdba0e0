"""Charts of a training and an evaluation, as SVG. They contain no date, so the same values give the same bytes."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, MaxNLocator

from pipeline.files import written_beside

# Text stays text in SVG. Dollar signs in a label are no formula.
matplotlib.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "charts", "text.parse_math": False}
matplotlib.rcParams |= {"font.sans-serif": ["DejaVu Sans", "Verdana", "sans-serif"], "axes.titlesize": 11}
matplotlib.rcParams |= {"legend.frameon": False, "legend.fontsize": 9}

MAX_LABEL_LENGTH = 40  # characters
MAX_ANNOTATED = 20  # labels, up to which a confusion matrix shows its counts
MAX_CURVES = 10  # labels that have a coloured curve
DARK = "#111111"  # text on a light background, also on a dark page
COLORS = {"classifier": "C0", "network": "C2", "baseline": "C1"}


def new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of that size in inches, with one pair of axes."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def save(figure: Figure, path: Path) -> None:
    """Save as PNG or SVG, by the suffix. The SVG's group `background` can be removed by a page that contains it."""
    figure.patch.set_gid("background")
    for axes in figure.axes:
        axes.patch.set_visible(False)
    with written_beside(path) as beside, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # the viewer of the SVG has fonts of its own
        figure.savefig(beside, dpi=120, metadata={"Date" if path.suffix == ".svg" else "Software": None})


def shorten(label: str) -> str:
    """The label, shortened to `MAX_LABEL_LENGTH` characters."""
    return label if len(label) <= MAX_LABEL_LENGTH else label[: MAX_LABEL_LENGTH - 1] + "…"


def plot_history(rows: Sequence[Mapping[str, float]], best_epoch: int, path: Path) -> None:
    """Draw log loss and accuracy per epoch on the training and the validation split."""
    figure = Figure(figsize=(7, 3.4), layout="constrained")
    epochs = [int(row["epoch"]) for row in rows]
    names = {"log_loss": "log loss (nats)", "accuracy": "accuracy"}
    for axes, (name, label) in zip(figure.subplots(1, 2), names.items(), strict=True):
        axes.plot(epochs, [row[name] for row in rows], ".--", label="training (with dropout)")
        axes.plot(epochs, [row[f"val_{name}"] for row in rows], ".-", label="validation")
        axes.axvline(best_epoch, color="C2", linewidth=1, linestyle="dotted", label="best epoch")
        axes.set(xlabel="epoch", ylabel=label, title=f"{label.partition(' (')[0].capitalize()} by epoch")
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axes.grid(alpha=0.3)
    figure.axes[0].legend()
    save(figure, path)


def plot_gradients(curves: Mapping[str, Sequence[float] | np.ndarray], title: str, path: Path) -> None:
    """Draw gradient norms `[steps]`, counted back from a text's last token, on a logarithmic scale.

    Curves come in pairs of one colour: before training (dotted), and after.
    """
    figure, axes = new_figure(7, 4.2)
    for number, (label, norms) in enumerate(curves.items()):
        linestyle = ("dotted", "solid")[number % 2]
        axes.semilogy(norms, label=label, color=f"C{number // 2}", linestyle=linestyle, linewidth=1.3)
    axes.set(xlabel="steps back from the last token", ylabel="gradient norm", title=title)
    axes.yaxis.set_major_formatter(LogFormatter())
    axes.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(2, 0.4)))  # where the axis spans no power of ten
    axes.grid(alpha=0.3)
    axes.legend()
    save(figure, path)


def plot_confusion_matrix(matrix: np.ndarray, labels: Sequence[str], title: str, path: Path) -> None:
    """Draw a confusion matrix: `matrix[i, j]` examples with the true label i have the predicted label j.

    Cells are coloured by their share of the true label's examples.
    """
    rates = matrix / matrix.sum(axis=1, keepdims=True).clip(min=1)
    is_annotated = len(labels) <= MAX_ANNOTATED
    size = 2.6 + (0.75 if is_annotated else 0.25) * len(labels)
    figure, axes = new_figure(size + 0.6, size)
    centers = np.arange(len(labels)) + 0.5
    # As polygons, because an image would be blurred; with many labels only the cells that are not empty.
    rows, columns = np.indices(matrix.shape).reshape(2, -1) if is_annotated else np.nonzero(matrix)
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    cells = np.stack([columns, rows], axis=1)[:, None] + corners
    axes.add_collection(PolyCollection(list(cells), array=rates[rows, columns], cmap="Blues", clim=(0, 1)))
    axes.set(xticks=centers, yticks=centers, xlabel="predicted label", ylabel="true label", title=title)
    axes.set(xlim=(0, len(labels)), ylim=(len(labels), 0))
    axes.set_xticklabels(map(shorten, labels), rotation=30, ha="right", rotation_mode="anchor")
    axes.set_yticklabels(map(shorten, labels))
    for i, j in np.ndindex(matrix.shape if is_annotated else (0, 0)):
        color = "white" if rates[i, j] > 0.5 else DARK
        text = f"{matrix[i, j]:,}\n{rates[i, j]:.1%}"
        axes.text(j + 0.5, i + 0.5, text, ha="center", va="center", color=color, fontsize=9)
    save(figure, path)


def plot_precision_recall(
    curves: Mapping[str, Sequence[Mapping[str, float]]], average_precision: Mapping[str, float], path: Path
) -> None:
    """Draw a curve per class. With many classes, those with the lowest average precision are coloured."""
    figure, axes = new_figure(6, 4.8)
    lowest = sorted(curves, key=lambda label: average_precision[label])[:MAX_CURVES]
    lines = {}
    for label in sorted(curves, key=lambda label: label in lowest):
        rows = curves[label]
        style: dict[str, Any] = {} if label in lowest else {"color": "0.7", "linewidth": 0.6}
        lines[label] = axes.plot([row["recall"] for row in rows], [row["precision"] for row in rows], **style)[0]
    axes.set(xlabel="recall", ylabel="precision", title="Precision and recall per class", xlim=(0, 1.01))
    axes.grid(alpha=0.3)
    names = {label: f"{shorten(label)}, {average_precision[label]:.3f}" for label in curves if label in lowest}
    # Named here, because a legend leaves out lines whose name begins with an underscore.
    handles = [lines[label] for label in names]
    axes.legend(handles, names.values(), title="label, average precision", loc="lower left")
    save(figure, path)


def plot_reliability(bins: Mapping[str, Sequence[Mapping[str, float]]], ece: Mapping[str, float], path: Path) -> None:
    """Draw a reliability diagram, and below it the number of examples by confidence.

    `bins` are those of the classifier before and after scaling and of the baseline, `ece` their calibration errors.
    """
    figure = Figure(figsize=(6, 5.6), layout="constrained")
    axes, histogram = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    axes.plot([0, 1], [0, 1], color="0.5", linewidth=1, linestyle="dashed", label="perfect calibration")
    for (name, rows), (color, style) in zip(bins.items(), (("C0", ".:"), ("C0", ".-"), ("C1", ".-")), strict=True):
        confidence, accuracy, examples = ([row[key] for row in rows] for key in ("confidence", "accuracy", "examples"))
        axes.plot(confidence, accuracy, style, color=color, label=f"{name}: {ece[name]:.4f}")
        histogram.plot(confidence, examples, style, color=color)
    axes.set(ylabel="accuracy", title="Reliability diagram")
    lowest = min(row["confidence"] for rows in bins.values() for row in rows)
    histogram.set(
        xlabel="confidence (probability of the predicted label)", ylabel="examples", yscale="log",
        xlim=(lowest - 0.02, 1.01),
    )  # fmt: skip
    histogram.yaxis.set_major_formatter("{x:,.0f}")
    for each in (axes, histogram):
        each.grid(alpha=0.3)
    axes.legend(title="expected calibration error", loc="lower right")
    save(figure, path)


def plot_coverage(curves: Mapping[str, Sequence[Mapping[str, float]]], path: Path) -> None:
    """Draw each model's accuracy on the examples with the highest confidence, by their share."""
    figure, axes = new_figure(6, 4)
    for model, rows in curves.items():
        x, y = [row["coverage"] for row in rows], [row["accuracy"] for row in rows]
        axes.plot(x, y, ".-", color=COLORS[model], label=model)
    axes.set(
        xlabel="coverage (share of examples, most confident first)", ylabel="accuracy", title="Accuracy by coverage"
    )
    axes.grid(alpha=0.3)
    axes.legend()
    save(figure, path)


def plot_slices(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw the accuracy on each slice, with its interval, beside the baseline's."""
    figure, axes = new_figure(7, 1.4 + 0.34 * len(rows))
    positions = np.arange(len(rows))[::-1]
    accuracy = np.array([row["accuracy"] for row in rows])
    low, high = np.array([row["interval"] for row in rows]).T
    errors = (accuracy - low, high - accuracy)
    axes.errorbar(accuracy, positions, xerr=errors, fmt="o", capsize=3, label="classifier, 95% interval")
    baseline = [row["baseline_accuracy"] for row in rows]
    axes.plot(baseline, positions, "D", color="C1", markerfacecolor="none", markersize=8, label="baseline")
    axes.set_yticks(positions, [f"{row['slice']} ({row['examples']:,})" for row in rows])
    kinds = [row["by"] for row in rows]
    for number, (kind, previous) in enumerate(zip(kinds[1:], kinds, strict=False)):
        if kind != previous:
            axes.axhline(positions[number] - 0.5, color="0.7", linewidth=0.8)
    axes.set(xlabel="accuracy", title="Accuracy by slice (number of examples)")
    axes.grid(alpha=0.3, axis="x")
    figure.legend(loc="outside lower center", ncols=2)
    save(figure, path)


def plot_agreement(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw for each class how many examples only the network, only the baseline, and neither classifies correctly."""
    shown = sorted(rows, key=lambda row: row["both"] / max(row["examples"], 1))[:MAX_ANNOTATED]
    figure, axes = new_figure(7, 1.6 + 0.4 * len(shown))
    left = np.zeros(len(shown))
    kinds = {
        "only_network": ("only the network", "C2"),
        "only_baseline": ("only the baseline", "C1"),
        "neither": ("neither", "0.6"),
    }
    for kind, (name, color) in kinds.items():
        counts = np.array([row[kind] for row in shown])
        bars = axes.barh(range(len(shown)), counts, left=left, color=color, label=name)
        texts = [f"{count:,}" if count else "" for count in counts]
        axes.bar_label(bars, texts, label_type="center", fontsize=9, color=DARK)
        left += counts
    axes.set_yticks(range(len(shown)), [f"{shorten(row['label'])} (both: {row['both']:,})" for row in shown])
    axes.set(xlabel="test examples", title="Examples that not both models classify correctly")
    axes.set(xlim=(0, max(1, 1.03 * left.max())), ylim=(len(shown) - 0.5, -0.5))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(loc="outside lower center", ncols=3)
    save(figure, path)
