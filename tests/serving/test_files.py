"""Predictions for files of rows: every format, resuming after a kill, rows that cannot be predicted, errors."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.cli import UserError
from pipeline.model.classifier import Classifier
from pipeline.serving import files
from pipeline.serving.files import Options, predict_files
from pipeline.serving.models import ServedModel, load_folder
from tests.repository import ROOT

pytestmark = pytest.mark.usefixtures("models")
GUESS = Options((), None, None)
ROWS: list[dict] = [
    {"id": 7, "text": "a banana, or a banana", "stars": 4.5},
    {"id": 8, "text": "sort a DICT ä", "stars": None},
    {"id": 9, "text": "neither one nor the other", "stars": 1.0},
]


@pytest.fixture
def model(models: None) -> ServedModel:
    return load_folder(Path("models"), {"folder": "models"})


def write_rows(path: Path) -> None:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    else:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, ROWS[0])
            writer.writeheader()
            writer.writerows(ROWS)


def read_rows(path: Path) -> list[dict]:
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("output", [".parquet", ".jsonl", ".csv"])
@pytest.mark.parametrize("source", [".parquet", ".jsonl", ".csv"])
def test_rows_keep_their_columns_and_get_label_probabilities_and_model(
    model: ServedModel, source: str, output: str
) -> None:
    write_rows(Path(f"rows{source}"))

    result = predict_files([Path(f"rows{source}")], Path(f"out{output}"), model, Options(("text",), None, 0.7))

    rows = read_rows(Path(f"out{output}"))
    assert (result.rows, result.resumed, result.rejected) == (3, 0, Counter())
    assert [row["text"] for row in rows] == [row["text"] for row in ROWS]
    assert [str(row["id"]) for row in rows] == ["7", "8", "9"]
    assert [row["predicted_label"] for row in rows[:2]] == ["fruit", "pythön"]
    expected = Classifier(Path("models")).predict_proba([row["text"] for row in ROWS])
    for row, probabilities in zip(rows, expected, strict=True):
        assert [float(row[f"probability_{label}"]) for label in ("fruit", "pythön")] == pytest.approx(probabilities)
        assert str(row["abstained"]).lower() == str(max(probabilities) < 0.7).lower()
        assert row["model_digest"] == model.classifier.digest
    assert list(rows[0])[:3] == list(ROWS[0])
    assert not list(Path().glob(".*out*"))
    if source == output:  # values keep their type
        assert [row["id"] for row in rows] == [str(row["id"]) if source == ".csv" else row["id"] for row in ROWS]
        assert rows[1]["stars"] == ("" if source == ".csv" else None)


def test_rows_without_a_text_are_counted_and_kept_with_their_reason(model: ServedModel) -> None:
    Path("rows.jsonl").write_bytes(
        b'{"text": "a banana"}\n{"text": ""}\nno json\n{"text": null}\n{"text": "a \xff dict"}\n{"text": "a dict"}\n'
    )

    result = predict_files([Path("rows.jsonl")], Path("out.csv"), model, Options(("text",), "utf-8", None))

    assert result.rejected == Counter(no_text=2, invalid_json=1, bad_bytes=1)
    assert [row["predicted_label"] for row in read_rows(Path("out.csv"))] == ["fruit", "pythön"]
    rejects = read_rows(Path("out.csv.rejects.csv").rename("rejects.csv"))
    assert [(row["file"], row["row"], row["reason"]) for row in rejects] == [
        ("rows.jsonl", "2", "no_text"),
        ("rows.jsonl", "3", "invalid_json"),
        ("rows.jsonl", "4", "no_text"),
        ("rows.jsonl", "5", "bad_bytes"),
    ]


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        ("a banana\n\nsort, and sort, a dict\n", ["a banana", "sort, and sort, a dict"]),
        ("a banana, a mango\nsort, a dict\n", ["a banana, a mango", "sort, a dict"]),
        ('text\n"a banana, ""a"" banana"\na dict\n', ['a banana, "a" banana', "a dict"]),
    ],
    ids=["a text per line", "one that looks like CSV", "CSV of one column"],
)
def test_a_file_of_texts_alone_has_the_column_text(model: ServedModel, content: str, texts: list[str]) -> None:
    Path("texts.txt").write_text(content)

    predict_files([Path("texts.txt")], Path("out.csv"), model, GUESS)

    rows = read_rows(Path("out.csv"))
    assert [row["text"] for row in rows] == texts
    assert [row["predicted_label"] for row in rows] == ["fruit", "pythön"]


def test_files_of_different_columns_are_predicted_together(model: ServedModel) -> None:
    Path("first.csv").write_text("title,body\na,banana\n")
    Path("second.jsonl").write_text('{"title": "sort", "body": "a dict", "tags": ["x", "y"]}\n')

    predict_files(
        [Path("first.csv"), Path("second.jsonl")], Path("out.parquet"), model, Options(("title", "body"), None, None)
    )

    first, second = read_rows(Path("out.parquet"))
    assert (first["title"], first["tags"], first["predicted_label"]) == ("a", None, "fruit")
    assert (second["title"], second["tags"], second["predicted_label"]) == ("sort", '["x", "y"]', "pythön")


def test_keys_that_only_a_late_object_has_are_kept(model: ServedModel) -> None:
    rows = [{"text": f"a dict {number}"} for number in range(1200)] + [{"text": "a banana", "note": "x"}]
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    predict_files([Path("rows.jsonl")], Path("out.csv"), model, GUESS)

    assert read_rows(Path("out.csv"))[-1]["note"] == "x"


def test_text_in_a_structure_is_named_by_both_names(model: ServedModel) -> None:
    pq.write_table(pa.Table.from_pylist([{"doc": {"text": "a dict"}, "id": 1}]), "rows.parquet")

    predict_files([Path("rows.parquet")], Path("out.csv"), model, Options(("doc.text",), None, None))

    assert read_rows(Path("out.csv"))[0]["predicted_label"] == "pythön"


def test_values_that_json_and_text_lack_are_written_as_others(model: ServedModel) -> None:
    rows = [{"text": "a dict", "raw": b"\xff", "score": float("nan")}]
    pq.write_table(pa.Table.from_pylist(rows), "rows.parquet")
    Path("more.csv").write_text("text,raw\na mango,x\n")

    predict_files([Path("rows.parquet")], Path("out.jsonl"), model, GUESS)
    predict_files([Path("rows.parquet"), Path("more.csv")], Path("out.parquet"), model, Options(("text",), None, None))

    assert [(row["raw"], row["score"]) for row in read_rows(Path("out.jsonl"))] == [("\ufffd", None)]
    assert [row["raw"] for row in read_rows(Path("out.parquet"))] == ["?", "x"]


def test_damaged_bytes_of_any_encoding_are_rejected(model: ServedModel) -> None:
    Path("rows.csv").write_bytes("text,id\na dict,1\na bänana,2\n".encode())

    result = predict_files([Path("rows.csv")], Path("out.csv"), model, Options(("text",), "ascii", None))

    assert result.rejected == Counter(bad_bytes=1)


def test_columns_of_structures_and_other_types_stay_as_they_are_in_parquet(model: ServedModel) -> None:
    rows = [{"text": "a dict", "tags": ["x"], "where": {"site": "s", "votes": 3}, "raw": b"\xff"}]
    pq.write_table(pa.Table.from_pylist(rows), "rows.parquet")

    predict_files([Path("rows.parquet")], Path("out.parquet"), model, GUESS)

    (row,) = read_rows(Path("out.parquet"))
    assert (row["tags"], row["where.site"], row["where.votes"], row["raw"]) == (["x"], "s", 3, b"\xff")


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".csv"])
def test_what_was_killed_goes_on_after_its_last_part_and_ends_with_the_same_bytes(
    model: ServedModel, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.setattr(files, "PART_ROWS", 10)
    words = ["banana", "dict", "mango", "list"]
    Path("rows.csv").write_text("text\n" + "".join(f"some {words[n % 4]} {n}\n" for n in range(57)))
    predict_files([Path("rows.csv")], Path(f"whole{suffix}"), model, GUESS)
    predict, calls = files.predict_rows, []

    def killed_at_the_fourth(rows: list, *others) -> list[dict]:
        calls.append(len(rows))
        if len(calls) == 4:
            raise KeyboardInterrupt
        return predict(rows, *others)

    monkeypatch.setattr(files, "predict_rows", killed_at_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        predict_files([Path("rows.csv")], Path(f"out{suffix}"), model, GUESS)
    assert not Path(f"out{suffix}").exists()
    result = predict_files([Path("rows.csv")], Path(f"out{suffix}"), model, GUESS)

    assert (result.rows, result.resumed) == (57, 30)
    assert calls == [10] * 6 + [7]
    assert Path(f"out{suffix}").read_bytes() == Path(f"whole{suffix}").read_bytes()


def test_predictions_are_those_of_the_texts_as_they_are(model: ServedModel) -> None:
    texts = ["  a banana\n", "a \ufffd dict", "\tmango"]
    pq.write_table(pa.table({"text": texts}), "rows.parquet")

    predict_files([Path("rows.parquet")], Path("out.parquet"), model, GUESS)

    rows = read_rows(Path("out.parquet"))
    assert [row["text"] for row in rows] == texts
    expected = model.classifier.predict_proba(texts)[:, 0]
    assert [row["probability_fruit"] for row in rows] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("change", ["file", "option", "model", "nothing"])
def test_parts_of_another_call_are_not_taken_up(
    model: ServedModel, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    Path("rows.csv").write_text("text,id\na banana,1\n")
    monkeypatch.setattr(files, "FORMATS", files.FORMATS | {".csv": (files.write_csv, interrupt)})
    with pytest.raises(KeyboardInterrupt):
        predict_files([Path("rows.csv")], Path("out.csv"), model, Options(("text",), None, 0.5))
    monkeypatch.setattr(files, "FORMATS", files.FORMATS | {".csv": (files.write_csv, files.join_csv)})

    if change == "file":
        Path("rows.csv").write_text("text,id\na dict,1\n")
    if change == "model":
        model = replace(model, source={"model": "classifier", "version": "2", "run": "a", "commit": "b"})
    threshold = 0.9 if change == "option" else 0.5
    result = predict_files([Path("rows.csv")], Path("out.csv"), model, Options(("text",), None, threshold))

    assert result.resumed == (1 if change == "nothing" else 0)
    (row,) = read_rows(Path("out.csv"))
    assert row["predicted_label"] == ("pythön" if change == "file" else "fruit")
    assert row["abstained"] == ("true" if change == "option" else "false")
    assert row.get("model_version") == ("2" if change == "model" else None)


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (
            "a,b\n1,2\n3,4\n",
            GUESS,
            r"^rows.csv has no column that looks like texts; name one of its columns with --text",
        ),
        ("text,b\nx y,2\n", Options(("body",), None, None), r"^rows.csv has no column 'body'; .* --text: text, b$"),
        ("text,predicted_label\nx y,2\n", Options(("text",), None, None), r"^rows.csv has a column 'predicted_label'"),
        ("", GUESS, r"^rows.csv is empty; give a file"),
    ],
)
def test_a_file_that_cannot_be_predicted_is_a_one_line_error(
    model: ServedModel, content: str, options: Options, message: str
) -> None:
    Path("rows.csv").write_text(content)

    with pytest.raises(UserError, match=message):
        predict_files([Path("rows.csv")], Path("out.csv"), model, options)

    assert not Path("out.csv").exists()


def test_an_output_that_exists_is_not_overwritten(model: ServedModel) -> None:
    write_rows(Path("rows.csv"))
    Path("out.csv").write_text("precious")

    with pytest.raises(UserError, match=r"^out.csv exists already; remove it, or choose another --output$"):
        predict_files([Path("rows.csv")], Path("out.csv"), model, GUESS)

    assert Path("out.csv").read_text() == "precious"


# The command


def test_command_predicts_files_and_says_what_it_did(run: Callable) -> None:
    Path("rows.csv").write_text("text,id\nsome banana,1\n,2\nsome dict,3\n")

    done = run("pipeline.predict", "--output", "out.jsonl", "--text", "text", "rows.csv")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "rows.csv is CSV, delimiter comma, no quotes, encoding utf-8; text: 'text'",
        "out.jsonl: 2 rows",
        "  not predicted, see out.jsonl.rejects.csv: 1 row: no text",
    ]
    assert [row["id"] for row in read_rows(Path("out.jsonl"))] == ["1", "3"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output", "out.txt", "rows.csv"], "--output is out.txt; end its name with .parquet, .jsonl, .csv"),
        (["--output", "out.csv"], "there is no file to predict"),
        (["--output", "out.csv", "nowhere.csv"], "there is no file nowhere.csv"),
        (["--output", "out.csv", "--encoding", "klingon", "rows.csv"], "'klingon' is not an encoding"),
        (["--output", "out.csv", "--encoding", "hex", "rows.csv"], "'hex' is not an encoding"),
        (["--output", "out.jsonl", "--json", "rows.csv"], "--json is for texts"),
        (["--threshold", "0.5", "some text"], "--text, --encoding and --threshold are for files of rows"),
    ],
)
def test_command_with_wrong_arguments_is_one_line(run: Callable, arguments: list[str], message: str) -> None:
    write_rows(Path("rows.csv"))

    done = run("pipeline.predict", *arguments)

    assert done.returncode in (1, 2)
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1


def test_killed_and_interrupted_commands_go_on_and_lose_or_double_no_row() -> None:
    count = 30_000
    words = ["banana", "dict", "mango", "list"]
    with Path("rows.csv").open("w") as file:
        file.write("number,text\n")
        file.writelines(f"{n},{' '.join(words[(n + k) % 4] for k in range(n % 7))} {n}\n" for n in range(count))
    command = [sys.executable, "-m", "pipeline.predict", "--output", "out.csv", "--text", "text", "rows.csv"]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    for number in (signal.SIGKILL, signal.SIGINT):
        before = len(list(Path(".parts-out.csv").glob("part-*")))
        process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 60
        while len(list(Path(".parts-out.csv").glob("part-*"))) <= before:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == (-signal.SIGKILL if number == signal.SIGKILL else 130)
    assert errors.strip() == "stopped; the same command continues"

    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)

    assert " of them from before" in done.stdout
    assert [int(row["number"]) for row in read_rows(Path("out.csv"))] == list(range(count))
