"""Serving: text in, probabilities out, whatever else is asked at the same time, and without TensorFlow."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.corpus.tokenizer import encode, fit
from pipeline.nn import evidence
from pipeline.nn.batches import Ids
from pipeline.nn.serving import BATCH, FILES, Classifier
from pipeline.stage import Stop

WORDS = ["how", "do", "i", "sort", "a", "dict", "by", "value", ";", "in", "{", "blank", "}", "?", "please"]
LABELS = ["java", "python", "ruby"]


@pytest.fixture(scope="module", params=[0, 3], ids=["tokens alone", "with evidence"])
def models(request: pytest.FixtureRequest, random_network: Callable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that serving reads; the n-grams known are those of posts of random words."""
    from pipeline.nn import export

    folder = tmp_path_factory.mktemp("models")
    tokenizer = fit([" ".join(WORDS)], vocabulary=100, max_tokens=30)
    tokenizer.save(str(folder / "tokenizer.json"))
    posts = list(encode(tokenizer, texts_of(60)))
    tokens, starts = np.concatenate(posts), np.cumsum([0, *map(len, posts)])
    labelled = Ids(tokens, starts, np.arange(60) % 3, np.empty((len(tokens), 0), np.float32))
    known = evidence.fit(labelled, len(LABELS), orders=request.param, min_posts=2)
    evidence.save(known, folder / "evidence.safetensors")
    network = random_network(tokenizer.get_vocab_size(), len(LABELS), evidence=request.param * len(LABELS))
    export.save(network, LABELS, folder)
    return folder


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


def test_words_beyond_the_last_token_that_is_read_change_nothing(classifier: Classifier) -> None:
    long = " ".join(["sort"] * 30)

    one, other, shorter = classifier.probabilities([long, long + " dict dict", long.removesuffix(" sort") + " dict"])

    np.testing.assert_array_equal(one, other)
    assert np.abs(one - shorter).max() > 1e-6


@pytest.mark.parametrize("missing", FILES)
def test_a_missing_file_is_named(models: Path, tmp_path: Path, missing: str) -> None:
    for name in FILES:
        if name != missing:
            shutil.copy(models / name, tmp_path)

    with pytest.raises(FileNotFoundError, match=missing):
        Classifier(tmp_path)


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_refused_with_a_sentence(models: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(models, tmp_path / "models")
    content = (models / name).read_bytes()
    (tmp_path / "models" / name).write_bytes(content[: len(content) // 2])

    with pytest.raises(Stop, match="damaged"):
        Classifier(tmp_path / "models")


def test_a_tokenizer_that_the_model_was_not_trained_with_is_refused(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models, tmp_path / "models")
    fit([" ".join(WORDS[:5])], vocabulary=50, max_tokens=30).save(str(tmp_path / "models/tokenizer.json"))

    with pytest.raises(Stop, match="is not the one that model"):
        Classifier(tmp_path / "models")


STAGES = """
import json, sys
from pipeline import fetch, predict, source, split, vectorize
import pipeline.nn.serving
for stage in (source, fetch, split, vectorize):
    stage.main()
print(json.dumps([name for name in ("tensorflow", "keras", "mlflow") if name in sys.modules]))
"""


def test_neither_the_first_stages_nor_serving_wait_for_tensorflow_or_mlflow(
    set_params: Callable, run: Callable, workspace: Path
) -> None:
    set_params(fetch={"source": "sample", "sample_posts": 80})
    (workspace / "stages.py").write_text(STAGES)

    done = run("stages")

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []
