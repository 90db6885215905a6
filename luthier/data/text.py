"""The bytes of a text file: refuses what is no UTF-8 text, and says which byte of which line is to blame."""

from __future__ import annotations

import codecs
import shlex
from collections.abc import Iterator
from io import BufferedReader
from pathlib import PurePath

from luthier.errors import UserError, mistake
from luthier.flow import Place, Problem

HEAD_BYTES = 8192
RUN_BYTES = 1 << 20
ROW_BYTES = 64 << 20
"""A row of more bytes is refused, and never held in memory."""
BINARY = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"PK\x03\x04": "zip or Excel",
    b"PAR1": "Parquet",
    b"%PDF": "PDF",
    b"SQLite format 3": "SQLite",
}


def begin(file: BufferedReader, name: str) -> None:
    """Steps over a byte order mark. Raises `UserError` where the file's first bytes are not lines of UTF-8 text."""
    head = file.peek(HEAD_BYTES)[:HEAD_BYTES]
    for start, kind in BINARY.items():
        if head.startswith(start):
            raise mistake(
                f"this is a {kind} file under the name of a text file",
                name,
                "unpack or export it as text: a row a line",
            )
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise mistake("this text is UTF-16, rows are read as UTF-8", name, convert(name, "UTF-16"))
    if b"\0" in head:
        at = head.index(b"\0") + 1
        raise mistake(f"this is a binary file, not text (byte {at} is zero)", name, "give a file of rows as text")
    if b"\n" not in head and b"\r" in head.rstrip():
        new = f"{PurePath(name).stem}.lines{PurePath(name).suffix}"
        command = f"tr '\\r' '\\n' < {shlex.quote(name)} > {shlex.quote(new)}"
        raise mistake("the lines end in a carriage return alone", name, f"type: {command}")
    if head.startswith(codecs.BOM_UTF8):
        file.read(len(codecs.BOM_UTF8))


def runs(file: BufferedReader) -> Iterator[bytes | int]:
    """The lines of a file in runs: whole lines up to the first end of a line at or after `RUN_BYTES`.

    A line of more than `ROW_BYTES` comes alone, as the number of its bytes. Where the file turns out to be broken, the
    whole lines before come first.
    """
    while run := file.read(RUN_BYTES):
        begun = run.rfind(b"\n") + 1
        if begun == len(run):
            yield run
            continue
        try:
            rest = file.readline(ROW_BYTES + 2 - (len(run) - begun))
            if not rest.endswith(b"\n"):
                file.peek()
        except UserError:
            if begun:
                yield run[:begun]
            raise
        length = len(run) - begun + len(rest.removesuffix(b"\n"))
        if length <= ROW_BYTES:
            yield run + rest
            continue
        if begun:
            yield run[:begun]
        while rest and not rest.endswith(b"\n"):
            rest = file.readline(RUN_BYTES)
            length += len(rest.removesuffix(b"\n"))
        yield length


def too_long(length: int, place: Place) -> Problem:
    """The problem of a row of more than `ROW_BYTES`."""
    message = f"the row takes {length / 2**20:,.0f} MiB, at most {ROW_BYTES >> 20} are read"
    return Problem("row_size", "error", place, message, "cut it into rows")


def decode(text: bytes, name: str, first_line: int = 1) -> str | Problem:
    """The text, or a problem that names the first byte that is not UTF-8: its line, and its number in the line."""
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        line = first_line + text.count(b"\n", 0, error.start)
        number = error.start - text.rfind(b"\n", 0, error.start)
        byte = text[error.start]
        encoding = "WINDOWS-1252" if 0x80 <= byte < 0xA0 else "LATIN1"
        letter = bytes([byte]).decode("cp1252", "replace")
        return Problem(
            "encoding",
            "error",
            Place(name, line),
            f"byte {number} of the line is 0x{byte:02x}, which is not UTF-8 ({letter!r} in {encoding})",
            convert(name, encoding),
        )


def convert(name: str, encoding: str) -> str:
    """The command that rewrites a file as UTF-8."""
    path = PurePath(name)
    new = str(path.with_name(f"{path.stem}.utf8{path.suffix}"))
    return f"if the file is {encoding}, type: iconv -f {encoding} -t UTF-8 {shlex.quote(name)} > {shlex.quote(new)}"
