"""Sources: the same posts whatever they come in, and a sentence for what is not whole or not a corpus."""

import bz2
import gzip
import io
import lzma
import stat
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from pipeline import params
from pipeline.cli import UserError
from pipeline.corpus import sources
from pipeline.corpus.sources import Source, read_examples, resolve_source, source_fingerprint

Pack = Callable[[str, Mapping[str, bytes]], Path]

EXAMPLES = {
    "train/java/0.txt": b"import java;",
    "train/python/0.txt": "naïve import this".encode(),
    "test/java/0.txt": b"",
    "test/python/a b.txt": b"print(\x00)\r\n",
}
PACKINGS = ["corpus", "corpus.tar", "corpus.tar.gz", "corpus.zip"]


def source_of(path: Path) -> Source:
    return Source("folder" if path.is_dir() else "archive", path.name, path)


def read(path: Path) -> dict[str, bytes]:
    examples = list(read_examples(source_of(path)))
    assert len(dict(examples)) == len(examples)
    return dict(examples)


# The layout


@pytest.mark.parametrize("name", PACKINGS)
def test_every_packing_gives_the_same_examples(pack: Pack, name: str) -> None:
    assert read(pack(name, EXAMPLES)) == EXAMPLES


@pytest.mark.parametrize(("suffix", "compress"), [("bz2", bz2.compress), ("xz", lzma.compress)])
def test_other_compressions_of_tar_are_read_too(
    pack: Pack, tmp_path: Path, suffix: str, compress: Callable[[bytes], bytes]
) -> None:
    packed = tmp_path / f"corpus.tar.{suffix}"
    packed.write_bytes(compress(pack("corpus.tar", EXAMPLES).read_bytes()))

    assert read(packed) == EXAMPLES


@pytest.mark.parametrize("name", PACKINGS)
@pytest.mark.parametrize("prefix", ["corpus/", "./", "./corpus/"])
def test_one_folder_around_the_layout_is_accepted(pack: Pack, name: str, prefix: str) -> None:
    assert read(pack(name, {prefix + path: text for path, text in EXAMPLES.items()})) == EXAMPLES


@pytest.mark.parametrize("name", PACKINGS)
def test_what_is_no_example_is_left_out(pack: Pack, name: str) -> None:
    others = [
        "README.md",
        "train/README.txt",  # no label
        "train/java/._0.txt",
        "train/java/0.md",
        "train/.cache/0.txt",
        "train/java/deeper/0.txt",
        "two/folders/train/java/1.txt",
        "__MACOSX/train/java/._1.txt",
    ]

    assert read(pack(name, EXAMPLES | dict.fromkeys(others, b"no post"))) == EXAMPLES


def test_a_folder_is_read_in_the_order_of_its_paths(pack: Pack) -> None:
    assert [path for path, _ in read_examples(source_of(pack("corpus", EXAMPLES)))] == sorted(EXAMPLES)


@pytest.mark.parametrize("name", ["corpus.tar", "corpus.tar.gz", "corpus.zip"])
@pytest.mark.parametrize("path", ["../train/java/1.txt", "/train/java/1.txt", "train/../1.txt"])
def test_a_path_that_leads_out_of_an_archive_is_neither_read_nor_written(
    pack: Pack, tmp_path: Path, name: str, path: str
) -> None:
    packed = pack(name, {**EXAMPLES, path: b"from outside"})
    before = sorted(tmp_path.parent.rglob("*"))

    assert read(packed) == EXAMPLES

    assert sorted(tmp_path.parent.rglob("*")) == before


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_a_link_or_device_in_a_tar_is_not_followed(tmp_path: Path, kind: bytes) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_bytes(b"secret")
    with tarfile.open(tmp_path / "corpus.tar.gz", "w:gz") as archive:
        link = tarfile.TarInfo("train/java/1.txt")
        link.type, link.linkname = kind, str(secret)
        archive.addfile(link)
        for path, text in EXAMPLES.items():
            info = tarfile.TarInfo(path)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text))

    assert read(tmp_path / "corpus.tar.gz") == EXAMPLES


def test_a_link_in_a_zip_is_not_taken_for_an_example(pack: Pack) -> None:
    packed = pack("corpus.zip", EXAMPLES)
    link = zipfile.ZipInfo("train/java/1.txt")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr(link, "/etc/passwd")

    assert read(packed) == EXAMPLES


# What cannot be a corpus


@pytest.mark.parametrize("name", PACKINGS)
def test_an_example_beyond_the_bound_is_rejected(pack: Pack, name: str) -> None:
    largest = {**EXAMPLES, "train/java/1.txt": b"x" * sources.MAX_EXAMPLE_BYTES}
    assert read(pack(f"largest-{name}", largest)) == largest

    larger = {**EXAMPLES, "train/java/1.txt": b"x" * (sources.MAX_EXAMPLE_BYTES + 1)}
    with pytest.raises(UserError, match=r"train/java/1\.txt is larger than 1,048,576 bytes; remove it"):
        read(pack(name, larger))


@pytest.mark.parametrize("name", PACKINGS)
def test_a_corpus_without_train_is_rejected(pack: Pack, name: str) -> None:
    with pytest.raises(UserError, match="has no example in train/"):
        read(pack(name, {path: text for path, text in EXAMPLES.items() if path.startswith("test/")}))


@pytest.mark.parametrize("name", PACKINGS)
def test_a_corpus_without_examples_is_rejected(pack: Pack, name: str) -> None:
    with pytest.raises(UserError, match=r"has no example named train/<label>/<name>\.txt"):
        read(pack(name, {"0.txt": b"text", "README.md": b"text"}))


@pytest.mark.parametrize("name", PACKINGS)
def test_a_test_folder_without_examples_is_rejected(pack: Pack, name: str) -> None:
    only_train = {path: text for path, text in EXAMPLES.items() if path.startswith("train/")}

    with pytest.raises(UserError, match="has no example in test/; fill it, or omit test/ to have a test split drawn"):
        read(pack(name, {**only_train, "test/java/.gitkeep": b""}))


@pytest.mark.parametrize("name", PACKINGS)
def test_a_corpus_may_have_no_test_folder(pack: Pack, name: str) -> None:
    only_train = {path: text for path, text in EXAMPLES.items() if path.startswith("train/")}

    assert read(pack(name, only_train)) == only_train


@pytest.mark.parametrize("path", ["train/a\tb/0.txt", "train/a\nb/0.txt", "train/java/\udcff.txt"])
def test_a_name_that_cannot_be_printed_is_rejected(pack: Pack, path: str) -> None:
    with pytest.raises(UserError, match="contains an unprintable character; rename it"):
        read(pack("corpus.tar.gz", {**EXAMPLES, path: b"text"}))


# What is not whole

MANY = {f"train/{label}/{n}.txt": bytes(range(n, 256)) * n for label in "ab" for n in range(16)}


@pytest.mark.parametrize("name", ["corpus.tar", "corpus.tar.gz", "corpus.zip"])
def test_an_archive_cut_short_anywhere_is_rejected(pack: Pack, tmp_path: Path, name: str) -> None:
    whole = pack(name, MANY).read_bytes()
    # A tar ends in zeros, of which two blocks are enough.
    end = len(whole.rstrip(b"\0")) if name == "corpus.tar" else len(whole)
    cut = tmp_path / "cut"

    # 101 has no divisor in common with tar's blocks of 512: cuts fall between members, into headers and into texts.
    for length in [*range(0, end, 101), *range(0, end, 512), end - 1]:
        cut.write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"^cut is not a complete .*; download it again$"):
            read(cut)


def test_a_damaged_archive_is_rejected(pack: Pack) -> None:
    packed = pack("corpus.tar.gz", {**EXAMPLES, "train/java/1.txt": b"abcdefgh" * 4})
    stored = bytearray(gzip.compress(gzip.decompress(packed.read_bytes()), compresslevel=0))
    stored[stored.index(b"abcdefgh")] ^= 1  # one bit of one text: only the checksum at the end can tell
    packed.write_bytes(stored)

    with pytest.raises(UserError, match=r"not a complete .*CRC"):
        read(packed)


def test_a_tar_with_a_broken_header_in_its_middle_is_rejected(pack: Pack) -> None:
    packed = pack("corpus.tar", EXAMPLES)
    broken = packed.read_bytes().replace(b"train/python/0.txt", b"train/python/1.txt")
    packed.write_bytes(broken)

    with pytest.raises(UserError, match=r"not a complete .*bad checksum"):
        read(packed)


@pytest.mark.parametrize("name", ["corpus.tar.gz", "corpus.zip"])
@pytest.mark.parametrize(
    "content", [b"", b"just some text\n" * 100, b"<!DOCTYPE html><html><body>Sign in</body></html>"]
)
def test_another_file_under_an_archives_name_is_rejected(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(UserError, match=rf"^{name} is not a complete \.tar\.gz or \.zip archive"):
        read(tmp_path / name)


def test_an_encrypted_example_is_rejected(pack: Pack) -> None:
    packed = pack("corpus.zip", EXAMPLES)
    # Bit 0 of a member's flags says that it is encrypted; they stand 6 bytes into its local header, 8 into its entry.
    content = bytearray(packed.read_bytes())
    content[content.index(b"PK\x03\x04") + 6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    packed.write_bytes(content)

    with pytest.raises(UserError, match=r"is not a complete, readable .*encrypted"):
        read(packed)


def test_an_example_of_an_unknown_compression_is_rejected(pack: Pack) -> None:
    packed = pack("corpus.zip", EXAMPLES)
    content = bytearray(packed.read_bytes())
    content[content.index(b"PK\x03\x04") + 8] = 99
    content[content.index(b"PK\x01\x02") + 10] = 99
    packed.write_bytes(content)

    with pytest.raises(UserError, match=r"^corpus\.zip is not a complete, readable \.zip archive"):
        read(packed)


# What fetch.source means


def located(base: Path, source: str, digest: str | None = None) -> Source:
    config = params.load(Path(__file__).parent.parent / "params.yaml").fetch
    return resolve_source(config.model_copy(update={"source": source, "digest": digest}), base)


def test_a_path_is_taken_from_the_base(pack: Pack, tmp_path: Path) -> None:
    pack("some/corpus", EXAMPLES)
    pack("some.zip", EXAMPLES)

    assert located(tmp_path, "some/corpus") == Source("folder", "corpus", tmp_path / "some/corpus")
    assert located(tmp_path, "some.zip") == Source("archive", "some.zip", tmp_path / "some.zip")
    assert located(tmp_path / "some", "../some.zip").kind == "archive"


def test_a_path_that_does_not_exist_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"fetch\.source is 'nowhere\.zip', but that path does not exist; give sample, "
    ):
        located(tmp_path, "nowhere.zip")


def test_a_known_corpus_must_have_its_digest_unless_told_otherwise(tmp_path: Path) -> None:
    known = sources.CORPORA["stack_overflow_16k"]

    assert located(tmp_path, "stack_overflow_16k") == Source("url", "stack_overflow_16k", known.url, known.digest)
    assert located(tmp_path, "stack_overflow_16k", "0" * 64).digest == "0" * 64


# Tables


def test_a_pattern_finds_tables_and_each_is_named(pack: Pack, tmp_path: Path) -> None:
    pack("tables", {"my_train.csv": b"x", "my_test.csv": b"x", "other.csv": b"x"})

    for pattern in ("tables/my_*.csv", "tables/my_{train,test}.csv", "tables/my_t[er]*.csv"):
        source = located(tmp_path, pattern)
        assert (source.kind, source.name) == ("tables", Path(pattern).name)
        assert [name for name, _ in source.files] == ["my_test.csv", "my_train.csv"]


def test_a_pattern_that_finds_nothing_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"fetch\.source is 'no_\*\.csv', but that path does not exist"):
        located(tmp_path, "no_*.csv")


def test_a_pattern_that_finds_a_name_twice_is_rejected(pack: Pack, tmp_path: Path) -> None:
    pack("tables", {"a/my.csv": b"x", "b/my.csv": b"x"})

    with pytest.raises(UserError, match="finds two files of the same name; rename one of them"):
        located(tmp_path, "tables/*/my.csv")


@pytest.mark.parametrize(
    ("names", "layout"),
    [
        (["README.md", "corpus/train/java/0.txt", "labels.csv"], "splits"),
        (["java/0.txt", "python/0.txt", "index.json"], "labels"),
        (["data/train.csv", "docs/README.txt"], "tables"),
        (["train/data.parquet", "test/data.parquet"], "tables"),
        (["__MACOSX/a.csv", ".hidden.csv", "cache-1.arrow", "state.json", "photo.jpg"], None),
        (["realestate.json"], "tables"),
    ],
)
def test_layout_is_recognized_by_the_names_of_files(names: list[str], layout: str | None) -> None:
    assert sources.layout_of(names) == layout


@pytest.mark.parametrize("name", ["my.csv", "my.csv.gz", "data"])
def test_a_file_that_is_no_archive_is_a_table(pack: Pack, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(gzip.compress(b"text,label") if name.endswith("gz") else b"text,label")

    assert located(tmp_path, name) == Source("tables", name, tmp_path / name, files=((name, tmp_path / name),))


def test_a_change_of_a_table_changes_the_fingerprint(pack: Pack, tmp_path: Path) -> None:
    pack("tables", {"my_train.csv": b"x", "my_test.csv": b"x"})
    before = source_fingerprint(located(tmp_path, "tables/my_*.csv"))

    assert source_fingerprint(located(tmp_path, "tables")) == before
    pack("tables", {"my_test.csv": b"y"})
    assert source_fingerprint(located(tmp_path, "tables")) != before


# Fingerprints


@pytest.mark.parametrize("name", PACKINGS)
@pytest.mark.parametrize("change", [{"train/java/0.txt": b"other"}, {"train/java/1.txt": b"import java;"}])
def test_a_change_of_content_changes_the_fingerprint(pack: Pack, name: str, change: dict[str, bytes]) -> None:
    before = source_fingerprint(source_of(pack(name, EXAMPLES)))
    after = source_fingerprint(source_of(pack(name, {**EXAMPLES, **change})))

    assert before != after


def test_a_renamed_example_changes_a_folders_fingerprint(pack: Pack) -> None:
    folder = pack("corpus", EXAMPLES)
    before = source_fingerprint(source_of(folder))

    (folder / "train/java/0.txt").rename(folder / "train/java/1.txt")

    assert source_fingerprint(source_of(folder)) != before


@pytest.mark.parametrize("name", PACKINGS)
def test_equal_content_has_an_equal_fingerprint_in_another_place(pack: Pack, tmp_path: Path, name: str) -> None:
    one = pack(name, EXAMPLES)
    before = source_fingerprint(source_of(one))

    moved = one.rename(tmp_path / f"moved-{name}")

    assert source_fingerprint(source_of(moved)) == before
    assert str(tmp_path) not in str(before)


def test_a_url_is_not_asked_for_its_fingerprint(serve: Callable, tmp_path: Path) -> None:
    queries = []
    url = serve(lambda request: queries.append(request.path))

    assert source_fingerprint(located(tmp_path, url)) == {"kind": "url"}

    assert not queries


def test_what_may_be_secret_in_a_url_is_not_part_of_its_name(tmp_path: Path) -> None:
    url = "https://${SOMEONE}:${PASSWORD}@127.0.0.1:8000/posts.zip?token=${TOKEN}&page=1"

    source = located(tmp_path, url)

    assert source.name == "https://127.0.0.1:8000/posts.zip"
    assert source.location == url


def test_names_that_windows_wrote_are_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "corpus.zip", "w") as archive:
        for name, content in EXAMPLES.items():
            info = zipfile.ZipInfo("x")
            info.filename, info.create_system = name.replace("/", "\\"), 0
            archive.writestr(info, content)

    assert read(tmp_path / "corpus.zip") == EXAMPLES


@pytest.mark.parametrize("name", PACKINGS)
@pytest.mark.parametrize("folder", ["Validation", "valid", "val", "dev"])
def test_folders_of_splits_may_be_named_as_others_name_them(pack: Pack, name: str, folder: str) -> None:
    renamed = {key.replace("train/", "Train/").replace("test/", "TEST/"): text for key, text in EXAMPLES.items()}

    examples = read(pack(name, renamed | {f"{folder}/java/0.txt": b"more"}))

    assert examples == EXAMPLES | {"validation/java/0.txt": b"more"}


@pytest.mark.parametrize("prefix", ["", "train/"])
def test_a_label_may_be_named_like_a_validation_folder(pack: Pack, prefix: str) -> None:
    examples = {f"{prefix}{label}/0.txt": b"x" for label in ("dev", "ops")}

    read_as = {name.removeprefix("train/"): text for name, text in read(pack("corpus.zip", examples)).items()}

    assert read_as == {"dev/0.txt": b"x", "ops/0.txt": b"x"}


def test_a_folder_of_other_files_is_no_validation_split(pack: Pack) -> None:
    assert read(pack("corpus", EXAMPLES | {"dev/setup.py": b"x", "docs/dev/notes.md": b"x"})) == EXAMPLES


def test_texts_of_other_layouts_are_counted(pack: Pack, capsys: pytest.CaptureFixture[str]) -> None:
    others = {"x/y/train/java/0.txt": b"x", "train/.NET/0.txt": b"x", "extra/java/0.txt": b"x"}

    assert read(pack("corpus.zip", EXAMPLES | others)) == EXAMPLES

    assert "skipped 3 files" in capsys.readouterr().out


def test_files_that_are_no_examples_are_counted_and_one_is_named(
    pack: Callable, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    others = {"train/java/1.md": b"x", "train/java/deep/2.txt": b"x", "test/TOP.txt": b"x"}
    unseen = {"README.md": b"x", "train/java/.DS_Store": b"x"}
    for name in ("corpus", "corpus.tar.gz", "corpus.zip"):
        pack(name, EXAMPLES | others | unseen)

        assert dict(read_examples(located(tmp_path, name))) == EXAMPLES

        output = capsys.readouterr().out
        assert "skipped 3 files" in output
        assert any(repr(other) in output for other in others)


def test_what_is_no_url_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a valid URL"):
        located(tmp_path, "http://[bad")
