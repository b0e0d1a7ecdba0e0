"""Sources of labelled texts: the sample, a named corpus, a folder, or an archive at a path or a URL.

Every source is read as a stream of `(id, content)` pairs, where an id is `train/<label>/<name>.txt` or
`test/<label>/<name>.txt`. Archives are read member by member and never extracted, so that a name in an archive cannot
reach the file system.
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
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import IO

from pipeline.cli import UserError
from pipeline.corpus import sample, urls
from pipeline.params.fetch import Fetch

# The name of an example: at most one folder around the layout, no hidden files (`._0.txt` of macOS), no `..`.
MEMBER = re.compile(r"(?:\./)?(?:[^/.][^/]*/)?((train|test)/([^/.][^/]*)/[^/.][^/]*\.txt)")
SPLIT_FOLDER = re.compile(r"(?:\./)?(?:[^/.][^/]*/)?(train|test)(?:/.*)?")

# Limits on what is read: a source beyond them is an error or an attack.
MAX_EXAMPLE_BYTES = 1 << 20
MAX_EXAMPLES = 20_000_000
MAX_TOTAL_BYTES = 64 << 30


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

    kind: str  # sample, url, archive or folder
    name: str  # as written into artifacts: no path of this machine, no secret of a URL
    location: str | Path | None = None
    digest: str | None = None  # the content digest that it must have, or None


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
    if path.is_dir():
        return Source("folder", path.resolve().name, path, params.digest)
    if path.is_file():
        return Source("archive", path.name, path, params.digest)
    raise UserError(
        f"fetch.source is {name!r}, but that path does not exist; "
        f"give sample, {', '.join(CORPORA)}, or a path or http(s) URL of an archive or folder"
    )


def source_fingerprint(source: Source) -> dict[str, str]:
    """The kind of the source and, for a local one, the sha256 of its content.

    A URL is not requested: what it returned once is pinned by `fetch.digest`.
    """
    if source.kind == "archive":
        assert isinstance(source.location, Path)
        with source.location.open("rb") as file:
            return {"kind": source.kind, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
    if source.kind == "folder":
        total = hashlib.sha256()
        for path, text in read_examples(source):
            total.update(f"{path}\t{hashlib.sha256(text).hexdigest()}\n".encode())
        return {"kind": source.kind, "sha256": total.hexdigest()}
    return {"kind": source.kind}


def read_examples(source: Source) -> Iterator[tuple[str, bytes]]:
    """Yield `(id, content)` of every example of a folder (sorted) or an archive (in its own order).

    Prints how many other files were skipped. Raises UserError for a source that cannot be read to its end, exceeds the
    limits above, or has a `train/` or `test/` folder without examples.
    """
    assert isinstance(source.location, Path)
    read = read_folder if source.kind == "folder" else read_zip if zipfile.is_zipfile(source.location) else read_tar
    folders: set[str] = set()
    filled: set[str] = set()
    count = total = skipped = 0
    skipped_name = ""
    for name, content in read(source.location, source.name):
        if folder := SPLIT_FOLDER.fullmatch(name):
            folders.add(folder[1])
        if content is None:
            if folder and not name.endswith("/") and not name.rpartition("/")[2].startswith("."):
                skipped, skipped_name = skipped + 1, name
            continue
        member = MEMBER.fullmatch(name)
        assert member is not None
        # Names are part of the digest's lines and of reports: they must hold no line break, tab or broken character.
        if not member[1].isprintable():
            raise UserError(f"{source.name}: the name {name!r} contains an unprintable character; rename it")
        filled.add(member[2])
        count, total = count + 1, total + len(content)
        if len(content) > MAX_EXAMPLE_BYTES:
            raise UserError(f"{source.name}: {name} is larger than {MAX_EXAMPLE_BYTES:,} bytes; remove it")
        if count > MAX_EXAMPLES or total > MAX_TOTAL_BYTES:
            raise UserError(
                f"{source.name} has more than {MAX_EXAMPLES:,} examples or {MAX_TOTAL_BYTES:,} bytes; use a part of it"
            )
        yield member[1], content
    if skipped:
        print(f"  skipped {skipped:,} files that are not named <label>/<name>.txt, for example {skipped_name!r}")
    if not filled:
        raise UserError(f"{source.name} has no example named train/<label>/<name>.txt; rename its files to that layout")
    if empty := sorted({"train", *folders} - filled):
        raise UserError(
            f"{source.name} has no example in {empty[0]}/; fill it, or omit test/ to have a test split drawn"
        )


def read_folder(folder: Path, _: str) -> Iterator[tuple[str, bytes | None]]:
    """Yield `(name, content)` of all files and folders; the content is None unless the name is an example's."""
    for path in sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).as_posix()):
        name = path.relative_to(folder).as_posix()
        try:
            if path.is_dir():
                yield f"{name}/", None
            else:
                yield name, read_content(path.open("rb") if MEMBER.fullmatch(name) and path.is_file() else None)
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror}") from None


def read_tar(archive: Path, display_name: str) -> Iterator[tuple[str, bytes | None]]:
    """As `read_folder`, for a tar archive. Only regular files are read: links and devices are never followed."""
    try:
        with decompressed(archive) as file, tarfile.open(fileobj=file, mode="r|", tarinfo=Member) as tar:
            while member := tar.next():
                is_example = MEMBER.fullmatch(member.name) and member.isreg()
                name = f"{member.name}/" if member.isdir() else member.name
                yield name, read_content(tar.extractfile(member) if is_example else None)
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


def read_zip(archive: Path, display_name: str) -> Iterator[tuple[str, bytes | None]]:
    """As `read_folder`, for a zip archive. A link is stored as its target's name, and skipped."""
    try:
        with zipfile.ZipFile(archive) as zip_file:
            for member in zip_file.infolist():
                is_link = stat.S_ISLNK(member.external_attr >> 16)
                is_example = MEMBER.fullmatch(member.filename) and not is_link
                yield member.filename, read_content(zip_file.open(member) if is_example else None)
    except (zipfile.BadZipFile, EOFError, zlib.error, RuntimeError, NotImplementedError, OSError) as error:
        # zipfile raises RuntimeError for a password, NotImplementedError for an unknown compression.
        raise UserError(
            f"{display_name} is not a complete, readable .zip archive ({reason(error)}); download it again"
        ) from None


def read_content(file: IO[bytes] | None) -> bytes | None:
    """The content, up to one byte more than the limit; None if there is no file."""
    if file is None:
        return None
    with file:
        return file.read(MAX_EXAMPLE_BYTES + 1)


def reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def read_sample(params: Fetch) -> Iterator[tuple[str, bytes]]:
    for id, text in sample.generate_examples(params.sample_size, params.sample_seed):
        yield id, text.encode()
