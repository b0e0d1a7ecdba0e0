"""The stage explain: which examples are selected, the attributions of their words, and pairs of similar examples."""

import csv
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import explain, params
from pipeline.corpus import tables
from pipeline.features import batches, ngram_features
from pipeline.features.tokenizer import encode_texts, fit_tokenizer
from pipeline.metrics.predictions import Predictions
from pipeline.model import attribution, export, linear, word_attributions
from pipeline.model.classifier import Classifier
from pipeline.model.onnx_gradients import OnnxNetwork
from tests.keras_network import load_network

ROOT = Path(__file__).parent.parent
LABELS = ["java", "python", "ruby"]
WORDS = ["how", "do", "i", "sort", "a", "dict", "by", "value", ";", "in", "{", "blank", "}", "?", "please"]
MANY_WORDS = " ".join(f"{word} {number}" for number, word in enumerate(WORDS))
# Each test example by its id: text, label, the classifier's probabilities, and which of the two models are correct.
TEST: dict[str, tuple[str, str, list[float], str]] = {
    "sort": ("how do i sort a dict by value?", "python", [0.04, 0.9, 0.06], "network baseline"),
    "please": ("Sort a dict, please", "ruby", [0.1, 0.6, 0.3], "baseline"),
    "blank": ("blank { blank }", "java", [0.01, 0.04, 0.95], ""),
    "in": ("a value in a dict;", "python", [0.3, 0.5, 0.2], "network"),
    "none": ("nothing ∀ knöwn 🜁 here", "java", [0.7, 0.1, 0.2], "baseline"),
    "many": (MANY_WORDS, "java", [0.8, 0.15, 0.05], "network baseline"),
    "empty": (" \n ", "ruby", [0.25, 0.35, 0.4], "network baseline"),
    "value": ("sort { by value }", "ruby", [0.2, 0.1, 0.7], "network baseline"),
}
TRAIN = [
    "sort a dict",
    "how do i sort a dict ?",
    "blank { value }",
    "a value ; blank",
    "do by please",
    "please i do by",
]
TRAIN_LABELS = np.array([1, 1, 0, 0, 2, 2])


def write_models(folder: Path, is_ensemble: bool, random_network: Callable, small: Callable[..., params.Train]) -> None:
    """Write a random network, whose n-gram features are those of the training texts, and a baseline model."""
    folder.mkdir()
    config = small(ensemble_with_baseline=is_ensemble, ngram_min_df=1, char_min_df=1)
    tokenizer = fit_tokenizer([" ".join(WORDS)], "code", vocab_size=100, max_length=20)
    tokenizer.save(str(folder / "tokenizer.json"))
    examples = batches.from_encoded(encode_texts(tokenizer, TRAIN), TRAIN_LABELS)
    features = ngram_features.fit(examples, len(LABELS), config)
    ngram_features.save(features, folder / "ngram_features.safetensors")
    baseline = linear.fit(TRAIN, TRAIN_LABELS, len(LABELS), params.Baseline(max_ngram=2, min_df=2, char_min_df=2, C=1))
    linear.save(baseline._replace(temperature=0.5), folder / "baseline.safetensors")
    feature_dim = ngram_features.transform(features, examples).shape[1]
    network = random_network(config, tokenizer.get_vocab_size(), len(LABELS), feature_dim=feature_dim)
    export.export_model(network, LABELS, config, folder)
    export.set_metadata(folder / "model.onnx", network_weight=0.25, temperature=2.0)


def write_predictions(model: str, rows: list[list[float]]) -> None:
    path = Path(f"reports/evaluation/{model}/predictions.csv")
    path.parent.mkdir(parents=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "y_true", "y_pred", *(f"probability_{label}" for label in LABELS)])
        for (id, (_, y_true, *_)), row in zip(TEST.items(), rows, strict=True):
            writer.writerow([id, y_true, LABELS[int(np.argmax(row))], *row])


def make_probabilities(model: str) -> list[list[float]]:
    """Probabilities with which a model is correct on the examples that name it, and wrong on all others."""
    y_pred = [
        (LABELS.index(label) + (model not in correct_models.split())) % len(LABELS)
        for _, label, _, correct_models in TEST.values()
    ]
    return [[0.5 if label == predicted else 0.25 for label in range(len(LABELS))] for predicted in y_pred]


def run_explain(folder: Path, is_ensemble: bool, random_network: Callable, small: Callable) -> Iterator[dict[str, Any]]:
    """Run the stage in the folder, which is the current one meanwhile; yields `reports/explanations.json`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        shutil.copy(ROOT / "tests/params.yaml", folder)
        write_models(Path("models"), is_ensemble, random_network, small)
        Path("data/split").mkdir(parents=True)
        rows = ({"id": id, "text": text, "label": label} for id, (text, label, *_) in TEST.items())
        tables.write_table(explain.TEST, tables.SPLIT_SCHEMA, rows)
        write_predictions("classifier", [probabilities for _, _, probabilities, _ in TEST.values()])
        for model in ("network", "baseline") if is_ensemble else ("baseline",):
            write_predictions(model, make_probabilities(model))
        explain.main()
        yield json.loads(explain.OUT.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def of_network(
    tmp_path_factory: pytest.TempPathFactory, random_network: Callable, small: Callable
) -> Iterator[dict[str, Any]]:
    """The explanations of a classifier that is a network alone."""
    yield from run_explain(tmp_path_factory.mktemp("network"), False, random_network, small)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ensemble")


@pytest.fixture(scope="module")
def of_ensemble(folder: Path, random_network: Callable, small: Callable) -> Iterator[dict[str, Any]]:
    yield from run_explain(folder, True, random_network, small)


def by_id(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {example["id"]: example for example in result["examples"]}


# The file


def test_network_alone_is_correct_where_the_classifier_is(of_network: dict[str, Any]) -> None:
    assert not Path("reports/evaluation/network").exists()
    examples = by_id(of_network)
    assert {id: example["network_correct"] for id, example in examples.items()} == {
        id: id not in ("please", "blank") for id in TEST
    }
    assert examples["sort"]["attributions"]


def test_errors_come_first_by_confidence_and_each_example_comes_once(of_ensemble: dict[str, Any]) -> None:
    ids = [example["id"] for example in of_ensemble["examples"]]

    # Errors; then what only the network classifies correctly, what only the baseline does (one is an error), and of
    # each label the correct predictions, by confidence.
    assert ids == ["blank", "please", "in", "none", "many", "sort", "value", "empty"]
    assert of_ensemble["errors"] == 2


def test_example_has_its_text_labels_confidence_and_which_models_are_correct(of_ensemble: dict[str, Any]) -> None:
    for id, example in by_id(of_ensemble).items():
        text, label, probabilities, correct_models = TEST[id]
        predicted = LABELS[int(np.argmax(probabilities))]
        assert (example["text"], example["y_true"], example["y_pred"]) == (text, label, predicted)
        assert example["confidence"] == max(probabilities)
        for model in ("network", "baseline"):
            assert example[f"{model}_correct"] is (model in correct_models.split())


def test_reference_of_an_error_is_the_true_label_and_of_a_correct_prediction_the_second_most_probable(
    of_ensemble: dict[str, Any],
) -> None:
    assert {id: example["reference"] for id, example in by_id(of_ensemble).items()} == {
        "blank": "java", "please": "ruby",  # the true labels
        "sort": "ruby", "in": "java", "none": "ruby", "many": "python", "empty": "python", "value": "java",
    }  # fmt: skip


def test_attributions_are_of_words_of_the_text_in_their_order_and_limited_in_number(
    of_ensemble: dict[str, Any],
) -> None:
    for example in of_ensemble["examples"]:
        words = {match.span() for match in word_attributions.WORD.finditer(example["text"])}
        spans = [(start, end) for start, end, _ in example["attributions"]]
        assert set(spans) <= words
        assert spans == sorted(set(spans))
        assert all(value for *_, value in example["attributions"])
        assert len(spans) <= word_attributions.MAX_WORDS
    examples = by_id(of_ensemble)
    assert len(word_attributions.WORD.findall(MANY_WORDS)) == 2 * word_attributions.MAX_WORDS
    assert len(examples["many"]["attributions"]) == word_attributions.MAX_WORDS
    assert examples["empty"]["attributions"] == []
    blank = examples["blank"]
    assert [blank["text"][start:end] for start, end, _ in blank["attributions"]] == ["blank", "{", "blank", "}"]


def test_similar_pairs_have_different_labels_and_are_sorted_by_similarity(of_ensemble: dict[str, Any]) -> None:
    # "sort", "dict", "please", "value", "by" and "blank" are in two texts or more.
    first, *others = of_ensemble["similar_pairs"]

    assert 0 < first["similarity"] <= 1
    for pair in (first, *others):
        assert pair["first"]["y_true"] != pair["second"]["y_true"]
        assert pair["similarity"] <= first["similarity"]
        for side in ("first", "second"):
            text, label, probabilities, _ = TEST[pair[side]["id"]]
            assert pair[side] == {
                "id": pair[side]["id"],
                "text": text,
                "y_true": label,
                "y_pred": LABELS[int(np.argmax(probabilities))],
            }


def test_second_run_gives_the_same_bytes(
    of_ensemble: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    first = explain.OUT.read_bytes()
    explain.OUT.unlink()

    explain.main()

    assert explain.OUT.read_bytes() == first
    assert "knöwn 🜁" in first.decode()


def test_missing_predictions_are_an_error_that_names_the_file(
    of_ensemble: dict[str, Any], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    shutil.rmtree("reports/evaluation/baseline")

    with pytest.raises(FileNotFoundError, match=r"reports/evaluation/baseline/predictions\.csv"):
        explain.main()


def test_attribution_of_a_single_word_is_its_whole_effect_on_the_log_odds(
    of_ensemble: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Integrated gradients are complete: they add up to the difference from a text of which nothing is known."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(attribution, "STEPS", 100)
    classifier = Classifier(Path("models"))
    assert classifier.baseline
    assert classifier.temperature == 2

    (of_text,) = word_attributions.word_attributions(
        classifier, OnnxNetwork(Path("models/model.onnx")), ["dict"], np.array([1]), np.array([2])
    )

    network = load_network(Path("models"))
    examples = batches.from_encoded(encode_texts(classifier.tokenizer, ["dict"]), [0])
    features = ngram_features.transform(classifier.ngram_features, examples)
    inputs, _ = batches.pad_batch(replace(examples, ngram_features=features), np.array([0]))
    with_word = np.log(network.predict_on_batch(inputs)[0])
    embedding = network.get_layer("embedding")
    embedding.set_weights([np.zeros_like(embedding.get_weights()[0])])
    no_features = {"ngram_features": np.zeros_like(inputs["ngram_features"])}
    without_word = np.log(network.predict_on_batch(inputs | no_features)[0])
    baseline, baseline_without = (
        linear.decision_function(classifier.baseline, ["dict", ""]) / classifier.baseline.temperature
    )
    effect = (0.25 * (with_word - without_word) + 0.75 * (baseline - baseline_without)) / classifier.temperature
    ((start, end, value),) = of_text
    assert (start, end) == (0, 4)
    assert value == pytest.approx(effect[1] - effect[2], abs=0.01)
    assert abs(value) > 0.1


def test_words_with_the_largest_attributions_are_kept_whatever_their_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_attributions, "MAX_WORDS", 2)
    by_character = np.array([0.1, 0.1, 9.0, -0.5, -0.25, 9.0, 0.25, 9.0, 0.0])

    # The sums of the words are 0.2, -0.75, 0.25 and 0; spaces belong to no word.
    largest = word_attributions.largest_attributions
    assert largest("ab cd ; x", by_character) == [(3, 5, -0.75), (6, 7, 0.25)]
    monkeypatch.setattr(word_attributions, "MAX_WORDS", 4)
    assert word_attributions.largest_attributions("ab cd ; x", by_character) == [
        (0, 2, 0.2),
        (3, 5, -0.75),
        (6, 7, 0.25),
    ]


# The selection of examples


def make_test_set(
    y_true: np.ndarray, confidence: np.ndarray, correct: np.ndarray, network: np.ndarray, baseline: np.ndarray
) -> explain.TestSet:
    """A test set with two labels; `correct`, `network` and `baseline` say which predictions are correct."""
    y_pred = np.where(correct, y_true, 1 - y_true)
    y_proba = np.where(np.arange(2) == y_pred[:, None], confidence[:, None], 1 - confidence[:, None])
    names = [str(row) for row in range(len(y_true))]
    return explain.TestSet(names, names, Predictions(names, ["a", "b"], y_true, y_pred, y_proba), network, baseline)


def test_examples_of_each_kind_are_limited_in_number(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, count in (("MAX_ERRORS", 6), ("MAX_DISAGREEMENTS", 2), ("CORRECT_PER_LABEL", 1)):
        monkeypatch.setattr(explain, name, count)
    # Ten errors, then ten examples that only the network, only the baseline, and both classify correctly; each has a
    # higher confidence than the next.
    kind = np.repeat([0, 1, 2, 3], 10)
    test = make_test_set(np.arange(40) % 2, np.linspace(0.9, 0.5, 40), kind > 0, np.isin(kind, [1, 3]), kind > 1)

    rows = explain.select_examples(test)

    # Of each label the correct predictions of the highest and of the lowest confidence; 10 and 11 are selected already.
    assert rows == [0, 1, 2, 3, 4, 5, 10, 11, 20, 21, 38, 39]


def test_examples_of_equal_confidence_keep_their_order() -> None:
    wrong = np.zeros(4, bool)

    rows = explain.select_examples(make_test_set(np.zeros(4, int), np.full(4, 0.5), wrong, wrong, wrong))

    assert rows == [0, 1, 2, 3]


# Similar pairs

SIMILAR = [
    ("red apple pie", 0),
    ("quick brown fox", 0),
    ("red car", 1),
    ("quick brown fox", 1),
    ("quick brown car", 2),
    ("apple pie", 0),
]


def similar_pairs(examples: list[tuple[str, int]]) -> list[tuple[int, int, float]]:
    return explain.similar_pairs([text for text, _ in examples], np.array([label for _, label in examples]))


def test_same_text_with_two_labels_comes_first_and_pairs_of_one_label_are_omitted() -> None:
    pairs = similar_pairs(SIMILAR)

    assert pairs[0] == (1, 3, 1.0)
    assert (0, 5) not in {pair[:2] for pair in pairs}  # more similar than any other pair, but of one label
    assert [similarity for *_, similarity in pairs] == sorted((similarity for *_, similarity in pairs), reverse=True)
    assert all(SIMILAR[first][1] != SIMILAR[second][1] and first < second for first, second, _ in pairs)


def test_pairs_of_the_same_two_labels_are_limited_in_number(monkeypatch: pytest.MonkeyPatch) -> None:
    examples = [(f"word{n} again", label) for n in range(5) for label in (0, 1)] + [("word0 again", 2)]

    pairs = similar_pairs(examples)

    labels = [tuple(sorted((examples[first][1], examples[second][1]))) for first, second, _ in pairs]
    assert labels.count((0, 1)) == explain.MAX_PAIRS_PER_LABELS == 2
    assert len(set(pairs)) == len(pairs)
    monkeypatch.setattr(explain, "MAX_PAIRS", 1)
    assert similar_pairs(examples) == pairs[:1]


@pytest.mark.parametrize(
    "examples",
    [
        [("one two", 0), ("three four", 1), ("five six", 2)],
        [("same word", 0), ("same text", 0), ("nothing else", 1)],  # the similar ones have one label
        [("alone", 0)],
        [("", 0), ("?!", 1)],
    ],
    ids=["no shared word", "one label", "one example", "no words at all"],
)
def test_texts_of_different_labels_without_a_shared_word_are_not_similar(examples: list[tuple[str, int]]) -> None:
    assert similar_pairs(examples) == []


def test_size_of_the_blocks_makes_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = similar_pairs(SIMILAR)
    monkeypatch.setattr(explain, "BLOCK", 2)

    assert similar_pairs(SIMILAR) == pairs


def test_sample_of_many_examples_is_compared_and_named_by_their_own_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explain, "MAX_COMPARED", 20)
    # The most similar text to each is a hundred rows later, with another label.
    examples = [(f"word{n} here", 0) for n in range(100)] + [(f"word{n} here", 1) for n in range(100)]

    pairs = similar_pairs(examples)

    assert pairs
    assert max(second for _, second, _ in pairs) >= 100
    assert all(examples[first][1] != examples[second][1] for first, second, _ in pairs)
