"""The bytes of a text file: its lines in bounded memory, and which byte of which line is no UTF-8 text."""

from __future__ import annotations

import codecs
import re
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
BINARY = {  # a file's first bytes: what it is, and the ending under which it is read
    b"\x1f\x8b": ("gzip", "gz"),
    b"\x28\xb5\x2f\xfd": ("Zstandard", "zst"),
    b"PAR1": ("Parquet", "parquet"),
    b"PK\x03\x04": ("zip or Excel", ""),
    b"%PDF": ("PDF", ""),
    b"SQLite format 3": ("SQLite", ""),
}
PACKERS = {".gz": "gzip", ".zst": "zstd"}


def begin(file: BufferedReader, name: str) -> None:
    """Steps over a byte order mark. Raises `UserError` where the file's first bytes are not lines of UTF-8 text."""
    head = file.peek(HEAD_BYTES)[:HEAD_BYTES]
    for start, (kind, ending) in BINARY.items():
        if head.startswith(start):
            if ending and not packer(name):
                new = f"{name}.{ending}" if ending != "parquet" else str(PurePath(name).with_suffix(".parquet"))
                remedy = f"type: mv {shlex.quote(name)} {shlex.quote(new)}"
            else:
                remedy = "unpack or export it as text: a row a line"
            raise mistake(f"this is a {kind} file under the name of a text file", name, remedy)
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise mistake("this text is UTF-16, rows are read as UTF-8", name, convert(name, "UTF-16"))
    if b"\0" in head:
        at = head.index(b"\0") + 1
        raise mistake(f"this is a binary file, not text (byte {at} is zero)", name, "give a file of rows as text")
    if b"\n" not in head and b"\r" in head.rstrip():
        raise mistake("the lines end in a carriage return alone", name, rewrite("tr '\\r' '\\n'", name, "lines"))
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
    """The problem of a row of `length` bytes, more than `ROW_BYTES`."""
    message = f"the row takes {length / 2**20:,.1f} MiB, at most {ROW_BYTES >> 20} are read"
    return Problem("row_size", "error", place, message, "cut it into several rows")


def decode(data: bytes, place: Place, before: int = 0) -> str | Problem:
    """The text of some lines, the first of which is at `place` and has `before` bytes that are not given here.

    Or a problem that names the first byte that is not UTF-8, or is zero: its line, and its number in the line.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        return undecodable(data, error.start, place, before)
    zero = text.find("\0")
    if zero < 0:
        return text
    return _at_byte(data, data.index(b"\0"), place, before, "zero_byte", "zero", "take it out")


def undecodable(data: bytes, at: int, place: Place, before: int = 0) -> Problem:
    """The problem of the byte `data[at]`, which is not UTF-8."""
    byte = data[at]
    encoding = "WINDOWS-1252" if 0x80 <= byte < 0xA0 else "LATIN1"
    letter = bytes([byte]).decode("cp1252", "replace")
    what = f"0x{byte:02x}, which is not UTF-8 ({letter!r} in {encoding})"
    return _at_byte(data, at, place, before, "encoding", what, convert(place.file, encoding))


def _at_byte(data: bytes, at: int, place: Place, before: int, check: str, what: str, remedy: str) -> Problem:
    begun = data.rfind(b"\n", 0, at) + 1
    number = at + 1 - begun + (0 if begun else before)
    there = Place(place.file, place.line + data.count(b"\n", 0, at))
    return Problem(check, "error", there, f"byte {number} of the line is {what}", remedy)


def convert(name: str, encoding: str) -> str:
    """The command that rewrites a file as UTF-8."""
    return f"if the file is {encoding}, {rewrite(f'iconv -f {encoding} -t UTF-8', name, 'utf8')}"


def rewrite(command: str, name: str, mark: str) -> str:
    """What to type for a new file beside `name`, made by `command`: `type: sort < rows.csv > rows.mark.csv`."""
    path = PurePath(name)
    program = packer(name)
    plain = path.with_suffix("") if program else path
    new = shlex.quote(str(plain.with_name(f"{plain.stem}.{mark}{plain.suffix}")))
    given = f"{program} -dc {shlex.quote(name)} | {command}" if program else f"{command} < {shlex.quote(name)}"
    return f"type: {given} > {new}"


def packer(name: str) -> str:
    """The program that packed a file of this name, or an empty text."""
    return PACKERS.get(PurePath(name).suffix.lower(), "")


def rename(name: str, ending: str, right: str) -> str:
    """What to type where a file's ending is not what it holds: `type: mv rows.jsonl.gz rows.json.gz`."""
    new = re.sub(rf"\.{ending}(?=(\.\w+)*$)", f".{right}", name, flags=re.IGNORECASE)
    return f"type: mv {shlex.quote(name)} {shlex.quote(new)}"
