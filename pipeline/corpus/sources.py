"""Sources of labelled texts: the sample, a named corpus, a folder, an archive or tables, at a path or a URL.

Texts in files are read as a stream of `(id, content)` pairs, where an id is `<split>/<label>/<name>.txt`, and the split
train, validation or test. Archives are read member by member, so that a name in an archive cannot reach the file
system. Tables (CSV, JSON, Parquet) are read by `pipeline.corpus.readers`.
"""

import bz2
import gzip
import hashlib
import lzma
import os
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from glob import glob
from io import BufferedIOBase
from pathlib import Path
from typing import IO, Any, cast

from pipeline.cli import UserError
from pipeline.corpus import sample, urls
from pipeline.params.fetch import Fetch

# The split that a word says: of a folder or file, or of a row.
SPLIT_NAMES = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("test", "testing", "tst"), "test"),
    **dict.fromkeys(("validation", "valid", "val", "dev", "development"), "validation"),
}

# The name of an example: at most one folder around the layout, no hidden files (`._0.txt` of macOS), no `..`.
SPLIT = "(?i:train|test|validation|valid|val|dev)"  # a folder of a split, a key of SPLIT_NAMES
MEMBER = re.compile(rf"(?:\./)?(?:[^/.][^/]*/)?({SPLIT})/(([^/.][^/]*)/[^/.][^/]*\.txt)")
# Without train/ and test/, a folder per label.
LABEL_MEMBER = re.compile(r"(?:\./)?(?:[^/.][^/]*/)?(([^/.][^/]*)/[^/.][^/]*\.txt)")
NOTHING = re.compile(r"(?!)")
NO_LABEL = "unsup"  # the folder of texts without labels in the corpus of film reviews by Maas et al. (2011)
COMPRESSED = r"(\.(gz|zst|zstd|bz2|xz))?"
TABLE = re.compile(
    rf"(?i)(?!(?:.*/)?(?:state|dataset_info|dataset_dict)\.json$).*\.(csv|tsv|tab|jsonl|ndjson|json|parquet|arrow){COMPRESSED}"
)
ARCHIVE = re.compile(r"(?i).*\.(zip|tar|tgz|tbz2?|txz|tar\.(gz|bz2|xz))")
SPLIT_FOLDER = re.compile(rf"(?:\./)?(?:[^/.][^/]*/)??({SPLIT})(?:/.*)?")

# Limits on what is read: a source beyond them is an error or an attack.
MAX_EXAMPLE_BYTES = 1 << 20
MAX_EXAMPLES = 20_000_000
MAX_TOTAL_BYTES = 64 << 30
MAX_TABLE_BYTES = 8 << 30  # of all tables in an archive, which are copied to be read
MAX_TABLES = 10_000


@dataclass(frozen=True)
class Corpus:
    """A named corpus: its URL, its content digest (see `pipeline.fetch`) and its licence."""

    url: str
    digest: str
    licence: str


CORPORA = {
    "stack_overflow_16k": Corpus(
        url="https://storage.googleapis.com/download.tensorflow.org/data/stack_overflow_16k.tar.gz",
        digest="babc7a52a74faf3b30da678e2635565beedc580b76b4f7dad6128c9f9b172783",
        licence="CC BY-SA, by the contributors of Stack Overflow",
    ),
}


@dataclass(frozen=True)
class Source:
    """A source as `fetch.source` names it. `location` is a URL or a local path, and None for the sample."""

    kind: str  # sample, url, archive, folder or tables
    name: str  # as written into artifacts: no path of this machine, no secret of a URL
    location: str | Path | None = None
    digest: str | None = None  # the content digest that it must have, or None
    files: tuple[tuple[str, Path], ...] = ()  # of tables: their names and paths


def resolve_source(params: Fetch, base: Path) -> Source:
    """The source that `fetch.source` names; a relative path is relative to `base`.

    Raises UserError if it is neither a known name, nor a URL, nor an existing path.
    """
    name = params.source
    if name == "sample":
        return Source("sample", name, digest=params.digest)
    if name in CORPORA:
        return Source("url", name, CORPORA[name].url, params.digest or CORPORA[name].digest)
    if re.match(r"(?i)https?://", name):
        urls.require_no_secret(name)
        return Source("url", urls.public_name(name), name, params.digest)
    path = base / os.path.expanduser(name)
    if path.is_dir() or path.is_file():
        return local_source(path, params.digest)
    if files := find_files(str(path)):
        named = tuple((file.name, file) for file in files)
        if len(dict(named)) < len(named):
            raise UserError(f"fetch.source {name!r} finds two files of the same name; rename one of them")
        return Source("tables", Path(name).name, digest=params.digest, files=named)
    raise UserError(
        f"fetch.source is {name!r}, but that path does not exist; "
        f"give sample, {', '.join(CORPORA)}, or a path or http(s) URL of a table, an archive or a folder"
    )


def local_source(path: Path, digest: str | None = None, name: str | None = None) -> Source:
    """A folder of texts or of tables, an archive, or a table; `name` is that of a file that was downloaded."""
    if path.is_dir():
        folder_name = path.resolve().name
        names = (each.relative_to(path).as_posix() for each in walk_files(path))
        if layout_of(names) == "tables":
            relative = sorted(each.relative_to(path).as_posix() for each in walk_files(path))
            files = tuple((each, path / each) for each in relative if is_table(each))
            return Source("tables", folder_name, path, digest, files)
        return Source("folder", folder_name, path, digest)
    name = name or path.name
    if is_archive(path, name):
        return Source("archive", name, path, digest)
    return Source("tables", name, path, digest, ((name.rpartition("/")[2], path),))


def walk_files(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        yield from (Path(parent, each) for each in sorted(files) if not each.startswith("."))


def is_table(name: str) -> bool:
    """Whether a file in a folder or archive is a table, by its name."""
    last = name.rpartition("/")[2]
    return bool(TABLE.fullmatch(name)) and not last.startswith((".", "cache-")) and not name.startswith("__MACOSX/")


def layout_of(names: Iterable[str]) -> str | None:
    """What a folder or an archive holds, by the names of its files: splits, labels, tables or None.

    splits are texts in `train/<label>/`, labels are texts in `<label>/`.
    """
    labels: set[str] = set()
    has_tables = has_splits = False
    for name in names:
        if MEMBER.fullmatch(name):
            return "splits"
        if (folder := SPLIT_FOLDER.fullmatch(name)) and SPLIT_NAMES[folder[1].lower()] != "validation":
            has_splits |= not is_table(name)
        has_tables |= is_table(name)
        if member := LABEL_MEMBER.fullmatch(name):
            labels.add(member[2])
    if has_tables and len(labels) < 2:
        return "tables"
    return "splits" if has_splits else "labels" if labels else None


def is_archive(path: Path, name: str) -> bool:
    """By its content; a file that is named like an archive, but is none, is a damaged archive."""
    if ARCHIVE.fullmatch(name) or zipfile.is_zipfile(path):
        return True
    try:
        with decompressed(path) as file:
            return file.read(262)[257:] == b"ustar"
    except (EOFError, zlib.error, lzma.LZMAError, OSError):
        return False


def find_files(pattern: str) -> list[Path]:
    """The files that a pattern such as `a_*.csv` or `a_{train,test}.csv` finds; none if it is no pattern."""
    if not re.search(r"[*?\[{]", pattern):
        return []
    found = {Path(file) for each in expand_braces(pattern) for file in glob(each)}
    return sorted(file for file in found if file.is_file())


def expand_braces(pattern: str) -> list[str]:
    """`a_{train,test}.csv` as `a_train.csv` and `a_test.csv`."""
    match = re.search(r"\{([^{}]*)\}", pattern)
    if not match:
        return [pattern]
    before, after = pattern[: match.start()], pattern[match.end() :]
    return [each for part in match[1].split(",") for each in expand_braces(before + part + after)]


def extract_tables(source: Source, folder: Path) -> Source:
    """The tables in an archive, copied into `folder` under names of their own; the source itself if it holds none.

    Raises UserError for an archive that cannot be read.
    """
    assert isinstance(source.location, Path)
    read = read_zip if zipfile.is_zipfile(source.location) else read_tar
    if layout_of(name for name, _ in read(source.location, source.name, NOTHING)) != "tables":
        return source
    files: list[tuple[str, Path]] = []
    total = 0

    def copy(file: IO[bytes]) -> Path:
        nonlocal total
        path = folder / f"table-{len(files)}"
        with file, path.open("wb") as target:
            while chunk := file.read(1 << 20):
                total += len(chunk)
                if total > MAX_TABLE_BYTES or len(files) >= MAX_TABLES:
                    raise UserError(
                        f"{source.name} has more than {MAX_TABLES:,} tables or {MAX_TABLE_BYTES:,} bytes of them; "
                        "extract the one to use"
                    )
                target.write(chunk)
        return path

    for name, path in read(source.location, source.name, TABLE, copy):
        if path is not None and is_table(name):
            files.append((name.removeprefix("./"), path))
    return replace(source, kind="tables", files=tuple(sorted(files)))


def source_fingerprint(source: Source) -> dict[str, str]:
    """The kind of the source and, for a local one, the sha256 of its content.

    A URL is not requested: what it returned once is pinned by `fetch.digest`.
    """
    if source.kind == "archive":
        assert isinstance(source.location, Path)
        with source.location.open("rb") as file:
            return {"kind": source.kind, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
    if source.kind == "tables":
        digests = hashlib.sha256()
        for name, path in source.files:
            with path.open("rb") as file:
                digests.update(f"{name}\t{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
        return {"kind": source.kind, "sha256": digests.hexdigest()}
    if source.kind == "folder":
        total = hashlib.sha256()
        for id, text in read_examples(source):
            total.update(f"{id}\t{hashlib.sha256(text).hexdigest()}\n".encode())
        return {"kind": source.kind, "sha256": total.hexdigest()}
    return {"kind": source.kind}


def read_examples(source: Source) -> Iterator[tuple[str, bytes]]:
    """Yield `(id, content)` of every example of a folder (sorted) or an archive (in its own order).

    Prints how many other files were skipped. Raises UserError for a source that cannot be read to its end, exceeds the
    limits above, or has a `train/` or `test/` folder without examples.
    """
    assert isinstance(source.location, Path)
    read = read_folder if source.kind == "folder" else read_zip if zipfile.is_zipfile(source.location) else read_tar
    if layout_of(name for name, _ in read(source.location, source.name, NOTHING)) == "labels":
        yield from read_label_folders(source, read)
        return
    folders: set[str] = set()
    filled: set[str] = set()
    count = total = skipped = unlabelled = 0
    skipped_name = ""
    for name, content in read(source.location, source.name, MEMBER):
        if folder := SPLIT_FOLDER.fullmatch(name):
            folders.add(SPLIT_NAMES[folder[1].lower()])
        if content is None:
            # Of other files, such as a README, texts alone.
            is_named = name.endswith(".txt") if not folder else not name.endswith("/")
            if is_named and not name.rpartition("/")[2].startswith("."):
                skipped, skipped_name = skipped + 1, name
            continue
        member = MEMBER.fullmatch(name)
        assert member is not None
        if member[3] == NO_LABEL:
            unlabelled += 1
            continue
        split = SPLIT_NAMES[member[1].lower()]
        filled.add(split)
        count, total = count + 1, total + len(content)
        check_example(source, name, member[2], content, count, total)
        yield f"{split}/{member[2]}", content
    if unlabelled:
        print(f"  skipped {unlabelled:,} texts without a label, in {NO_LABEL}/")
    if skipped:
        print(f"  skipped {skipped:,} files that are not named <label>/<name>.txt, for example {skipped_name!r}")
    if not filled:
        raise UserError(f"{source.name} has no example named train/<label>/<name>.txt; rename its files to that layout")
    if empty := sorted({"train", *folders} - {"validation"} - filled):
        raise UserError(
            f"{source.name} has no example in {empty[0]}/; fill it, or omit test/ to have a test split drawn"
        )


def read_label_folders(source: Source, read: Callable) -> Iterator[tuple[str, bytes]]:
    """Yield the examples of a source with a folder per label and no splits: `<label>/<name>.txt` is in train."""
    count = total = skipped = 0
    for name, content in read(source.location, source.name, LABEL_MEMBER):
        if content is None:
            skipped += not name.endswith("/") and not name.rpartition("/")[2].startswith(".")
            continue
        member = LABEL_MEMBER.fullmatch(name)
        assert member is not None
        if member[2] == NO_LABEL:
            skipped += 1
            continue
        count, total = count + 1, total + len(content)
        check_example(source, name, member[1], content, count, total)
        yield f"train/{member[1]}", content
    if skipped:
        print(f"  skipped {skipped:,} files that are not named <label>/<name>.txt, or are in {NO_LABEL}/")


def check_example(source: Source, name: str, id: str, content: bytes, count: int, total: int) -> None:
    """Raises UserError for a name that cannot be printed, and beyond the limits of what is read."""
    # Names are part of the digest's lines and of reports: they must hold no line break, tab or broken character.
    if not id.isprintable():
        raise UserError(f"{source.name}: the name {name!r} contains an unprintable character; rename it")
    if len(content) > MAX_EXAMPLE_BYTES:
        raise UserError(f"{source.name}: {name} is larger than {MAX_EXAMPLE_BYTES:,} bytes; remove it")
    if count > MAX_EXAMPLES or total > MAX_TOTAL_BYTES:
        raise UserError(
            f"{source.name} has more than {MAX_EXAMPLES:,} examples or {MAX_TOTAL_BYTES:,} bytes; use a part of it"
        )


def read_content(file: IO[bytes]) -> bytes:
    """The content, up to one byte more than the limit."""
    with file:
        return file.read(MAX_EXAMPLE_BYTES + 1)


def read_folder(folder: Path, _: str, wanted: re.Pattern) -> Iterator[tuple[str, bytes | None]]:
    """Yield `(name, content)` of all files and folders; the content is None unless the name is `wanted`."""
    for path in sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).as_posix()):
        name = path.relative_to(folder).as_posix()
        try:
            if path.is_dir():
                yield f"{name}/", None
            else:
                yield name, read_content(path.open("rb")) if wanted.fullmatch(name) and path.is_file() else None
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror}") from None


def read_tar(
    archive: Path, display_name: str, wanted: re.Pattern, read_file: Callable[[IO[bytes]], Any] = read_content
) -> Iterator[tuple[str, Any]]:
    """As `read_folder`, for a tar archive; the content is what `read_file` gives of a member.

    Only regular files are read: links and devices are never followed.
    """
    try:
        with decompressed(archive) as file, tarfile.open(fileobj=file, mode="r|", tarinfo=Member) as tar:
            while member := tar.next():
                is_example = wanted.fullmatch(member.name) and member.isreg()
                name = f"{member.name}/" if member.isdir() else member.name
                yield name, read_file(cast(IO[bytes], tar.extractfile(member))) if is_example else None
                tar.members = []  # type: ignore[attr-defined]  # otherwise it keeps every member
            # The checksum is at the end of a compressed file, and is verified when the end is read.
            while file.read(1 << 20):
                pass
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, OSError) as error:
        raise UserError(
            f"{display_name} is not a complete .tar.gz or .zip archive ({reason(error)}); download it again"
        ) from None


class Member(tarfile.TarInfo):
    """A member of a complete archive: tarfile itself takes a missing or broken header for the archive's end."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> "Member":
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # the end-of-archive mark
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from None


def decompressed(archive: Path) -> BufferedIOBase:
    """The file's content; unlike tarfile's own decompression, it raises an error for a truncated or damaged file."""
    with archive.open("rb") as file:
        magic = file.read(6)
    if magic.startswith(b"\x1f\x8b"):
        return gzip.open(archive)
    if magic.startswith(b"BZh"):
        return bz2.open(archive)
    if magic.startswith(b"\xfd7zXZ\0"):
        return lzma.open(archive)
    return archive.open("rb")


def read_zip(
    archive: Path, display_name: str, wanted: re.Pattern, read_file: Callable[[IO[bytes]], Any] = read_content
) -> Iterator[tuple[str, Any]]:
    """As `read_folder`, for a zip archive. A link is stored as its target's name, and skipped.

    Windows may have written the names with its own separator.
    """
    try:
        with zipfile.ZipFile(archive) as zip_file:
            for member in zip_file.infolist():
                is_link = stat.S_ISLNK(member.external_attr >> 16)
                name = member.filename.replace("\\", "/") if member.create_system == 0 else member.filename
                is_example = wanted.fullmatch(name) and not is_link
                yield name, read_file(zip_file.open(member)) if is_example else None
    except (zipfile.BadZipFile, EOFError, zlib.error, RuntimeError, NotImplementedError, OSError) as error:
        # zipfile raises RuntimeError for a password, NotImplementedError for an unknown compression.
        raise UserError(
            f"{display_name} is not a complete, readable .zip archive ({reason(error)}); download it again"
        ) from None


def reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def read_sample(params: Fetch) -> Iterator[tuple[str, bytes]]:
    for id, text in sample.generate_examples(params.sample_size, params.sample_seed):
        yield id, text.encode()
