"""Pictures of a training: the same figures are the same bytes, and what stands in a picture is text."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from pipeline.report import plots
from tests.report.svg import assert_no_date_no_raster_and_no_way_out, draw, elements, legend, texts

CURVES = {"before training": [1.0, 0.1, 0.01], "after training": [2.0, 1.5, 0.0]}  # 0 has no logarithm
EPOCHS = [
    {"epoch": 1, "log_loss": 0.9, "val_log_loss": 0.8, "accuracy": 0.5, "val_accuracy": 0.6, "seconds": 3.0},
    {"epoch": 2, "log_loss": 0.5, "val_log_loss": 0.7, "accuracy": 0.8, "val_accuracy": 0.7, "seconds": 3.0},
    {"epoch": 3, "log_loss": 0.2, "val_log_loss": 0.9, "accuracy": 0.9, "val_accuracy": 0.6, "seconds": 3.0},
]
# Each picture, and another one of its kind.
PICTURES: dict[str, tuple[Callable[[Path], None], Callable[[Path], None]]] = {
    "history": (partial(plots.plot_history, EPOCHS, 2), partial(plots.plot_history, EPOCHS, 3)),
    "gradients": (
        partial(plots.plot_gradients, CURVES, "Gradient <of> $a$ & $b$"),
        partial(plots.plot_gradients, CURVES | {"after training": [2.0, 1.5, 1.0]}, "Gradient <of> $a$ & $b$"),
    ),
}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw(tmp_path_factory.mktemp("pictures"), PICTURES)


@pytest.mark.parametrize("name", PICTURES)
def test_the_same_figures_are_the_same_bytes_and_others_are_others(name: str, drawn: Path) -> None:
    first, other, again = ((drawn / place / f"{name}.svg").read_bytes() for place in ("", "other", "again"))

    assert again == first != other


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_has_no_date_no_raster_and_no_way_out(name: str, drawn: Path) -> None:
    assert_no_date_no_raster_and_no_way_out(drawn / f"{name}.svg")


def test_a_history_tells_what_is_drawn_by_epoch(drawn: Path) -> None:
    said = texts(drawn / "history.svg")

    assert {"Log loss by epoch", "Accuracy by epoch", "log loss (nats)", "accuracy"} <= set(said)
    assert said.count("epoch") == 2
    assert legend(drawn / "history.svg") == ["training, with dropout", "validation", "epoch kept"]


def test_epochs_are_whole_numbers(drawn: Path) -> None:
    *ticks, name = texts(drawn / "history.svg", "matplotlib.axis_1")

    assert name == "epoch"
    assert {"1", "2", "3"} <= set(ticks)
    assert all(tick.isdigit() for tick in ticks)


def test_of_one_epoch_there_is_one_tick(tmp_path: Path) -> None:
    row = {"epoch": 1, "log_loss": 0.5, "val_log_loss": 0.4, "accuracy": 0.8, "val_accuracy": 0.9}

    plots.plot_history([row], 1, tmp_path / "history.svg")

    assert texts(tmp_path / "history.svg", "matplotlib.axis_1") == ["1", "epoch"]


def test_gradients_tell_the_title_the_axes_and_every_curve_as_they_are_named(tmp_path: Path) -> None:
    names = ["a <b>, before", "a <b>, after", "$c$ & d, before", "$c$ & d, after"]

    plots.plot_gradients({name: [1.0, 0.1] for name in names}, "Gradient <of> $a$ & $b$", tmp_path / "gradients.svg")

    said = set(texts(tmp_path / "gradients.svg"))
    assert {"Gradient <of> $a$ & $b$", "steps back from the last token", "norm of the gradient"} <= said
    assert legend(tmp_path / "gradients.svg") == names


@pytest.mark.parametrize("name", PICTURES)
def test_the_ground_of_a_picture_can_be_left_out(name: str, drawn: Path) -> None:
    paths, ground = (elements(drawn / f"{name}.svg", "path", within) for within in (None, "background"))

    white = [path.get("d") for path in paths if "fill: #ffffff" in path.get("style", "")]
    assert white == [path.get("d") for path in ground]
    assert len(white) == 1


def test_a_name_that_ends_in_png_makes_one_that_can_be_seen_and_is_the_same_again(tmp_path: Path) -> None:
    for number in range(2):
        plots.plot_gradients(CURVES, "title", tmp_path / f"new/folder/{number}.png")

    first, again = ((tmp_path / f"new/folder/{number}.png").read_bytes() for number in range(2))
    assert again == first
    picture = matplotlib.image.imread(tmp_path / "new/folder/0.png")
    assert min(picture.shape[:2]) > 300
    assert len(np.unique(picture[::7, ::7].reshape(-1, picture.shape[2]), axis=0)) > 3
