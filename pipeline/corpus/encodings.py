"""Text files of any encoding and compression, read as lines in bounded memory.

with open_lines(path, detect_encoding(path)) as lines:
    for number, line in lines: ...
"""

import bz2
import codecs
import gzip
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader, TextIOWrapper
from pathlib import Path
from typing import IO, cast

import pyarrow as pa
from charset_normalizer import from_bytes

from pipeline.cli import UserError

MAX_LINE = 1 << 22  # characters; the rest of a longer line is skipped
BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
SAMPLE_BYTES = 50_000
# What text with hardly any ASCII letters may be, other than UTF-8. Western text falls to cp1252.
OTHER_SCRIPTS = [
    *("gb18030", "big5", "shift_jis", "euc_jp", "euc_kr"),
    *("cp1251", "koi8_r", "cp1253", "cp1255", "cp1256", "cp874"),
]


def open_decompressed(path: Path) -> IO[bytes]:
    """The content of a file that may be compressed with gzip, zstd, bzip2 or xz, recognized by its first bytes."""
    with path.open("rb") as file:
        magic = file.read(6)
    if magic.startswith(b"\x1f\x8b"):
        return cast(IO[bytes], gzip.open(path))
    if magic.startswith(b"\x28\xb5\x2f\xfd"):
        return cast(IO[bytes], BufferedReader(pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")))
    if magic.startswith(b"BZh"):
        return cast(IO[bytes], bz2.open(path))
    if magic.startswith(b"\xfd7zXZ\0"):
        return cast(IO[bytes], lzma.open(path))
    return path.open("rb")


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Raises UserError, with the `name` of the file, if its compressed content is damaged or ends too early."""
    try:
        yield
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, OSError) as error:
        detail = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{name} cannot be read to its end ({detail}); get it again") from None


def detect_encoding(path: Path, name: str) -> str:
    """The encoding of a text file, by its byte order mark or by all of its bytes.

    A file with a few lines that are not UTF-8 among many non-ASCII lines that are is UTF-8: those lines are damaged.
    Raises UserError if the encoding is not clear.
    """
    valid, damaged, sample = 0, 0, bytearray()
    with readable(name), open_decompressed(path) as file:
        start = file.read(4096)
        for bom, encoding in BOMS.items():
            if start.startswith(bom):
                return encoding
        # ASCII in UTF-16 has a zero in every second byte.
        zeros = [start[parity::2].count(0) / max(1, len(start) // 2) for parity in (0, 1)]
        if max(zeros) > 0.3 and min(zeros) < 0.05:
            return "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"
    with readable(name), open_decompressed(path) as file:
        while line := file.readline(1 << 20):
            if not line.isascii():
                try:
                    line.decode()
                    valid += 1
                except UnicodeDecodeError as error:
                    if error.end == len(line) and not line.endswith(b"\n"):
                        valid += 1  # a long line, cut within a character
                    else:
                        damaged += 1
                        if len(sample) < SAMPLE_BYTES:
                            sample += line
    if damaged * 10 <= valid:
        return "utf-8"
    return guess_legacy_encoding(bytes(sample[:SAMPLE_BYTES]), name)


def guess_legacy_encoding(sample: bytes, name: str) -> str:
    """cp1252 for text in Latin letters, otherwise what charset-normalizer finds among other scripts' encodings."""
    lines = b"\n".join(line for line in sample.splitlines() if not line.isascii())
    high = sum(byte >= 0x80 for byte in lines)
    if high < 0.4 * (high + sum(chr(byte).isalpha() for byte in lines if byte < 0x80)):
        return "cp1252"
    best = from_bytes(sample, cp_isolation=OTHER_SCRIPTS).best()
    if best is None:
        raise UserError(f"{name} is not UTF-8, and its encoding is not clear; set fetch.encoding, for example to big5")
    return best.encoding


@contextmanager
def open_text(path: Path, encoding: str, name: str) -> Iterator[TextIOWrapper]:
    """A text file; bytes that are not valid in its encoding are marked for `has_bad_bytes`.

    Raises UserError if its compressed content is damaged.
    """
    errors = "surrogateescape" if encoding.lower().replace("_", "-").startswith("utf-8") else "replace"
    with readable(name), open_decompressed(path) as file, TextIOWrapper(file, encoding, errors, newline="") as text:
        yield text


@contextmanager
def open_lines(path: Path, encoding: str, name: str) -> Iterator[Iterator[tuple[int, str]]]:
    """Iterate over `(line number, line with its line ending)`; `\\n`, `\\r\\n` and `\\r` end a line.

    A line that is longer than `MAX_LINE` comes without its end.
    """

    def lines(text: TextIOWrapper) -> Iterator[tuple[int, str]]:
        number = 0
        while line := text.readline(MAX_LINE):
            number += 1
            rest = line
            while len(rest) == MAX_LINE and not rest.endswith(("\n", "\r")):
                rest = text.readline(MAX_LINE)
            yield number, line.removeprefix("\ufeff") if number == 1 else line

    with open_text(path, encoding, name) as text:
        yield lines(text)


def has_bad_bytes(text: str) -> bool:
    """Whether a decoded text holds bytes that were not valid in its encoding, or half of a surrogate pair."""
    return "\ufffd" in text or any("\ud800" <= character <= "\udfff" for character in text)
