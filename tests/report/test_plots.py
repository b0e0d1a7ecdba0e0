"""Pictures: the same figures are the same bytes."""

from pathlib import Path

import matplotlib.image
import numpy as np

from pipeline.report import plots

MATRIX = np.array([[8, 2], [0, 0]])  # no post of the second label: its row divides by nothing


def test_the_same_matrix_is_the_same_picture_and_another_is_another(tmp_path: Path) -> None:
    drawn = []
    for number, matrix in enumerate((MATRIX, MATRIX, MATRIX.T)):
        plots.confusion(matrix, ["a", "ü"], "title", tmp_path / f"{number}.png")
        drawn.append((tmp_path / f"{number}.png").read_bytes())

    assert drawn[0] == drawn[1] != drawn[2]


def test_the_picture_is_one_that_can_be_seen(tmp_path: Path) -> None:
    plots.confusion(MATRIX, ["a", "ü"], "title", tmp_path / "matrix.png")

    picture = matplotlib.image.imread(tmp_path / "matrix.png")
    assert min(picture.shape[:2]) > 300
    assert len(np.unique(picture.reshape(-1, picture.shape[2]), axis=0)) > 10


CURVES = {"before training": [1.0, 0.1, 0.01], "after training": [2.0, 1.5, 0.0]}  # 0 has no logarithm


def test_the_same_gradients_are_the_same_picture_and_others_another(tmp_path: Path) -> None:
    drawn = []
    for number, curves in enumerate((CURVES, CURVES, CURVES | {"after training": [2.0, 1.5, 1.0]})):
        plots.gradients(curves, "title", tmp_path / f"{number}.png")
        drawn.append((tmp_path / f"{number}.png").read_bytes())

    assert drawn[0] == drawn[1] != drawn[2]
    assert min(matplotlib.image.imread(tmp_path / "0.png").shape[:2]) > 300
