"""The tokenizer: the most frequent tokens of the fitted texts alone, of the kind that was asked for."""

import re
import string
from collections import Counter
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from pipeline.corpus import sources
from pipeline.features.tokenizer import PADDING, START, UNKNOWN, encode_texts, fit_tokenizer, token_spans

KINDS = ["code", "words", "bpe"]
# Tags, broken tags, capitals and blanks beyond ASCII, signs that are punctuation to Unicode alone, nothing at all.
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
def test_padding_is_0_and_unknown_is_1(kind: str) -> None:
    tokenizer = fit_tokenizer(["some text"], kind, vocabulary=100, max_tokens=100)

    assert (tokenizer.token_to_id(PADDING), tokenizer.token_to_id(UNKNOWN)) == (0, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_long_text_is_cut_at_its_end(kind: str) -> None:
    tokenizer = fit_tokenizer(["a b c d"], kind, vocabulary=100, max_tokens=3)

    assert [token.strip(START) for token in tokens(tokenizer, "d c b a")] == ["d", "c", "b"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_without_tokens_is_one_unknown_token(kind: str) -> None:
    tokenizer = fit_tokenizer(["a"], kind, vocabulary=100, max_tokens=3)

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
def test_text_that_looks_like_a_special_token_is_text(kind: str, expected: list[str]) -> None:
    text = "[PAD] [UNK]"

    assert tokens(fit_tokenizer(["[ pad ] unk"], kind, vocabulary=100, max_tokens=100), text) == expected
    assert tokens(fit_tokenizer([text, text], kind, vocabulary=100, max_tokens=100), text) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_a_tokenizer_that_was_saved_gives_the_same_ids(kind: str, tmp_path: Path) -> None:
    tokenizer = fit_tokenizer(TRICKY[:4], kind, vocabulary=30, max_tokens=12)
    tokenizer.save(str(tmp_path / "tokenizer.json"))

    again = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))

    assert ids_of(again, TRICKY) == ids_of(tokenizer, TRICKY)


# code


def test_code_has_words_and_every_punctuation_mark_in_lower_case() -> None:
    text = "Foo_bar->baz(x1);  é!=É\n<b>Don't\xa0stop</b>"
    tokenizer = fit_tokenizer([text], "code", vocabulary=100, max_tokens=100)

    assert " ".join(tokens(tokenizer, text)) == "foo_bar - > baz ( x1 ) ; é ! = é < b > don ' t stop < / b >"


def test_code_keeps_the_most_frequent_tokens_and_ties_go_by_the_token() -> None:
    tokenizer = fit_tokenizer(["d d c b a", "e e e"], "code", vocabulary=6, max_tokens=100)

    assert vocabulary_of(tokenizer) == [PADDING, UNKNOWN, "e", "d", "a", "b"]


# words


def test_words_are_without_tags_and_punctuation() -> None:
    text = "<p>Don't\tuse foo_bar.Baz();</p><br>\nÉ É,\xa0é -- <b>x</b>y"
    tokenizer = fit_tokenizer([text], "words", vocabulary=100, max_tokens=100)

    assert tokens(tokenizer, text) == ["dont", "use", "foobarbaz", "É", "É\xa0é", "xy"]


def test_words_are_those_of_keras() -> None:
    assert differing(TRICKY) == []


def test_words_keep_other_ties_than_keras() -> None:
    texts = ["c c a b", "d c d."]

    assert vocabulary_of(fit_tokenizer(texts, "words", vocabulary=5, max_tokens=100))[2:] == ["c", "d", "a"]
    assert vocabulary_of_keras(texts, max_tokens=5)[2:] == ["c", "d", "b"]


def test_words_of_all_real_posts_are_those_of_keras(archive: Path) -> None:
    assert differing(list(posts_of(archive).values())) == []


def test_words_of_real_training_posts_are_those_that_keras_keeps_but_for_ties(archive: Path) -> None:
    texts = [text for path, text in posts_of(archive).items() if path.startswith("train/")]
    everything = fit_tokenizer(texts, "words", vocabulary=1_000_000, max_tokens=1_000_000)
    counts = Counter(everything.id_to_token(id) for ids in ids_of(everything, texts) for id in ids)

    ours = vocabulary_of(fit_tokenizer(texts, "words", vocabulary=10_000, max_tokens=150))[2:]
    theirs = vocabulary_of_keras(texts, max_tokens=10_000)[2:]

    assert len(ours) == 9_998
    assert [counts[token] for token in ours] == [counts[token] for token in theirs]
    assert {counts[token] for token in {*ours} ^ {*theirs}} <= {counts[ours[-1]]}


def posts_of(archive: Path) -> dict[str, str]:
    source = sources.Source("archive", archive.name, archive)
    return {path: text.decode() for path, text in sorted(sources.read_examples(source))}


def differing(texts: list[str]) -> list[int]:
    """The texts, by number alone, whose tokens are others than Keras'."""
    from pipeline.model.backend import tf  # here, as TensorFlow takes seconds to import

    tokenizer = fit_tokenizer(texts, "words", vocabulary=1_000_000, max_tokens=1_000_000)
    # The tokens before they are looked up: a layer that knows all of them takes half a minute to make.
    theirs = text_vectorization()._preprocess(tf.constant(texts)).to_list()
    return [
        n
        for n, (ids, words) in enumerate(zip(ids_of(tokenizer, texts), theirs, strict=True))
        if [tokenizer.id_to_token(id) for id in ids] != ([word.decode() for word in words] or [UNKNOWN])
    ]


def vocabulary_of_keras(texts: list[str], max_tokens: int) -> list[str]:
    from pipeline.model.backend import tf

    layer = text_vectorization(max_tokens=max_tokens)
    layer.adapt(tf.data.Dataset.from_tensor_slices(texts).batch(512))
    return layer.get_vocabulary()


def text_vectorization(**options):
    """Keras' layer with the tutorial's standardization."""
    from pipeline.model.backend import keras, tf

    def remove_br(text):
        stripped = tf.strings.strip(tf.strings.lower(text))
        without_tags = tf.strings.regex_replace(stripped, "<[^>]+>", "")
        return tf.strings.regex_replace(without_tags, f"[{re.escape(string.punctuation)}]", "")

    return keras.layers.TextVectorization(standardize=remove_br, **options)


# bpe


def test_bpe_has_frequent_words_whole_and_others_in_pieces() -> None:
    tokenizer = fit_tokenizer(["hash map " * 9, "hash hush mop"], "bpe", vocabulary=17, max_tokens=100)

    assert tokens(tokenizer, "Hash hashMap\tMAP") == ["▁hash", "▁hash", "m", "ap", "▁map"]


def test_bpe_has_every_punctuation_mark_by_itself() -> None:
    text = "<p>Foo_bar->baz('x1');;</p>\xa0É"
    tokenizer = fit_tokenizer([text] * 3, "bpe", vocabulary=100, max_tokens=100)

    assert " ".join(tokens(tokenizer, text)) == "< ▁p > ▁foo_bar - > ▁baz ( ' ▁x1 ' ) ; ; < / ▁p > ▁é"


def test_bpe_pieces_put_together_give_the_words() -> None:
    words = ["concurrent", "hash", "map", "éclair", "x1", "foo_bar", "naïve", "日本"]
    text = " ".join(words)
    tokenizer = fit_tokenizer([text, "hash map hash"], "bpe", vocabulary=45, max_tokens=100)

    pieces = tokens(tokenizer, text)

    assert len(words) < len(pieces) < len(text)
    assert "".join(pieces).split(START) == ["", *words]


def test_bpe_knows_no_character_that_it_was_not_fitted_on() -> None:
    tokenizer = fit_tokenizer(["ab ab;"], "bpe", vocabulary=100, max_tokens=100)

    assert tokens(tokenizer, "ab? abcb; é☃") == ["▁ab", UNKNOWN, "▁ab", UNKNOWN, "b", ";", START, UNKNOWN, UNKNOWN]


def test_bpe_takes_its_own_mark_in_a_text_for_punctuation() -> None:
    text = "▁a▁▁b ▁"
    tokenizer = fit_tokenizer([text], "bpe", vocabulary=100, max_tokens=100)

    assert tokens(tokenizer, text) == ["▁", "▁a", "▁", "▁", "▁b", "▁"]


def test_bpe_is_no_larger_than_asked_for() -> None:
    tokenizer = fit_tokenizer(["hash map concurrent"], "bpe", vocabulary=20, max_tokens=100)

    assert tokenizer.get_vocab_size() == 20


# Where tokens stand


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ["list(map) x = Dict", "(x)", " a  dict", "x", "map.list"])
def test_a_span_is_where_its_token_stands(kind: str, text: str) -> None:
    tokenizer = fit_tokenizer(["list map dict x a = ( ) ."], kind, vocabulary=100, max_tokens=100)

    there = token_spans(tokenizer, text)

    encoded = tokenizer.encode(text).tokens
    assert [text[begin:end].lower() for begin, end in there if end <= len(text)] == [
        token.removeprefix(START) if kind == "bpe" else token if token != UNKNOWN else text[begin:end].lower()
        for token, (begin, end) in zip(encoded, there, strict=True)
    ]


def test_the_mark_of_a_word_that_is_a_piece_by_itself_stands_at_the_words_first_character() -> None:
    tokenizer = fit_tokenizer(["ab"], "bpe", vocabulary=5, max_tokens=100)  # its characters, and no piece of two

    assert tokenizer.encode("(ab").tokens == [UNKNOWN, START, "a", "b"]
    assert token_spans(tokenizer, "(ab") == [(0, 1), (1, 2), (1, 2), (2, 3)]
    assert token_spans(tokenizer, "ab") == [(0, 1), (0, 1), (1, 2)]


def test_of_a_text_that_is_cut_there_are_the_spans_of_what_is_kept() -> None:
    assert token_spans(fit_tokenizer(["a b c"], "code", vocabulary=10, max_tokens=2), "c b a") == [(0, 1), (2, 3)]
