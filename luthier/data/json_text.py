"""JSON as people write it: what is wrong where it does not parse, and what kind of value stands there."""

from __future__ import annotations

import json
import math
from typing import Any

from luthier.flow import Place, Problem


def explain(error: ValueError | RecursionError) -> tuple[str, str]:
    """What is wrong with a text that does not parse, and what to write instead.

    `error` is what the standard library's `json` raised.
    """
    if not isinstance(error, json.JSONDecodeError):
        return "the JSON is nested too deeply or holds too long a number", "write the row with plain fields of text"
    at, what = error.pos, error.msg
    here, after = error.doc[at : at + 1], error.doc[at : at + 20].strip()
    near = f"near {after!r}" if after else "where the text ends"
    fault = what[0].lower() + what[1:].removesuffix(" starting at").removesuffix(" at")
    message = f"broken JSON at column {error.colno}, {near}: {fault}"
    if here == "'":
        return message, "write double quotes around names and texts"
    if here in ("]", "}") or "trailing comma" in what:
        return message, "take the comma before the closing bracket away, or write the value that is missing"
    if not after or what.startswith("Unterminated"):
        return message, "the row is cut: write it with its closing quote and bracket"
    if here == "\0":
        return message, "take the zero byte out"
    if what.startswith("Invalid control"):
        return message, r"inside a text write a line break as \n and a tab as \t"
    if what.startswith("Extra data"):
        return message, "write one row a line"
    if what.startswith("Invalid \\escape"):
        return message, r"write a backslash inside a text as \\"
    return message, 'mend the row; inside a text a double quote is written \\"'


def lone_surrogate(value: Any) -> str:
    r"""The escape of half a character (`\ud83d` without its other half) in a parsed value, or an empty text.

    Such a text has no UTF-8 form, so no tokenizer can read it.
    """
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        return f"\\u{ord(error.object[error.start]):04x}"
    return ""


def half_character(escape: str, place: Place) -> Problem:
    """The problem of a row in which `lone_surrogate` found `escape`."""
    message = f"a text holds half of a character ({escape}): it was cut apart where the row was written"
    return Problem("half_character", "error", place, message, f"write the whole character, or take {escape} out")


def not_an_object(value: Any, place: Place) -> Problem:
    """The problem of a row that is a bare value or a list."""
    message = f"a row must be an object, this is {kind(value)}"
    return Problem("row_type", "error", place, message, 'write an object: {"instruction": "...", "response": "..."}')


def kind(value: Any) -> str:
    """A value's kind in plain words: `kind([1])` is `a list`, `kind(7)` is `the number 7`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and math.isnan(value):
        return "NaN (a missing value)"
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, bytes):
        return "binary data"
    if isinstance(value, str):
        return "a text" if value else "an empty text"
    return "a list" if isinstance(value, list) else "an object"
