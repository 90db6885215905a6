"""JSON: an array of objects, or an object that holds one such array."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from io import BufferedReader
from pathlib import PurePath
from typing import Any

from luthier.data.json_text import explain, half_character, lone_surrogate, not_an_object
from luthier.data.text import begin, decode
from luthier.errors import UserError, mistake
from luthier.flow import Place, Problem, Record

BLANK = re.compile(r"[ \t\r\n]*")
ESCAPED_HALF = re.compile(r"\\u[dD][89a-fA-F]")


def read(file: BufferedReader, name: str) -> Iterator[Record | Problem]:
    """A record for every element, placed at the line on which it begins.

    Raises `UserError` where the document does not parse, because nothing after the fault can be told apart.
    """
    begin(file, name)
    text = decode(file.read(), name)
    if isinstance(text, Problem):
        raise mistake(text.message, str(text.place), text.remedy)
    at = _skip(text, 0)
    if at == len(text):
        return
    alone = text[at] != "{"
    if alone and text[at] != "[":
        raise mistake("the document is neither an array nor an object", name, "write [{...}, {...}]")
    line, counted = 1, 0
    for start, end, value in _elements(text, at if alone else _only_list(text, at, name), name, alone):
        line, counted = line + text.count("\n", counted, start), start
        place = Place(name, line)
        if type(value) is not dict:
            yield not_an_object(value, place)
        elif ESCAPED_HALF.search(text, start, end) and (escape := lone_surrogate(value)):
            yield half_character(escape, place)
        else:
            yield Record(value, place)


def _elements(text: str, at: int, name: str, alone: bool) -> Iterator[tuple[int, int, Any]]:
    """Start, end and value of each element of the array at `at`. `alone`: nothing may follow the array."""
    at = _skip(text, at + 1)
    while text[at : at + 1] != "]":
        value, end = _value(text, at, name)
        yield at, end, value
        at = end if text[end : end + 1] == "]" else _after_comma(text, end, name)
        if at > end and text[at : at + 1] == "]":
            raise _error(text, end, name, "a comma stands before the closing bracket", "take the comma away")
    end = _skip(text, at + 1)
    if alone and end != len(text):
        raise _error(text, end, name, "something stands after the array's end", "write one array of rows")


def _only_list(text: str, at: int, name: str) -> int:
    """Where the only array among the values of the object at `at` begins."""
    lists: dict[str, int] = {}
    at = _skip(text, at + 1)
    while text[at : at + 1] != "}":
        key, at = _value(text, at, name)
        if not isinstance(key, str) or text[at : at + 1] != ":":
            raise _error(text, at, name, 'a name in double quotes with a ":" is missing', 'write {"rows": [{...}]}')
        start = _skip(text, at + 1)
        value, at = _value(text, start, name)
        if isinstance(value, list):
            lists[key] = start
        if text[at : at + 1] != "}":
            at = _after_comma(text, at, name)
    end = _skip(text, at + 1)
    if text[end : end + 1] == "{":
        command = f"mv {shlex.quote(name)} {shlex.quote(str(PurePath(name).with_suffix('.jsonl')))}"
        raise mistake("one object follows another: these are JSON lines", name, f"type: {command}")
    if end != len(text):
        raise _error(text, end, name, "something stands after the object's end", "write one array of rows")
    if not lists:
        raise mistake("the document is one object without a list of rows", name, "write [{...}, {...}]")
    if len(lists) > 1:
        key = next(iter(lists))
        new = shlex.quote(str(PurePath(name).with_suffix(".rows.json")))
        command = f"jq {shlex.quote(f'.[{json.dumps(key)}]')} {shlex.quote(name)} > {new}"
        raise mistake(f"the object holds {len(lists)} lists: {', '.join(lists)}", name, f"keep one: {command}")
    return next(iter(lists.values()))


def _value(text: str, at: int, name: str) -> tuple[Any, int]:
    """The value that begins at `at`, and where what follows it begins."""
    try:
        value, end = json.JSONDecoder().raw_decode(text, at)
    except (ValueError, RecursionError) as error:
        broken = error.pos if isinstance(error, json.JSONDecodeError) else at
        raise _error(text, broken, name, *explain(error)) from None
    return value, _skip(text, end)


def _after_comma(text: str, at: int, name: str) -> int:
    if text[at : at + 1] == ",":
        return _skip(text, at + 1)
    if at == len(text):
        raise _error(text, at, name, "the file ends before its closing bracket", "it is cut: write or fetch it again")
    raise _error(text, at, name, f"a comma or a bracket is missing before {text[at : at + 15]!r}", "write it there")


def _skip(text: str, at: int) -> int:
    blank = BLANK.match(text, at)
    assert blank is not None
    return blank.end()


def _error(text: str, at: int, name: str, message: str, remedy: str) -> UserError:
    return mistake(message, str(Place(name, 1 + text.count("\n", 0, at))), remedy)
