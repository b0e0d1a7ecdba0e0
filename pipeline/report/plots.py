"""Pictures of a training, and how all are kept: without a date in them, so the same figures give the same bytes."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

# Text stays text in SVG. A label may have dollars in its name, which are no formula.
matplotlib.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "plots", "text.parse_math": False}
matplotlib.rcParams |= {"font.sans-serif": ["DejaVu Sans", "Verdana", "sans-serif"], "axes.titlesize": 11}
matplotlib.rcParams |= {"legend.frameon": False, "legend.fontsize": 9}


LONGEST = 40  # characters of a label's name


def blank(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of so many inches with one pair of axes."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def save(figure: Figure, path: Path) -> None:
    """As PNG or SVG, by the name. A page that holds an SVG can leave out its `background`."""
    figure.patch.set_gid("background")
    for axes in figure.axes:
        axes.patch.set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # whoever shows the SVG has fonts of their own
        figure.savefig(path, dpi=120, metadata={"Date" if path.suffix == ".svg" else "Software": None})


def short(label: str) -> str:
    """A label's name as it has room in a picture."""
    return label if len(label) <= LONGEST else label[: LONGEST - 1] + "…"


def plot_history(rows: Sequence[Mapping[str, float]], kept: int, path: Path) -> None:
    """Draw log loss and accuracy by epoch, on training and validation posts; `kept` is the epoch whose weights stay."""
    figure = Figure(figsize=(7, 3.4), layout="constrained")
    epochs = [int(row["epoch"]) for row in rows]
    names = {"log_loss": "log loss (nats)", "accuracy": "accuracy"}
    for axes, (name, label) in zip(figure.subplots(1, 2), names.items(), strict=True):
        axes.plot(epochs, [row[name] for row in rows], ".--", label="training, with dropout")
        axes.plot(epochs, [row[f"val_{name}"] for row in rows], ".-", label="validation")
        axes.axvline(kept, color="C2", linewidth=1, linestyle="dotted", label="epoch kept")
        axes.set(xlabel="epoch", ylabel=label, title=f"{label.partition(' (')[0].capitalize()} by epoch")
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axes.grid(alpha=0.3)
    figure.axes[0].legend()
    save(figure, path)


def plot_gradients(curves: Mapping[str, Sequence[float] | np.ndarray], title: str, path: Path) -> None:
    """Draw each curve, a gradient's norm `[steps]` counted back from a post's last token, on a logarithmic scale.

    Curves come in pairs of one colour: before training (dotted), and after.
    """
    figure, axes = blank(7, 4.2)
    for place, (label, norms) in enumerate(curves.items()):
        axes.semilogy(
            norms, label=label, color=f"C{place // 2}", linestyle=("dotted", "solid")[place % 2], linewidth=1.3
        )
    axes.set(xlabel="steps back from the last token", ylabel="norm of the gradient", title=title)
    axes.yaxis.set_major_formatter(LogFormatter())
    axes.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(2, 0.4)))  # where the axis spans no power of ten
    axes.grid(alpha=0.3)
    axes.legend()
    save(figure, path)
