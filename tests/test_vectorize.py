"""Stage vectorize: a tokenizer fitted on the training texts alone, and texts encoded with it."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from pipeline import vectorize
from pipeline.cli import UserError
from pipeline.corpus import tables
from pipeline.features.tokenizer import UNKNOWN

TRAIN = [("a", "Sort the dict"), ("b", "sort; the list")]
VALIDATION = [("b", "sort unseenword"), ("a", "")]


@pytest.fixture
def vectorized(workspace: Path) -> Callable[..., dict[str, bytes]]:
    """`vectorized(train=[("label", "text"), ...])` runs the stage on these examples, and gives its files by name."""

    def run(**splits: list[tuple[str, str]]) -> dict[str, bytes]:
        write_splits(**splits)
        vectorize.main()
        return read_outputs()

    return run


def write_splits(**splits: list[tuple[str, str]]) -> None:
    Path("data/split").mkdir(parents=True, exist_ok=True)
    for split, examples in ({"train": TRAIN, "validation": VALIDATION} | splits).items():
        rows = (
            {"id": f"{split}{n}", "text": text, "label": label, "fingerprint": f"of {split}{n}".encode()}
            for n, (label, text) in enumerate(examples)
        )
        tables.write_table(Path(f"data/split/{split}.parquet"), tables.SPLIT_SCHEMA, rows)


def read_outputs() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for folder in ("data/ids", "models") for path in Path(folder).iterdir()}


def tokens_of(split: str) -> list[list[str | None]]:
    tokenizer = Tokenizer.from_file("models/tokenizer.json")
    return [
        [tokenizer.id_to_token(id) for id in ids]
        for ids in tables.read_column(Path(f"data/ids/{split}.parquet"), "tokens")
    ]


def test_ids_are_those_of_the_texts_tokens(vectorized: Callable) -> None:
    vectorized()

    assert tokens_of("train") == [["sort", "the", "dict"], ["sort", ";", "the", "list"]]
    assert tables.read_column(Path("data/ids/train.parquet"), "id") == ["train0", "train1"]


@pytest.mark.parametrize("split", ["train", "validation"])
def test_each_example_keeps_its_fingerprint(vectorized: Callable, split: str) -> None:
    vectorized()

    rows = [*tables.read_rows(Path(f"data/ids/{split}.parquet"), tables.FINGERPRINT_SCHEMA)]
    assert rows == [(f"{split}0", f"of {split}0".encode()), (f"{split}1", f"of {split}1".encode())]


def test_labels_are_indices_into_labels_json(vectorized: Callable) -> None:
    vectorized()

    assert json.loads(Path("data/ids/labels.json").read_text()) == ["a", "b"]
    assert tables.read_column(Path("data/ids/train.parquet"), "label") == [0, 1]
    assert tables.read_column(Path("data/ids/validation.parquet"), "label") == [1, 0]


def test_a_token_of_validation_or_test_alone_is_not_in_the_vocabulary(vectorized: Callable) -> None:
    outputs = vectorized(test=[("a", "unseentoo")])

    assert set(Tokenizer.from_file("models/tokenizer.json").get_vocab()) == {
        "[PAD]", "[UNK]", "sort", "the", "dict", "list", ";",
    }  # fmt: skip
    assert tokens_of("validation")[0] == ["sort", UNKNOWN]
    assert b"unseen" not in outputs["tokenizer.json"]


def test_the_test_split_changes_nothing(vectorized: Callable) -> None:
    without_test = vectorized()

    assert vectorized(test=[("a", "sort sort sort other")]) == without_test


def test_a_text_without_tokens_is_one_unknown_token(vectorized: Callable) -> None:
    vectorized()

    assert tokens_of("validation")[1] == [UNKNOWN]


def test_long_texts_are_truncated_and_the_vocabulary_has_vocab_size_tokens(
    vectorized: Callable, set_params: Callable
) -> None:
    set_params(vectorize={"max_length": 2, "vocab_size": 4})

    vectorized()

    assert tokens_of("train") == [["sort", "the"], ["sort", UNKNOWN]]
    assert Tokenizer.from_file("models/tokenizer.json").get_vocab_size() == 4


@pytest.mark.parametrize(
    ("kind", "tokens"),
    [
        ("code", ["sort", "<", "b", ">", "the", "<", "/", "b", ">", "dict", "."]),
        ("words", ["sort", "the", "dict"]),
        ("bpe", ["▁sort", "<", "▁b", ">", "▁the", "<", "/", "▁b", ">", "▁dict", "."]),
    ],
)
def test_the_parameter_selects_the_kind_of_tokenizer(
    vectorized: Callable, set_params: Callable, kind: str, tokens: list[str]
) -> None:
    set_params(vectorize={"tokenizer": kind})

    vectorized(train=[("a", "Sort <b>the</b> dict."), ("b", "")])

    assert tokens_of("train") == [tokens, [UNKNOWN]]


@pytest.mark.parametrize("kind", ["code", "words", "bpe"])
def test_training_texts_without_tokens_are_refused_and_nothing_is_written(
    vectorized: Callable, set_params: Callable, kind: str
) -> None:
    set_params(vectorize={"tokenizer": kind})

    message = rf"^the training texts have no token \(vectorize\.tokenizer is {kind}\); check fetch\.source, or "
    with pytest.raises(UserError, match=message):
        vectorized(train=[("a", ""), ("b", " \n")])

    assert {path.name for path in Path().iterdir()} == {"params.yaml", "data"}
    assert [path.name for path in Path("data").iterdir()] == ["split"]


def test_a_vocab_size_below_the_number_of_characters_is_refused(vectorized: Callable, set_params: Callable) -> None:
    set_params(vectorize={"tokenizer": "bpe", "vocab_size": 6})  # [PAD], [UNK], ▁, a, b, c and ;

    message = r"^vectorize\.vocab_size is 6, but the training texts have 7 different characters, .*; raise it, or"
    with pytest.raises(UserError, match=message):
        vectorized(train=[("a", "ab;"), ("b", "c")])

    assert not Path("models").exists()


@pytest.mark.parametrize("kind", ["code", "words", "bpe"])
def test_frequency_ties_are_broken_the_same_way_in_every_process(
    workspace: Path, set_params: Callable, run: Callable, kind: str
) -> None:
    set_params(vectorize={"tokenizer": kind, "vocab_size": 500})
    words = [hashlib.sha256(str(n).encode()).hexdigest()[:8] for n in range(1000)]
    write_splits(train=[("a", " ".join(words)), ("b", " ".join(reversed(words)))])

    outputs = []
    for seed, parallel in (("1", "true"), ("2", "false")):
        environment = {"PYTHONHASHSEED": seed, "TOKENIZERS_PARALLELISM": parallel}
        assert run("pipeline.vectorize", env=environment).returncode == 0
        outputs.append(read_outputs())

    assert outputs[0] == outputs[1]
