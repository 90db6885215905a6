"""JSON lines: an object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BufferedReader
from typing import Any

import msgspec

from luthier.data import text
from luthier.data.json_text import explain, half_character, lone_surrogate, not_an_object
from luthier.errors import mistake
from luthier.flow import Place, Problem, Record


def begin(file: BufferedReader, name: str) -> None:
    """Raises `UserError` where the file is no text, or its first line the beginning of one JSON document."""
    text.begin(file, name)
    head = file.peek()
    line, ended, _ = head.lstrip().partition(b"\n")
    line = line.rstrip()
    if not line.startswith((b"[", b"{")):
        return
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        document = line[:1] == b"[" or (ended and (line == b"{" or line[-1:] == b"["))
    else:
        document = isinstance(value, list) and any(isinstance(inside, dict) for inside in value)
    if document:
        message = "this is one JSON document, not an object a line"
        raise mistake(message, name, text.rename(name, "jsonl", "json"))


def parse(lines: bytes, name: str, first_line: int) -> Iterator[Record | Problem]:
    """A record for every line that is not blank. Only a line feed ends a line: U+2028 may stand in a text."""
    decode = msgspec.json.Decoder().decode
    for number, line in enumerate(lines.split(b"\n"), first_line):
        if not line:
            continue
        try:
            values = decode(line)
        except (msgspec.DecodeError, ValueError, RecursionError):
            if line.isspace():
                continue
            values = _read_slowly(line, name, number)
        if type(values) is dict:
            yield Record(values, Place(name, number))
        else:
            yield values if isinstance(values, Problem) else not_an_object(values, Place(name, number))


def _read_slowly(line: bytes, name: str, number: int) -> Any:
    """What the standard library makes of a line that msgspec refuses: it knows NaN, and says what is wrong."""
    place = Place(name, number)
    decoded = text.decode(line, place)
    if isinstance(decoded, Problem):
        return decoded
    try:
        values = json.loads(decoded.strip())
    except (ValueError, RecursionError) as error:
        return Problem("invalid_json", "error", place, *explain(error))
    escape = lone_surrogate(values)
    return half_character(escape, place) if escape else values
