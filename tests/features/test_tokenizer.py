"""The tokenizer: the most frequent tokens of the texts that it was fitted on, of each kind."""

import re
import string
from collections import Counter
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from pipeline.corpus import sources
from pipeline.features.tokenizer import PADDING, UNKNOWN, WORD_START, encode_texts, fit_tokenizer, token_spans

KINDS = ["code", "words", "bpe"]
# Tags, broken tags, capitals and whitespace beyond ASCII, punctuation in Unicode alone, an empty text.
TRICKY = [
    "<p>Don't <b>PANIC</b>!</p>\n",
    "a<br/>b < c > d <e\nf> <> << g >> h <i",
    "foo_bar.baz(x1)\t->\r\nqux\x0b\x0cquux\x1cone\x1f\x00",
    "É İ ẞ \u017f \u212a ΑΣ é\u0301",
    "no\xa0break\u3000wide\u2028line\x85next\u200bzero\ufeffmark",
    "“quoted” \u2013 don\u2019t … ¿qué? ² ① ▁under▁",
    "[PAD] [UNK] pad unk",
    "... !?",
    " \t ",
    "",
]


def ids_of(tokenizer: Tokenizer, texts: list[str]) -> list[list[int]]:
    return [encoded.ids.tolist() for encoded in encode_texts(tokenizer, texts)]


def tokens(tokenizer: Tokenizer, text: str) -> list[str]:
    (ids,) = ids_of(tokenizer, [text])
    return [str(tokenizer.id_to_token(id)) for id in ids]


def vocabulary_of(tokenizer: Tokenizer) -> list[str]:
    return [str(tokenizer.id_to_token(id)) for id in range(tokenizer.get_vocab_size())]


# Every kind


@pytest.mark.parametrize("kind", KINDS)
def test_the_ids_of_padding_and_unknown_are_0_and_1(kind: str) -> None:
    tokenizer = fit_tokenizer(["some text"], kind, vocab_size=100, max_length=100)

    assert (tokenizer.token_to_id(PADDING), tokenizer.token_to_id(UNKNOWN)) == (0, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_long_text_is_truncated_at_its_end(kind: str) -> None:
    tokenizer = fit_tokenizer(["a b c d"], kind, vocab_size=100, max_length=3)

    assert [token.strip(WORD_START) for token in tokens(tokenizer, "d c b a")] == ["d", "c", "b"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_without_tokens_is_one_unknown_token(kind: str) -> None:
    tokenizer = fit_tokenizer(["a"], kind, vocab_size=100, max_length=3)

    assert ids_of(tokenizer, ["", " \n\t"]) == [[1], [1]]
    assert UNKNOWN not in tokens(tokenizer, "a")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("code", ["[", "pad", "]", "[", "unk", "]"]),
        ("words", ["pad", "unk"]),
        ("bpe", ["[", "▁pad", "]", "[", "▁unk", "]"]),
    ],
)
def test_text_that_looks_like_a_special_token_is_ordinary_text(kind: str, expected: list[str]) -> None:
    text = "[PAD] [UNK]"

    assert tokens(fit_tokenizer(["[ pad ] unk"], kind, vocab_size=100, max_length=100), text) == expected
    assert tokens(fit_tokenizer([text, text], kind, vocab_size=100, max_length=100), text) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_tokenizer_gives_the_same_ids(kind: str, tmp_path: Path) -> None:
    tokenizer = fit_tokenizer(TRICKY[:4], kind, vocab_size=30, max_length=12)
    tokenizer.save(str(tmp_path / "tokenizer.json"))

    loaded = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))

    assert ids_of(loaded, TRICKY) == ids_of(tokenizer, TRICKY)


# code


def test_code_tokens_are_words_and_every_punctuation_mark_in_lower_case() -> None:
    text = "Foo_bar->baz(x1);  é!=É\n<b>Don't\xa0stop</b>"
    tokenizer = fit_tokenizer([text], "code", vocab_size=100, max_length=100)

    assert " ".join(tokens(tokenizer, text)) == "foo_bar - > baz ( x1 ) ; é ! = é < b > don ' t stop < / b >"


def test_code_keeps_the_most_frequent_tokens_and_breaks_ties_by_the_token() -> None:
    tokenizer = fit_tokenizer(["d d c b a", "e e e"], "code", vocab_size=6, max_length=100)

    assert vocabulary_of(tokenizer) == [PADDING, UNKNOWN, "e", "d", "a", "b"]


# words


def test_words_have_no_tags_and_no_punctuation() -> None:
    text = "<p>Don't\tuse foo_bar.Baz();</p><br>\nÉ É,\xa0é -- <b>x</b>y"
    tokenizer = fit_tokenizer([text], "words", vocab_size=100, max_length=100)

    assert tokens(tokenizer, text) == ["dont", "use", "foobarbaz", "É", "É\xa0é", "xy"]


def test_words_equal_those_of_keras() -> None:
    assert rows_that_differ_from_keras(TRICKY) == []


def test_words_break_ties_differently_from_keras() -> None:
    texts = ["c c a b", "d c d."]

    assert vocabulary_of(fit_tokenizer(texts, "words", vocab_size=5, max_length=100))[2:] == ["c", "d", "a"]
    assert vocabulary_of_keras(texts, vocab_size=5)[2:] == ["c", "d", "b"]


def test_words_of_all_real_posts_equal_those_of_keras(archive: Path) -> None:
    assert rows_that_differ_from_keras(list(read_posts(archive).values())) == []


def test_the_vocabulary_of_real_training_posts_equals_that_of_keras_except_for_ties(archive: Path) -> None:
    texts = [text for path, text in read_posts(archive).items() if path.startswith("train/")]
    all_words = fit_tokenizer(texts, "words", vocab_size=1_000_000, max_length=1_000_000)
    counts = Counter(all_words.id_to_token(id) for ids in ids_of(all_words, texts) for id in ids)

    ours = vocabulary_of(fit_tokenizer(texts, "words", vocab_size=10_000, max_length=150))[2:]
    theirs = vocabulary_of_keras(texts, vocab_size=10_000)[2:]

    assert len(ours) == 9_998
    assert [counts[token] for token in ours] == [counts[token] for token in theirs]
    assert {counts[token] for token in {*ours} ^ {*theirs}} <= {counts[ours[-1]]}


def read_posts(archive: Path) -> dict[str, str]:
    source = sources.Source("archive", archive.name, archive)
    return {path: text.decode() for path, text in sorted(sources.read_examples(source))}


def rows_that_differ_from_keras(texts: list[str]) -> list[int]:
    """The positions of the texts whose tokens differ from Keras'."""
    from pipeline.model.backend import tf  # here, as TensorFlow takes seconds to import

    tokenizer = fit_tokenizer(texts, "words", vocab_size=1_000_000, max_length=1_000_000)
    # The tokens before lookup: a layer with all of them in its vocabulary takes half a minute to make.
    theirs = text_vectorization()._preprocess(tf.constant(texts)).to_list()
    return [
        row
        for row, (ids, words) in enumerate(zip(ids_of(tokenizer, texts), theirs, strict=True))
        if [tokenizer.id_to_token(id) for id in ids] != ([word.decode() for word in words] or [UNKNOWN])
    ]


def vocabulary_of_keras(texts: list[str], vocab_size: int) -> list[str]:
    from pipeline.model.backend import tf

    layer = text_vectorization(max_tokens=vocab_size)
    layer.adapt(tf.data.Dataset.from_tensor_slices(texts).batch(512))
    return layer.get_vocabulary()


def text_vectorization(**options):
    """Keras' layer with the standardization of the GRU tutorial."""
    from pipeline.model.backend import keras, tf

    def remove_br(text):
        stripped = tf.strings.strip(tf.strings.lower(text))
        without_tags = tf.strings.regex_replace(stripped, "<[^>]+>", "")
        return tf.strings.regex_replace(without_tags, f"[{re.escape(string.punctuation)}]", "")

    return keras.layers.TextVectorization(standardize=remove_br, **options)


# bpe


def test_bpe_keeps_frequent_words_whole_and_splits_others_into_subwords() -> None:
    tokenizer = fit_tokenizer(["hash map " * 9, "hash hush mop"], "bpe", vocab_size=17, max_length=100)

    assert tokens(tokenizer, "Hash hashMap\tMAP") == ["▁hash", "▁hash", "m", "ap", "▁map"]


def test_bpe_makes_every_punctuation_mark_a_token() -> None:
    text = "<p>Foo_bar->baz('x1');;</p>\xa0É"
    tokenizer = fit_tokenizer([text] * 3, "bpe", vocab_size=100, max_length=100)

    assert " ".join(tokens(tokenizer, text)) == "< ▁p > ▁foo_bar - > ▁baz ( ' ▁x1 ' ) ; ; < / ▁p > ▁é"


def test_joined_bpe_subwords_are_the_words() -> None:
    words = ["concurrent", "hash", "map", "éclair", "x1", "foo_bar", "naïve", "日本"]
    text = " ".join(words)
    tokenizer = fit_tokenizer([text, "hash map hash"], "bpe", vocab_size=45, max_length=100)

    subwords = tokens(tokenizer, text)

    assert len(words) < len(subwords) < len(text)
    assert "".join(subwords).split(WORD_START) == ["", *words]


def test_bpe_has_unknown_tokens_for_characters_that_it_was_not_fitted_on() -> None:
    tokenizer = fit_tokenizer(["ab ab;"], "bpe", vocab_size=100, max_length=100)

    assert tokens(tokenizer, "ab? abcb; é☃") == ["▁ab", UNKNOWN, "▁ab", UNKNOWN, "b", ";", WORD_START, UNKNOWN, UNKNOWN]


def test_bpe_treats_its_word_start_marker_in_a_text_as_punctuation() -> None:
    text = "▁a▁▁b ▁"
    tokenizer = fit_tokenizer([text], "bpe", vocab_size=100, max_length=100)

    assert tokens(tokenizer, text) == ["▁", "▁a", "▁", "▁", "▁b", "▁"]


def test_bpe_has_no_more_tokens_than_vocab_size() -> None:
    tokenizer = fit_tokenizer(["hash map concurrent"], "bpe", vocab_size=20, max_length=100)

    assert tokenizer.get_vocab_size() == 20


# token_spans


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ["list(map) x = Dict", "(x)", " a  dict", "x", "map.list"])
def test_a_span_is_the_place_of_its_token_in_the_text(kind: str, text: str) -> None:
    tokenizer = fit_tokenizer(["list map dict x a = ( ) ."], kind, vocab_size=100, max_length=100)

    spans = token_spans(tokenizer, text)

    encoded = tokenizer.encode(text).tokens
    assert [text[start:end].lower() for start, end in spans if end <= len(text)] == [
        token.removeprefix(WORD_START) if kind == "bpe" else token if token != UNKNOWN else text[start:end].lower()
        for token, (start, end) in zip(encoded, spans, strict=True)
    ]


def test_the_span_of_a_word_start_marker_alone_is_the_first_character_of_the_word() -> None:
    tokenizer = fit_tokenizer(["ab"], "bpe", vocab_size=5, max_length=100)  # its characters, and no longer subword

    assert tokenizer.encode("(ab").tokens == [UNKNOWN, WORD_START, "a", "b"]
    assert token_spans(tokenizer, "(ab") == [(0, 1), (1, 2), (1, 2), (2, 3)]
    assert token_spans(tokenizer, "ab") == [(0, 1), (0, 1), (1, 2)]


def test_a_truncated_text_has_the_spans_of_the_tokens_that_are_kept() -> None:
    assert token_spans(fit_tokenizer(["a b c"], "code", vocab_size=10, max_length=2), "c b a") == [(0, 1), (2, 3)]
