"""Plain text: a row `{"text": ...}` a line."""

from __future__ import annotations

from collections.abc import Iterator
from io import BufferedReader

from luthier.data import text
from luthier.flow import Place, Problem, Record


def begin(file: BufferedReader, name: str) -> None:
    """Raises `UserError` where the file is no text."""
    text.begin(file, name)


def parse(lines: bytes, name: str, first_line: int) -> Iterator[Record | Problem]:
    """A record for every line that is not blank, without the line's end. Only a line feed ends a line."""
    for number, line in enumerate(lines.split(b"\n"), first_line):
        if line and not line.isspace():
            place = Place(name, number)
            decoded = text.decode(line.removesuffix(b"\r"), place)
            yield Record({"text": decoded}, place) if isinstance(decoded, str) else decoded
