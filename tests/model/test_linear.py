"""The linear baseline: it agrees with scikit-learn's own vectorizer, naive Bayes and linear SVM."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.naive_bayes import MultinomialNB
from sklearn.preprocessing import normalize
from sklearn.svm import LinearSVC

from pipeline.cli import UserError
from pipeline.features import ngrams
from pipeline.features.ngrams import CHAR_BITS, TOKEN_BITS
from pipeline.features.tokenizer import fit_tokenizer
from pipeline.model import linear
from pipeline.model.linear import LinearModel, NgramView
from pipeline.params.baseline import Baseline

PARAMS = Baseline(max_ngram=3, min_df=2, char_min_df=3, C=0.5)
TEXTS = [
    "Console.WriteLine(x); // print",
    "console.log(x); // print it",
    "console.log(y); let y = x;",
    "print(x) # print it",
    "print(y) ; y = x",
    "Console.WriteLine(y); var y = x;",
    "let x = y; console.log(x);",
    "x = y # let x be y",
    "var x = y; Console.WriteLine(x);",
]
LABELS = np.array([0, 1, 1, 2, 2, 0, 1, 2, 0])
NEW_TEXTS = [
    "print(z)",
    "",
    "  ",
    "ẞ ∀ none of these",
    "Console.WriteLine(z); z = x; z = x; z = x;",
    "É é PRINT print_it",
]


def fit(**changes) -> LinearModel:
    return linear.fit(TEXTS, LABELS, 3, PARAMS.model_copy(update=changes))._replace(temperature=0.4)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    linear.save(fit(), tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def scikit_learn_scores(vectorizer: CountVectorizer, clean: Callable[[str], str]) -> np.ndarray:
    """One view's scores `[texts, classes]` of the training texts and the new ones."""
    train = vectorizer.fit_transform(map(clean, TEXTS)).toarray()
    texts = vectorizer.transform(map(clean, TEXTS + NEW_TEXTS)).toarray()
    scores = []
    for label in range(3):
        ratios = naive_bayes_ratios(train[label == LABELS], train[label != LABELS])
        svm = LinearSVC(C=0.5, random_state=0, tol=linear.TOLERANCE, max_iter=100_000)
        svm.fit(normalize(train * ratios), label == LABELS)
        scores.append(svm.decision_function(normalize(texts * ratios)))
    return np.transpose(scores)


def naive_bayes_ratios(of_class: np.ndarray, of_others: np.ndarray) -> np.ndarray:
    """The log-count ratio of each n-gram, from scikit-learn's naive Bayes."""
    counts = np.concatenate([of_class, of_others])
    bayes = MultinomialNB(alpha=0.5).fit(counts, [1] * len(of_class) + [0] * len(of_others))
    return bayes.feature_log_prob_[1] - bayes.feature_log_prob_[0]


def lower_ascii(text: str) -> str:
    """The text with ASCII letters in lower case; all characters beyond Latin-1 are one, as none is in two texts."""
    return "".join(c.lower() if c.isascii() else min(c, "ÿ") for c in text)


def word_vectorizer() -> CountVectorizer:
    return CountVectorizer(token_pattern=r"\w+|[^\w\s]", ngram_range=(1, 3), binary=True, min_df=2)


def char_vectorizer() -> CountVectorizer:
    return CountVectorizer(analyzer="char", ngram_range=(3, 5), binary=True, min_df=3, lowercase=False)


def test_scores_are_the_mean_of_scikit_learns_for_words_and_for_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    # The solver takes the n-grams in another order than scikit-learn: close to the optimum, that makes no difference.
    monkeypatch.setattr(linear, "TOLERANCE", 1e-6)
    by_words, by_characters = (
        scikit_learn_scores(word_vectorizer(), str), scikit_learn_scores(char_vectorizer(), lower_ascii)
    )  # fmt: skip

    scores = linear.decision_function(fit(), TEXTS + NEW_TEXTS)

    assert np.abs(by_words - by_characters).max() > 0.1  # the views differ
    np.testing.assert_allclose(scores, (by_words + by_characters) / 2, atol=1e-3)


def test_vocabulary_and_ratios_equal_those_of_scikit_learn() -> None:
    model = fit()

    for view, vectorizer, clean in (
        (model.words, word_vectorizer(), str), (model.characters, char_vectorizer(), lower_ascii),
    ):  # fmt: skip
        counts = vectorizer.fit_transform(map(clean, TEXTS)).toarray()
        assert len(view.ngrams) == 1 + counts.shape[1]
        for label in range(3):
            expected = naive_bayes_ratios(counts[label == LABELS], counts[label != LABELS])
            np.testing.assert_allclose(np.sort(view.ratios[1:, label]), np.sort(expected), atol=1e-5)


def test_training_texts_are_classified_correctly() -> None:
    assert linear.predict_proba(fit(), TEXTS).argmax(axis=1).tolist() == LABELS.tolist()


def test_probabilities_are_a_softmax_of_the_scores_divided_by_the_temperature() -> None:
    model = fit()
    scores = linear.decision_function(model, NEW_TEXTS)

    probabilities = linear.predict_proba(model, NEW_TEXTS)

    assert probabilities.shape == (len(NEW_TEXTS), 3)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(probabilities, softmax(2.5 * scores, axis=1), atol=1e-6)
    np.testing.assert_allclose(linear.predict_proba(model._replace(temperature=1e9), NEW_TEXTS), 1 / 3, atol=1e-6)
    sharp = linear.predict_proba(model._replace(temperature=0.001), NEW_TEXTS).max(axis=1)
    np.testing.assert_allclose(sharp, 1, atol=1e-3)


@pytest.mark.parametrize("text", ["", "  \n", "\x00", "∀∃"])
def test_the_scores_of_a_text_without_known_ngrams_are_the_intercepts(text: str) -> None:
    model = fit()

    (scores,) = linear.decision_function(model, [text])

    np.testing.assert_allclose(scores, (model.words.intercepts + model.characters.intercepts) / 2, atol=1e-6)


def test_scores_do_not_depend_on_the_other_texts_and_there_may_be_none() -> None:
    model = fit()

    alone = np.concatenate([linear.decision_function(model, [text]) for text in TEXTS + NEW_TEXTS])

    np.testing.assert_allclose(alone, linear.decision_function(model, TEXTS + NEW_TEXTS), atol=1e-6)
    assert linear.predict_proba(model, []).shape == (0, 3)


def test_the_scores_of_two_classes_are_opposite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "TOLERANCE", 1e-6)
    labels = (LABELS == 2).astype(int)

    scores = linear.decision_function(linear.fit(TEXTS, labels, 2, PARAMS), TEXTS)

    assert scores.argmax(axis=1).tolist() == labels.tolist()
    np.testing.assert_allclose(scores[:, 0], -scores[:, 1], atol=1e-3)


def word_code(model: LinearModel, text: str) -> int:
    """The code of the n-gram of all words of the text."""
    ids = np.array(model.tokenizer.encode(text).ids)
    return int(ngrams.encode_ngrams(ids, np.array([0, len(ids)]), len(ids), TOKEN_BITS)[-1])


def char_code(text: str) -> int:
    """The code of the n-gram of all characters of the text."""
    return int(ngrams.encode_ngrams(ngrams.encode_characters(text), np.array([0, len(text)]), len(text), CHAR_BITS)[-1])


def test_ngrams_in_too_few_texts_are_not_in_the_vocabulary() -> None:
    model = fit()

    # "print it", "let x" and "y = x" are in two texts, "; y =" in one.
    candidates = ("print it", "let x", "y = x", "; y =")
    assert {text for text in candidates if word_code(model, text) in model.words.ngrams} == {*candidates[:3]}
    # " = x" and "(x)" are in three texts, "let x" in two; n-grams of two and of six characters are in no vocabulary.
    others = ("(x)", " = x", "let x", "x)", "Consol")
    assert {text for text in others if char_code(text) in model.characters.ngrams} == {*others[:2]}


@pytest.mark.parametrize("max_ngram", [1, 2, 3])
def test_word_ngrams_have_up_to_max_ngram_words(max_ngram: int) -> None:
    model = fit(max_ngram=max_ngram)

    is_known = [word_code(model, text) in model.words.ngrams for text in ("print", "console .", "console . log")]
    assert is_known == [length <= max_ngram for length in (1, 2, 3)]
    np.testing.assert_array_equal(model.characters.ngrams, fit().characters.ngrams)


def test_a_saved_model_is_loaded_as_it_was_and_the_same_texts_give_the_same_bytes(saved: Path, tmp_path: Path) -> None:
    loaded = linear.load(saved.read_bytes())
    linear.save(fit(), tmp_path / "again.safetensors")

    assert (loaded.max_ngram, loaded.temperature) == (3, 0.4)
    np.testing.assert_array_equal(
        linear.decision_function(loaded, TEXTS + NEW_TEXTS), linear.decision_function(fit(), TEXTS + NEW_TEXTS)
    )
    assert (tmp_path / "again.safetensors").read_bytes() == saved.read_bytes()


@pytest.mark.parametrize("texts", [["one", "other"], ["", ""]])
def test_texts_without_a_common_ngram_are_refused(texts: list[str]) -> None:
    message = r"no n-gram occurs in enough texts .*; lower baseline\.min_df or baseline\.char_min_df"
    with pytest.raises(UserError, match=message):
        linear.fit(texts, np.arange(len(texts)) % 2, 2, PARAMS.model_copy(update={"char_min_df": 4}))


def test_texts_too_short_for_character_ngrams_are_classified_by_their_words() -> None:
    model = linear.fit(["a", "b"] * 20, np.array([0, 1] * 20), 2, PARAMS)

    assert len(model.characters.ngrams) == 1
    assert linear.predict_proba(model, ["a", "b"]).argmax(axis=1).tolist() == [0, 1]


# Attributions

UNUSUAL = ["x", "∀", "É", "print print print", "console.log(x);" * 3, "\x00x\x00", "z = x; 🜁 z = x;", "İ = x; print(x)"]


@pytest.mark.parametrize("text", [*NEW_TEXTS, *UNUSUAL, TEXTS[0]])
def test_attributions_and_intercepts_add_up_to_the_score(text: str) -> None:
    model = fit()

    attributions = linear.attributions(model, text)

    assert attributions.shape == (len(text), 3)
    intercepts = (model.words.intercepts + model.characters.intercepts) / 2
    (score,) = linear.decision_function(model, [text])
    np.testing.assert_allclose(attributions.sum(axis=0) + intercepts, score, atol=1e-5)


def test_a_text_with_known_ngrams_has_other_scores_than_an_empty_one_and_attributions() -> None:
    model = fit()

    scores = linear.decision_function(model, ["print(x)", ""])

    assert np.abs(scores[0] - scores[1]).min() > 0.1
    assert np.abs(linear.attributions(model, "print(x)")).max() > 0.01


def test_a_character_in_no_known_ngram_has_an_attribution_of_0() -> None:
    model = fit()
    text = "qqqq print(x) ∀∀qq"

    attributions = linear.attributions(model, text)

    contributes = np.abs(attributions).max(axis=1) > 1e-6
    assert "".join(c for c, does in zip(text, contributes, strict=True) if does).strip() == "print(x)"
    np.testing.assert_allclose(attributions[~contributes], 0, atol=1e-12)
    assert contributes[5:13].all()


def hand_made(words: dict[str, tuple[list[float], list[float]]]) -> LinearModel:
    """A model of two classes with these word n-grams, their ratios and their weights, and no character n-grams."""
    tokenizer = fit_tokenizer(["sort a dict"], "code", vocab_size=10, max_length=100)
    zeros = np.zeros((1, 2), np.float32)
    empty = NgramView(np.zeros(1, np.int64), zeros, zeros, zeros[0])
    by_code = {word_code(LinearModel(empty, empty, 3, tokenizer), text): values for text, values in words.items()}
    rows = [by_code[code] for code in sorted(by_code)]
    ratios, weights = np.array([([0, 0], [0, 0]), *rows], np.float32).transpose(1, 0, 2)
    view = NgramView(np.array([0, *sorted(by_code)]), ratios, weights, np.array([0.5, 0.25], np.float32))
    return LinearModel(view, empty, 3, tokenizer)


def test_the_attribution_of_a_word_is_divided_among_its_occurrences_and_their_characters() -> None:
    # Normalized, the ratios are 1 and -1: the view of words adds 0.8 and -0.4, and is one half of the score.
    model = hand_made({"dict": ([3, -2], [0.8, 0.4])})

    once, twice = linear.attributions(model, "A dict!"), linear.attributions(model, "dict a dict")

    np.testing.assert_allclose(once, [[0, 0]] * 2 + [[0.1, -0.05]] * 4 + [[0, 0]], atol=1e-7)
    np.testing.assert_allclose(twice, [[0.05, -0.025]] * 4 + [[0, 0]] * 3 + [[0.05, -0.025]] * 4, atol=1e-7)


def test_the_attribution_of_a_word_ngram_is_divided_from_its_first_character_to_its_last() -> None:
    # The norm of the ratios is 5 in both classes: "a" adds 3 / 5 * 0.5, "sort a" 4 / 5 * 1.2, and one half counts.
    model = hand_made({"a": ([3, 4], [0.5, 0.5]), "sort a": ([4, 3], [1.2, 0])})

    attributions = linear.attributions(model, "sort a dict")

    bigram, word = [4 / 5 * 1.2 / 6 / 2, 0], [3 / 5 * 0.5 / 2, 4 / 5 * 0.5 / 2]
    np.testing.assert_allclose(attributions[:5], [bigram] * 5, atol=1e-7)
    np.testing.assert_allclose(attributions[5], np.add(bigram, word), atol=1e-7)
    np.testing.assert_allclose(attributions[6:], 0, atol=1e-7)
