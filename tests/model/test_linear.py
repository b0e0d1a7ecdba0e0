"""The linear model: it gives what scikit-learn's own parts give."""

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
from pipeline.features.tokenizer import fit_tokenizer as fit_tokenizer
from pipeline.model import linear
from pipeline.model.linear import LinearModel, NgramView
from pipeline.params.baseline import Baseline

PARAMS = Baseline(ngrams=3, min_posts=2, character_min_posts=3, C=0.5)
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
UNSEEN = ["print(z)", "", "  ", "ẞ ∀ none of these", "Console.WriteLine(z); z = x; z = x; z = x;", "É é PRINT print_it"]


def fit(**changes) -> LinearModel:
    return linear.fit(TEXTS, LABELS, 3, PARAMS.model_copy(update=changes))._replace(temperature=0.4)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    linear.save(fit(), tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def by_scikit_learn(counter: CountVectorizer, clean: Callable[[str], str]) -> np.ndarray:
    """One view's scores `[texts, labels]` of the training texts and the unseen ones."""
    train = counter.fit_transform(map(clean, TEXTS)).toarray()
    texts = counter.transform(map(clean, TEXTS + UNSEEN)).toarray()
    by_label = []
    for label in range(3):
        ratio = naive_bayes_ratio(train[label == LABELS], train[label != LABELS])
        svm = LinearSVC(C=0.5, random_state=0, tol=linear.TOLERANCE).fit(normalize(train * ratio), label == LABELS)
        by_label.append(svm.decision_function(normalize(texts * ratio)))
    return np.transpose(by_label)


def naive_bayes_ratio(of_label: np.ndarray, of_others: np.ndarray) -> np.ndarray:
    """scikit-learn's naive Bayes: how much likelier a label makes each n-gram, as a logarithm."""
    both = np.concatenate([of_label, of_others])
    bayes = MultinomialNB(alpha=0.5).fit(both, [1] * len(of_label) + [0] * len(of_others))
    return bayes.feature_log_prob_[1] - bayes.feature_log_prob_[0]


def lower_ascii(text: str) -> str:
    """`lower` of what is ASCII alone; a character beyond Latin-1 is as good as any other there."""
    return "".join(c.lower() if c.isascii() else min(c, "ÿ") for c in text)


def test_scores_are_the_mean_of_those_that_scikit_learn_gives_words_and_characters(saved: Path) -> None:
    words = CountVectorizer(token_pattern=r"\w+|[^\w\s]", ngram_range=(1, 3), binary=True, min_df=2)
    characters = CountVectorizer(analyzer="char", ngram_range=(3, 5), binary=True, min_df=3, lowercase=False)
    by_words, by_characters = by_scikit_learn(words, str), by_scikit_learn(characters, lower_ascii)

    ours = linear.decision_function(linear.load(saved.read_bytes()), TEXTS + UNSEEN)

    assert np.abs(by_words - by_characters).max() > 0.1  # the views do differ
    # The solver takes the n-grams in another order, and stops within its tolerance.
    np.testing.assert_allclose(ours, (by_words + by_characters) / 2, atol=5e-3)


def test_features_and_ratios_are_those_of_scikit_learn() -> None:
    model = fit()

    words = CountVectorizer(token_pattern=r"\w+|[^\w\s]", ngram_range=(1, 3), binary=True, min_df=2)
    characters = CountVectorizer(analyzer="char", ngram_range=(3, 5), binary=True, min_df=3)
    for view, counter in ((model.words, words), (model.characters, characters)):
        held = counter.fit_transform(TEXTS).toarray()
        assert len(view.ngrams) == 1 + held.shape[1]
        for label in range(3):
            theirs = naive_bayes_ratio(held[label == LABELS], held[label != LABELS])
            np.testing.assert_allclose(np.sort(view.ratios[1:, label]), np.sort(theirs), atol=1e-5)


def test_it_learns_what_it_was_shown() -> None:
    assert linear.predict_proba(fit(), TEXTS).argmax(axis=1).tolist() == LABELS.tolist()


def test_probabilities_are_a_softmax_of_the_scores_as_sharp_as_the_model_says() -> None:
    model = fit()
    scores = linear.decision_function(model, UNSEEN)

    probabilities = linear.predict_proba(model, UNSEEN)

    assert probabilities.shape == (len(UNSEEN), 3)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(probabilities, softmax(2.5 * scores, axis=1), atol=1e-6)
    np.testing.assert_allclose(linear.predict_proba(model._replace(temperature=1e9), UNSEEN), 1 / 3, atol=1e-6)
    sure = linear.predict_proba(model._replace(temperature=0.001), UNSEEN).max(axis=1)
    np.testing.assert_allclose(sure, 1, atol=1e-3)


@pytest.mark.parametrize("text", ["", "  \n", "\x00", "∀∃"])
def test_a_text_without_a_known_ngram_gets_the_intercepts(text: str) -> None:
    model = fit()

    (scores,) = linear.decision_function(model, [text])

    np.testing.assert_allclose(scores, (model.words.intercepts + model.characters.intercepts) / 2, atol=1e-6)


def test_a_text_alone_gets_what_it_gets_among_others_and_no_text_nothing() -> None:
    model = fit()

    alone = np.concatenate([linear.decision_function(model, [text]) for text in TEXTS + UNSEEN])

    np.testing.assert_allclose(alone, linear.decision_function(model, TEXTS + UNSEEN), atol=1e-6)
    assert linear.predict_proba(model, []).shape == (0, 3)


def test_two_labels_have_a_column_each_that_mirror_each_other() -> None:
    labels = (LABELS == 2).astype(int)

    scores = linear.decision_function(linear.fit(TEXTS, labels, 2, PARAMS), TEXTS)

    assert scores.argmax(axis=1).tolist() == labels.tolist()
    np.testing.assert_allclose(scores[:, 0], -scores[:, 1], atol=5e-3)


def number_of_words(model: LinearModel, text: str) -> int:
    ids = np.array(model.tokenizer.encode(text).ids)
    return int(ngrams.encode_ngrams(ids, np.array([0, len(ids)]), len(ids), TOKEN_BITS)[-1])


def number_of_characters(text: str) -> int:
    return int(ngrams.encode_ngrams(ngrams.encode_characters(text), np.array([0, len(text)]), len(text), CHAR_BITS)[-1])


def test_ngrams_of_too_few_posts_are_left_out() -> None:
    model = fit()

    # In two posts "print it", "let x" and "y = x"; in one "; y =". All by themselves, and in three words at most.
    known = {
        text for text in ("print it", "let x", "y = x", "; y =") if number_of_words(model, text) in model.words.ngrams
    }
    assert known == {"print it", "let x", "y = x"}
    # In three posts " = x" and "(x)"; in two "let x"; of two characters, and of six, none.
    asked = ("(x)", " = x", "let x", "x)", "Consol")
    assert {text for text in asked if number_of_characters(text) in model.characters.ngrams} == {"(x)", " = x"}


@pytest.mark.parametrize("orders", [1, 2, 3])
def test_runs_of_words_are_as_long_as_asked_for(orders: int) -> None:
    model = fit(ngrams=orders)

    held = [number_of_words(model, text) in model.words.ngrams for text in ("print", "console .", "console . log")]
    assert held == [order < orders for order in range(3)]
    np.testing.assert_array_equal(model.characters.ngrams, fit().characters.ngrams)


def test_a_file_gives_the_model_back_and_the_same_posts_the_same_bytes(saved: Path, tmp_path: Path) -> None:
    again = linear.load(saved.read_bytes())
    linear.save(fit(), tmp_path / "again.safetensors")

    assert (again.orders, again.temperature) == (3, 0.4)
    np.testing.assert_array_equal(
        linear.decision_function(again, TEXTS + UNSEEN), linear.decision_function(fit(), TEXTS + UNSEEN)
    )
    assert (tmp_path / "again.safetensors").read_bytes() == saved.read_bytes()


@pytest.mark.parametrize("texts", [["one", "other"], ["", ""]])
def test_posts_without_a_common_ngram_are_refused(texts: list[str]) -> None:
    with pytest.raises(
        UserError, match=r"finds no n-gram in enough posts; lower baseline\.min_df or baseline\.character_"
    ):
        linear.fit(texts, np.arange(len(texts)) % 2, 2, PARAMS.model_copy(update={"character_min_posts": 4}))


def test_posts_too_short_for_runs_of_characters_are_judged_by_their_words() -> None:
    model = linear.fit(["a", "b"] * 20, np.array([0, 1] * 20), 2, PARAMS)

    assert len(model.characters.ngrams) == 1
    assert linear.predict_proba(model, ["a", "b"]).argmax(axis=1).tolist() == [0, 1]


# What each character adds to the score

ODD = ["x", "∀", "É", "print print print", "console.log(x);" * 3, "\x00x\x00", "z = x; 🜁 z = x;", "İ = x; print(x)"]


@pytest.mark.parametrize("text", [*UNSEEN, *ODD, TEXTS[0]])
def test_with_the_intercepts_all_shares_make_up_the_score(text: str) -> None:
    model = fit()

    shares = linear.attributions(model, text)

    assert shares.shape == (len(text), 3)
    intercepts = (model.words.intercepts + model.characters.intercepts) / 2
    (score,) = linear.decision_function(model, [text])
    np.testing.assert_allclose(shares.sum(axis=0) + intercepts, score, atol=1e-5)


def test_the_shares_are_those_of_a_score_that_ngrams_do_make() -> None:
    model = fit()

    scores = linear.decision_function(model, ["print(x)", ""])

    assert np.abs(scores[0] - scores[1]).min() > 0.1
    assert np.abs(linear.attributions(model, "print(x)")).max() > 0.01


def test_a_character_in_no_known_ngram_adds_nothing() -> None:
    model = fit()
    text = "qqqq print(x) ∀∀qq"

    shares = linear.attributions(model, text)

    adds = np.abs(shares).max(axis=1) > 1e-6
    assert "".join(c for c, does in zip(text, adds, strict=True) if does).strip() == "print(x)"
    np.testing.assert_allclose(shares[~adds], 0, atol=1e-12)
    assert adds[5:13].all()


def by_hand(words: dict[str, tuple[list[float], list[float]]]) -> LinearModel:
    """A model of two labels that knows these runs of words, with their ratios and their weights, and no characters."""
    tokenizer = fit_tokenizer(["sort a dict"], "code", vocabulary=10, max_tokens=100)
    none = np.zeros((1, 2), np.float32)
    nothing = NgramView(np.zeros(1, np.int64), none, none, none[0])
    numbers = {number_of_words(LinearModel(nothing, nothing, 3, tokenizer), run): run for run in words}
    rows = [words[numbers[number]] for number in sorted(numbers)]
    ratios, weights = np.array([([0, 0], [0, 0]), *rows], np.float32).transpose(1, 0, 2)
    known = NgramView(np.array([0, *sorted(numbers)]), ratios, weights, np.array([0.5, 0.25], np.float32))
    return LinearModel(known, nothing, 3, tokenizer)


def test_a_word_has_its_share_on_its_own_characters_and_on_all_of_its_places() -> None:
    # Of length 1, the ratios are 1 and -1: the words' view gives 0.8 and -0.4, and is one half of the score.
    model = by_hand({"dict": ([3, -2], [0.8, 0.4])})

    once, twice = linear.attributions(model, "A dict!"), linear.attributions(model, "dict a dict")

    np.testing.assert_allclose(once, [[0, 0]] * 2 + [[0.1, -0.05]] * 4 + [[0, 0]], atol=1e-7)
    np.testing.assert_allclose(twice, [[0.05, -0.025]] * 4 + [[0, 0]] * 3 + [[0.05, -0.025]] * 4, atol=1e-7)


def test_a_run_of_words_has_its_share_from_its_first_character_to_its_last() -> None:
    # The ratios' length is 5 for both labels. "a" alone adds 3 / 5 * 0.5, "sort a" 4 / 5 * 1.2, and half of it counts.
    model = by_hand({"a": ([3, 4], [0.5, 0.5]), "sort a": ([4, 3], [1.2, 0])})

    shares = linear.attributions(model, "sort a dict")

    run, word = [4 / 5 * 1.2 / 6 / 2, 0], [3 / 5 * 0.5 / 2, 4 / 5 * 0.5 / 2]
    np.testing.assert_allclose(shares[:5], [run] * 5, atol=1e-7)
    np.testing.assert_allclose(shares[5], np.add(run, word), atol=1e-7)
    np.testing.assert_allclose(shares[6:], 0, atol=1e-7)
