"""The tokenizer: made from the training posts, kept as one `tokenizer.json`, and used by training and serving alike.

There are three kinds; all that differs between them stands in the file.

    code     words and every punctuation mark by itself, in lower case
    words    what stands between blanks once tags and punctuation marks are taken out, as in the tutorial this grew from
    bpe      pieces of the words of `code`, learned by byte-pair encoding (Sennrich et al. 2016) on characters
"""

import json
import re
import string
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from tokenizers import Regex, Tokenizer
from tokenizers.models import BPE, WordLevel
from tokenizers.normalizers import Lowercase, Replace, Sequence
from tokenizers.pre_tokenizers import Split
from tokenizers.trainers import BpeTrainer, WordLevelTrainer

from pipeline.features.ngrams import encode_characters

PADDING, UNKNOWN = "[PAD]", "[UNK]"  # ids 0 and 1
# Words, and every punctuation mark by itself: in questions about code, `;`, `{` and `->` tell much.
PATTERN = r"\w+|[^\w\s]"
# In `bpe`, the first piece of a word begins with this: `▁hash`, `map`. It is no letter, so no word has it inside.
START = "▁"


class EncodedText(NamedTuple):
    """A text up to its last token that is kept."""

    ids: np.ndarray  # int32 [tokens]
    ends: np.ndarray  # int64 [tokens]: where in the text each token ends
    characters: np.ndarray  # uint16 [characters], see `pipeline.features.ngrams`


def fit_tokenizer(texts: Iterable[str], kind: str, vocabulary: int, max_tokens: int) -> Tokenizer:
    """Make a tokenizer of that kind with the `vocabulary` most frequent tokens; ties in frequency go by the token.

    `bpe` has every character of the texts among its tokens, even where these alone are more than `vocabulary`.
    It keeps the first `max_tokens` tokens of a text.
    """
    trained = {"code": code, "words": words, "bpe": bpe}[kind]()
    make_trainer = BpeTrainer if kind == "bpe" else WordLevelTrainer
    trainer = make_trainer(vocab_size=vocabulary, special_tokens=[PADDING, UNKNOWN], show_progress=False)
    trained.train_from_iterator(texts, trainer)
    # As tokens like any other: with the special tokens as such, a post that says "[PAD]" would have padding inside.
    tokenizer = Tokenizer.from_str(json.dumps(json.loads(trained.to_str()) | {"added_tokens": []}))
    tokenizer.enable_truncation(max_tokens)
    return tokenizer


def code() -> Tokenizer:
    tokenizer = Tokenizer(WordLevel(unk_token=UNKNOWN))
    tokenizer.normalizer = Lowercase()
    tokenizer.pre_tokenizer = each(PATTERN)
    return tokenizer


def words() -> Tokenizer:
    """The tokens of Keras' TextVectorization with the tutorial's `remove_br`.

    Its vocabulary is the same, too, but for ties: of tokens equally frequent, Keras takes the last in sort order first.
    """
    # TensorFlow lowers and splits bytes, and so knows ASCII's capitals and blanks alone: É stays, and so does U+00A0.
    lower = [Replace(capital, capital.lower()) for capital in string.ascii_uppercase]
    tags = Replace(Regex("<[^>]+>"), "")
    punctuation = Replace(Regex(f"[{re.escape(string.punctuation)}]"), "")
    tokenizer = Tokenizer(WordLevel(unk_token=UNKNOWN))
    tokenizer.normalizer = Sequence([*lower, tags, punctuation])
    tokenizer.pre_tokenizer = each(f"[^{string.whitespace}]+")
    return tokenizer


def bpe() -> Tokenizer:
    # The library's own marks (continuing_subword_prefix, end_of_word_suffix) make another vocabulary in each process,
    # as the trainer numbers marked characters in the order of a hash map. Text has an order.
    tokenizer = Tokenizer(BPE(unk_token=UNKNOWN))
    tokenizer.normalizer = Sequence([Lowercase(), Replace(Regex(r"\b(?=\w)"), START)])
    tokenizer.pre_tokenizer = each(f"{START}?{PATTERN}")
    return tokenizer


def each(pattern: str) -> Split:
    return Split(Regex(pattern), behavior="removed", invert=True)


def token_spans(tokenizer: Tokenizer, text: str) -> list[tuple[int, int]]:
    """Where in the text each token that is kept begins and ends."""
    encoding = tokenizer.encode(text)
    if not isinstance(tokenizer.model, BPE):
        return encoding.offsets
    # The mark that begins a word stands nowhere in the text, and has the place of the character before it. One that is
    # a piece by itself is given to the word's first character.
    return [
        (end, end + 1) if token == START
        else (max(begin, end - len(token) + len(START)), end) if token.startswith(START)
        else (begin, end)
        for token, (begin, end) in zip(encoding.tokens, encoding.offsets, strict=True)
    ]  # fmt: skip


def encode_texts(tokenizer: Tokenizer, texts: list[str]) -> Iterator[EncodedText]:
    """Each text's tokens. A text without a token becomes one unknown token: a GRU needs a step to take."""
    unknown = tokenizer.token_to_id(UNKNOWN)
    assert unknown is not None
    for text, encoding in zip(texts, tokenizer.encode_batch(texts), strict=True):
        ends = np.array([end for _, end in encoding.offsets] or [len(text)], np.int64)
        yield EncodedText(np.array(encoding.ids or [unknown], np.int32), ends, encode_characters(text)[: ends[-1]])
