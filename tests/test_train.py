"""The stage train: the same twice, by itself and beside others, and what is kept, also where a training goes astray."""

import csv
import json
import re
import shutil
import signal
import subprocess
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
MADE = ["models/model.onnx", "models/weights.safetensors", "models/network.json", "models/ngram_features.safetensors"]
MADE += ["reports/history.csv", "reports/gradients.csv", "reports/history.svg", "reports/gradients.svg"]
MADE += ["reports/train.json"]
FIGURES = ["accuracy", "log_loss"]


@pytest.fixture(scope="module")
def posts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as it is before training on a small sample."""
    folder = tmp_path_factory.mktemp("posts")
    for name in ("dvc.yaml", "pipeline"):  # what the key of the run is made of
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, folder / name)
    text = (ROOT / "tests/params.yaml").read_text()
    assert "sample_posts: 320" in text
    (folder / "params.yaml").write_text(text.replace("sample_posts: 320", "sample_posts: 160"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("DVC_ROOT", raising=False)
        for before in (source, fetch, split, vectorize, baseline):
            before.main()
    return folder


@pytest.fixture
def process(
    posts: Path, workspace: Path, set_params: Callable, run: Callable
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`process(seed=2)` trains on these posts in a process, with the tests' parameters but for the ones given."""
    shutil.copytree(posts, workspace, dirs_exist_ok=True)

    def start(**section) -> subprocess.CompletedProcess[str]:
        set_params(train={"epochs": 2} | section)
        return run("pipeline.train")

    return start


@pytest.fixture(scope="module")
def made() -> dict[str, Path]:
    """The folders of the trainings in this process, by their parameters: several tests may look at one."""
    return {}


@pytest.fixture
def trained(
    posts: Path, made: dict[str, Path], tmp_path: Path, set_params: Callable, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., None]]:
    """`trained(seed=2)` trains in this process, where no test did so before, and goes to the folder of it."""
    from pipeline.model.backend import keras  # here, as TensorFlow takes seconds to import

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    handler = signal.getsignal(signal.SIGTERM)

    def go(**section) -> None:
        key = str(sorted(section.items()))
        if key not in made:
            made[key] = tmp_path / f"trained-{len(made)}"
            shutil.copytree(posts, made[key])
            monkeypatch.chdir(made[key])
            set_params(train={"epochs": 2} | section)
            keras.utils.clear_session()  # else layers have other names than those of the network before
            cli.run(train.main)
        monkeypatch.chdir(made[key])

    yield go
    signal.signal(signal.SIGTERM, handler)


def history() -> list[dict[str, float]]:
    with Path("reports/history.csv").open(newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def report() -> dict:
    return json.loads(Path("reports/train.json").read_text())


def network_says(epoch: dict[str, float]) -> dict:
    """What that epoch's network gave on validation."""
    # A post the log loss of which is 1e-4 off is one that two ways of adding up see alike.
    return {name: pytest.approx(epoch[f"val_{name}"], abs=1e-4) for name in FIGURES}


def told(figures: dict[str, float]) -> dict[str, float]:
    return {name: figures[name] for name in FIGURES}


# The same again: in a process of its own, and in this one, whatever it did before. TensorFlow takes as many threads as
# there are cores: nothing here, nor in the pipeline, keeps it to one.

BOTH_WAYS = {"bidirectional": True}


@pytest.fixture
def alone(process: Callable) -> Callable[..., dict[str, bytes]]:
    """`alone(seed=2)` trains in a process of its own, and gives the files it made."""

    def go(**section) -> dict[str, bytes]:
        done = process(**section)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stderr == ""  # no notices of TensorFlow's, no warnings
        return {name: Path(name).read_bytes() for name in MADE}

    return go


@pytest.fixture
def here(trained: Callable) -> Callable[..., dict[str, bytes]]:
    """`here(seed=2)` gives the files that a training in this process made."""

    def go(**section) -> dict[str, bytes]:
        trained(**section)
        return {name: Path(name).read_bytes() for name in MADE}

    return go


def test_a_seed_gives_the_same_bytes_again_and_another_seed_others(alone: Callable, here: Callable) -> None:
    first = alone(**BOTH_WAYS)
    again = here(**BOTH_WAYS)
    other = here(**BOTH_WAYS, seed=2)

    assert again == first
    assert other["models/weights.safetensors"] != first["models/weights.safetensors"]
    assert other["models/network.json"] == first["models/network.json"]


def test_learned_vectors_are_the_same_again_however_many_gradients_are_summed(alone: Callable, here: Callable) -> None:
    # All posts are a batch: enough look-ups of each vector that threads share the sum of its gradients.
    posts = len(tables.read_column(Path("data/ids/train.parquet"), "id"))
    section = {"vectors": "random", "units": 4, "mask": False, "batch": posts, "epochs": 15}
    section |= {"ngrams": 0, "character_ngrams": False, "optimizer": "rmsprop", "clip_norm": None}

    assert alone(**section) == here(**section)


@pytest.mark.parametrize(
    "section",
    [
        # Everything that draws a number while training.
        {"cell": "lstm", "pooling": "attention", "layers": 2, "word_dropout": 0.1, "spatial_dropout": 0.1,
         "recurrent_dropout": 0.1, "weight_averaging": 0.9, "vectors": "random"},
        {"cell": "rnn", "pooling": "last", "mask": False, "optimizer": "rmsprop", "schedule": "constant",
         "clip_norm": None, "patience": None, "wide": False, "ngrams": 0, "character_ngrams": False},
    ],
    ids=["many dropouts", "the plainest"],
)  # fmt: skip
def test_every_kind_of_training_gives_the_same_bytes_again(alone: Callable, here: Callable, section: dict) -> None:
    assert alone(**section, epochs=1) == here(**section, epochs=1)


# What is kept, and what is told of it


# What comes out of the network is what is shipped.
PLAIN: dict[str, Any] = {"wide": False, "temperature_scaling": False}


def test_history_and_report_tell_of_every_epoch_and_the_best(trained: Callable) -> None:
    trained(**PLAIN)

    assert [row["epoch"] for row in history()] == [1, 2]
    best = min(history(), key=lambda row: row["val_log_loss"])
    assert list(report()) == ["parameters", "best_epoch", "temperature", "validation"]
    assert report()["best_epoch"] == best["epoch"]
    # The weights kept are the best epoch's: what they give on validation is what that epoch gave.
    assert told(report()["validation"]) == network_says(best)
    # The posts it has learned from and chosen by have left their fingerprints, and those of test have not.
    learned_from = (Path(f"data/split/{role}.parquet") for role in ("train", "validation"))
    posts = [post for path in learned_from for post in tables.read_rows(path, tables.FINGERPRINT_SCHEMA)]
    assert [*tables.read_rows(Path("data/fingerprints/train.parquet"), tables.FINGERPRINT_SCHEMA)] == posts


def test_a_network_alone_is_served_without_the_linear_model(trained: Callable) -> None:
    trained(**PLAIN)

    assert Classifier(Path("models")).files == ["model.onnx", "tokenizer.json", "ngram_features.safetensors"]


def test_without_temperature_scaling_the_temperature_is_1(trained: Callable) -> None:
    trained(**PLAIN)

    classifier = Classifier(Path("models"))
    assert report()["temperature"] == classifier.temperature == 1
    texts = tables.read_column(train.VALIDATION, "text")
    np.testing.assert_allclose(classifier.probabilities(texts), classifier.network(texts), atol=1e-6)


def test_the_temperature_is_fitted_on_validation_and_scales_what_is_served(trained: Callable) -> None:
    trained(**BOTH_WAYS)

    classifier = Classifier(Path("models"))
    assert classifier.linear
    texts, labels = (tables.read_column(train.VALIDATION, name) for name in ("text", "label"))
    y_true = np.array([classifier.labels.index(label) for label in labels])
    unscaled = classifier.combined(classifier.network(texts), linear.predict_proba(classifier.linear, texts))
    assert (
        report()["temperature"]
        == classifier.temperature
        == calibration.fit_temperature(y_true, log_probabilities(unscaled))
    )
    assert abs(classifier.temperature - 1) > 0.01
    served = classifier.probabilities(texts)
    np.testing.assert_allclose(served, apply_temperature(unscaled, classifier.temperature), atol=1e-6)
    assert report()["validation"] == pytest.approx(classification.classification_metrics(y_true, served), abs=2e-6)
    before = classification.classification_metrics(y_true, unscaled)
    assert report()["validation"]["log_loss"] < before["log_loss"]
    assert report()["validation"]["accuracy"] == before["accuracy"]
    # Its halves are not scaled.
    assert report()["network_validation"] == classification.classification_metrics(y_true, classifier.network(texts))


def test_a_wide_classifier_has_its_figures_beside_its_networks(trained: Callable) -> None:
    trained(**BOTH_WAYS)

    classifier = Classifier(Path("models"))
    texts, labels = (tables.read_column(train.VALIDATION, name) for name in ("text", "label"))
    answers = [classifier.labels[best] for best in classifier.probabilities(texts).argmax(axis=1)]
    right = [answer == label for answer, label in zip(answers, labels, strict=True)]
    assert report()["validation"]["accuracy"] == pytest.approx(np.mean(right), abs=1e-6)
    best = min(history(), key=lambda row: row["val_log_loss"])
    assert told(report()["network_validation"]) == network_says(best)
    assert report()["validation"] != report()["network_validation"]


def test_the_gradient_at_each_step_is_there_before_and_after_training(trained: Callable) -> None:
    trained(**BOTH_WAYS)

    with Path("reports/gradients.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["steps_back"]) for row in rows] == [*range(len(rows))]
    assert len(rows) == max(len(tokens) for tokens in tables.read_column(Path("data/ids/validation.parquet"), "tokens"))
    assert all(float(row[when]) > 0 for row in rows for when in ("before", "after"))
    assert [row["before"] for row in rows] != [row["after"] for row in rows]
    assert all("<svg" in Path(f"reports/{name}.svg").read_text() for name in ("history", "gradients"))


AVERAGED: dict[str, Any] = {"epochs": 3, "schedule": "constant", "weight_averaging": 0.9}


def test_averaged_weights_are_the_ones_that_are_validated_and_kept(trained: Callable) -> None:
    trained(**AVERAGED)

    best = min(history(), key=lambda row: row["val_log_loss"])
    assert report()["best_epoch"] == best["epoch"]
    assert told(report()["network_validation"]) == network_says(best)


def test_averaging_leaves_the_training_itself_as_it_is(trained: Callable) -> None:
    trained(**AVERAGED)
    averaged = history()
    trained(**AVERAGED | {"weight_averaging": 0.0})
    plain = history()

    # Training goes on from the weights that are not averaged: its own loss is the same, but not validation's.
    for one, other in zip(averaged, plain, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-4)
        assert abs(one["val_log_loss"] - other["val_log_loss"]) > 1e-3


# A network that is soon sure of its hundred training posts, and wrong on new ones: the best epoch is an early one.
OVERFITTED: dict[str, Any] = {
    "cell": "lstm", "pooling": "last", "ngrams": 0, "character_ngrams": False, "vectors": "random", "wide": False,
    "embedding_dropout": 0.0, "ngram_dropout": 0.0, "dropout": 0.0, "spatial_dropout": 0.0, "label_smoothing": 0.0,
    "learning_rate": 0.05, "schedule": "constant", "epochs": 6, "temperature_scaling": False,
}  # fmt: skip


def test_with_patience_training_stops_and_the_best_epoch_is_kept(trained: Callable) -> None:
    trained(**OVERFITTED, patience=1)

    losses = [row["val_log_loss"] for row in history()]
    best = losses.index(min(losses)) + 1
    assert best == len(losses) - 1 < 5  # one epoch that was no better, and none after it
    assert report()["best_epoch"] == best
    assert told(report()["validation"]) == network_says(history()[best - 1])


def test_without_patience_every_epoch_is_made_and_the_last_one_kept(trained: Callable) -> None:
    trained(**OVERFITTED, patience=None)

    losses = [row["val_log_loss"] for row in history()]
    assert len(losses) == 6
    assert min(losses) < losses[-1] - 0.1  # the last one is not the best one
    assert report()["best_epoch"] == 6
    assert told(report()["validation"]) == network_says(history()[-1])


# What goes wrong


def test_a_batch_of_more_posts_than_there_are_is_refused_before_training(process: Callable) -> None:
    before = {path for path in Path().rglob("*") if path.is_file()}

    done = process(batch=200)

    posts = len(tables.read_column(Path("data/ids/train.parquet"), "id"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"error: train.batch_size is 200, but there are {posts} training posts; make it smaller\n"
    assert {path for path in Path().rglob("*") if path.is_file()} == before


# A simple network of many units at the highest rate: its gradient grows over a few hundred steps beyond all numbers.
EXPLODING: dict[str, Any] = {
    "cell": "rnn", "pooling": "last", "units": 64, "ngrams": 0, "character_ngrams": False, "optimizer": "rmsprop",
    "learning_rate": 1.0, "schedule": "constant", "clip_norm": None, "patience": None, "epochs": 6,
}  # fmt: skip


@pytest.fixture
def exploded(trained: Callable, capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """`exploded(batch=8)` trains here, and gives what came on standard error, from TensorFlow, too."""

    def go(**section) -> str:
        with pytest.raises(SystemExit) as end:
            trained(**EXPLODING | section)
        assert end.value.code == 1
        return capfd.readouterr().err

    return go


@pytest.mark.parametrize("vectors", ["posts", "random"])
def test_a_training_that_explodes_in_its_first_epoch_ends_with_a_sentence(exploded: Callable, vectors: str) -> None:
    said = exploded(vectors=vectors)

    assert re.fullmatch(
        r"error: (val_log_)?loss is (nan|inf) in epoch 1; try a smaller train\.learning_rate\n", said
    ), said
    assert not Path("models/model.onnx").exists()


@pytest.mark.parametrize("vectors", ["posts", "random"])
def test_a_training_that_explodes_later_leaves_the_last_good_epochs_weights(
    exploded: Callable, posts: Path, vectors: str
) -> None:
    count = len(tables.read_column(posts / "data/ids/train.parquet", "id"))

    said = exploded(vectors=vectors, batch=count)  # all posts are a batch: an epoch is a single step

    match = re.fullmatch(
        r"error: (?:val_log_)?loss is (?:nan|inf) in epoch (\d); try a smaller train\.learning_rate; "
        r"models/ holds the weights of epoch (\d)\n",
        said,
    )
    assert match, said
    bad, good = map(int, match.groups())
    assert [row["epoch"] for row in history()] == [*range(1, bad)]
    assert report()["best_epoch"] == good == bad - 1
    assert np.isfinite(Classifier(Path("models")).probabilities(["how do i sort a dict", ""])).all()
    weights = load_file("models/weights.safetensors")
    assert all(np.isfinite(value).all() for value in weights.values())
