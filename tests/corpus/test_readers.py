"""Tables: the same rows in every format, dialect and encoding; a reason for every row that cannot be read."""

import bz2
import gzip
import json
import lzma
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import params
from pipeline.cli import UserError
from pipeline.corpus.readers import Reject, Row, open_table, read_table, split_of
from pipeline.corpus.rows import Columns, Example, RejectedRow, choose_columns, read_checked

ROWS = [
    {"label": "spam", "text": "win a prize, now"},
    {"label": "ham", "text": 'he said "hi" to me'},
    {"label": "ham", "text": "two\nlines; naïve | café"},
    {"label": "spam", "text": "plain\ttab"},
    {"label": "ham", "text": "see you later"},
]
CONFIG = params.load(Path(__file__).parent.parent / "params.yaml").fetch


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., Path]:
    """`file("a.csv", content)` writes bytes, or text in UTF-8 with its line endings as they are."""

    def write(name: str, content: bytes | str) -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def read(path: Path, encoding: str | None = None) -> list[Row | Reject]:
    return list(read_table(open_table(path, path.name, encoding)))


def values(path: Path, encoding: str | None = None) -> list[dict]:
    rows = read(path, encoding)
    assert all(isinstance(row, Row) for row in rows), rows
    return [dict(row.values) for row in rows if isinstance(row, Row)]


def csv_text(delimiter: str = ",", end: str = "\n", header: bool = True) -> str:
    """The rows as CSV that quotes every cell, as in RFC 4180."""
    records = ([["label", "text"]] if header else []) + [list(row.values()) for row in ROWS]
    return "".join(delimiter.join('"' + cell.replace('"', '""') + '"' for cell in record) + end for record in records)


# Delimited text


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_delimiter_and_line_ending_is_recognized(file: Callable, delimiter: str, end: str) -> None:
    assert values(file("rows.txt", csv_text(delimiter, end))) == ROWS


def test_mixed_line_endings_are_read(file: Callable) -> None:
    assert values(file("rows.csv", "label,text\r\na,one two\nb,three four\r\na,five six\r")) == [
        {"label": "a", "text": "one two"},
        {"label": "b", "text": "three four"},
        {"label": "a", "text": "five six"},
    ]


def test_without_a_header_columns_are_numbered(file: Callable) -> None:
    (first, *_) = values(file("rows.csv", csv_text(header=False)))

    assert first == {"column1": "spam", "column2": "win a prize, now"}


@pytest.mark.parametrize(
    ("content", "has_header"),
    [
        ("review,stars\ngood food,5\nbad food,1\ngood view,5\n", True),
        ("v1,v2,,\nham,hi there,,\nspam,win now,,\nham,oh well,,\n", True),
        ("good food,5\nbad food,1\nfine food,5\n", False),
        ("1,good food\n0,bad food\n1,good view\n", False),
        ("good food,pos\nbad food,neg\nbad view,neg\ngood view,pos\n", False),
        ("frage,antwort\nwas ist das,A\nwer ist das,B\nwo ist das,A\nwie ist das,B\n", True),
    ],
)
def test_a_header_is_told_from_a_row(file: Callable, content: str, has_header: bool) -> None:
    assert open_table(file("rows.csv", content), "rows.csv").header is has_header


def test_a_repeated_header_is_no_row(file: Callable) -> None:
    rows = read(file("rows.csv", "text,label\na b,x\nc d,y\ntext,label\ne f,x\n"))

    assert rows[2] == Reject(4, "repeated_header", "text,label")


def test_columns_without_a_name_and_repeated_ones_are_named_by_position(file: Callable) -> None:
    assert open_table(file("rows.csv", "text,,text\na b,1,\nc d,2,\n"), "rows.csv").columns == (
        "text", "column2", "column3"
    )  # fmt: skip


def test_quotes_are_ordinary_characters_where_they_enclose_nothing(file: Callable) -> None:
    content = "label\ttext\n" + 'a\t"begun and never closed\nb\tin the "mid" dle\n' * 10

    assert values(file("rows.tsv", content))[:2] == [
        {"label": "a", "text": '"begun and never closed'},
        {"label": "b", "text": 'in the "mid" dle'},
    ]


def test_quotes_escaped_by_backslashes_are_recognized(file: Callable) -> None:
    content = 'label,text\na,"say \\"hi\\", ok"\nb,"no, never"\na,plain\n'

    assert values(file("rows.csv", content))[0]["text"] == 'say "hi", ok'


def test_a_row_of_excel_that_names_the_separator_is_no_header(file: Callable) -> None:
    assert values(file("rows.csv", "sep=;\n" + csv_text(";"))) == ROWS


def test_a_broken_quote_costs_its_own_row_alone(file: Callable) -> None:
    good = 'a,"one, two"\nb,"three, four"\n'
    rows = read(file("rows.csv", "label,text\n" + good * 5 + 'a,"never closed\n' + good * 5))

    rejects = [row for row in rows if isinstance(row, Reject)]
    assert rejects == [Reject(12, "broken_quotes", 'a,"never closed')]
    assert len(rows) == 21
    assert rows[-1] == Row(22, {"label": "b", "text": "three, four"})


def test_quotes_that_are_not_doubled_are_kept_where_the_cells_are_clear(file: Callable) -> None:
    good = 'a,"one, two"\nb,"three, four"\n'

    rows = values(file("rows.csv", "label,text\n" + good * 5 + 'a,"say "hi" or no, to me"\n' + good))

    assert rows[10] == {"label": "a", "text": 'say "hi" or no, to me'}


def test_a_row_with_more_cells_than_columns_is_rejected_with_its_line(file: Callable) -> None:
    rows = read(file("rows.csv", "label,text\n" + "a,one\nb,two\n" * 5 + "a,one,two\na,one,,\n"))

    assert rows[-2:] == [Reject(12, "too_many_cells", "a,one,two"), Row(13, {"label": "a", "text": "one"})]


def test_the_line_of_a_row_counts_line_breaks_within_cells_and_blank_lines(file: Callable) -> None:
    rows = read(file("rows.csv", 'label,text\na,"1\n2\n3"\n\nb,two\na,six\n'))

    assert [row.number for row in rows] == [2, 6, 7]


# Encodings and compression


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1", "cp1252"])
def test_encoding_is_detected(file: Callable, encoding: str) -> None:
    assert values(file("rows.csv", csv_text().encode(encoding))) == ROWS


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("gb18030", "房间很大,早餐也不错,服务员态度很好,下次还会再来"),
        ("cp1251", "хороший отель, очень понравилось обслуживание"),
        ("shift_jis", "部屋はとても広くて朝食もおいしかったです"),
    ],
)
def test_encoding_of_another_script_is_detected(file: Callable, encoding: str, text: str) -> None:
    content = "label,text\n" + f'good,"{text}"\nbad,"{text[::-1]}"\n' * 20

    assert values(file("rows.csv", content.encode(encoding)))[0]["text"] == text


def test_encoding_that_is_given_is_used(file: Callable) -> None:
    content = "label,text\na,žluťoučký kůň\nb,jiný text\n".encode("cp1250")

    assert values(file("rows.csv", content), "cp1250")[0]["text"] == "žluťoučký kůň"


@pytest.mark.parametrize(
    "compress", [gzip.compress, bz2.compress, lzma.compress, lambda data: pa.compress(data, "zstd", asbytes=True)]
)
def test_compression_is_recognized(file: Callable, compress: Callable[[bytes], bytes]) -> None:
    assert values(file("rows", compress(csv_text().encode()))) == ROWS


@pytest.mark.parametrize(
    "compress", [gzip.compress, bz2.compress, lzma.compress, lambda data: pa.compress(data, "zstd", asbytes=True)]
)
def test_compressed_file_that_is_cut_short_is_an_error(file: Callable, compress: Callable[[bytes], bytes]) -> None:
    lines = "".join(f"a,text {number * 7919 % 10007}\nb,other {number}\n" for number in range(5000))
    content = compress(f"label,text\n{lines}".encode())

    with pytest.raises(UserError, match=r"^rows cannot be read to its end \(.*\); get it again$"):
        read(file("rows", content[: len(content) // 2]))


# JSON


def test_json_lines_are_read_with_nested_values_and_lists(file: Callable) -> None:
    content = '{"label": 1, "data": {"text": "a"}}\n\n{"label": [2], "data": {"text": null}, "more": true}\n'

    assert values(file("rows.jsonl", content)) == [
        {"label": 1, "data.text": "a"},
        {"label": [2], "data.text": None, "more": True},
    ]


def test_json_lines_that_are_invalid_are_rejected_with_their_line(file: Callable) -> None:
    rows = read(file("rows.jsonl", '{"label": 1, "text": "a"}\n{"label": 1, "text\n7\n{"label": 2, "text": "b"}\n'))

    assert rows[1:3] == [Reject(2, "invalid_json", '{"label": 1, "text'), Reject(3, "no_object", "7")]


@pytest.mark.parametrize("indent", [None, 2])
def test_json_array_is_read_in_pieces(file: Callable, indent: int | None) -> None:
    rows = [{"label": str(number % 3), "text": "text " * 50 + str(number)} for number in range(3000)]

    assert values(file("rows.json", json.dumps(rows, indent=indent))) == rows


def test_json_array_that_ends_too_early_is_an_error(file: Callable) -> None:
    content = json.dumps(ROWS)[:-20]

    with pytest.raises(UserError, match=r"^rows\.json is not valid JSON in element 5 of its array"):
        read(file("rows.json", content))


@pytest.mark.parametrize("indent", [None, 1])
def test_json_object_of_arrays_gives_the_splits(file: Callable, indent: int | None) -> None:
    content = {"train": [["one", "a"], ["two", "b"]], "oos_val": [["three", "a"]], "version": 1}

    assert values(file("rows.json", json.dumps(content, indent=indent))) == [
        {"column1": "one", "column2": "a", "split": "train"},
        {"column1": "two", "column2": "b", "split": "train"},
        {"column1": "three", "column2": "a", "split": "validation"},
    ]


def test_json_object_of_columns_is_read(file: Callable) -> None:
    content = {"text": {"0": "one", "1": "two"}, "label": {"0": "a", "1": "b"}}

    assert values(file("rows.json", json.dumps(content))) == [
        {"text": "one", "label": "a"},
        {"text": "two", "label": "b"},
    ]


# Other formats


def test_fasttext_lines_are_read(file: Callable) -> None:
    assert values(file("rows.txt", "__label__a one two\n__label__b __label__c three\n")) == [
        {"label": ["a"], "text": "one two"},
        {"label": ["b", "c"], "text": "three"},
    ]


def test_parquet_and_arrow_are_read_with_the_names_of_classes(tmp_path: Path) -> None:
    features = {"info": {"features": {"label": {"names": ["neg", "pos"], "_type": "ClassLabel"}}}}
    schema = pa.schema([("text", pa.string()), ("label", pa.int64())], {"huggingface": json.dumps(features)})
    table = pa.table({"text": ["good", "bad", None], "label": [1, 0, -1]}, schema)
    pq.write_table(table, tmp_path / "rows.parquet")
    with pa.OSFile(str(tmp_path / "stream.arrow"), "wb") as sink, pa.ipc.new_stream(sink, schema) as stream:
        stream.write_table(table)
    with pa.OSFile(str(tmp_path / "file.arrow"), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        writer.write_table(table)

    for name in ("rows.parquet", "stream.arrow", "file.arrow"):
        assert values(tmp_path / name) == [
            {"text": "good", "label": "pos"},
            {"text": "bad", "label": "neg"},
            {"text": None, "label": -1},
        ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; "),
        (b" \n\n", "is empty; "),
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "is a web page or XML"),
        (b"PK\x03\x04 an office document", r"is not text, Parquet or Arrow; save it as CSV"),
        (bytes(range(256)) * 20, "is not text, Parquet or Arrow"),
        (b"just a text\nof some lines\nwithout columns\n", "is not a table: neither comma, tab, semicolon nor "),
        (b"PAR1 and no more", "cannot be read"),
        (b'{"text": "a"\n"label": 1}', "is neither JSON Lines nor a JSON array of objects"),
        (b"[[]]", "has no JSON object with values"),
    ],
)
def test_other_files_are_refused_with_one_sentence(file: Callable, content: bytes, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        read(file("rows", content))

    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train", "train"),
        ("banking77_test", "test"),
        ("dev", "validation"),
        ("val-2", "validation"),
        ("latest", None),
        ("restrained", None),
        ("data", None),
    ],
)
def test_split_is_a_word_of_a_name(name: str, split: str | None) -> None:
    assert split_of(name) == split


def test_split_of_a_file_is_that_of_its_name_or_of_its_folder(file: Callable) -> None:
    path = file("rows.csv", csv_text())

    assert open_table(path, "corpus/test/data-00000-of-00001.csv").split == "test"
    assert open_table(path, "test/train-00000-of-00001.csv").split == "train"
    assert open_table(path, "contest.csv").split is None


# Columns and checks


@pytest.mark.parametrize(
    ("limit", "message"), [("MAX_EXAMPLES", "more than 3 rows"), ("MAX_TOTAL_BYTES", "more than 3 bytes of text")]
)
def test_limits_of_a_source_count_over_all_of_its_files(
    file: Callable, monkeypatch: pytest.MonkeyPatch, limit: str, message: str
) -> None:
    """Rejected rows count as rows, and é as two bytes."""
    paths = [file(f"{name}.csv", "text,label\na,x\né,\n") for name in ("one", "two")]
    tables = [open_table(path, path.name, None) for path in paths]
    chosen = Columns(("text",), "label", None, None)
    monkeypatch.setattr(f"pipeline.corpus.rows.{limit}", 4)
    assert len(list(read_checked(tables, chosen))) == 4
    monkeypatch.setattr(f"pipeline.corpus.rows.{limit}", 3)
    paths[0].write_text("text,label\né,x\né,x\n", encoding="utf-8")

    with pytest.raises(UserError, match=message):
        list(read_checked(tables, chosen))


def checked(path: Path, **config) -> list[Example | RejectedRow]:
    tables = [open_table(path, path.name, config.get("encoding"))]
    chosen, _ = choose_columns(tables, CONFIG.model_copy(update=config))
    return list(read_checked(tables, chosen))


@pytest.mark.parametrize(
    ("content", "text", "label"),
    [
        ("v1,v2,,\nham,hi there,,\nspam,win it now,,\nham,oh well,,\nspam,free entry,,\n", "v2", "v1"),
        ("id,airline,sentiment,text\n1,UA,neg,bad bad\n2,DL,pos,very good\n3,DL,neg,so late\n4,UA,neg,no\n",
         "text", "sentiment"),
        ("1,good food here\n0,bad food here\n1,good view\n0,bad view\n", "column2", "column1"),
        ("Title,Body,Category\nhello,a long text,x\nworld,another text,y\nso,one more long text,x\nno,it is,y\n",
         "Body", "Category"),
        ("label,review\n1,房间很大\n0,很差\n1,早餐不错\n0,服务员态度不好\n", "review", "label"),
    ],
)  # fmt: skip
def test_text_and_label_are_guessed(file: Callable, content: str, text: str, label: str) -> None:
    path = file("rows.csv", content)

    chosen, guessed = choose_columns([open_table(path, path.name)], CONFIG)

    assert (chosen.text, chosen.label, guessed) == ((text,), label, True)


def test_columns_that_are_named_are_used_and_several_texts_joined(file: Callable) -> None:
    path = file("rows.csv", "key,title,body,kind\nx1,Hello,there you,a\nx2,,only body,b\n")

    assert checked(path, text=["title", "body"], label="kind", id="key") == [
        Example("x1", "Hello\nthere you", "a", "train", "rows.csv", 2),
        Example("x2", "only body", "b", "train", "rows.csv", 3),
    ]


def test_a_column_that_is_missing_is_named(file: Callable) -> None:
    path = file("rows.csv", "text,label\na b,x\nc d,y\n")

    with pytest.raises(
        UserError, match=r"^rows\.csv has no column 'body' \(fetch\.text\); its columns are text, label$"
    ):
        checked(path, text="body", label="label")


def test_the_columns_of_the_file_that_lacks_one_are_named(file: Callable) -> None:
    paths = [file("one.csv", "text,label\na b,x\nc d,y\n"), file("two.csv", "body,label\na b,x\nc d,y\n")]

    with pytest.raises(
        UserError, match=r"^two\.csv has no column 'text' \(fetch\.text\); its columns are body, label$"
    ):
        choose_columns([open_table(path, path.name) for path in paths], CONFIG.model_copy(update={"text": "text"}))


def test_no_column_of_labels_is_said_with_the_columns(file: Callable) -> None:
    path = file("rows.csv", "text,date\n" + "".join(f"a text {n},2020-01-{n}\n" for n in range(10, 30)))

    with pytest.raises(
        UserError, match=r"no column of rows\.csv looks like labels; set fetch\.label to one .*text, date"
    ):
        checked(path)


def test_a_split_column_gives_the_splits(file: Callable) -> None:
    path = file("rows.csv", "text,label,split\na b,x,train\nc d,y,test\ne f,x,dev\ng h,y,train\n")

    assert [row.split for row in checked(path) if isinstance(row, Example)] == ["train", "test", "validation", "train"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"text": None, "label": "a"}, "no_text"),
        ({"text": " \n", "label": "a"}, "no_text"),
        ({"text": "x", "label": " "}, "no_label"),
        ({"text": "x"}, "no_label"),
        ({"text": "x", "label": ["a", "b"]}, "several_labels"),
        ({"text": "x\0y", "label": "a"}, "control_characters"),
        ({"text": "x\ud800y", "label": "a"}, "bad_bytes"),
        ({"text": "x" * (1 << 20) + "y", "label": "a"}, "long_text"),
        ({"text": "x", "label": "a" * 201}, "long_label"),
        ({"text": "x", "label": "a", "split": "unsupervised"}, "unknown_split"),
    ],
)
def test_a_row_that_cannot_be_used_has_a_reason(file: Callable, row: dict, reason: str) -> None:
    path = file("rows.jsonl", "".join(json.dumps(each) + "\n" for each in (*ROWS, row)))

    *_, last = checked(path, text="text", label="label", split="split")

    assert isinstance(last, RejectedRow)
    assert (last.file, last.row, last.reason) == ("rows.jsonl", 6, reason)
    assert len(last.detail) <= 200


def test_bytes_that_are_not_valid_reject_their_row(file: Callable) -> None:
    good = "a,größer\nb,schön\n".encode() * 20
    rows = checked(file("rows.csv", b"label,text\n" + good + b"a,gr\xf6\xdfer\n"), text="text", label="label")

    assert rows[-1] == RejectedRow("rows.csv", 42, "bad_bytes", "gr??er")
    assert len([row for row in rows if isinstance(row, Example)]) == 40


def test_labels_lose_blanks_and_numbers_are_written_as_integers(file: Callable) -> None:
    content = "".join(json.dumps({"text": "x y", "label": label}) + "\n" for label in (" a  b ", 1.0, 2, True, "日本"))

    labels = [row.label for row in checked(file("rows.jsonl", content), text="text", label="label")  # type: ignore[union-attr]
    ]  # fmt: skip

    assert labels == ["a b", "1", "2", "true", "日本"]


def test_columns_are_described() -> None:
    assert Columns(("title", "body"), "kind", None, "key").describe() == "text 'title', 'body', label 'kind', id 'key'"
