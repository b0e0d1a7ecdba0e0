"""The tokenizer: words and punctuation marks, the most frequent ones, from the fitted texts alone."""

from tokenizers import Tokenizer

from pipeline.corpus.tokenizer import PADDING, UNKNOWN, encode, fit


def tokens(tokenizer: Tokenizer, text: str) -> list[str | None]:
    (ids,) = encode(tokenizer, [text])
    return [tokenizer.id_to_token(id) for id in ids]


def test_words_and_every_punctuation_mark_are_tokens_in_lower_case() -> None:
    text = "Foo_bar->baz(x1);  é!=É\n"
    tokenizer = fit([text], vocabulary=100, max_tokens=100)

    assert tokens(tokenizer, text) == ["foo_bar", "-", ">", "baz", "(", "x1", ")", ";", "é", "!", "=", "é"]


def test_padding_is_0_and_unknown_is_1() -> None:
    tokenizer = fit(["some text"], vocabulary=100, max_tokens=100)

    assert (tokenizer.token_to_id(PADDING), tokenizer.token_to_id(UNKNOWN)) == (0, 1)
    assert tokens(tokenizer, "some other text") == ["some", UNKNOWN, "text"]


def test_the_most_frequent_tokens_are_kept_and_ties_go_by_the_token() -> None:
    tokenizer = fit(["d d c b a", "e e e"], vocabulary=6, max_tokens=100)

    assert [tokenizer.id_to_token(id) for id in range(6)] == [PADDING, UNKNOWN, "e", "d", "a", "b"]
    assert tokenizer.get_vocab_size() == 6


def test_a_long_text_is_cut_at_its_end() -> None:
    tokenizer = fit(["a b c d"], vocabulary=100, max_tokens=3)

    assert tokens(tokenizer, "d c b a") == ["d", "c", "b"]


def test_a_text_without_tokens_is_one_unknown_token() -> None:
    tokenizer = fit(["a"], vocabulary=100, max_tokens=3)

    assert list(encode(tokenizer, ["", " \n\t", "a"])) == [[1], [1], [2]]


def test_text_that_looks_like_a_special_token_is_text() -> None:
    tokenizer = fit(["[ pad ] unk"], vocabulary=100, max_tokens=100)

    assert tokens(tokenizer, "[PAD] [UNK]") == ["[", "pad", "]", "[", "unk", "]"]


def test_a_tokenizer_that_was_saved_gives_the_same_ids() -> None:
    tokenizer = fit(["if a < b: return c"], vocabulary=8, max_tokens=5)
    again = Tokenizer.from_str(tokenizer.to_str())

    texts = ["if B < a", "", "return x; return y"]
    assert list(encode(again, texts)) == list(encode(tokenizer, texts))
