"""Serving: text in, probabilities out, whatever else is asked at the same time, and without TensorFlow."""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from pipeline import params
from pipeline.cli import UserError
from pipeline.features import batches, ngram_features
from pipeline.features.tokenizer import encode_texts, fit_tokenizer
from pipeline.model import export, linear
from pipeline.model.classifier import (
    BATCH,
    Classifier,
    apply_temperature,
    geometric_mean,
    log_probabilities,
    required_files,
)

WORDS = ["how", "do", "i", "sort", "a", "dict", "by", "value", ";", "in", "{", "blank", "}", "?", "please"]
LABELS = ["java", "python", "ruby"]
KINDS: dict[str, dict] = {
    "tokens alone": {"ngrams": 0, "character_ngrams": False, "wide": False},
    "with evidence": {"wide": False},
    "wide": {},
    "without a mask": {"mask": False, "pooling": "last"},
}


def made(kind: str, folder: Path, random_network: Callable, small: Callable[..., params.Train]) -> Path:
    """A folder with all that serving reads; the n-grams known are those of posts of random words."""

    train = small(**KINDS[kind])
    tokenizer = fit_tokenizer([" ".join(WORDS)], "code", vocabulary=100, max_tokens=30)
    tokenizer.save(str(folder / "tokenizer.json"))
    texts, labels = texts_of(60), np.arange(60) % 3
    posts = batches.from_encoded(encode_texts(tokenizer, texts), labels)
    known = ngram_features.fit(posts, len(LABELS), train)
    ngram_features.save(known, folder / "ngram_features.safetensors")
    beside = linear.fit(texts, labels, len(LABELS), params.Baseline(ngrams=2, min_posts=2, character_min_posts=2, C=1))
    linear.save(beside._replace(temperature=0.5), folder / "baseline.safetensors")
    width = None if train.mask else 30
    columns = ngram_features.transform(known, posts).shape[1]
    network = random_network(train, tokenizer.get_vocab_size(), len(LABELS), ngram_features=columns, width=width)
    export.export_model(network, LABELS, train, folder)
    return folder


@pytest.fixture(scope="module", params=KINDS)
def models(
    request: pytest.FixtureRequest, random_network: Callable, small: Callable, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return made(request.param, tmp_path_factory.mktemp("models"), random_network, small)


@pytest.fixture(scope="module")
def wide(random_network: Callable, small: Callable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made("wide", tmp_path_factory.mktemp("wide"), random_network, small)


@pytest.fixture(scope="module")
def classifier(models: Path) -> Classifier:
    return Classifier(models)


def texts_of(count: int) -> list[str]:
    """Texts of 0 to 40 words, short and long ones mixed."""
    rng = np.random.default_rng(1)
    return [" ".join(rng.choice(WORDS, rng.integers(0, 40))) for _ in range(count)]


def test_answers_come_in_the_order_of_the_texts(classifier: Classifier) -> None:
    texts = texts_of(2 * BATCH + 3)

    forwards = classifier.probabilities(texts)

    assert np.unique(forwards.round(4), axis=0).shape[0] > BATCH
    np.testing.assert_allclose(classifier.probabilities(texts[::-1])[::-1], forwards, atol=1e-6)


def test_a_text_alone_gets_what_it_gets_among_many(classifier: Classifier) -> None:
    texts = texts_of(2 * BATCH + 3)

    alone = np.concatenate([classifier.probabilities([text]) for text in texts])

    np.testing.assert_allclose(alone, classifier.probabilities(texts), atol=1e-6)


def test_rows_sum_to_one_with_a_column_per_label(classifier: Classifier) -> None:
    probabilities = classifier.probabilities(texts_of(10))

    assert classifier.labels == LABELS
    assert probabilities.shape == (10, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("text", ["", " \n", "nothingknown", "[PAD]"])
def test_a_text_without_known_tokens_has_an_answer(classifier: Classifier, text: str) -> None:
    alone = classifier.probabilities([text])

    assert np.isfinite(alone).all()
    np.testing.assert_allclose(classifier.probabilities(["how do i sort a dict", text])[1:], alone, atol=1e-6)


def test_no_text_has_no_answer(classifier: Classifier) -> None:
    assert classifier.probabilities([]).shape == (0, 3)


def test_words_beyond_the_last_token_that_is_read_change_nothing_for_the_network(classifier: Classifier) -> None:
    long = " ".join(["sort"] * 30)

    one, other, shorter = classifier.network([long, long + " dict dict", long.removesuffix(" sort") + " dict"])

    np.testing.assert_array_equal(one, other)
    assert np.abs(one - shorter).max() > 1e-6


# The network alone, the linear model, and their mean


def test_the_mean_of_probabilities_is_that_of_their_logarithms() -> None:
    one, other = np.array([[0.5, 0.5], [0.9, 0.1]]), np.array([[0.8, 0.2], [0.9, 0.1]])

    # The roots of 0.4 and 0.1 are as 2 to 1.
    np.testing.assert_allclose(geometric_mean(one, other), [[2 / 3, 1 / 3], [0.9, 0.1]])
    np.testing.assert_allclose(geometric_mean(other, one), geometric_mean(one, other))
    # Who is sure outweighs who is not: with 0.04 and 0.5 the mean of probabilities would be 0.27.
    np.testing.assert_allclose(geometric_mean(np.array([[0.04, 0.96]]), one[:1])[0, 0], 0.2 / (0.2 + 0.96**0.5))


def test_the_mean_of_two_models_that_are_sure_of_different_labels_is_a_number() -> None:
    given = geometric_mean(np.array([[1, 0]], np.float32), np.array([[1e-46, 1]], np.float32))

    np.testing.assert_allclose(given, [[0.5, 0.5]])


# The temperature


@pytest.mark.parametrize(
    ("temperature", "expected"),
    [
        (1, [[0.8, 0.2], [0.5, 0.5]]),
        (2, [[2 / 3, 1 / 3], [0.5, 0.5]]),  # the root of 4 to 1
        (0.5, [[16 / 17, 1 / 17], [0.5, 0.5]]),  # the square of it
    ],
)
def test_a_temperature_is_a_root_of_how_much_likelier_one_label_is(temperature: float, expected: list) -> None:
    given = apply_temperature(np.array([[0.8, 0.2], [0.5, 0.5]], np.float32), temperature)

    np.testing.assert_allclose(given, expected, atol=1e-6)
    assert given.dtype == np.float32


def test_who_is_sure_beyond_all_numbers_may_be_scaled() -> None:
    given = apply_temperature(np.array([[1, 0], [0, 1]], np.float32), 2)

    np.testing.assert_allclose(given, [[1, 0], [0, 1]], atol=1e-6)
    np.testing.assert_allclose(log_probabilities(np.array([[1, 0]], np.float32)), [[0, np.log(1e-30)]], rtol=1e-6)


def test_to_scale_changes_the_order_of_no_two_labels() -> None:
    probabilities = np.random.default_rng(1).dirichlet([0.3] * 5, 200).astype(np.float32)

    for temperature in (0.2, 0.9, 3):
        given = apply_temperature(probabilities, temperature)
        np.testing.assert_array_equal(given.argmax(axis=1), probabilities.argmax(axis=1))
        np.testing.assert_allclose(given.sum(axis=1), 1, atol=1e-6)
        assert (given.max(axis=1) > probabilities.max(axis=1)).mean() == (temperature < 1)


def test_answers_are_scaled_by_the_temperature_that_the_model_notes(models: Path, tmp_path: Path) -> None:

    texts = texts_of(20)
    plain = Classifier(models)
    shutil.copytree(models, tmp_path / "models")
    export.set_temperature(tmp_path / "models/model.onnx", 2.5)

    hot = Classifier(tmp_path / "models")

    assert (plain.temperature, hot.temperature) == (1, 2.5)
    np.testing.assert_allclose(hot.probabilities(texts), apply_temperature(plain.probabilities(texts), 2.5), atol=1e-6)
    # Neither half of the answer is scaled by itself.
    np.testing.assert_array_equal(hot.network(texts), plain.network(texts))
    beside = np.full((20, 3), 1 / 3, np.float32)
    np.testing.assert_array_equal(
        hot.combined(hot.network(texts), beside), plain.combined(plain.network(texts), beside)
    )


def test_what_both_halves_say_together_is_their_mean_where_there_are_two(classifier: Classifier) -> None:
    one, other = np.array([[0.5, 0.5, 0]], np.float32), np.array([[0.8, 0.2, 0]], np.float32)

    both = classifier.combined(one, other)

    # The roots of 0.4 and 0.1 are as 2 to 1.
    expected = [[2 / 3, 1 / 3, 0]] if classifier.linear else one
    np.testing.assert_allclose(both, expected, atol=1e-6)
    np.testing.assert_array_equal(classifier.combined(one, None), one)


def test_a_model_without_a_temperature_is_refused_with_a_sentence(wide: Path, tmp_path: Path) -> None:
    shutil.copytree(wide, tmp_path / "models")
    model = onnx.load(wide / "model.onnx")
    (noted,) = [each for each in model.metadata_props if each.key == "temperature"]
    model.metadata_props.remove(noted)
    onnx.save(model, tmp_path / "models/model.onnx")

    with pytest.raises(UserError, match=r"model\.onnx is damaged .*temperature"):
        Classifier(tmp_path / "models")


def test_half_a_surrogate_pair_is_answered_like_a_question_mark(classifier: Classifier) -> None:
    given, expected = classifier.probabilities(["banana \udcff"]), classifier.probabilities(["banana ?"])

    np.testing.assert_array_equal(given, expected)


def test_a_wide_classifier_answers_with_the_mean_and_another_with_its_network(classifier: Classifier) -> None:
    texts = texts_of(70)
    network = classifier.network(texts)

    answer = classifier.probabilities(texts)

    if classifier.linear:
        beside = linear.predict_proba(classifier.linear, texts)
        np.testing.assert_allclose(answer, geometric_mean(network, beside), atol=1e-6)
        assert np.abs(answer - network).max() > 0.05
    else:
        np.testing.assert_allclose(answer, network, atol=1e-6)


def test_the_network_sees_each_post_with_its_evidence(wide: Path) -> None:
    classifier = Classifier(wide)
    texts = texts_of(5)
    posts = batches.from_encoded(encode_texts(classifier.tokenizer, texts), np.arange(5))
    posts = replace(posts, evidence=ngram_features.transform(classifier.evidence, posts))
    assert posts.evidence.any()

    inputs, _ = batches.pad_batch(posts, np.arange(5))

    (expected,) = classifier.session.run(None, inputs)
    np.testing.assert_allclose(classifier.network(texts), expected, atol=1e-6)


# The files


@pytest.mark.parametrize(
    ("wide", "expected"),
    [
        (False, ["tokenizer.json", "ngram_features.safetensors"]),
        (True, ["tokenizer.json", "ngram_features.safetensors", "baseline.safetensors"]),
    ],
)
def test_the_linear_model_is_a_companion_where_it_has_a_say(wide: bool, expected: list[str]) -> None:
    assert required_files(wide) == expected


def test_a_folder_needs_the_files_that_the_model_names_and_no_other(models: Path, tmp_path: Path) -> None:
    answer = Classifier(models).probabilities(texts_of(3))
    files = Classifier(models).files
    for name in files:
        shutil.copy(models / name, tmp_path)

    np.testing.assert_array_equal(Classifier(tmp_path).probabilities(texts_of(3)), answer)
    assert ("baseline.safetensors" in files) == bool(Classifier(models).linear)


FILES = ["model.onnx", *required_files(wide=True)]


@pytest.mark.parametrize("missing", FILES)
def test_a_missing_file_is_named(wide: Path, tmp_path: Path, missing: str) -> None:
    for name in FILES:
        if name != missing:
            shutil.copy(wide / name, tmp_path)

    with pytest.raises(FileNotFoundError, match=missing):
        Classifier(tmp_path)


def test_a_damaged_model_is_refused_with_a_sentence(wide: Path, tmp_path: Path) -> None:
    shutil.copytree(wide, tmp_path / "models")
    content = (wide / "model.onnx").read_bytes()
    (tmp_path / "models/model.onnx").write_bytes(content[: len(content) // 2])

    with pytest.raises(UserError, match=r"model\.onnx is damaged .* bring back what belongs together .* dvc checkout"):
        Classifier(tmp_path / "models")


def test_a_model_of_somebody_else_is_refused_with_a_sentence(wide: Path, tmp_path: Path) -> None:
    shutil.copytree(wide, tmp_path / "models")
    model = onnx.load(wide / "model.onnx")
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "models/model.onnx")

    with pytest.raises(UserError, match=r"model\.onnx is damaged"):
        Classifier(tmp_path / "models")


@pytest.mark.parametrize("name", required_files(wide=True))
def test_a_companion_that_the_model_was_not_trained_with_is_refused(wide: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(wide, tmp_path / "models")
    content = (wide / name).read_bytes()
    (tmp_path / "models" / name).write_bytes(content[:-1] + b"?")
    assert hashlib.sha256(content).digest() != hashlib.sha256((tmp_path / "models" / name).read_bytes()).digest()

    with pytest.raises(UserError, match=rf"^{name} is not the one that model\.onnx was trained with; bring back"):
        Classifier(tmp_path / "models")


STAGES = """
import json, sys
from pipeline import fetch, predict, source, split, vectorize
import pipeline.model.classifier
for stage in (source, fetch, split, vectorize):
    stage.main()
print(json.dumps([name for name in ("tensorflow", "keras", "mlflow") if name in sys.modules]))
"""


def test_neither_the_first_stages_nor_serving_wait_for_tensorflow_or_mlflow(
    set_params: Callable, run: Callable, workspace: Path
) -> None:
    set_params(fetch={"source": "sample", "sample_size": 80})
    (workspace / "stages.py").write_text(STAGES)

    done = run("stages")

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []
