"""Stage fetch: one table and a manifest out of any source, the same for the same posts, or nothing at all."""

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path

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


def test_the_real_archive_is_the_corpus_of_that_name(archive: Path, fetched: Callable) -> None:
    fetched(archive)

    manifest = json.loads(MANIFEST.read_text())
    assert manifest["source"] == "stack_overflow_16k"
    assert manifest["digest"] == "babc7a52a74faf3b30da678e2635565beedc580b76b4f7dad6128c9f9b172783"
    each = dict.fromkeys(["csharp", "java", "javascript", "python"], 2000)
    assert manifest["counts"] == {"train": each, "test": each}
    assert len(tables.read_column(TABLE, "id")) == manifest["examples"] == 16_000
