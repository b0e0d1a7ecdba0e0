"""Stage vectorize: a tokenizer of training posts alone, and posts as the ids that it gives."""

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
    """`vectorized(train=[("label", "text"), ...])` runs the stage on these posts, and gives its files."""

    def run(**splits: list[tuple[str, str]]) -> dict[str, bytes]:
        write(**splits)
        vectorize.main()
        return files()

    return run


def write(**splits: list[tuple[str, str]]) -> None:
    Path("data/split").mkdir(parents=True, exist_ok=True)
    for role, examples in ({"train": TRAIN, "validation": VALIDATION} | splits).items():
        rows = (
            {"id": f"{role}{n}", "text": text, "label": label, "fingerprint": f"of {role}{n}".encode()}
            for n, (label, text) in enumerate(examples)
        )
        tables.write_table(Path(f"data/split/{role}.parquet"), tables.SPLIT_SCHEMA, rows)


def files() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for folder in ("data/ids", "models") for path in Path(folder).iterdir()}


def tokens_of(role: str) -> list[list[str | None]]:
    tokenizer = Tokenizer.from_file("models/tokenizer.json")
    return [
        [tokenizer.id_to_token(id) for id in ids]
        for ids in tables.read_column(Path(f"data/ids/{role}.parquet"), "tokens")
    ]


def test_ids_stand_for_the_examples_tokens(vectorized: Callable) -> None:
    vectorized()

    assert tokens_of("train") == [["sort", "the", "dict"], ["sort", ";", "the", "list"]]
    assert tables.read_column(Path("data/ids/train.parquet"), "id") == ["train0", "train1"]


@pytest.mark.parametrize("role", ["train", "validation"])
def test_an_examples_fingerprint_goes_along_with_it(vectorized: Callable, role: str) -> None:
    vectorized()

    examples = [*tables.read_rows(Path(f"data/ids/{role}.parquet"), tables.FINGERPRINT_SCHEMA)]
    assert examples == [(f"{role}0", f"of {role}0".encode()), (f"{role}1", f"of {role}1".encode())]


def test_labels_are_indices_into_their_list(vectorized: Callable) -> None:
    vectorized()

    assert json.loads(Path("data/ids/labels.json").read_text()) == ["a", "b"]
    assert tables.read_column(Path("data/ids/train.parquet"), "label") == [0, 1]
    assert tables.read_column(Path("data/ids/validation.parquet"), "label") == [1, 0]


def test_a_token_of_validation_or_test_alone_is_not_in_the_vocabulary(vectorized: Callable) -> None:
    made = vectorized(test=[("a", "unseentoo")])

    assert set(Tokenizer.from_file("models/tokenizer.json").get_vocab()) == {
        "[PAD]", "[UNK]", "sort", "the", "dict", "list", ";",
    }  # fmt: skip
    assert tokens_of("validation")[0] == ["sort", UNKNOWN]
    assert b"unseen" not in made["tokenizer.json"]


def test_the_test_split_changes_nothing(vectorized: Callable) -> None:
    without = vectorized()

    assert vectorized(test=[("a", "sort sort sort other")]) == without


def test_an_example_without_tokens_is_one_unknown_token(vectorized: Callable) -> None:
    vectorized()

    assert tokens_of("validation")[1] == [UNKNOWN]


def test_a_long_example_is_cut_and_the_vocabulary_is_bounded(vectorized: Callable, set_params: Callable) -> None:
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
def test_the_parameter_chooses_the_kind_of_tokens(
    vectorized: Callable, set_params: Callable, kind: str, tokens: list[str]
) -> None:
    set_params(vectorize={"tokenizer": kind})

    vectorized(train=[("a", "Sort <b>the</b> dict."), ("b", "")])

    assert tokens_of("train") == [tokens, [UNKNOWN]]


@pytest.mark.parametrize("kind", ["code", "words", "bpe"])
def test_training_examples_without_a_token_are_refused_and_nothing_is_written(
    vectorized: Callable, set_params: Callable, kind: str
) -> None:
    set_params(vectorize={"tokenizer": kind})

    with pytest.raises(
        UserError, match=rf"^the training texts have no token \(vectorize\.tokenizer is {kind}\); check "
    ):
        vectorized(train=[("a", ""), ("b", " \n")])

    assert {path.name for path in Path().iterdir()} == {"params.yaml", "data"}
    assert [path.name for path in Path("data").iterdir()] == ["split"]


def test_a_vocabulary_too_small_for_the_characters_is_rejected(vectorized: Callable, set_params: Callable) -> None:
    set_params(vectorize={"tokenizer": "bpe", "vocab_size": 6})  # [PAD], [UNK], ▁, a, b, c and ;

    with pytest.raises(
        UserError, match=r"^vectorize\.vocab_size is 6, but the training texts have 7 different characters, .* raise it"
    ):
        vectorized(train=[("a", "ab;"), ("b", "c")])

    assert not Path("models").exists()


@pytest.mark.parametrize("kind", ["code", "words", "bpe"])
def test_processes_with_other_hash_seeds_write_the_same_bytes_where_frequencies_tie(
    workspace: Path, set_params: Callable, run: Callable, kind: str
) -> None:
    set_params(vectorize={"tokenizer": kind, "vocab_size": 500})
    words = [hashlib.sha256(str(n).encode()).hexdigest()[:8] for n in range(1000)]
    write(train=[("a", " ".join(words)), ("b", " ".join(reversed(words)))])

    made = []
    for seed, parallel in (("1", "true"), ("2", "false")):
        environment = {"PYTHONHASHSEED": seed, "TOKENIZERS_PARALLELISM": parallel}
        assert run("pipeline.vectorize", env=environment).returncode == 0
        made.append(files())

    assert made[0] == made[1]
