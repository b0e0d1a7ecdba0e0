"""Stage train: reproducible bytes, validation metrics of the exported model, and one-line errors."""

import contextlib
import csv
import json
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from pipeline import baseline, cli, fetch, source, split, train, vectorize
from pipeline.corpus import tables
from pipeline.metrics import calibration, classification
from pipeline.model import linear
from pipeline.model.classifier import Classifier, apply_temperature, log_probabilities

ROOT = Path(__file__).parent.parent
OUTPUTS = ["models/model.onnx", "models/weights.safetensors", "models/network.json"]
OUTPUTS += ["models/ngram_features.safetensors", "data/fingerprints/train.parquet"]
OUTPUTS += ["reports/history.csv", "reports/gradients.csv", "reports/train.json"]

# Several tests use one training: of the ensemble, and of the network alone. Such smoothing makes the network much less
# confident than accurate, so that the temperature is certainly below 1.
ENSEMBLE: dict[str, Any] = {"bidirectional": True, "label_smoothing": 0.6}
NETWORK_ALONE: dict[str, Any] = {
    "cell": "rnn", "pooling": "last", "mask": False, "optimizer": "rmsprop", "learning_rate_schedule": "constant",
    "clip_norm": None, "patience": None, "max_ngram": 0, "char_ngrams": False,
    "ensemble_with_baseline": False, "temperature_scaling": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def vectorized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the outputs of all stages before train, from a small sample."""
    folder = tmp_path_factory.mktemp("vectorized")
    for name in ("dvc.yaml", "pipeline"):  # the hash of a run's inputs is computed from them
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, folder / name)
    text = (ROOT / "tests/params.yaml").read_text()
    assert "sample_size: 320" in text
    (folder / "params.yaml").write_text(text.replace("sample_size: 320", "sample_size: 160"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("DVC_ROOT", raising=False)
        for stage in (source, fetch, split, vectorize, baseline):
            stage.main()
    return folder


@pytest.fixture(scope="module")
def folders() -> dict[str, Path]:
    """The folders of the trainings in this process, by their parameters: several tests use one training."""
    return {}


@pytest.fixture
def trained(
    vectorized: Path,
    folders: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
    set_params: Callable,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[..., Path]]:
    """`trained(seed=2)` trains in this process, unless a test did so before, and changes to the folder, which it gives.

    `logged.json` there has what would have been logged to MLflow. `prepare` may change the folder before training.
    """
    from pipeline.model.backend import keras  # TensorFlow takes seconds to import
    from pipeline.tracking import runs

    @contextlib.contextmanager
    def training_run(params) -> Iterator[Callable[[dict[str, float]], None]]:
        rows: list[dict[str, float]] = []
        yield rows.append
        Path("logged.json").write_text(json.dumps(rows))

    monkeypatch.setattr(runs, "training_run", training_run)
    handler = signal.getsignal(signal.SIGTERM)

    def train_once(prepare: Callable[[], None] = lambda: None, **changes) -> Path:
        key = f"{prepare.__name__} {sorted(changes.items())}"
        if key not in folders:
            folder = tmp_path_factory.mktemp("trained") / "workspace"
            shutil.copytree(vectorized, folder)
            monkeypatch.chdir(folder)
            set_params(train={"epochs": 2} | changes)
            prepare()
            keras.utils.clear_session()  # otherwise the numbers in layer names go on from the previous network
            cli.run(train.main)
            folders[key] = folder
        monkeypatch.chdir(folders[key])
        return folders[key]

    yield train_once
    signal.signal(signal.SIGTERM, handler)


def read_history() -> list[dict[str, float]]:
    with Path("reports/history.csv").open(newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def read_report() -> dict:
    return json.loads(Path("reports/train.json").read_text())


def read_validation(classifier: Classifier) -> tuple[list[str], np.ndarray]:
    texts, labels = (tables.read_column(train.VALIDATION, name) for name in ("text", "label"))
    return texts, np.array([classifier.labels.index(label) for label in labels])


def assert_metrics_of_epoch(metrics: dict[str, float], epoch: dict[str, float]) -> None:
    """The metrics equal what Keras computed on the validation split in that epoch."""
    for name in ("accuracy", "log_loss"):
        assert metrics[name] == pytest.approx(epoch[f"val_{name}"], abs=1e-4)


def read_outputs(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in OUTPUTS}


# Reproducibility: in another process, and in this one, whatever it did before. TensorFlow uses as many threads as there
# are cores: neither the tests nor the pipeline limit it to one.


TRAIN_IN_FOLDERS = """
import os, sys
from pipeline import train
from pipeline.model.backend import keras
for folder in sys.argv[1:]:
    os.chdir(folder)
    keras.utils.clear_session()  # otherwise the numbers in layer names go on from the previous network
    train.main()
"""


@pytest.mark.slow
def test_every_kind_of_training_is_reproducible_and_depends_on_the_seed(
    vectorized: Path, workspace: Path, tmp_path: Path, set_params: Callable, run: Callable, trained: Callable
) -> None:
    n_examples = len(tables.read_column(vectorized / "data/ids/train.parquet", "id"))
    kinds: dict[str, dict] = {
        "an ensemble": ENSEMBLE,
        # All that uses random numbers in training, and trained token vectors: with all examples in one batch, there are
        # enough lookups of each vector for several threads to add up its gradient.
        "every dropout": {
            "cell": "lstm", "pooling": "attention", "num_layers": 2, "word_dropout": 0.1, "spatial_dropout": 0.1,
            "recurrent_dropout": 0.1, "ema_momentum": 0.9, "token_vectors": "random", "units": 4,
            "batch_size": n_examples, "epochs": 5,
        },
    }  # fmt: skip
    for name, changes in kinds.items():
        with contextlib.chdir(shutil.copytree(vectorized, tmp_path / name)):
            set_params(train={"epochs": 2} | changes)
    (workspace / "train_in_folders.py").write_text(TRAIN_IN_FOLDERS)

    process = run("train_in_folders", *(str(tmp_path / name) for name in kinds))

    assert process.returncode == 0, process.stderr
    assert process.stderr == ""  # no start-up messages of TensorFlow, no warnings
    for name, changes in reversed(kinds.items()):
        assert read_outputs(trained(**changes)) == read_outputs(tmp_path / name), name
    first, other = read_outputs(trained(**NETWORK_ALONE)), read_outputs(trained(**NETWORK_ALONE, seed=2))
    assert other["models/weights.safetensors"] != first["models/weights.safetensors"]
    assert other["models/network.json"] == first["models/network.json"]


# Outputs


@pytest.mark.slow
def test_history_report_and_mlflow_have_every_epoch(trained: Callable) -> None:
    trained(**NETWORK_ALONE)

    history, report = read_history(), read_report()
    assert [row["epoch"] for row in history] == [1, 2]
    assert list(report) == ["parameters", "best_epoch", "network_weight", "temperature", "validation"]
    # Without patience, the last epoch counts as the best: the exported weights are its weights.
    assert report["best_epoch"] == 2
    assert_metrics_of_epoch(report["validation"], history[-1])
    # Each epoch was logged.
    logged = json.loads(Path("logged.json").read_text())
    assert [{name: row[name] for name in history[0]} for row in logged] == history
    assert all(row["epoch_seconds"] > 0 for row in logged)


@pytest.mark.slow
def test_fingerprints_of_training_and_validation_examples_are_saved_and_no_others(trained: Callable) -> None:
    trained(**NETWORK_ALONE)

    splits = (Path(f"data/split/{name}.parquet") for name in ("train", "validation"))
    expected = [row for path in splits for row in tables.read_rows(path, tables.FINGERPRINT_SCHEMA)]
    assert [*tables.read_rows(Path("data/fingerprints/train.parquet"), tables.FINGERPRINT_SCHEMA)] == expected


@pytest.mark.slow
def test_a_network_alone_does_not_need_the_baseline(trained: Callable) -> None:
    trained(**NETWORK_ALONE)

    assert Classifier(Path("models")).files == ["model.onnx", "tokenizer.json", "ngram_features.safetensors"]


@pytest.mark.slow
def test_without_temperature_scaling_the_temperature_is_1(trained: Callable) -> None:
    trained(**NETWORK_ALONE)

    classifier = Classifier(Path("models"))
    assert read_report()["temperature"] == classifier.temperature == 1
    texts, _ = read_validation(classifier)
    network = classifier.predict_network_proba(texts)
    np.testing.assert_allclose(classifier.predict_proba(texts), network, atol=1e-5)


@pytest.mark.slow
def test_weight_and_temperature_are_fitted_on_validation_and_make_the_predictions(
    trained: Callable,
) -> None:
    trained(**ENSEMBLE)

    classifier, report = Classifier(Path("models")), read_report()
    assert classifier.baseline
    texts, y_true = read_validation(classifier)
    network = classifier.predict_network_proba(texts)
    baseline = linear.predict_proba(classifier.baseline, texts)
    weight = calibration.fit_network_weight(y_true, log_probabilities(network), log_probabilities(baseline))
    assert report["network_weight"] == classifier.network_weight == pytest.approx(weight, abs=1e-3)
    assert 0 <= weight != 0.5
    unscaled = classifier.ensemble(network, baseline)
    fitted = calibration.fit_temperature(y_true, log_probabilities(unscaled))
    assert report["temperature"] == classifier.temperature == pytest.approx(fitted, abs=1e-3)
    assert classifier.temperature < 0.9
    y_proba = classifier.predict_proba(texts)
    np.testing.assert_allclose(y_proba, apply_temperature(unscaled, classifier.temperature), atol=1e-5)
    expected = classification.classification_metrics(y_true, y_proba)
    assert report["validation"] == pytest.approx(expected, abs=1e-5)
    before = classification.classification_metrics(y_true, unscaled)
    assert report["validation"]["log_loss"] < before["log_loss"]
    assert report["validation"]["accuracy"] == before["accuracy"]
    # The metrics of the network alone are not scaled.
    expected = classification.classification_metrics(y_true, network)
    assert report["network_validation"] == pytest.approx(expected, abs=1e-5)


@pytest.mark.slow
def test_the_report_of_an_ensemble_has_the_metrics_of_its_network_too(trained: Callable) -> None:
    trained(**ENSEMBLE)

    classifier, report = Classifier(Path("models")), read_report()
    texts, y_true = read_validation(classifier)
    accuracy = (classifier.predict_proba(texts).argmax(axis=1) == y_true).mean()
    assert report["validation"]["accuracy"] == pytest.approx(accuracy, abs=1e-6)
    best = min(read_history(), key=lambda row: row["val_log_loss"])
    assert_metrics_of_epoch(report["network_validation"], best)
    assert report["validation"]["log_loss"] != report["network_validation"]["log_loss"]


@pytest.mark.slow
def test_gradient_norms_are_reported_for_each_step_before_and_after_training(trained: Callable) -> None:
    trained(**ENSEMBLE)

    with Path("reports/gradients.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["steps_back", "before", "after"]
    assert [int(row["steps_back"]) for row in rows] == [*range(len(rows))]
    assert len(rows) == max(len(tokens) for tokens in tables.read_column(Path("data/ids/validation.parquet"), "tokens"))
    assert all(float(row[time]) > 0 for row in rows for time in ("before", "after"))
    assert [row["before"] for row in rows] != [row["after"] for row in rows]


@pytest.mark.slow
def test_train_draws_nothing(trained: Callable) -> None:
    trained(**ENSEMBLE)

    expected = ["baseline.json", "gradients.csv", "history.csv", "split.json", "train.json"]
    assert sorted(path.name for path in Path("reports").iterdir()) == expected


# Early stopping


def shift_validation_labels() -> None:
    """Give each validation example a wrong label: the more the network learns, the higher the validation loss."""
    path = Path("data/ids/validation.parquet")
    names = tables.IDS_SCHEMA.names
    rows = [dict(zip(names, row, strict=True)) for row in tables.read_rows(path, tables.IDS_SCHEMA)]
    n_classes = len(json.loads(Path("data/ids/labels.json").read_text()))
    tables.write_table(path, tables.IDS_SCHEMA, [row | {"label": (row["label"] + 1) % n_classes} for row in rows])


@pytest.mark.slow
def test_with_patience_training_stops_and_the_best_epoch_is_exported(trained: Callable) -> None:
    without_dropout = dict.fromkeys(("embedding_dropout", "ngram_dropout", "dropout", "label_smoothing"), 0.0)
    alone = {"ensemble_with_baseline": False, "temperature_scaling": False}

    trained(shift_validation_labels, **without_dropout, **alone, learning_rate=0.03, batch_size=4, epochs=5, patience=1)

    history, report = read_history(), read_report()
    losses = [row["val_log_loss"] for row in history]
    best = losses.index(min(losses)) + 1
    assert best == len(losses) - 1 < 4  # one epoch without a lower loss, and none after it
    assert losses[-1] > losses[-2] + 0.1
    assert report["best_epoch"] == best
    assert_metrics_of_epoch(report["validation"], history[best - 1])


# Errors

IMPORTS = """
import sys
from pipeline import cli, train
try:
    cli.run(train.main)
finally:
    print([name for name in ("tensorflow", "keras", "mlflow", "sklearn") if name in sys.modules])
"""


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": -1.0}, "params.yaml: train.learning_rate is -1.0, but should be greater than 0"),
        ({"batch_size": 5000}, "train.batch_size is 5,000, but there are {n} training examples; lower it"),
    ],
)
def test_invalid_parameters_are_refused_before_tensorflow_is_imported(
    vectorized: Path, workspace: Path, set_params: Callable, run: Callable, changes: dict, message: str
) -> None:
    shutil.copytree(vectorized, workspace, dirs_exist_ok=True)
    (workspace / "imports.py").write_text(IMPORTS)
    text = Path("params.yaml").read_text()
    for name, value in changes.items():
        old = next(line for line in text.splitlines() if line.startswith(f"  {name}: "))
        text = text.replace(old, f"  {name}: {value}")
    Path("params.yaml").write_text(text)
    n_examples = len(tables.read_column(Path("data/ids/train.parquet"), "id"))
    before = {path for path in Path().rglob("*") if path.is_file() and path.suffix != ".pyc"}

    completed = run("imports")

    assert completed.stderr == f"error: {message.format(n=n_examples)}\n"
    assert (completed.returncode, completed.stdout) == (1, "[]\n")
    assert {path for path in Path().rglob("*") if path.is_file() and path.suffix != ".pyc"} == before


@pytest.fixture
def diverged(trained: Callable, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable:
    """`diverged(n_steps)` trains with weights that are NaN after so many steps, and gives the error."""
    from pipeline.model import network

    class DivergingSchedule(network.keras.optimizers.schedules.LearningRateSchedule):
        def __init__(self, n_steps: int) -> None:
            self.n_steps = n_steps

        def __call__(self, step):
            return network.keras.ops.where(step < self.n_steps, 0.001, float("nan"))

        def get_config(self) -> dict:
            return {}

    def train_until(n_steps: int, **changes) -> str:
        optimizer = network.keras.optimizers.RMSprop(DivergingSchedule(n_steps))
        monkeypatch.setattr(network, "make_optimizer", lambda n_steps, params: optimizer)
        with pytest.raises(SystemExit) as end:
            trained(**changes, epochs=4, patience=None, token_vectors="random")
        assert end.value.code == 1
        return capfd.readouterr().err

    return train_until


@pytest.mark.slow
def test_a_divergence_in_the_first_epoch_is_a_one_line_error_and_exports_nothing(diverged: Callable) -> None:
    message = diverged(n_steps=1)

    assert message == "error: loss is nan in epoch 1; lower train.learning_rate\n"
    assert not Path("models/model.onnx").exists()


@pytest.mark.slow
def test_a_later_divergence_exports_the_weights_of_the_last_epoch_before_it(
    diverged: Callable, vectorized: Path
) -> None:
    n_examples = len(tables.read_column(vectorized / "data/ids/train.parquet", "id"))

    # All examples are one batch: an epoch is one step, and the loss of the third is computed before its update.
    message = diverged(n_steps=2, batch_size=n_examples)

    assert message == (
        "error: val_log_loss is nan in epoch 3; lower train.learning_rate; models/ has the weights of epoch 2\n"
    )
    assert [row["epoch"] for row in read_history()] == [1, 2]
    assert read_report()["best_epoch"] == 2
    assert np.isfinite(Classifier(Path("models")).predict_proba(["how do i sort a dict", ""])).all()
    weights = load_file("models/weights.safetensors")
    assert all(np.isfinite(array).all() for array in weights.values())
