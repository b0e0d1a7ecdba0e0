"""The classifier: from texts to probabilities, whatever else is in the batch, and without TensorFlow."""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from pipeline import params
from pipeline.cli import UserError
from pipeline.features import batches, ngram_features
from pipeline.features.tokenizer import encode_texts, fit_tokenizer
from pipeline.model import export, linear
from pipeline.model.classifier import (
    DIGEST_PLACEHOLDER,
    Classifier,
    apply_temperature,
    geometric_mean,
    insert_digest,
    log_probabilities,
    required_files,
)
from pipeline.model.parallel import BATCH_SIZE

WORDS = ["how", "do", "i", "sort", "a", "dict", "by", "value", ";", "in", "{", "blank", "}", "?", "please"]
LABELS = ["java", "python", "ruby"]
NETWORKS: dict[str, dict] = {
    "tokens alone": {"max_ngram": 0, "char_ngrams": False, "ensemble_with_baseline": False},
    "with n-gram features": {"ensemble_with_baseline": False},
    "ensemble": {},
    "without a mask": {"mask": False, "pooling": "last"},
}
MAX_LENGTH = 30


def make_models(name: str, folder: Path, random_network: Callable, small: Callable[..., params.Train]) -> Path:
    """Write the files of a classifier with a random network; n-grams are those of texts of random words."""
    config = small(**NETWORKS[name])
    tokenizer = fit_tokenizer([" ".join(WORDS)], "code", vocab_size=100, max_length=MAX_LENGTH)
    tokenizer.save(str(folder / "tokenizer.json"))
    texts, labels = random_texts(60), np.arange(60) % 3
    examples = batches.from_encoded(encode_texts(tokenizer, texts), labels)
    features = ngram_features.fit(examples, len(LABELS), config)
    ngram_features.save(features, folder / "ngram_features.safetensors")
    baseline = linear.fit(texts, labels, len(LABELS), params.Baseline(max_ngram=2, min_df=2, char_min_df=2, C=1))
    linear.save(baseline._replace(temperature=0.5), folder / "baseline.safetensors")
    length = None if config.mask else MAX_LENGTH
    feature_dim = ngram_features.transform(features, examples).shape[1]
    network = random_network(config, tokenizer.get_vocab_size(), len(LABELS), feature_dim=feature_dim, length=length)
    export.export_model(network, LABELS, config, folder)
    return folder


@pytest.fixture(scope="module", params=NETWORKS)
def models(
    request: pytest.FixtureRequest, random_network: Callable, small: Callable, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return make_models(request.param, tmp_path_factory.mktemp("models"), random_network, small)


@pytest.fixture(scope="module")
def ensemble(random_network: Callable, small: Callable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_models("ensemble", tmp_path_factory.mktemp("ensemble"), random_network, small)


@pytest.fixture
def copied(ensemble: Path, tmp_path: Path) -> Path:
    """A copy of the ensemble's files, to change."""
    return shutil.copytree(ensemble, tmp_path / "models")


@pytest.fixture(scope="module")
def classifier(models: Path) -> Classifier:
    return Classifier(models)


def random_texts(count: int) -> list[str]:
    """Texts of 0 to 40 words, short and long ones mixed."""
    rng = np.random.default_rng(1)
    return [" ".join(rng.choice(WORDS, rng.integers(0, 40))) for _ in range(count)]


# Texts


def test_probabilities_are_in_the_order_of_the_texts(classifier: Classifier) -> None:
    texts = random_texts(2 * BATCH_SIZE + 3)

    probabilities = classifier.predict_proba(texts)

    assert np.unique(probabilities.round(4), axis=0).shape[0] > BATCH_SIZE
    np.testing.assert_allclose(classifier.predict_proba(texts[::-1])[::-1], probabilities, atol=1e-5)


def test_probabilities_do_not_depend_on_the_other_texts(classifier: Classifier) -> None:
    texts = random_texts(2 * BATCH_SIZE + 3)

    alone = np.concatenate([classifier.predict_proba([text]) for text in texts])

    np.testing.assert_allclose(alone, classifier.predict_proba(texts), atol=1e-5)


def test_each_text_has_a_probability_per_label_and_they_sum_to_1(classifier: Classifier) -> None:
    probabilities = classifier.predict_proba(random_texts(10))

    assert classifier.labels == LABELS
    assert probabilities.shape == (10, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("text", ["", " \n", "nothingknown", "[PAD]"])
def test_a_text_without_known_tokens_has_probabilities(classifier: Classifier, text: str) -> None:
    alone = classifier.predict_proba([text])

    assert np.isfinite(alone).all()
    np.testing.assert_allclose(classifier.predict_proba(["how do i sort a dict", text])[1:], alone, atol=1e-5)


def test_there_may_be_no_texts(classifier: Classifier) -> None:
    assert classifier.predict_proba([]).shape == (0, 3)


def test_the_network_does_not_read_beyond_the_maximum_length(classifier: Classifier) -> None:
    longest = " ".join(["sort"] * MAX_LENGTH)
    texts = [longest, longest + " dict dict", longest.removesuffix(" sort") + " dict"]

    original, longer, changed = classifier.predict_network_proba(texts)

    np.testing.assert_allclose(longer, original, atol=1e-6)
    assert np.abs(changed - original).max() > 1e-4


def test_half_a_surrogate_pair_is_a_question_mark(classifier: Classifier) -> None:
    given, expected = classifier.predict_proba(["banana \udcff"]), classifier.predict_proba(["banana ?"])

    np.testing.assert_allclose(given, expected, atol=1e-6)


def test_the_network_reads_the_ngram_features_of_each_text(ensemble: Path) -> None:
    classifier = Classifier(ensemble)
    texts = random_texts(5)
    examples = batches.from_encoded(encode_texts(classifier.tokenizer, texts), np.arange(5))
    features = ngram_features.transform(classifier.ngram_features, examples)
    assert features.any()

    inputs, _ = batches.pad_batch(replace(examples, ngram_features=features), np.arange(5))

    (expected,) = classifier.session.run(None, inputs)
    np.testing.assert_allclose(classifier.predict_network_proba(texts), expected, atol=1e-5)


# The ensemble


def test_the_geometric_mean_is_the_mean_of_the_logarithms() -> None:
    a, b = np.array([[0.5, 0.5], [0.9, 0.1]]), np.array([[0.8, 0.2], [0.9, 0.1]])

    # The square roots of 0.4 and 0.1 are as 2 to 1.
    np.testing.assert_allclose(geometric_mean(a, b, 0.5), [[2 / 3, 1 / 3], [0.9, 0.1]], rtol=1e-6)
    np.testing.assert_allclose(geometric_mean(b, a, 0.5), geometric_mean(a, b, 0.5), rtol=1e-6)
    # Of odds 1 and 4, weighted by 0.75 and 0.25.
    np.testing.assert_allclose(geometric_mean(a, b, 0.75)[0], [2**0.5 / (1 + 2**0.5), 1 / (1 + 2**0.5)], rtol=1e-6)
    np.testing.assert_allclose(geometric_mean(a, b, 1), a, rtol=1e-6)
    np.testing.assert_allclose(geometric_mean(a, b, 0), b, rtol=1e-6)
    # The more confident model weighs more: the arithmetic mean of 0.04 and 0.5 would be 0.27.
    np.testing.assert_allclose(geometric_mean(np.array([[0.04, 0.96]]), a[:1], 0.5)[0, 0], 0.2 / (0.2 + 0.96**0.5))


def test_the_geometric_mean_of_opposite_certainties_is_a_number() -> None:
    mean = geometric_mean(np.array([[1, 0]], np.float32), np.array([[1e-46, 1]], np.float32), 0.5)

    np.testing.assert_allclose(mean, [[0.5, 0.5]])


def test_an_ensemble_predicts_the_geometric_mean_and_another_classifier_its_network(classifier: Classifier) -> None:
    texts = random_texts(70)
    network = classifier.predict_network_proba(texts)

    probabilities = classifier.predict_proba(texts)

    if classifier.baseline:
        baseline = linear.predict_proba(classifier.baseline, texts)
        np.testing.assert_allclose(probabilities, geometric_mean(network, baseline, 0.5), atol=1e-5)
        assert np.abs(probabilities - network).max() > 0.05
    else:
        np.testing.assert_allclose(probabilities, network, atol=1e-5)


def test_ensemble_is_the_geometric_mean_only_if_the_baseline_is_part_of_the_classifier(classifier: Classifier) -> None:
    network, baseline = np.array([[0.5, 0.5, 0]], np.float32), np.array([[0.8, 0.2, 0]], np.float32)

    probabilities = classifier.ensemble(network, baseline)

    # The square roots of 0.4 and 0.1 are as 2 to 1.
    expected = [[2 / 3, 1 / 3, 0]] if classifier.baseline else network
    np.testing.assert_allclose(probabilities, expected, atol=1e-6)
    np.testing.assert_array_equal(classifier.ensemble(network, None), network)


# The temperature


@pytest.mark.parametrize(
    ("temperature", "expected"),
    [
        (1, [[0.8, 0.2], [0.5, 0.5]]),
        (2, [[2 / 3, 1 / 3], [0.5, 0.5]]),  # the square root of 4 to 1
        (0.5, [[16 / 17, 1 / 17], [0.5, 0.5]]),  # the square of it
    ],
)
def test_the_temperature_is_a_root_of_the_odds(temperature: float, expected: list) -> None:
    scaled = apply_temperature(np.array([[0.8, 0.2], [0.5, 0.5]], np.float32), temperature)

    np.testing.assert_allclose(scaled, expected, atol=1e-6)
    assert scaled.dtype == np.float32


def test_probabilities_of_0_and_1_can_be_scaled() -> None:
    scaled = apply_temperature(np.array([[1, 0], [0, 1]], np.float32), 2)

    np.testing.assert_allclose(scaled, [[1, 0], [0, 1]], atol=1e-6)
    np.testing.assert_allclose(log_probabilities(np.array([[1, 0]], np.float32)), [[0, np.log(1e-30)]], rtol=1e-6)


@pytest.mark.parametrize("temperature", [0.2, 0.9, 3])
def test_scaling_changes_the_confidence_and_not_the_predicted_label(temperature: float) -> None:
    # Each has one label that is likelier than the others, and none is certain.
    probabilities = np.array([np.roll([1 + n, 2, 1, 1, 1], n) for n in range(2, 40)], np.float32)
    probabilities /= probabilities.sum(axis=1, keepdims=True)

    scaled = apply_temperature(probabilities, temperature)

    np.testing.assert_array_equal(scaled.argmax(axis=1), probabilities.argmax(axis=1))
    np.testing.assert_allclose(scaled.sum(axis=1), 1, atol=1e-6)
    assert ((scaled.max(axis=1) > probabilities.max(axis=1)) == (temperature < 1)).all()


def test_predictions_are_scaled_by_the_temperature_in_the_metadata(models: Path, tmp_path: Path) -> None:
    texts = random_texts(20)
    unscaled = Classifier(models)
    shutil.copytree(models, tmp_path / "models")
    export.set_metadata(tmp_path / "models/model.onnx", temperature=2.5)

    scaled = Classifier(tmp_path / "models")

    assert (unscaled.temperature, scaled.temperature) == (1, 2.5)
    expected = apply_temperature(unscaled.predict_proba(texts), 2.5)
    np.testing.assert_allclose(scaled.predict_proba(texts), expected, atol=1e-5)
    # The network's probabilities and those of the ensemble are not scaled.
    network = unscaled.predict_network_proba(texts)
    np.testing.assert_allclose(scaled.predict_network_proba(texts), network, atol=1e-5)
    baseline = np.full((20, 3), 1 / 3, np.float32)
    np.testing.assert_array_equal(scaled.ensemble(network, baseline), unscaled.ensemble(network, baseline))


# The files


@pytest.mark.parametrize(
    ("ensemble_with_baseline", "expected"),
    [
        (False, ["tokenizer.json", "ngram_features.safetensors"]),
        (True, ["tokenizer.json", "ngram_features.safetensors", "baseline.safetensors"]),
    ],
)
def test_an_ensemble_requires_the_file_of_the_baseline(ensemble_with_baseline: bool, expected: list[str]) -> None:
    assert required_files(ensemble_with_baseline) == expected


def test_a_classifier_needs_its_files_and_no_others(models: Path, tmp_path: Path) -> None:
    classifier = Classifier(models)
    for name in classifier.files:
        shutil.copy(models / name, tmp_path)

    probabilities = Classifier(tmp_path).predict_proba(random_texts(3))

    np.testing.assert_allclose(probabilities, classifier.predict_proba(random_texts(3)), atol=1e-6)
    assert ("baseline.safetensors" in classifier.files) == bool(classifier.baseline)


FILES = ["model.onnx", *required_files(ensemble_with_baseline=True)]


@pytest.mark.parametrize("missing", FILES)
def test_a_missing_file_is_named(copied: Path, missing: str) -> None:
    (copied / missing).unlink()

    with pytest.raises(FileNotFoundError, match=missing):
        Classifier(copied)


@pytest.mark.parametrize("keep", [0, 0.001, 0.5, 0.999])
def test_a_truncated_model_is_refused(copied: Path, keep: float) -> None:
    content = (copied / "model.onnx").read_bytes()
    (copied / "model.onnx").write_bytes(content[: int(len(content) * keep)])

    with pytest.raises(UserError, match=r"^model\.onnx is damaged \(.*\); run `dvc repro`, or restore .* dvc checkout"):
        Classifier(copied)


@pytest.mark.parametrize("position", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_a_model_with_a_changed_byte_is_refused(copied: Path, position: float) -> None:
    content = bytearray((copied / "model.onnx").read_bytes())
    content[int(position * len(content))] ^= 1
    (copied / "model.onnx").write_bytes(content)

    with pytest.raises(UserError, match=r"^model\.onnx is damaged"):
        Classifier(copied)


def test_a_file_that_is_no_model_is_refused(copied: Path) -> None:
    (copied / "model.onnx").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")

    with pytest.raises(UserError, match=r"^model\.onnx is damaged"):
        Classifier(copied)


def change_metadata(folder: Path, **changes: str | None) -> None:
    """Change entries of the metadata of the ONNX model; None removes one."""
    model = onnx.load(folder / "model.onnx")
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    metadata |= {"sha256": DIGEST_PLACEHOLDER.decode()} | changes
    helper.set_model_props(model, {key: value for key, value in metadata.items() if value is not None})
    (folder / "model.onnx").write_bytes(insert_digest(model.SerializeToString(deterministic=True)))


def test_a_model_of_before_digests_is_told_from_a_damaged_one(copied: Path) -> None:
    change_metadata(copied, sha256=None)

    with pytest.raises(UserError, match=r"^model\.onnx is from another version of this code"):
        Classifier(copied)


@pytest.mark.parametrize(
    ("key", "value"),
    [(key, value) for key in ("labels", "required_files", "network_weight", "temperature") for value in (None, "", "{")]
    + [("sha256", ""), ("sha256", "{")],
)
def test_a_model_with_missing_or_damaged_metadata_is_refused(copied: Path, key: str, value: str | None) -> None:
    change_metadata(copied, **{key: value})

    with pytest.raises(UserError, match=r"^model\.onnx is damaged" if value is not None else rf"is damaged .*{key}"):
        Classifier(copied)


@pytest.mark.parametrize("name", required_files(ensemble_with_baseline=True))
def test_a_file_that_the_model_was_not_trained_with_is_refused(copied: Path, name: str) -> None:
    (copied / name).write_bytes((copied / name).read_bytes()[:-1] + b"?")

    with pytest.raises(UserError, match=rf"^{name} is not the file that model\.onnx was trained with; run `dvc repro`"):
        Classifier(copied)


@pytest.mark.parametrize("name", required_files(ensemble_with_baseline=True))
@pytest.mark.parametrize("content", [b"", b"{}", b"\x02\0\0\0\0\0\0\0{}"], ids=["empty", "json", "safetensors"])
def test_a_file_in_another_format_is_refused(copied: Path, name: str, content: bytes) -> None:
    """As another version of this code may have written it, together with its digest."""
    (copied / name).write_bytes(content)
    files = required_files(ensemble_with_baseline=True)
    digests = {file: hashlib.sha256((copied / file).read_bytes()).hexdigest() for file in files}
    change_metadata(copied, required_files=json.dumps(digests))

    with pytest.raises(UserError, match=r"^model\.onnx is from another version of this code \(.*\); run `dvc repro`"):
        Classifier(copied)


@pytest.mark.parametrize("module", ["pipeline.features.ngram_features", "pipeline.model.linear"])
def test_a_programming_error_is_not_reported_as_a_damaged_file(
    ensemble: Path, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    def load(content: bytes) -> None:
        raise AttributeError("no such attribute")

    monkeypatch.setattr(f"{module}.load", load)

    with pytest.raises(AttributeError, match="no such attribute"):
        Classifier(ensemble)


# Imports

STAGES = """
import json, sys
from pipeline import fetch, predict, source, split, vectorize
import pipeline.model.classifier
for stage in (source, fetch, split, vectorize):
    stage.main()
print(json.dumps([name for name in ("tensorflow", "keras", "mlflow") if name in sys.modules]))
"""


def test_the_first_stages_and_serving_import_neither_tensorflow_nor_mlflow(
    set_params: Callable, run: Callable, workspace: Path
) -> None:
    set_params(fetch={"source": "sample", "sample_size": 80})
    (workspace / "stages.py").write_text(STAGES)

    process = run("stages")

    assert process.returncode == 0, process.stderr
    assert json.loads(process.stdout.splitlines()[-1]) == []
