"""The tokenizer: fitted on the training texts, saved as one `tokenizer.json`, and used by training and serving alike.

There are three kinds; the file holds all that differs between them.

    code     words, and every punctuation mark as a token of its own, in lower case
    words    whitespace-separated words without tags and punctuation, as in the GRU tutorial
    bpe      subwords of the words of `code`, learned by byte-pair encoding (Sennrich et al. 2016) on characters
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
# Words, and every punctuation mark by itself: in questions about code, `;`, `{` and `->` are informative.
PATTERN = r"\w+|[^\w\s]"
# In `bpe`, the first subword of a word begins with this: `▁hash`, `map`. It is no letter, so no word contains it.
WORD_START = "▁"


class EncodedText(NamedTuple):
    """A text, truncated after its last token that is kept."""

    ids: np.ndarray  # int32 [tokens]
    ends: np.ndarray  # int64 [tokens]: the position in the text where each token ends
    characters: np.ndarray  # uint16 [characters], see `pipeline.features.ngrams`


def fit_tokenizer(texts: Iterable[str], kind: str, vocab_size: int, max_length: int) -> Tokenizer:
    """Fit a tokenizer of that kind with the `vocab_size` most frequent tokens; ties are broken by the token.

    The vocabulary of `bpe` contains every character of the texts, even if these alone are more than `vocab_size`.
    The tokenizer truncates a text to its first `max_length` tokens.
    """
    fitted = {"code": code_tokenizer, "words": words_tokenizer, "bpe": bpe_tokenizer}[kind]()
    make_trainer = BpeTrainer if kind == "bpe" else WordLevelTrainer
    trainer = make_trainer(vocab_size=vocab_size, special_tokens=[PADDING, UNKNOWN], show_progress=False)
    fitted.train_from_iterator(texts, trainer)
    # Not as special tokens: a text that contains "[PAD]" would have padding inside.
    tokenizer = Tokenizer.from_str(json.dumps(json.loads(fitted.to_str()) | {"added_tokens": []}))
    tokenizer.enable_truncation(max_length)
    return tokenizer


def code_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(WordLevel(unk_token=UNKNOWN))
    tokenizer.normalizer = Lowercase()
    tokenizer.pre_tokenizer = split_into(PATTERN)
    return tokenizer


def words_tokenizer() -> Tokenizer:
    """The tokens of Keras' TextVectorization with the tutorial's `remove_br`.

    The vocabulary is the same but for ties: among equally frequent tokens, Keras takes the last in sort order first.
    """
    # TensorFlow lowers and splits bytes, so it knows only ASCII's capitals and whitespace: É stays, and so does U+00A0.
    lower = [Replace(capital, capital.lower()) for capital in string.ascii_uppercase]
    tags = Replace(Regex("<[^>]+>"), "")
    punctuation = Replace(Regex(f"[{re.escape(string.punctuation)}]"), "")
    tokenizer = Tokenizer(WordLevel(unk_token=UNKNOWN))
    tokenizer.normalizer = Sequence([*lower, tags, punctuation])
    tokenizer.pre_tokenizer = split_into(f"[^{string.whitespace}]+")
    return tokenizer


def bpe_tokenizer() -> Tokenizer:
    # With the library's own markers (continuing_subword_prefix, end_of_word_suffix) each process makes another
    # vocabulary, as the trainer numbers marked characters in the order of a hash map. Unmarked text has an order.
    tokenizer = Tokenizer(BPE(unk_token=UNKNOWN))
    tokenizer.normalizer = Sequence([Lowercase(), Replace(Regex(r"\b(?=\w)"), WORD_START)])
    tokenizer.pre_tokenizer = split_into(f"{WORD_START}?{PATTERN}")
    return tokenizer


def split_into(pattern: str) -> Split:
    """A pre-tokenizer whose tokens are the matches of a pattern."""
    return Split(Regex(pattern), behavior="removed", invert=True)


def token_spans(tokenizer: Tokenizer, text: str) -> list[tuple[int, int]]:
    """The start and end in the text of each token that is kept."""
    encoding = tokenizer.encode(text)
    if not isinstance(tokenizer.model, BPE):
        return encoding.offsets
    # The library gives the word-start marker, which is not in the text, the offset of the character before it. A marker
    # that is a token by itself is assigned to the word's first character.
    return [
        (end, end + 1) if token == WORD_START
        else (max(start, end - len(token) + len(WORD_START)), end) if token.startswith(WORD_START)
        else (start, end)
        for token, (start, end) in zip(encoding.tokens, encoding.offsets, strict=True)
    ]  # fmt: skip


def replace_surrogates(texts: Iterable[str]) -> list[str]:
    """The texts with a question mark for each half of a surrogate pair, which cannot be encoded; positions stay."""
    return [text.encode("utf-8", "replace").decode() for text in texts]


def encode_texts(tokenizer: Tokenizer, texts: list[str]) -> Iterator[EncodedText]:
    """Yield each text's tokens. A text without tokens becomes one unknown token, as a GRU needs a time step."""
    unknown = tokenizer.token_to_id(UNKNOWN)
    assert unknown is not None
    for text, encoding in zip(texts, tokenizer.encode_batch(texts), strict=True):
        ends = np.array([end for _, end in encoding.offsets] or [len(text)], np.int64)
        yield EncodedText(np.array(encoding.ids or [unknown], np.int32), ends, encode_characters(text)[: ends[-1]])
