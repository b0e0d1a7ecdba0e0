"""The stage train, as a process of its own: the same twice, and another with another seed."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import fetch, source, split, vectorize

ROOT = Path(__file__).parent.parent
MADE = ["models/model.onnx", "models/weights.safetensors", "models/network.json", "models/evidence.safetensors"]
MADE += ["reports/history.csv", "reports/train.json"]


@pytest.fixture
def trained(workspace: Path, set_params: Callable, run: Callable) -> Callable[[int], dict[str, bytes]]:
    """`trained(seed)` trains on a small sample and gives the files that were made."""
    for name in ("dvc.yaml", "pipeline"):  # what the key of the run is made of
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, workspace / name)
    set_params(fetch={"sample_posts": 160})
    for stage in (source, fetch, split, vectorize):
        stage.main()

    def train(seed: int) -> dict[str, bytes]:
        set_params(train={"seed": seed, "epochs": 2})
        done = run("pipeline.train")
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stderr == ""  # no notices of TensorFlow's, no warnings
        return {name: Path(name).read_bytes() for name in MADE}

    return train


def test_a_seed_gives_the_same_bytes_again_and_another_seed_others(trained: Callable) -> None:
    first, again, other = trained(seed=1), trained(seed=1), trained(seed=2)

    assert again == first
    assert other["models/weights.safetensors"] != first["models/weights.safetensors"]
    assert other["models/network.json"] == first["models/network.json"]


def test_history_and_report_tell_of_every_epoch_and_the_best(trained: Callable) -> None:
    trained(seed=1)

    with Path("reports/history.csv").open(newline="") as file:
        history = list(csv.DictReader(file))
    report = json.loads(Path("reports/train.json").read_text())
    assert [row["epoch"] for row in history] == ["1", "2"]
    best = min(history, key=lambda row: float(row["val_log_loss"]))
    assert report["best_epoch"] == int(best["epoch"])
    # The weights kept are the best epoch's: what they give on validation is what that epoch gave.
    assert report["validation"]["log_loss"] == pytest.approx(float(best["val_log_loss"]), abs=1e-4)
    assert report["validation"]["accuracy"] == pytest.approx(float(best["val_accuracy"]), abs=1e-6)
