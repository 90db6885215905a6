"""JSON lines: an object a line."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from io import BufferedReader
from pathlib import PurePath
from typing import Any

import orjson

from luthier.data.json_text import explain, half_character, lone_surrogate, not_an_object
from luthier.data.text import begin, decode
from luthier.errors import mistake
from luthier.flow import Place, Problem, Record

EXACT = float(2**63)  # orjson rounds whole numbers of more than 64 bits to a float


def read(file: BufferedReader, name: str) -> Iterator[Record | Problem]:
    """A record for every line that is not blank. Only a line feed ends a line: U+2028 may stand in a text.

    A field's whole number stays exact; one of more than 64 bits deeper inside is rounded, where no form reads numbers.
    """
    begin(file, name)
    first = True
    for number, line in enumerate(file, 1):
        try:
            values = orjson.loads(line)
        except orjson.JSONDecodeError:
            if line.isspace():
                continue
            values = _read_slowly(line, name, number)
        if first:
            _refuse_document(line, values, name)
            first = False
        if type(values) is dict:
            for value in values.values():
                if type(value) is float and not -EXACT < value < EXACT:
                    values = json.loads(line)
                    break
            yield Record(values, Place(name, number))
        else:
            yield values if isinstance(values, Problem) else not_an_object(values, Place(name, number))


def _read_slowly(line: bytes, name: str, number: int) -> Any:
    """What the standard library makes of a line that orjson refuses: it knows NaN, and says what is wrong."""
    text = decode(line, name, number)
    if isinstance(text, Problem):
        return text
    place = Place(name, number)
    try:
        values = json.loads(text.strip())
    except (ValueError, RecursionError) as error:
        return Problem("broken_json", "error", place, *explain(error))
    escape = lone_surrogate(values)
    return half_character(escape, place) if escape else values


def _refuse_document(line: bytes, values: Any, name: str) -> None:
    """Raises where the first line is the beginning of a JSON document, or all of it."""
    line = line.strip()
    opened = isinstance(values, Problem) and (line.startswith(b"[") or line == b"{" or line.endswith(b"["))
    if opened or (isinstance(values, list) and any(isinstance(value, dict) for value in values)):
        command = f"mv {shlex.quote(name)} {shlex.quote(str(PurePath(name).with_suffix('.json')))}"
        raise mistake("this is one JSON document, not an object a line", name, f"type: {command}")
