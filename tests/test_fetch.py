"""Stage fetch: one table and a manifest out of any source, the same for the same posts, or nothing at all."""

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline import fetch
from pipeline.cli import UserError
from pipeline.corpus import sample, sources, tables

TABLE = Path("data/raw/examples.parquet")
MANIFEST = Path("data/raw/manifest.json")
EXAMPLES = {
    "train/java/0.txt": b"import java;\r\n",
    "train/java/10.txt": "naïve\x00".encode(),
    "train/java/9.txt": b"",
    "train/python/0.txt": b"import this",
    "test/java/0.txt": b"public",
    "test/python/0.txt": b"def",
}


def digest_of(examples: Mapping[str, bytes]) -> str:
    lines = [f"{path}\t{hashlib.sha256(examples[path]).hexdigest()}\n" for path in sorted(examples)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


@pytest.fixture
def fetched(set_params: Callable) -> Callable[..., dict[str, bytes]]:
    """`fetched(source, digest)` runs the stage and gives its files."""

    def run(source: Path | str, digest: str | None = None) -> dict[str, bytes]:
        set_params(fetch={"source": str(source), "digest": digest})
        fetch.main()
        return files()

    return run


def files() -> dict[str, bytes]:
    return {path.as_posix(): path.read_bytes() for path in Path("data").rglob("*") if path.is_file()}


def test_the_table_holds_the_examples_in_the_order_of_their_ids(pack: Callable, fetched: Callable) -> None:
    fetched(pack("corpus.zip", EXAMPLES))

    (batch,) = tables.read_batches(TABLE, ["id", "text", "label", "split"])
    assert batch["id"] == sorted(EXAMPLES)
    assert batch["text"] == [EXAMPLES[id].decode() for id in batch["id"]]
    assert [f"{split}/{label}" for split, label in zip(batch["split"], batch["label"], strict=True)] == [
        id.rpartition("/")[0] for id in batch["id"]
    ]


def test_the_manifest_says_what_the_examples_are(pack: Callable, fetched: Callable) -> None:
    fetched(pack("corpus.zip", EXAMPLES))

    assert json.loads(MANIFEST.read_text()) == {
        "source": "corpus.zip",
        "sample": False,
        "digest": digest_of(EXAMPLES),
        "licence": "unknown; see the source",
        "examples": 6,
        "labels": ["java", "python"],
        "counts": {"train": {"java": 3, "python": 1}, "test": {"java": 1, "python": 1}},
        "rejected": {},
        "similar_labels": [],
    }


def test_table_and_digest_do_not_depend_on_the_packing(pack: Callable, fetched: Callable) -> None:
    backwards = {f"corpus/{path}": EXAMPLES[path] for path in reversed(EXAMPLES)}
    seen = set()
    for number, examples in enumerate((EXAMPLES, backwards)):
        for suffix in (".zip", ".tar.gz", ""):
            made = fetched(pack(f"corpus{number}{suffix}", examples))
            seen.add((made[TABLE.as_posix()], json.loads(MANIFEST.read_text())["digest"]))

    assert len(seen) == 1


def test_no_file_of_the_stage_names_a_place_on_this_machine(pack: Callable, fetched: Callable, tmp_path: Path) -> None:
    for name in ("corpus", "corpus.zip"):
        made = fetched(pack(name, EXAMPLES))
        assert set(made) == {TABLE.as_posix(), MANIFEST.as_posix()}
        assert not [path for path, content in made.items() if str(tmp_path).encode() in content]


def test_the_sample_is_as_large_as_asked_for(set_params: Callable) -> None:
    set_params(fetch={"source": "sample", "sample_size": 80, "sample_seed": 3})

    fetch.main()

    expected = {path: text.encode() for path, text in sample.generate_examples(80, 3)}
    assert tables.read_column(TABLE, "id") == sorted(expected)
    assert json.loads(MANIFEST.read_text())["digest"] == digest_of(expected)


def test_a_url_gives_what_the_file_behind_it_gives(pack: Callable, fetched: Callable, serve: Callable) -> None:
    packed = pack("corpus.zip", EXAMPLES)
    local = fetched(packed)

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(packed.stat().st_size))
        request.end_headers()
        request.wfile.write(packed.read_bytes())

    url = serve(answer) + "/corpus.zip"
    remote = fetched(url)

    assert remote[TABLE.as_posix()] == local[TABLE.as_posix()]
    manifest = json.loads(MANIFEST.read_text())
    assert (manifest["source"], manifest["sample"], manifest["digest"]) == (url, False, digest_of(EXAMPLES))


def test_a_url_is_asked_once_and_again_only_when_its_answer_was_no_corpus(
    pack: Callable, fetched: Callable, serve: Callable
) -> None:
    good = pack("corpus.zip", EXAMPLES).read_bytes()
    answers = [b"<!DOCTYPE html><p>Sign in", good]
    queries: list[str] = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        content = answers[len(queries)]
        queries.append(request.path)
        request.send_response(200)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    url = serve(answer) + "/corpus.zip"
    with pytest.raises(UserError, match=rf"^{url} is not a complete \.tar\.gz or \.zip archive"):
        fetched(url)

    first = fetched(url)
    again = fetched(url, digest_of(EXAMPLES))

    assert again == first
    assert len(queries) == 2


def test_the_right_digest_passes_and_a_wrong_one_does_not(pack: Callable, fetched: Callable) -> None:
    packed = pack("corpus.zip", EXAMPLES)

    fetched(packed, digest_of(EXAMPLES))

    with pytest.raises(
        UserError, match=f"has the content digest {digest_of(EXAMPLES)}, but fetch.digest expects {'0' * 64}"
    ):
        fetched(packed, "0" * 64)


def test_a_corpus_is_known_by_its_digest_whatever_its_file_is_called(
    pack: Callable, fetched: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = sources.Corpus("https://example.org/known.zip", digest_of(EXAMPLES), "CC0")
    monkeypatch.setitem(sources.CORPORA, "known", known)

    fetched(pack("corpus.zip", EXAMPLES))

    manifest = json.loads(MANIFEST.read_text())
    assert (manifest["source"], manifest["licence"]) == ("known", "CC0")


@pytest.mark.parametrize(
    ("change", "output"),
    [
        ({"train/java/0.txt": "naïve".encode("latin-1")}, r"train/java/0\.txt is not UTF-8 text \(byte 2\)"),
        ({"train/java/0.txt": "naïve".encode("utf-16")}, r"train/java/0\.txt is not UTF-8 text \(byte 0\)"),
        ({"train/java/0.txt": "import".encode("utf-16-le")}, r"train/java/0\.txt is full of NULs.* to utf-16-le$"),
        ({"train/java/0.txt": "import".encode("utf-16-be")}, r"train/java/0\.txt is full of NULs.* to utf-16-be$"),
        ({"test/perl/0.txt": b"text"}, "has no train example with the label perl; each split needs every label"),
        ({"train/perl/0.txt": b"text"}, "has no test example with the label perl; each split needs every label"),
    ],
)
def test_examples_that_cannot_be_learned_from_are_refused(
    pack: Callable, fetched: Callable, change: dict[str, bytes], output: str
) -> None:
    with pytest.raises(UserError, match=output):
        fetched(pack("corpus.zip", {**EXAMPLES, **change}))


def test_one_label_alone_is_rejected(pack: Callable, fetched: Callable) -> None:
    with pytest.raises(UserError, match=r"has only one label \(java\)"):
        fetched(pack("corpus.zip", {path: text for path, text in EXAMPLES.items() if "/java/" in path}))


def test_a_path_met_twice_is_rejected(tmp_path: Path, fetched: Callable) -> None:
    with tarfile.open(tmp_path / "corpus.tar", "w") as archive:
        for path in (*EXAMPLES, "corpus/train/java/0.txt"):
            archive.addfile(tarfile.TarInfo(path), io.BytesIO())

    with pytest.raises(UserError, match=r"contains train/java/0\.txt twice; keep one of them"):
        fetched(tmp_path / "corpus.tar")


@pytest.mark.parametrize("name", ["cut.tar.gz", "cut.zip", "latin.zip"])
def test_the_last_good_table_survives_a_source_that_fails(
    pack: Callable, fetched: Callable, tmp_path: Path, name: str
) -> None:
    before = fetched(pack("corpus.zip", EXAMPLES))
    bad = pack(name, {**EXAMPLES, "train/python/1.txt": "é".encode("latin-1" if name == "latin.zip" else "utf-8")})
    if name.startswith("cut"):
        bad.write_bytes(bad.read_bytes()[:-30])

    with pytest.raises(UserError):
        fetched(bad)

    assert files() == before
    assert os.listdir("data") == ["raw"]


def test_a_new_table_replaces_the_last_one(pack: Callable, fetched: Callable) -> None:
    fetched(pack("one.zip", EXAMPLES))
    Path("data/raw/stray").touch()

    after = fetched(pack("other.zip", {**EXAMPLES, "train/java/1.txt": b"more"}))

    assert set(after) == {TABLE.as_posix(), MANIFEST.as_posix()}
    assert json.loads(MANIFEST.read_text())["examples"] == 7


def test_as_a_command_it_says_what_it_made_or_one_sentence(pack: Callable, set_params: Callable, run: Callable) -> None:
    packed = pack("corpus.tar.gz", EXAMPLES)
    set_params(fetch={"source": str(packed)})

    done = run("pipeline.fetch")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "fetch: 6 examples of 2 labels (4 train, 2 test) from corpus.tar.gz\n"

    packed.write_bytes(packed.read_bytes()[:-30])
    failed = run("pipeline.fetch")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr.startswith("error: corpus.tar.gz is not a complete .tar.gz or .zip archive (")
    assert failed.stderr.count("\n") == 1


# Tables

TABLE_ROWS = [("a", f"text number {n}") for n in range(10)] + [("b", f"other words {n}") for n in range(10)]
CSV = "label,text\n" + "".join(f"{label},{text}\n" for label, text in TABLE_ROWS)
REJECTS = Path("data/raw/rejects.parquet")


def manifest() -> dict:
    return json.loads(MANIFEST.read_text())


def rejects() -> list[tuple]:
    return list(tables.read_rows(REJECTS, tables.REJECTS_SCHEMA))


def test_a_csv_is_fetched(tmp_path: Path, fetched: Callable, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.csv").write_text(CSV)

    fetched(tmp_path / "mine.csv")

    assert capsys.readouterr().out.splitlines() == [
        "fetch: mine.csv is CSV, delimiter comma, no quotes, encoding utf-8",
        "fetch: columns: text 'text', label 'label' (guessed; set fetch.text and fetch.label to others)",
        "fetch: 20 examples of 2 labels (20 train) from mine.csv",
    ]
    rows = list(tables.read_rows(TABLE, tables.RAW_SCHEMA))
    assert rows == sorted((str(line), text, label, "train") for line, (label, text) in enumerate(TABLE_ROWS, 2))
    lines = [f"{id}\ttrain\t{label}\t{hashlib.sha256(text.encode()).hexdigest()}\n" for id, text, label, _ in rows]
    assert manifest()["digest"] == hashlib.sha256("".join(lines).encode()).hexdigest()
    assert not REJECTS.exists()


def test_the_digest_changes_with_a_label_and_not_with_name_or_encoding(tmp_path: Path, fetched: Callable) -> None:
    digests = []
    for name, content in (
        ("one.csv", CSV.encode()),
        ("two.csv", CSV.encode("utf-16")),
        ("three.csv", CSV.replace("a,text number 3", "b,text number 3").encode()),
    ):
        (tmp_path / name).write_bytes(content)
        fetched(tmp_path / name)
        digests.append(manifest()["digest"])

    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize("source", ["part_*.csv", "part_{train,test}.csv", "."])
def test_several_files_are_the_splits(pack: Callable, tmp_path: Path, fetched: Callable, source: str) -> None:
    pack("tables", {"part_train.csv": CSV.encode(), "part_test.csv": b"label,text\na,one\nb,two\n"})

    fetched(tmp_path / "tables" / source)

    assert manifest()["counts"] == {"train": {"a": 10, "b": 10}, "test": {"a": 1, "b": 1}}
    assert "part_test:2" in tables.read_column(TABLE, "id")


@pytest.mark.parametrize("name", ["corpus.zip", "corpus.tar.gz"])
def test_a_table_in_an_archive_is_read(pack: Callable, tmp_path: Path, fetched: Callable, name: str) -> None:
    (tmp_path / "mine.csv").write_text(CSV)
    fetched(tmp_path / "mine.csv")
    digest = manifest()["digest"]

    fetched(pack(name, {"folder/mine.csv": CSV.encode(), "folder/README.txt": b"read me", "__MACOSX/._mine.csv": b"x"}))

    assert manifest()["digest"] == digest


def test_tables_in_an_archive_are_limited(pack: Callable, fetched: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_TABLE_BYTES", 500)

    with pytest.raises(UserError, match=r"^corpus\.zip has more than .* bytes of them; extract the one to use$"):
        fetched(pack("corpus.zip", {"one.csv": CSV.encode(), "two.csv": CSV.encode() * 2}))

    assert os.listdir("data") == []


def test_a_table_behind_a_url_is_read(fetched: Callable, serve: Callable) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(CSV)))
        request.end_headers()
        request.wfile.write(CSV.encode())

    fetched(serve(answer) + "/mine.csv?download=1")

    assert manifest()["examples"] == 20


def test_rejected_rows_are_counted_and_kept_with_their_line(tmp_path: Path, set_params: Callable) -> None:
    bad = 'a,\n,some text\nc,a label of its own\na,"never closed\n'
    (tmp_path / "mine.csv").write_text(CSV.replace("text number 0", '"text, number 0"') + bad)
    set_params(fetch={"source": str(tmp_path / "mine.csv"), "max_rejects": 0.2})

    fetch.main()

    assert manifest()["examples"] == 20
    assert manifest()["rejected"] == {"broken_quotes": 1, "no_label": 1, "no_text": 1, "rare_label": 1}
    assert rejects() == [
        ("mine.csv", 22, "no_text", "a"),
        ("mine.csv", 23, "no_label", "some text"),
        ("mine.csv", 24, "rare_label", "c"),
        ("mine.csv", 25, "broken_quotes", 'a,"never closed'),
    ]


def test_too_many_rejected_rows_are_an_error_with_an_example(tmp_path: Path, fetched: Callable) -> None:
    (tmp_path / "mine.csv").write_text(CSV + "a,\nb,\n,x\n")

    with pytest.raises(UserError) as error:
        fetched(tmp_path / "mine.csv")

    assert str(error.value) == (
        "mine.csv: 3 of 23 rows cannot be used (2 rows: no text; 1 row: no label; for example row 22 of mine.csv: "
        "no text), more than fetch.max_rejects (0.05) allows; correct them, or set it to a larger share"
    )
    assert not REJECTS.exists()


def test_labels_that_only_test_has_are_rejected(pack: Callable, tmp_path: Path, set_params: Callable) -> None:
    pack("tables", {"train.csv": CSV.encode(), "test.csv": b"label,text\na,one\nb,two\nc,three\n"})
    set_params(fetch={"source": str(tmp_path / "tables")})

    fetch.main()

    assert rejects() == [("test.csv", 4, "label_not_in_train", "c")]


def test_an_id_that_two_rows_have_rejects_the_second(tmp_path: Path, set_params: Callable) -> None:
    rows = "".join(f"{n},{label},{text}\n" for n, (label, text) in enumerate(TABLE_ROWS))
    (tmp_path / "mine.csv").write_text(f"key,label,text\n{rows}7,a,again\n")
    set_params(fetch={"source": str(tmp_path / "mine.csv"), "id": "key"})

    fetch.main()

    assert rejects() == [("mine.csv", 22, "duplicate_id", "7")]


def test_labels_that_differ_only_by_case_are_reported(
    tmp_path: Path, fetched: Callable, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.csv").write_text(CSV + "".join(f"A,more text {n}\n" for n in range(6)))

    fetched(tmp_path / "mine.csv")

    assert manifest()["similar_labels"] == [["A", "a"]]
    assert "fetch: labels that differ only by case: 'A' and 'a'\n" in capsys.readouterr().out


def test_validation_examples_of_the_source_become_training_examples(
    tmp_path: Path, fetched: Callable, capsys: pytest.CaptureFixture[str]
) -> None:
    splits = ["train", "train", "test", "validation"] * 5
    rows = "".join(f"{text},{label},{split}\n" for (label, text), split in zip(TABLE_ROWS, splits, strict=True))
    (tmp_path / "mine.csv").write_text(f"text,label,split\n{rows}")

    fetched(tmp_path / "mine.csv")

    assert {split: sum(labels.values()) for split, labels in manifest()["counts"].items()} == {"train": 15, "test": 5}
    assert "fetch: 5 validation examples are added to train" in capsys.readouterr().out


def test_a_dataset_folder_of_hugging_face_is_read(tmp_path: Path, fetched: Callable) -> None:
    for split, rows in {"train": TABLE_ROWS, "test": TABLE_ROWS[9:11]}.items():
        folder = tmp_path / "dataset" / split
        folder.mkdir(parents=True)
        table = pa.table({"text": [f"{split} {text}" for _, text in rows], "label": [label for label, _ in rows]})
        with (
            pa.OSFile(str(folder / "data-00000-of-00001.arrow"), "wb") as sink,
            pa.ipc.new_stream(sink, table.schema) as stream,
        ):
            stream.write_table(table)
        (folder / "state.json").write_text("{}")
        (folder / "dataset_info.json").write_text("{}")
    (tmp_path / "dataset/dataset_dict.json").write_text('{"splits": ["train", "test"]}')

    fetched(tmp_path / "dataset")

    assert manifest()["counts"] == {"train": {"a": 10, "b": 10}, "test": {"a": 1, "b": 1}}
    assert "test/data-00000-of-00001:1" in tables.read_column(TABLE, "id")


@pytest.mark.parametrize("label", ["a/b", "../c", 'say "x, y"', "日本 語", "שלום", "<b>&amp;", "🙂", "null", "-1"])
def test_a_label_may_be_any_string(tmp_path: Path, fetched: Callable, label: str) -> None:
    quoted = '"' + label.replace('"', '""') + '"'
    (tmp_path / "mine.csv").write_text(CSV + "".join(f"{quoted},words {n}\n" for n in range(6)))

    fetched(tmp_path / "mine.csv")

    assert manifest()["counts"]["train"][label] == 6


def test_a_folder_per_label_is_read_without_unlabelled_texts(pack: Callable, fetched: Callable) -> None:
    plain = {f"{label}/{n}.txt": f"{label} {n}".encode() for label in ("pos", "neg") for n in range(3)}

    for name, files in (
        ("plain", {**plain, "unsup/0.txt": b"no label"}),
        ("plain.tar.gz", {**plain, "unsup/0.txt": b"no label"}),
        ("splits", {f"train/{path}": text for path, text in plain.items()} | {"train/unsup/0.txt": b"no label"}),
    ):
        fetched(pack(name, files))

        assert manifest()["counts"] == {"train": {"neg": 3, "pos": 3}}
        assert manifest()["digest"] == digest_of({f"train/{path}": text for path, text in plain.items()})


def test_encoding_of_texts_in_folders_can_be_set(pack: Callable, set_params: Callable) -> None:
    pack_of = pack("corpus", {**EXAMPLES, "train/java/0.txt": "naïve".encode("latin-1")})
    set_params(fetch={"source": str(pack_of), "encoding": "latin-1"})

    fetch.main()

    assert "naïve" in tables.read_column(TABLE, "text")


def test_the_real_archive_is_the_corpus_of_that_name(archive: Path, fetched: Callable) -> None:
    fetched(archive)

    manifest = json.loads(MANIFEST.read_text())
    assert manifest["source"] == "stack_overflow_16k"
    assert manifest["digest"] == "babc7a52a74faf3b30da678e2635565beedc580b76b4f7dad6128c9f9b172783"
    each = dict.fromkeys(["csharp", "java", "javascript", "python"], 2000)
    assert manifest["counts"] == {"train": each, "test": each}
    assert len(tables.read_column(TABLE, "id")) == manifest["examples"] == 16_000
