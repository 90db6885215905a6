"""JSON: an array of objects, or an object that holds one such array, read element by element."""

from __future__ import annotations

import codecs
import json
import re
import shlex
from collections.abc import Iterator
from io import BufferedReader
from typing import Any

from luthier.data import text
from luthier.data.json_text import explain, half_character, lone_surrogate, not_an_object
from luthier.errors import UserError, mistake
from luthier.flow import Place, Problem, Record

BLANK = re.compile(r"[ \t\r\n]*")
BETWEEN = re.compile(r"[ \t\r\n]*,[ \t\r\n]*(?={)")
ESCAPED_HALF = re.compile(r"\\u[dD][89a-fA-F]")
MARK = re.compile(r'["\[\]{},]')
MARK_IN_TEXT = re.compile(r'["\\]')
LONGEST_TOKEN = 16
"""Characters that may follow the place at which a value that is cut stops making sense: `-Infinity`, an escape."""
DECODER = json.JSONDecoder()


def read(file: BufferedReader, name: str) -> Iterator[Record | Problem]:
    """A record for every element, placed at the line on which it begins.

    Raises `UserError` where the document does not parse, because nothing after the fault can be told apart, and at its
    end where it is not one array or an object with one array.
    """
    text.begin(file, name)
    document = _Document(file, name)
    kind = document.peek()
    if kind == "[":
        yield from _rows(document)
        if document.peek():
            raise document.error("something stands after the array's end", "write one array of rows")
    elif kind == "{":
        yield from _rows_of_object(document)
    elif kind:
        raise mistake("the document is neither an array nor an object", name, "write [{...}, {...}]")


def _rows(document: _Document) -> Iterator[Record | Problem]:
    """The elements of the array that begins here."""
    document.step()
    if document.peek() == "]":
        document.step()
        return
    while True:
        place = document.place()
        value = document.value(place)
        if type(value) is dict:
            escape = lone_surrogate(value) if document.may_hold_half() else ""
            yield half_character(escape, place) if escape else Record(value, place)
        else:
            yield value if isinstance(value, Problem) else not_an_object(value, place)
        if document.follows():
            continue
        mark, place = document.peek(), document.place()
        if mark not in (",", "]"):
            raise document.missing_comma()
        document.step()
        if mark == "]":
            return
        if document.peek() == "]":
            raise mistake("a comma stands before the closing bracket", str(place), "take the comma away")


def _rows_of_object(document: _Document) -> Iterator[Record | Problem]:
    """The elements of the only array among the values of the object that begins here."""
    name = document.name
    lists: list[str] = []
    document.step()
    while document.peek() != "}":
        key = document.value(document.place())
        if not isinstance(key, str) or document.peek() != ":":
            raise document.error('a name in double quotes with a ":" is missing', 'write {"rows": [{...}]}')
        document.step()
        is_list = document.peek() == "["
        if is_list:
            lists.append(key)
        if is_list and len(lists) == 1:
            yield from _rows(document)
        elif is_list:
            document.skip()
        else:
            document.value(document.place())
        if document.peek() == ",":
            document.step()
        elif document.peek() != "}":
            raise document.missing_comma()
    document.step()
    after = document.peek()
    if after == "{":
        raise mistake("one object follows another: these are JSON lines", name, text.rename(name, "json", "jsonl"))
    if after:
        raise document.error("something stands after the object's end", "write one array of rows")
    if not lists:
        raise mistake("the document is one object without a list of rows", name, "write [{...}, {...}]")
    if len(lists) > 1:
        command = f"jq {shlex.quote(f'.[{json.dumps(lists[0])}]')}"
        message = f"the object holds {len(lists)} lists: {', '.join(lists)}"
        raise mistake(message, name, f"keep one, {text.rewrite(command, name, 'rows')}")


class _Document:
    """The part of a JSON document that is held, and how far it is read; it reads on and forgets by itself."""

    def __init__(self, file: BufferedReader, name: str) -> None:
        self.name = name
        self._file = file
        self._text, self._at = "", 0
        self._began = 0  # where the value read last begins
        self._line = 1  # that stands at `at`
        self._left_of = 0  # characters of the line that come before the text
        self._undecoded = b""
        self._bytes_line, self._bytes_left_of = 1, 0  # where `undecoded` stands: its line, and bytes of the line before
        self._failure: UserError | None = None

    def place(self) -> Place:
        return Place(self.name, self._line)

    def peek(self) -> str:
        """The next character that is not blank, and steps up to it; an empty text at the end."""
        while True:
            blank = BLANK.match(self._text, self._at)
            assert blank is not None
            self._go_to(blank.end())
            if self._at < len(self._text) or not self._more():
                return self._text[self._at : self._at + 1]

    def follows(self) -> bool:
        """Goes over a comma and up to an object behind it, where both are held: most elements are followed by that."""
        between = BETWEEN.match(self._text, self._at)
        if between is None:
            return False
        self._go_to(between.end())
        return True

    def step(self) -> None:
        """Goes over one character that is no line break."""
        self._at += 1

    def value(self, place: Place) -> Any:
        """The value that begins here, or a `Problem` where it is whole but too long or too deep to be read."""
        while True:
            held = len(self._text) - self._at
            try:
                value, end = DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                cut = error.msg.startswith("Unterminated") or error.pos > len(self._text) - LONGEST_TOKEN
                if cut and held > text.ROW_BYTES:
                    return text.too_long(self.skip(), place)
                if not cut or not self._more():
                    if error.lineno == 1:
                        error.colno += self._left_of
                    self._go_to(error.pos)
                    raise self.error(*explain(error)) from None
            except (ValueError, RecursionError) as error:
                self.skip()
                return Problem("invalid_json", "error", place, *explain(error))
            else:
                if type(value) in (int, float) and end > len(self._text) - LONGEST_TOKEN and self._more():
                    continue  # a number may go on behind what is held
                self._began = self._at
                self._go_to(end)
                if (
                    held > text.ROW_BYTES // 4
                    and (size := len(self._text[self._began : end].encode())) > text.ROW_BYTES
                ):
                    return text.too_long(size, place)
                return value

    def may_hold_half(self) -> bool:
        r"""Whether the value read last holds an escape like `\ud83d`, the half of a character."""
        return ESCAPED_HALF.search(self._text, self._began, self._at) is not None

    def skip(self) -> int:
        """Steps over the value that begins here without holding it: how many characters it has."""
        size = depth = 0
        in_text = False
        while True:
            mark = (MARK_IN_TEXT if in_text else MARK).search(self._text, self._at)
            found = mark[0] if mark else ""
            behind = mark is not None and depth == 0 and not in_text and found in ",]}"
            end = len(self._text) if mark is None else mark.start() if behind else mark.end()
            size += end - self._at
            self._go_to(end)
            if behind:
                return size
            if found == "\\":  # the next character is part of the text, whatever it is
                if self._at < len(self._text) or self._more():
                    self._go_to(self._at + 1)
                    size += 1
            elif found == '"':
                in_text = not in_text
            elif found in ("[", "{"):
                depth += 1
            elif found in ("]", "}"):
                depth -= 1
            elif not found and not self._more():
                return size

    def missing_comma(self) -> UserError:
        """The error where an element ends and neither a comma nor a bracket follows."""
        after = self._text[self._at : self._at + 15]
        if not after:
            return self.error("the file ends before its closing bracket", "it is cut: write or fetch it again")
        return self.error(f"a comma or a bracket is missing before {after!r}", "write it there")

    def error(self, message: str, remedy: str) -> UserError:
        return mistake(message, str(self.place()), remedy)

    def _go_to(self, at: int) -> None:
        self._line += self._text.count("\n", self._at, at)
        self._at = at

    def _more(self) -> bool:
        """Reads as much again as is held, at least a run, and forgets what is behind; at the end nothing, and false."""
        if self._failure:
            raise self._failure
        held = self._text[self._at :]
        wanted = max(text.RUN_BYTES, min(len(held), text.ROW_BYTES - len(held)))
        new = self._file.read(wanted)
        data = self._undecoded + new
        if not data:
            return False
        try:
            more, used = codecs.utf_8_decode(data, "strict", not new)
        except UnicodeDecodeError as error:
            problem = text.undecodable(data, error.start, Place(self.name, self._bytes_line), self._bytes_left_of)
            self._failure = mistake(problem.message, str(problem.place), problem.remedy)
            more, used = codecs.utf_8_decode(data[: error.start], "strict", True)
        begun = data.rfind(b"\n", 0, used) + 1
        self._bytes_line += data.count(b"\n", 0, used)
        self._bytes_left_of = used - begun + (0 if begun else self._bytes_left_of)
        self._undecoded = data[used:]
        begun = self._text.rfind("\n", 0, self._at) + 1
        self._left_of = self._at - begun + (0 if begun else self._left_of)
        self._text, self._at = held + more, 0
        return True
