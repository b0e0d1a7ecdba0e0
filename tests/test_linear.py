"""The linear model as a table: it gives what scikit-learn's own parts give."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.naive_bayes import MultinomialNB
from sklearn.preprocessing import normalize
from sklearn.svm import LinearSVC

from pipeline import linear
from pipeline.params import Baseline
from pipeline.stage import Stop

PARAMS = Baseline(ngrams=3, min_posts=2, C=0.5)
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
LABELS = ["csharp", "javascript", "javascript", "python", "python", "csharp", "javascript", "python", "csharp"]
UNSEEN = ["print(z)", "", "ẞ ∀ none of these", "Console.WriteLine(z); z = x; z = x; z = x;"]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    linear.save(linear.fit(TEXTS, LABELS, PARAMS), 2.5, tmp_path / "model.parquet")
    return tmp_path / "model.parquet"


def test_a_model_read_from_its_table_scores_as_scikit_learn_does_with_the_same_features(saved: Path) -> None:
    counter = CountVectorizer(token_pattern=r"\w+|[^\w\s]", ngram_range=(1, 3), binary=True, min_df=2)
    train, texts = counter.fit_transform(TEXTS).toarray(), counter.transform(TEXTS + UNSEEN).toarray()
    theirs = []
    for label in sorted(set(LABELS)):
        of_label = np.array([each == label for each in LABELS])
        ratio = naive_bayes_ratio(train[of_label], train[~of_label])
        svm = LinearSVC(C=0.5, random_state=0).fit(normalize(train * ratio), of_label)
        theirs.append(svm.decision_function(normalize(texts * ratio)))

    ours = linear.scores(pq.read_table(saved), TEXTS + UNSEEN)

    np.testing.assert_allclose(ours, np.transpose(theirs), atol=1e-4)


def naive_bayes_ratio(of_label: np.ndarray, of_others: np.ndarray) -> np.ndarray:
    """scikit-learn's naive Bayes: how much likelier a label makes each n-gram, as a logarithm."""
    both = np.concatenate([of_label, of_others])
    bayes = MultinomialNB(alpha=0.5).fit(both, [1] * len(of_label) + [0] * len(of_others))
    return bayes.feature_log_prob_[1] - bayes.feature_log_prob_[0]


def test_it_learns_what_it_was_shown(saved: Path) -> None:
    predicted = linear.predict(saved, TEXTS).argmax(axis=1)

    assert [sorted(set(LABELS))[label] for label in predicted] == LABELS


def test_probabilities_sum_to_one_and_rank_as_the_scores(saved: Path) -> None:
    probabilities = linear.predict(saved, UNSEEN)

    assert probabilities.shape == (len(UNSEEN), 3)
    assert (probabilities > 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    scores = linear.scores(pq.read_table(saved), UNSEEN)
    assert (probabilities.argsort(axis=1) == scores.argsort(axis=1)).all()


def test_the_sharpness_that_was_saved_is_used(saved: Path) -> None:
    model = pq.read_table(saved)

    np.testing.assert_array_equal(
        linear.predict(saved, UNSEEN), linear.probabilities(linear.scores(model, UNSEEN), sharpness=2.5)
    )
    assert linear.probabilities(np.array([[2.0, 0.0]]), 1e-9) == pytest.approx(0.5)
    assert linear.probabilities(np.array([[2.0, 0.0]]), 50)[0, 0] == pytest.approx(1)


def test_two_labels_have_a_column_each(tmp_path: Path) -> None:
    labels = ["python" if label == "python" else "other" for label in LABELS]
    model = linear.fit(TEXTS, labels, PARAMS)
    linear.save(model, 2.5, tmp_path / "two.parquet")

    assert model.column_names == ["ngram", "ratio_other", "weight_other", "ratio_python", "weight_python"]
    predicted = linear.predict(tmp_path / "two.parquet", TEXTS).argmax(axis=1)
    assert [["other", "python"][label] for label in predicted] == labels


def test_an_ngram_of_too_few_posts_is_left_out() -> None:
    grams = linear.fit(TEXTS, LABELS, PARAMS)["ngram"].to_pylist()

    assert {"print", "console . log", "; y ="} - set(grams) == {"; y ="}
    assert max(len(gram.split()) for gram in grams) == 3


def test_the_same_posts_give_the_same_bytes(saved: Path, tmp_path: Path) -> None:
    linear.save(linear.fit(TEXTS, LABELS, PARAMS), 2.5, tmp_path / "again.parquet")

    assert (tmp_path / "again.parquet").read_bytes() == saved.read_bytes()


@pytest.mark.parametrize("texts", [["one", "other"], ["", ""]])
def test_posts_without_a_common_ngram_are_refused(texts: list[str]) -> None:
    with pytest.raises(Stop, match=r"finds no n-gram .*; lower baseline\.min_posts or give more posts"):
        linear.fit(texts, ["a", "b"], PARAMS)
