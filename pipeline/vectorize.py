"""Stage 3, vectorize: the tokenizer is fitted on the training posts alone, and posts become token ids.

    python -m pipeline.vectorize

`models/tokenizer.json` is the file that serves, too. `data/ids/` holds train and validation as Parquet tables with the
columns id, tokens (int32, not padded: `train` pads each batch to its longest post), characters (two bytes each, see
`pipeline.features.ngrams`), ends (where among the characters each token ends), label (index into `labels.json`) and
fingerprint. Test posts are not looked at here.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from tokenizers import Tokenizer

from pipeline import cli, params
from pipeline.cli import UserError
from pipeline.corpus import tables
from pipeline.features.tokenizer import PADDING, UNKNOWN, encode_texts, fit_tokenizer

SPLIT = Path("data/split")
OUT = Path("data/ids")
TOKENIZER = Path("models/tokenizer.json")


def main() -> None:
    section = params.load().vectorize
    train = SPLIT / "train.parquet"
    texts = (text for batch in tables.read_batches(train, ["text"]) for text in batch["text"])
    tokenizer = fit_tokenizer(texts, section.tokenizer, section.vocab_size, section.max_length)
    check(tokenizer, section)
    labels = sorted(set(tables.read_column(train, "label")))

    TOKENIZER.parent.mkdir(exist_ok=True)
    tokenizer.save(str(TOKENIZER))
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "labels.json").write_text(json.dumps(labels) + "\n")
    for role in ("train", "validation"):
        tables.write_table(
            OUT / f"{role}.parquet", tables.IDS_SCHEMA, rows(SPLIT / f"{role}.parquet", tokenizer, labels)
        )
    print(f"vectorize: {tokenizer.get_vocab_size():,} tokens in the vocabulary")


def check(tokenizer: Tokenizer, section: params.Vectorize) -> None:
    """Raises Stop when there is nothing to learn from, or `bpe` met more characters than it may have tokens."""
    size = tokenizer.get_vocab_size()
    if size == len([PADDING, UNKNOWN]):
        raise UserError(
            f"the training posts hold no token (vectorize.tokenizer is {section.tokenizer}); "
            "give fetch.source posts with text, or choose another tokenizer"
        )
    if size > section.vocab_size:
        raise UserError(
            f"vectorize.vocab_size is {section.vocab_size}, but the characters of the training posts alone are {size} "
            f"tokens for {section.tokenizer}; set it to more, or choose another tokenizer"
        )


def rows(path: Path, tokenizer: Tokenizer, labels: list[str]) -> Iterator[dict]:
    for batch in tables.read_batches(path, ["id", "text", "label", "fingerprint"]):
        encoded = encode_texts(tokenizer, batch["text"])
        columns = (batch[name] for name in ("id", "label", "fingerprint"))
        for post, id, label, fingerprint in zip(encoded, *columns, strict=True):
            yield {
                "id": id,
                "tokens": post.ids,
                "ends": post.ends,
                "characters": post.characters.tobytes(),
                "label": labels.index(label),
                "fingerprint": fingerprint,
            }


if __name__ == "__main__":
    cli.run(main)
