"""Command inspect: what a source holds, what is wrong with it, and the parameters that read it."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pipeline import fetch, inspect, params
from pipeline.cli import UserError

ROOT = Path(__file__).parent.parent
GOOD = [("good", f"what a nice day number {n}") for n in range(8)] + [("bad", f"no, not again {n}") for n in range(6)]


def as_csv(rows: list[tuple[str, str]]) -> str:
    return "label,review\n" + "".join(f'{label},"{text}"\n' for label, text in rows)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(inspect.main, arguments, catch_exceptions=False, standalone_mode=False)


def output(*arguments: str) -> str:
    return run(*map(str, arguments)).output


@pytest.fixture
def source(workspace: Path) -> Callable[..., str]:
    """`source("a.csv", content)` writes a file and gives its name."""

    def write(name: str, content: str | bytes) -> str:
        (workspace / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return name

    return write


def test_format_columns_labels_lengths_and_examples_are_printed(source: Callable) -> None:
    printed = output(source("mine.csv", as_csv(GOOD)))

    assert "File: mine.csv (" in printed
    assert "CSV, delimiter comma, quoted, encoding utf-8" in printed
    assert "Read as a guess: text 'review', label 'label'" in printed
    assert "Examples: 14 (14 train)" in printed
    assert "  good          8   57.1%\n  bad           6   42.9%\n" in printed
    assert "Length: 15 to 24 characters" in printed
    assert "Scripts: Latin 100%" in printed
    assert "  bad: no, not again 0\n" in printed
    assert "No problems found." in printed


def test_params_are_printed_and_nothing_is_written(source: Callable) -> None:
    before = Path("params.yaml").read_bytes()

    printed = output(source("mine.csv", as_csv(GOOD).encode("cp1252") + 'bad,"schön"\n'.encode("cp1252")))

    assert "fetch:\n  source: mine.csv\n  digest: null\n  text: review\n  label: label\n" in printed
    assert "  encoding: cp1252\n" in printed
    assert Path("params.yaml").read_bytes() == before
    assert sorted(path.name for path in Path().iterdir()) == ["mine.csv", "params.yaml"]


def test_write_changes_the_values_and_keeps_the_comments(source: Callable) -> None:
    shipped = (ROOT / "params.yaml").read_text()
    Path("params.yaml").write_text(shipped)

    output(source("mine.csv", as_csv(GOOD)), "--write")

    written = Path("params.yaml").read_text()
    config = params.load().fetch
    assert (config.source, config.text, config.label) == ("mine.csv", "review", "label")
    changed = [(old, new) for old, new in zip(shipped.splitlines(), written.splitlines(), strict=True) if old != new]
    assert [new.split()[0] for _, new in changed] == ["source:", "text:", "label:"]
    assert all(new.partition("#")[2] == old.partition("#")[2] for old, new in changed)
    fetch.main()
    assert Path("data/raw/examples.parquet").exists()


def test_columns_that_are_named_are_written(source: Callable) -> None:
    table = "n,title,body,kind\n" + "".join(
        f"{n},t {n},{text},{label}\n" for n, (label, text) in enumerate(GOOD) if "," not in text
    )
    table += "".join(f"{n},t {n},other words {n},bad\n" for n in range(20, 26))

    output(source("mine.csv", table), "--text", "title", "--text", "body", "--label", "kind", "--id", "n", "--write")

    config = params.load().fetch
    assert (config.text, config.label, config.id) == (["title", "body"], "kind", "n")


@pytest.mark.parametrize("text", ["房间很大早餐也不错", "部屋はとても広い", "ห้องพักสะอาดมาก"])
def test_bpe_is_suggested_and_written_for_scripts_without_blanks(source: Callable, text: str) -> None:
    rows = [(label, text * 2 + str(n)) for label in ("1", "0") for n in range(6)]

    printed = output(source("mine.csv", as_csv(rows)), "--write")

    assert "vectorize:\n  tokenizer: bpe" in printed
    assert params.load().vectorize.tokenizer == "bpe"


def test_problems_are_listed_with_their_row(source: Callable) -> None:
    rows = [*GOOD, ("Good", "but written differently")] * 9 + [
        ("rare", "alone"),
        ("good", ""),
        ("", "no label"),
        ("bad", "x"),
    ]

    printed = output(source("mine.csv", as_csv(rows)))

    assert "  - 1 row: no text, for example row 138 of mine.csv\n" in printed
    assert "  - 1 row: no label, for example row 139 of mine.csv\n" in printed
    assert "  - labels that differ only by case: 'Good', 'good'\n" in printed
    assert "  - 1 label with fewer than 5 training examples, which fetch drops: 'rare'\n" in printed
    assert "  - 120 texts are repeated" in printed
    assert "  - 1 texts have fewer than 3 characters\n" in printed


def test_a_source_that_fetch_would_refuse_says_so(source: Callable) -> None:
    printed = output(source("mine.csv", as_csv(GOOD + [("good", "")] * 5)))

    assert "5 rows cannot be used, more than fetch.max_rejects (0.05): fetch will fail" in printed


def test_several_files_are_shown_with_their_splits(source: Callable) -> None:
    source("my_train.csv", as_csv(GOOD))
    source("my_test.csv", as_csv([("good", "one"), ("new", "two")]))

    printed = output("my_*.csv")

    assert "Examples: 16 (2 test, 14 train)" in printed
    assert "  - 1 label that no training example has, for example 'new'\n" in printed
    assert "  - 1 label that no test example has, for example 'bad': fetch will fail\n" in printed


def test_a_folder_of_texts_is_inspected(pack: Callable) -> None:
    folder = pack("corpus", {f"{label}/{n}.txt": text.encode() for n, (label, text) in enumerate(GOOD)})

    assert "Examples: 14 (14 train)" in output(str(folder))


def test_what_controls_a_terminal_is_not_printed(source: Callable) -> None:
    printed = output(source("mine.csv", as_csv([*GOOD, ("good", "red \x1b[31m text"), ("go\x1bod", "text")])))

    assert "\x1b" not in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.csv"], "fetch.source is 'nowhere.csv', but that path does not exist"),
        (
            ["mine.csv", "--label", "kind"],
            r"mine\.csv has no column 'kind' \(fetch\.label\); its columns are label, review",
        ),
        (["mine.csv", "--encoding", "klingon"], "encoding: 'klingon' is not an encoding; write for example utf-8"),
    ],
)
def test_mistakes_are_one_sentence(source: Callable, arguments: list[str], message: str) -> None:
    source("mine.csv", as_csv(GOOD))

    with pytest.raises(UserError, match=message):
        run(*arguments)


def test_as_a_command_an_error_is_one_line(source: Callable, run: Callable[..., subprocess.CompletedProcess]) -> None:
    source("page.csv", "<!doctype html><p>Sign in")

    failed = run("pipeline.inspect", "page.csv")

    assert failed.returncode == 1
    assert failed.stderr.startswith("error: page.csv is a web page or XML, not a table; ")
    assert failed.stderr.count("\n") == 1
