"""The tokenizer: made from the training posts, kept as one `tokenizer.json`, and used by training and serving alike."""

from collections.abc import Iterable, Iterator

from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Split
from tokenizers.trainers import WordLevelTrainer

PADDING, UNKNOWN = "[PAD]", "[UNK]"  # ids 0 and 1
# Words, and every punctuation mark by itself: in questions about code, `;`, `{` and `->` are half of the evidence.
PATTERN = r"\w+|[^\w\s]"


def fit(texts: Iterable[str], vocabulary: int, max_tokens: int) -> Tokenizer:
    """Make a tokenizer of the `vocabulary` most frequent tokens; ties in frequency go by the token.

    It keeps the first `max_tokens` tokens of a text.
    """
    trainer = WordLevelTrainer(vocab_size=vocabulary, special_tokens=[PADDING, UNKNOWN], show_progress=False)
    trained = with_vocabulary({})
    trained.train_from_iterator(texts, trainer)
    # Its vocabulary alone: with the special tokens as such, a post that says "[PAD]" would have padding inside.
    tokenizer = with_vocabulary(trained.get_vocab())
    tokenizer.enable_truncation(max_tokens)
    return tokenizer


def with_vocabulary(vocabulary: dict[str, int]) -> Tokenizer:
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.normalizer = Lowercase()
    tokenizer.pre_tokenizer = Split(Regex(PATTERN), behavior="removed", invert=True)
    return tokenizer


def encode(tokenizer: Tokenizer, texts: list[str]) -> Iterator[list[int]]:
    """Token ids of each text. A text without a token becomes one unknown token: a GRU needs a step to take."""
    unknown = tokenizer.token_to_id(UNKNOWN)
    assert unknown is not None
    for encoding in tokenizer.encode_batch_fast(texts):
        yield encoding.ids or [unknown]
