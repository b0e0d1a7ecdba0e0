"""Where posts come from: the sample, a named corpus, a folder, or an archive here or behind a URL.

Every source is read as a stream of members `(path, text)`, with paths laid out `train/<label>/<name>.txt` and
`test/<label>/<name>.txt`. Archives are read member by member and never extracted: a name in an archive is
only ever text, and cannot reach the file system.
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
from urllib.parse import urlsplit

from pipeline.cli import UserError
from pipeline.corpus import sample
from pipeline.params.fetch import Fetch

# What a member must look like: at most one folder around the layout, no hidden files (`._0.txt` of macOS), no `..`.
MEMBER = re.compile(r"(?:\./)?(?:[^/.][^/]*/)?((train|test)/([^/.][^/]*)/[^/.][^/]*\.txt)")
SPLIT_FOLDER = re.compile(r"(?:\./)?(?:[^/.][^/]*/)?(train|test)(?:/.*)?")

# A post is text that a person wrote. What is beyond these bounds is not a corpus but a mistake, or an attack.
MAX_POST_BYTES = 1 << 20
MAX_POSTS = 20_000_000
MAX_TOTAL_BYTES = 64 << 30


@dataclass(frozen=True)
class Corpus:
    """A corpus known by name: its address, its content digest (see `pipeline.fetch`) and its licence."""

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
    """A source as `fetch.source` names it. `where` is a URL or a local path, and None for the sample."""

    kind: str  # sample, url, archive or folder
    name: str  # what may be written into artifacts: no path of this machine
    where: str | Path | None = None
    digest: str | None = None  # the content digest it must have, if one is known


def resolve_source(params: Fetch, base: Path) -> Source:
    """Tell what `fetch.source` means; a relative path is taken from `base`.

    Raises Stop when it is neither a known name, nor a URL, nor a path that exists.
    """
    name = params.source
    if name == "sample":
        return Source("sample", name, digest=params.digest)
    if name in CORPORA:
        return Source("url", name, CORPORA[name].url, params.digest or CORPORA[name].digest)
    if re.match(r"(?i)https?://", name):
        try:
            parts = urlsplit(name)
        except ValueError as error:
            raise UserError(f"fetch.source is {name!r}, which is no URL ({error})") from None
        # Without what may be a secret: user and password, or a token in the query.
        public = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        return Source("url", public, name, params.digest)
    path = base / os.path.expanduser(name)
    if path.is_dir():
        return Source("folder", path.resolve().name, path, params.digest)
    if path.is_file():
        return Source("archive", path.name, path, params.digest)
    raise UserError(
        f"fetch.source is {name!r}, but there is no such path; "
        f"give sample, {', '.join(CORPORA)}, or a path or http(s) URL of an archive or folder"
    )


def source_fingerprint(source: Source) -> dict[str, str]:
    """What tells DVC that a local source changed, its content. That another one is named, DVC sees in `params.yaml`.

    A URL is not asked: what it gave once is pinned by its digest.
    """
    if source.kind == "archive":
        assert isinstance(source.where, Path)
        with source.where.open("rb") as file:
            return {"kind": source.kind, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
    if source.kind == "folder":
        total = hashlib.sha256()
        for path, text in read_examples(source):
            total.update(f"{path}\t{hashlib.sha256(text).hexdigest()}\n".encode())
        return {"kind": source.kind, "sha256": total.hexdigest()}
    return {"kind": source.kind}


def read_examples(source: Source) -> Iterator[tuple[str, bytes]]:
    """Yield `(path, content)` of every post of a folder (sorted) or an archive (in its own order).

    Says how many other files there were. Raises Stop for what cannot be read to its end, is beyond the bounds above,
    or has a `train/` or `test/` without posts.
    """
    assert isinstance(source.where, Path)
    read = read_folder if source.kind == "folder" else read_zip if zipfile.is_zipfile(source.where) else read_tar
    folders: set[str] = set()
    filled: set[str] = set()
    count = total = passed_over = 0
    other = ""
    for name, content in read(source.where, source.name):
        if folder := SPLIT_FOLDER.fullmatch(name):
            folders.add(folder[1])
        if content is None:
            if folder and not name.endswith("/") and not name.rpartition("/")[2].startswith("."):
                passed_over, other = passed_over + 1, name
            continue
        member = MEMBER.fullmatch(name)
        assert member is not None
        # The digest's lines are made of names, and so are reports: no line break, tab or broken character in one.
        if not member[1].isprintable():
            raise UserError(f"{source.name}: the name {name!r} holds a character that cannot be printed; rename it")
        filled.add(member[2])
        count, total = count + 1, total + len(content)
        if len(content) > MAX_POST_BYTES:
            raise UserError(
                f"{source.name}: {name} is larger than {MAX_POST_BYTES:,} bytes, which is no post; remove it"
            )
        if count > MAX_POSTS or total > MAX_TOTAL_BYTES:
            raise UserError(
                f"{source.name} is beyond {MAX_POSTS:,} posts or {MAX_TOTAL_BYTES:,} bytes; take a part of it"
            )
        yield member[1], content
    if passed_over:
        print(f"  passed over {passed_over:,} files that are no <label>/<name>.txt, for example {other!r}")
    if not filled:
        raise UserError(f"{source.name} has no post laid out as train/<label>/<name>.txt; arrange its posts so")
    if empty := sorted({"train", *folders} - filled):
        raise UserError(f"{source.name} has no post in {empty[0]}/; fill it, or leave test/ out to have one made")


def read_folder(folder: Path, _: str) -> Iterator[tuple[str, bytes | None]]:
    """Yield `(name, content)` of all that is in a folder; the content is None for all but posts, folders end in /."""
    for path in sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).as_posix()):
        name = path.relative_to(folder).as_posix()
        try:
            if path.is_dir():
                yield f"{name}/", None
            else:
                yield name, read_post(path.open("rb") if MEMBER.fullmatch(name) and path.is_file() else None)
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror}") from None


def read_tar(archive: Path, called: str) -> Iterator[tuple[str, bytes | None]]:
    """As `read_folder`. Only regular files are read: links and devices are never followed."""
    try:
        with decompressed(archive) as file, tarfile.open(fileobj=file, mode="r|", tarinfo=Member) as tar:
            while member := tar.next():
                is_post = MEMBER.fullmatch(member.name) and member.isreg()
                name = f"{member.name}/" if member.isdir() else member.name
                yield name, read_post(tar.extractfile(member) if is_post else None)
                tar.members = []  # type: ignore[attr-defined]  # it would remember every member
            # The checksum stands at the end of a compressed file, and is looked at when the end is read.
            while file.read(1 << 20):
                pass
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, OSError) as error:
        raise UserError(f"{called} is not a whole .tar.gz or .zip archive ({reason(error)}); get it again") from None


class Member(tarfile.TarInfo):
    """A member of an archive that has to be whole: tarfile itself takes a missing or broken header for the end."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> "Member":
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # the mark at the end of an archive
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from None


def decompressed(archive: Path) -> BufferedIOBase:
    """The file's content; unlike tarfile's own decompression, it tells when the file is cut short or damaged."""
    with archive.open("rb") as file:
        magic = file.read(6)
    if magic.startswith(b"\x1f\x8b"):
        return gzip.open(archive)
    if magic.startswith(b"BZh"):
        return bz2.open(archive)
    if magic.startswith(b"\xfd7zXZ\0"):
        return lzma.open(archive)
    return archive.open("rb")


def read_zip(archive: Path, called: str) -> Iterator[tuple[str, bytes | None]]:
    """As `read_folder`. A link is kept in a .zip as its target's name, and left out."""
    try:
        with zipfile.ZipFile(archive) as whole:
            for member in whole.infolist():
                is_link = stat.S_ISLNK(member.external_attr >> 16)
                is_post = MEMBER.fullmatch(member.filename) and not is_link
                yield member.filename, read_post(whole.open(member) if is_post else None)
    except (zipfile.BadZipFile, EOFError, zlib.error, RuntimeError, NotImplementedError, OSError) as error:
        # RuntimeError is how zipfile asks for a password, NotImplementedError how it meets an unknown compression.
        raise UserError(f"{called} is not a whole, readable .zip archive ({reason(error)}); get it again") from None


def read_post(file: IO[bytes] | None) -> bytes | None:
    """The content, up to a byte beyond the bound; None where there is no file."""
    if file is None:
        return None
    with file:
        return file.read(MAX_POST_BYTES + 1)


def reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def read_sample(params: Fetch) -> Iterator[tuple[str, bytes]]:
    for path, text in sample.posts(params.sample_size, params.sample_seed):
        yield path, text.encode()
