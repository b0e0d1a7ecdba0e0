"""Pictures of an evaluation, as SVG."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.report.plots import blank, save, short

MOST = 20  # labels whose counts can be read in a matrix
CURVES = 10  # labels that have a curve of their own
DARK = "#111111"  # on a light ground, also where a page is dark
COLORS = {"classifier": "C0", "network": "C2", "baseline": "C1"}


def plot_confusion_matrix(matrix: np.ndarray, labels: Sequence[str], title: str, path: Path) -> None:
    """Draw a confusion matrix: `matrix[i, j]` is how many posts of label i were taken for label j.

    The darker, the larger a share of label i's posts.
    """
    rates = matrix / matrix.sum(axis=1, keepdims=True).clip(min=1)
    size = 2.6 + (0.75 if len(labels) <= MOST else 0.25) * len(labels)
    figure, axes = blank(size + 0.6, size)
    middles = np.arange(len(labels)) + 0.5
    # As shapes and not as an image, which would blur; of many labels those that are not empty, as each takes room.
    rows, columns = np.indices(matrix.shape).reshape(2, -1) if len(labels) <= MOST else np.nonzero(matrix)
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    squares = np.stack([columns, rows], axis=1)[:, None] + corners
    axes.add_collection(PolyCollection(list(squares), array=rates[rows, columns], cmap="Blues", clim=(0, 1)))
    axes.set(xticks=middles, yticks=middles, xlabel="y_pred", ylabel="y_true", title=title)
    axes.set(xlim=(0, len(labels)), ylim=(len(labels), 0))
    axes.set_xticklabels(map(short, labels), rotation=30, ha="right", rotation_mode="anchor")
    axes.set_yticklabels(map(short, labels))
    for i, row in enumerate(matrix if len(labels) <= MOST else []):
        for j, count in enumerate(row):
            color = "white" if rates[i, j] > 0.5 else DARK
            axes.text(
                j + 0.5, i + 0.5, f"{count:,}\n{rates[i, j]:.1%}", ha="center", va="center", color=color, fontsize=9
            )
    save(figure, path)


def plot_precision_recall(
    curves: Mapping[str, Sequence[Mapping[str, float]]], average: Mapping[str, float], path: Path
):
    """Draw a curve per label, with its average precision; of many labels those with the lowest stand out."""
    figure, axes = blank(6, 4.8)
    worst = sorted(curves, key=lambda label: average[label])[:CURVES]
    lines = {}
    for label in sorted(curves, key=lambda label: label in worst):
        rows = curves[label]
        style: dict[str, Any] = {} if label in worst else {"color": "0.7", "linewidth": 0.6}
        lines[label] = axes.plot([row["recall"] for row in rows], [row["precision"] for row in rows], **style)[0]
    axes.set(xlabel="recall", ylabel="precision", title="Precision and recall by label", xlim=(0, 1.01))
    axes.grid(alpha=0.3)
    names = {label: f"{short(label)}, {average[label]:.3f}" for label in curves if label in worst}
    # Named here: of lines that bear a name with a _ in front, a legend says nothing.
    axes.legend([lines[label] for label in names], names.values(), title="label, average precision", loc="lower left")
    save(figure, path)


def plot_reliability(
    bins: Mapping[str, Sequence[Mapping[str, float]]], errors: Mapping[str, float], path: Path
) -> None:
    """Draw how often each model is right by how sure it is, and below, of how many posts it is how sure.

    `bins` are those of the classifier before and after scaling, and of the baseline; `errors` their calibration errors.
    """
    figure = Figure(figsize=(6, 5.6), layout="constrained")
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    axes.plot([0, 1], [0, 1], color="0.5", linewidth=1, linestyle="dashed", label="as sure as it is right")
    for (name, rows), style in zip(bins.items(), ("C0.:", "C0.-", "C1.-"), strict=True):
        confidence, accuracy, posts = ([row[part] for row in rows] for part in ("confidence", "accuracy", "posts"))
        axes.plot(confidence, accuracy, style[2:], color=style[:2], label=f"{name}: {errors[name]:.4f}")
        below.plot(confidence, posts, style[2:], color=style[:2])
    axes.set(ylabel="accuracy", title="Reliability: is it right as often as it is sure?")
    low = min(row["confidence"] for rows in bins.values() for row in rows)
    below.set(
        xlabel="confidence (probability of the label predicted)", ylabel="posts", yscale="log", xlim=(low - 0.02, 1.01)
    )
    below.yaxis.set_major_formatter("{x:,.0f}")
    for each in (axes, below):
        each.grid(alpha=0.3)
    axes.legend(title="expected calibration error", loc="lower right")
    save(figure, path)


def plot_coverage(curves: Mapping[str, Sequence[Mapping[str, float]]], path: Path) -> None:
    """Draw how often each model is right on the posts that it is surest of, by their share."""
    figure, axes = blank(6, 4)
    for name, rows in curves.items():
        axes.plot(
            [row["coverage"] for row in rows], [row["accuracy"] for row in rows], ".-", color=COLORS[name], label=name
        )
    axes.set(
        xlabel="coverage (share of posts answered, the surest first)", ylabel="accuracy on these",
        title="Accuracy when it may abstain",
    )  # fmt: skip
    axes.grid(alpha=0.3)
    axes.legend()
    save(figure, path)


def plot_slices(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw the accuracy on each slice, with its interval, beside the baseline's."""
    figure, axes = blank(7, 1.4 + 0.34 * len(rows))
    places = np.arange(len(rows))[::-1]
    accuracy = np.array([row["accuracy"] for row in rows])
    low, high = np.array([row["interval"] for row in rows]).T
    axes.errorbar(
        accuracy, places, xerr=(accuracy - low, high - accuracy), fmt="o", capsize=3, label="classifier, 95% interval"
    )
    others = [row["baseline_accuracy"] for row in rows]
    axes.plot(others, places, "D", color="C1", markerfacecolor="none", markersize=8, label="baseline")
    axes.set_yticks(places, [f"{row['slice']} ({row['posts']:,})" for row in rows])
    kinds = [row["by"] for row in rows]
    for place, (kind, before) in enumerate(zip(kinds[1:], kinds, strict=False)):
        if kind != before:
            axes.axhline(places[place] - 0.5, color="0.7", linewidth=0.8)
    axes.set(xlabel="accuracy", title="Accuracy by slice (posts)")
    axes.grid(alpha=0.3, axis="x")
    figure.legend(loc="outside lower center", ncols=2)
    save(figure, path)


def plot_agreement(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw of each label how many posts the network alone gets right, how many the baseline alone, and neither."""
    shown = sorted(rows, key=lambda row: row["both"] / max(row["posts"], 1))[:MOST]
    figure, axes = blank(7, 1.4 + 0.4 * len(shown))
    begins = np.zeros(len(shown))
    kinds = {
        "only_network": ("only the network", "C2"),
        "only_baseline": ("only the baseline", "C1"),
        "neither": ("neither", "0.6"),
    }
    for kind, (name, color) in kinds.items():
        counts = np.array([row[kind] for row in shown])
        bars = axes.barh(range(len(shown)), counts, left=begins, color=color, label=name)
        axes.bar_label(
            bars, [f"{count:,}" if count else "" for count in counts], label_type="center", fontsize=9, color=DARK
        )
        begins += counts
    axes.set_yticks(range(len(shown)), [f"{short(row['label'])} (both: {row['both']:,})" for row in shown])
    axes.set(xlabel="test posts", title="Who gets right what the other does not")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend()
    save(figure, path)
