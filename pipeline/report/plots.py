"""Pictures. PNG without a date in it: the same figures give the same bytes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure


def confusion(matrix: np.ndarray, labels: list[str], title: str, path: Path) -> None:
    """Draw a confusion matrix: `matrix[i, j]` is how many posts of label i were taken for label j."""
    rates = matrix / matrix.sum(axis=1, keepdims=True).clip(min=1)
    size = 2.6 + 0.75 * len(labels)
    figure = Figure(figsize=(size + 1, size), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(rates, cmap="Blues", vmin=0, vmax=1)
    axes.set(xticks=range(len(labels)), yticks=range(len(labels)), xlabel="predicted", ylabel="actual")
    axes.set_xticklabels(labels, rotation=30, ha="right", rotation_mode="anchor")
    axes.set_yticklabels(labels)
    axes.set_title(title, fontsize=11)
    for i, row in enumerate(matrix):
        for j, count in enumerate(row):
            color = "white" if rates[i, j] > 0.5 else "black"
            axes.text(j, i, f"{count:,}\n{rates[i, j]:.1%}", ha="center", va="center", color=color, fontsize=9)
    figure.colorbar(image, label="share of the actual label's posts", shrink=0.8)
    figure.savefig(path, dpi=120, metadata={"Software": None})


def gradients(curves: Mapping[str, Sequence[float] | np.ndarray], title: str, path: Path) -> None:
    """Draw each curve, a gradient's norm `[steps]` counted back from a post's last token, on a logarithmic scale.

    Curves come in pairs of one colour: before training (dotted), and after.
    """
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for place, (label, norms) in enumerate(curves.items()):
        axes.semilogy(
            norms, label=label, color=f"C{place // 2}", linestyle=("dotted", "solid")[place % 2], linewidth=1.3
        )
    axes.set(xlabel="steps back from the last token", ylabel="norm of the gradient", title=title)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9)
    figure.savefig(path, dpi=120, metadata={"Software": None})
