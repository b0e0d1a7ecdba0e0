"""Stage 3, vectorize: fit the tokenizer on the training texts, and encode the training and validation texts.

    python -m pipeline.vectorize

`models/tokenizer.json` is also the file that serves. `data/ids/` holds train and validation as Parquet tables with the
columns id, tokens (int32, not padded: `train` pads each batch to its longest example), characters (two bytes each, see
`pipeline.features.ngrams`), ends (the position among the characters where each token ends), label (index into
`labels.json`) and fingerprint. The test split is not read.
"""

from collections.abc import Iterator
from pathlib import Path

from tokenizers import Tokenizer

from pipeline import cli, params
from pipeline.cli import UserError
from pipeline.corpus import tables
from pipeline.features.tokenizer import PADDING, UNKNOWN, encode_texts, fit_tokenizer
from pipeline.files import write_json, written_beside
from pipeline.params.vectorize import Vectorize

SPLIT = Path("data/split")
OUT = Path("data/ids")
TOKENIZER = Path("models/tokenizer.json")


def main() -> None:
    config = params.load().vectorize
    train = SPLIT / "train.parquet"
    texts = (text for batch in tables.read_batches(train, ["text"]) for text in batch["text"])
    tokenizer = fit_tokenizer(texts, config.tokenizer, config.vocab_size, config.max_length)
    check_vocabulary(tokenizer, config)
    labels = sorted(set(tables.read_column(train, "label")))

    with written_beside(TOKENIZER) as beside:
        tokenizer.save(str(beside))
    write_json(OUT / "labels.json", labels, indent=None)
    for split in ("train", "validation"):
        rows = encode_rows(SPLIT / f"{split}.parquet", tokenizer, labels)
        tables.write_table(OUT / f"{split}.parquet", tables.IDS_SCHEMA, rows)
    print(f"vectorize: vocabulary of {tokenizer.get_vocab_size():,} tokens")


def check_vocabulary(tokenizer: Tokenizer, config: Vectorize) -> None:
    """Raises UserError if the vocabulary is empty, or `bpe` found more characters than `vocab_size` allows."""
    size = tokenizer.get_vocab_size()
    if size == len([PADDING, UNKNOWN]):
        raise UserError(
            f"the training texts have no token (vectorize.tokenizer is {config.tokenizer}); "
            "check fetch.source, or choose another tokenizer"
        )
    if size > config.vocab_size:
        raise UserError(
            f"vectorize.vocab_size is {config.vocab_size}, but the training texts have {size} different characters, "
            f"each of which is a token of {config.tokenizer}; raise it, or choose another tokenizer"
        )


def encode_rows(path: Path, tokenizer: Tokenizer, labels: list[str]) -> Iterator[dict]:
    """The rows of a table of ids, from a split's table."""
    index_of = {label: index for index, label in enumerate(labels)}
    for batch in tables.read_batches(path, ["id", "text", "label", "fingerprint"]):
        encoded_texts = encode_texts(tokenizer, batch["text"])
        columns = (batch[name] for name in ("id", "label", "fingerprint"))
        for encoded, id, label, fingerprint in zip(encoded_texts, *columns, strict=True):
            yield {
                "id": id,
                "tokens": encoded.ids,
                "ends": encoded.ends,
                "characters": encoded.characters.tobytes(),
                "label": index_of[label],
                "fingerprint": fingerprint,
            }


if __name__ == "__main__":
    cli.run(main)
