"""The stage explain: which posts are worth a look, which words moved their answers, and which posts are most alike."""

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
from pipeline.model import attribution, export, linear
from pipeline.model.classifier import Classifier

ROOT = Path(__file__).parent.parent
LABELS = ["java", "python", "ruby"]
WORDS = ["how", "do", "i", "sort", "a", "dict", "by", "value", ";", "in", "{", "blank", "}", "?", "please"]
MANY = " ".join(f"{word} {number}" for number, word in enumerate(WORDS))
# Of each test post: its text, its label, the probabilities that the classifier gives, and who else is right.
TEST: dict[str, tuple[str, str, list[float], str]] = {
    "sort": ("how do i sort a dict by value?", "python", [0.04, 0.9, 0.06], "network baseline"),
    "please": ("Sort a dict, please", "ruby", [0.1, 0.6, 0.3], "baseline"),
    "blank": ("blank { blank }", "java", [0.01, 0.04, 0.95], ""),
    "in": ("a value in a dict;", "python", [0.3, 0.5, 0.2], "network"),
    "none": ("nothing ∀ knöwn 🜁 here", "java", [0.7, 0.1, 0.2], "baseline"),
    "many": (MANY, "java", [0.8, 0.15, 0.05], "network baseline"),
    "dots": (" \n ", "ruby", [0.25, 0.35, 0.4], "network baseline"),
    "value": ("sort { by value }", "ruby", [0.2, 0.1, 0.7], "network baseline"),
}
# Each word of the training posts speaks for the label of those that have it.
TRAIN = [
    "sort a dict",
    "how do i sort a dict ?",
    "blank { value }",
    "a value ; blank",
    "do by please",
    "please i do by",
]


def write_models(folder: Path, wide: bool, random_network: Callable, small: Callable[..., params.Train]) -> None:
    """A random network that knows these n-grams, with the linear model beside it."""
    folder.mkdir()
    train = small(ensemble_with_baseline=wide, ngram_min_df=1, char_min_df=1)
    tokenizer = fit_tokenizer([" ".join(WORDS)], "code", vocabulary=100, max_tokens=20)
    tokenizer.save(str(folder / "tokenizer.json"))
    labels = np.array([1, 1, 0, 0, 2, 2])
    posts = batches.from_encoded(encode_texts(tokenizer, TRAIN), labels)
    known = ngram_features.fit(posts, len(LABELS), train)
    ngram_features.save(known, folder / "ngram_features.safetensors")
    beside = linear.fit(TRAIN, labels, len(LABELS), params.Baseline(ngrams=2, min_posts=2, character_min_posts=2, C=1))
    linear.save(beside._replace(temperature=0.5), folder / "baseline.safetensors")
    columns = ngram_features.transform(known, posts).shape[1]
    network = random_network(train, tokenizer.get_vocab_size(), len(LABELS), ngram_features=columns)
    export.export_model(network, LABELS, train, folder)
    export.set_temperature(folder / "model.onnx", 2.0)


def write_predictions(model: str, rows: list[list[float]]) -> None:
    path = Path(f"reports/evaluation/{model}/predictions.csv")
    path.parent.mkdir(parents=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "y_true", "y_pred", *(f"probability_{label}" for label in LABELS)])
        for (id, (_, y_true, *_)), row in zip(TEST.items(), rows, strict=True):
            writer.writerow([id, y_true, LABELS[int(np.argmax(row))], *row])


def answers(who: str) -> list[list[float]]:
    """Probabilities by which a model is right on the posts that name it, and wrong on all others."""
    right = {id: who in others.split() for id, (_, _, _, others) in TEST.items()}
    places = {id: (LABELS.index(TEST[id][1]) + (not is_right)) % len(LABELS) for id, is_right in right.items()}
    return [[0.5 if label == place else 0.25 for label in range(len(LABELS))] for place in places.values()]


def go(folder: Path, wide: bool, random_network: Callable, small: Callable) -> Iterator[dict[str, Any]]:
    """`reports/explanations.json` of the stage in such a folder, which is the current one meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        shutil.copy(ROOT / "tests/params.yaml", folder)
        write_models(Path("models"), wide, random_network, small)
        Path("data/split").mkdir(parents=True)
        rows = ({"id": id, "text": text, "label": label} for id, (text, label, *_) in TEST.items())
        tables.write_table(explain.TEST, tables.SPLIT_SCHEMA, rows)
        write_predictions("classifier", [probabilities for _, _, probabilities, _ in TEST.values()])
        for model in ("network", "baseline") if wide else ("baseline",):
            write_predictions(model, answers(model))
        explain.main()
        yield json.loads(explain.OUT.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def alone(
    tmp_path_factory: pytest.TempPathFactory, random_network: Callable, small: Callable
) -> Iterator[dict[str, Any]]:
    """Where the classifier is its network alone."""
    yield from go(tmp_path_factory.mktemp("alone"), False, random_network, small)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("wide")


@pytest.fixture(scope="module")
def wide(folder: Path, random_network: Callable, small: Callable) -> Iterator[dict[str, Any]]:
    yield from go(folder, True, random_network, small)


def by_id(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {post["id"]: post for post in result["posts"]}


def test_a_network_alone_is_right_where_the_classifier_is(alone: dict[str, Any]) -> None:
    assert not Path("reports/evaluation/network").exists()
    posts = by_id(alone)
    assert {id: post["network"] for id, post in posts.items()} == {
        id: "wrong" if id in ("please", "blank") else "right" for id in TEST
    }
    assert posts["sort"]["words"]


def test_mistakes_come_first_the_surest_before_all_and_each_post_comes_once(wide: dict[str, Any]) -> None:
    ids = [post["id"] for post in wide["posts"]]

    # Mistakes; then what the network alone gets right, what the baseline alone does (one is a mistake), and of each
    # label the right answers, the surest before.
    assert ids == ["blank", "please", "in", "none", "many", "sort", "value", "dots"]
    assert wide["mistakes"] == 2


def test_a_post_tells_its_text_who_is_right_and_how_sure_the_classifier_is(wide: dict[str, Any]) -> None:
    for id, post in by_id(wide).items():
        text, label, probabilities, right = TEST[id]
        best = LABELS[int(np.argmax(probabilities))]
        assert (post["text"], post["y_true"], post["y_pred"]) == (text, label, best)
        assert post["confidence"] == max(probabilities)
        for who in ("network", "baseline"):
            assert post[who] == ("right" if who in right.split() else "wrong")


def test_a_mistake_is_held_against_the_right_label_and_a_right_answer_against_the_next(wide: dict[str, Any]) -> None:
    assert {id: post["against"] for id, post in by_id(wide).items()} == {
        "blank": "java", "please": "ruby",  # what they are
        "sort": "ruby", "in": "java", "none": "ruby", "many": "python", "dots": "python", "value": "java",
    }  # fmt: skip


def test_what_is_marked_are_words_of_the_text_in_their_order_and_not_too_many(wide: dict[str, Any]) -> None:
    for post in wide["posts"]:
        known = {match.span() for match in explain.WORD.finditer(post["text"])}
        spans = [(begin, end) for begin, end, _ in post["words"]]
        assert set(spans) <= known
        assert spans == sorted(set(spans))
        assert all(share for *_, share in post["words"])
        assert len(spans) <= explain.WORDS
    posts = by_id(wide)
    assert len(explain.WORD.findall(MANY)) == 2 * explain.WORDS
    assert len(posts["many"]["words"]) == explain.WORDS
    assert posts["dots"]["words"] == []
    marked = [posts["blank"]["text"][begin:end] for begin, end, _ in posts["blank"]["words"]]
    assert marked == ["blank", "{", "blank", "}"]


def test_most_alike_are_posts_of_different_labels(wide: dict[str, Any]) -> None:
    (first, *others) = wide["alike"]

    # "sort", "dict" and "please" are in two posts or more, and so are "value", "by" and "blank".
    assert 0 < first["similarity"] <= 1
    for pair in (first, *others):
        assert pair["one"]["y_true"] != pair["other"]["y_true"]
        assert pair["similarity"] <= first["similarity"]
        for side in ("one", "other"):
            text, label, probabilities, _ = TEST[pair[side]["id"]]
            assert pair[side] == {
                "id": pair[side]["id"],
                "text": text,
                "y_true": label,
                "y_pred": LABELS[int(np.argmax(probabilities))],
            }


def test_a_second_run_gives_the_same_bytes(wide: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    first = explain.OUT.read_bytes()
    explain.OUT.unlink()

    explain.main()

    assert explain.OUT.read_bytes() == first
    assert "knöwn 🜁" in first.decode()


def test_a_words_share_is_what_the_classifiers_answer_owes_to_it(
    wide: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a post of one word, that is the whole difference to a post of which nothing is known."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(attribution, "STEPS", 100)
    classifier = Classifier(Path("models"))
    assert classifier.linear
    assert classifier.temperature == 2

    ((told,),) = explain.what_moved(classifier, ["dict"], np.array([1]), np.array([2]))

    network = attribution.load_network(Path("models"))
    posts = batches.from_encoded(encode_texts(classifier.tokenizer, ["dict"]), [0])
    posts = replace(posts, evidence=ngram_features.transform(classifier.evidence, posts))
    inputs, _ = batches.pad_batch(posts, np.array([0]))
    whole = np.log(network.predict_on_batch(inputs)[0])
    embedding = network.get_layer("embedding")
    embedding.set_weights([np.zeros_like(embedding.get_weights()[0])])
    nothing = np.log(network.predict_on_batch(inputs | {"evidence": np.zeros_like(inputs["evidence"])})[0])
    by_linear, of_nothing = linear.decision_function(classifier.linear, ["dict", ""]) / classifier.linear.temperature
    becomes = ((whole - nothing) + (by_linear - of_nothing)) / 2 / classifier.temperature
    assert told[:2] == (0, 4)
    assert told[2] == pytest.approx(becomes[1] - becomes[2], abs=0.01)
    assert abs(told[2]) > 0.1


def test_the_strongest_words_are_shown_whichever_way_they_pull(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explain, "WORDS", 2)
    by_character = np.array([0.1, 0.1, 9.0, -0.5, -0.25, 9.0, 0.25, 9.0, 0.0])

    # The words' sums are 0.2, -0.75, 0.25 and 0; what lies between them is none of theirs.
    assert explain.strongest("ab cd ; x", by_character) == [(3, 5, -0.75), (6, 7, 0.25)]
    monkeypatch.setattr(explain, "WORDS", 4)
    assert explain.strongest("ab cd ; x", by_character) == [(0, 2, 0.2), (3, 5, -0.75), (6, 7, 0.25)]


# Which posts are chosen


def test_no_more_of_each_kind_are_chosen_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, count in (("MISTAKES", 6), ("ALONE", 2), ("RIGHT", 1)):
        monkeypatch.setattr(explain, name, count)
    # Ten mistakes, then ten of each kind: the network alone, the baseline alone, both; each post surer than the next.
    kind = np.repeat([0, 1, 2, 3], 10)
    y_true, confidence = np.arange(40) % 2, np.linspace(0.9, 0.5, 40)

    chosen = explain.choose(y_true, confidence, kind > 0, np.isin(kind, [1, 3]), kind > 1)

    # Of each label the surest right answer and the least sure one; 10 and 11 are there already.
    assert chosen == [0, 1, 2, 3, 4, 5, 10, 11, 20, 21, 38, 39]


def test_posts_as_sure_come_in_their_order() -> None:
    every = np.ones(4, bool)

    chosen = explain.choose(np.zeros(4, int), np.full(4, 0.5), ~every, ~every, ~every)

    assert chosen == [0, 1, 2, 3]


# Which posts are alike

ALIKE = [
    ("red apple pie", 0),
    ("quick brown fox", 0),
    ("red car", 1),
    ("quick brown fox", 1),
    ("quick brown car", 2),
    ("apple pie", 0),
]


def most_alike(posts: list[tuple[str, int]]) -> list[tuple[int, int, float]]:
    return explain.most_alike([text for text, _ in posts], np.array([label for _, label in posts]))


def test_the_same_text_with_two_labels_comes_first_and_a_pair_of_one_label_never() -> None:
    told = most_alike(ALIKE)

    assert told[0] == (1, 3, 1.0)
    assert (0, 5) not in {pair[:2] for pair in told}  # more alike than any but those, and of one label
    assert [share for *_, share in told] == sorted((share for *_, share in told), reverse=True)
    assert all(ALIKE[one][1] != ALIKE[other][1] and one < other for one, other, _ in told)


def test_of_two_labels_there_are_no_more_pairs_than_have_room(monkeypatch: pytest.MonkeyPatch) -> None:
    posts = [(f"word{n} again", label) for n in range(5) for label in (0, 1)] + [("word0 again", 2)]

    told = most_alike(posts)

    labels = [tuple(sorted((posts[one][1], posts[other][1]))) for one, other, _ in told]
    assert labels.count((0, 1)) == explain.PER_LABELS == 2
    assert len(set(told)) == len(told)
    monkeypatch.setattr(explain, "PAIRS", 1)
    assert most_alike(posts) == told[:1]


@pytest.mark.parametrize(
    "posts",
    [
        [("one two", 0), ("three four", 1), ("five six", 2)],
        [("same word", 0), ("same post", 0), ("nothing else", 1)],  # alike are two of one label
        [("alone", 0)],
        [("", 0), ("?!", 1)],
    ],
    ids=["no word", "one label", "one post", "no words at all"],
)
def test_where_no_word_is_shared_between_labels_none_are_alike(posts: list[tuple[str, int]]) -> None:
    assert most_alike(posts) == []


def test_in_how_many_parts_posts_are_compared_makes_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    told = most_alike(ALIKE)
    monkeypatch.setattr(explain, "BLOCK", 2)

    assert most_alike(ALIKE) == told


def test_of_very_many_posts_some_are_compared_and_named_by_their_own_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explain, "COMPARED", 20)
    # Every post's like stands a hundred rows on, under another label.
    posts = [(f"word{n} here", 0) for n in range(100)] + [(f"word{n} here", 1) for n in range(100)]

    told = most_alike(posts)

    assert told
    assert max(other for _, other, _ in told) >= 100
    assert all(posts[one][1] != posts[other][1] for one, other, _ in told)
