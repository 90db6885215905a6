"""CSV: a header of column names, then a row a record; every value is a text."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from io import BufferedReader

from luthier.data import text
from luthier.errors import Mistake, UserError, mistake
from luthier.flow import Place, Problem, Record

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


def read(file: BufferedReader, name: str, separator: str = ",") -> Iterator[Record | Problem]:
    """A record for every row under the header, placed at the physical line on which it begins.

    A quoted text may hold line breaks. Blank lines are no rows. Raises `UserError` for a header that cannot be used and
    for a quote that is never closed, because it takes the rest of the file with it.
    """
    text.begin(file, name)
    csv.field_size_limit(sys.maxsize)
    lines = _Lines(file, name)
    rows = csv.reader(lines, delimiter=separator, strict=True)
    columns: list[str] = []
    while True:
        place = lines.begin_row()
        problem: Problem | None = None
        values: list[str] = []
        try:
            values = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            problem = _broken(error, place, lines.number)
        except _TooLong:
            problem = text.too_long(lines.skip_row(place), place)
        problem = lines.problem or problem
        if problem and not columns:
            raise mistake(problem.message, str(problem.place), problem.remedy)
        if problem:
            yield problem
        elif values and not columns:
            columns = _header(values, place, separator)
        elif values and len(values) == len(columns):
            yield Record(dict(zip(columns, values, strict=True)), place)
        elif values:
            yield Problem(
                "columns",
                "error",
                place,
                f"{len(values)} values under {len(columns)} columns",
                f"write one value a column; a text that holds {_name(separator)} stands in double quotes",
            )


class _TooLong(Exception):
    pass


class _Lines:
    """The lines of a file as `csv.reader` asks for them.

    `number` is the last one's, `problem` what is wrong with the bytes of a line since the row began.
    """

    def __init__(self, file: BufferedReader, name: str) -> None:
        self.number = 0
        self.problem: Problem | None = None
        self._file, self._name = file, name
        self._size = 0
        self._line = b""

    def __iter__(self) -> Iterator[str]:
        return self

    def begin_row(self) -> Place:
        self._size, self.problem = 0, None
        return Place(self._name, self.number + 1)

    def __next__(self) -> str:
        self._line = line = self._file.readline(text.ROW_BYTES + 2 - self._size)
        if not line:
            raise StopIteration
        self.number += 1
        self._size += len(line)
        if line[-1] != 10:
            self._file.peek()  # raises where the file is broken: then this is no whole line
        if self._size - (line[-1] == 10) > text.ROW_BYTES:
            raise _TooLong
        place = Place(self._name, self.number)
        decoded = text.decode(line, place)
        if isinstance(decoded, str):
            return decoded
        self.problem = self.problem or decoded
        return line.decode(errors="replace")

    def skip_row(self, place: Place) -> int:
        """Steps over the rest of the row that began at `place` and was too long: how many bytes it has in all."""
        line, size = self._line, self._size
        open_quotes = line.count(b'"') + (self.number > place.line)  # a second line means that a quote was open
        while not line.endswith(b"\n") or open_quotes % 2:
            follows = line.endswith(b"\n")
            line = self._file.readline(text.RUN_BYTES)
            if not line and open_quotes % 2:
                raise _never_closed(place)
            if not line:
                break
            self.number += follows
            size += len(line)
            open_quotes += line.count(b'"')
        return size


def _broken(error: csv.Error, place: Place, last_line: int) -> Problem:
    """The problem of a row that `csv` refuses. Raises where the whole rest of the file stands inside a quote."""
    if "unexpected end of data" in str(error):
        raise _never_closed(place)
    lines = f" (lines {place.line} to {last_line})" if last_line > place.line else ""
    if "new-line character" in str(error):
        message, remedy = "a carriage return stands in a text without quotes", "put the text in double quotes"
    else:
        message = "text follows a closing double quote"
        remedy = 'inside a quoted text a double quote is written ""'
    return Problem("broken_csv", "error", place, f"{message}{lines}", remedy)


def _never_closed(place: Place) -> UserError:
    message = "a double quote opens in this row and never closes"
    return mistake(message, str(place), 'close it; inside a quoted text a double quote is written ""')


def _header(columns: list[str], place: Place, separator: str) -> list[str]:
    wrong: list[Mistake] = []
    for column in dict.fromkeys(columns):
        if columns.count(column) > 1:
            wrong.append(
                Mistake(f"{columns.count(column)} columns are named {column!r}", str(place), "name each its own")
            )
        if column != column.strip():
            message = f"spaces stand around the column name {column!r}"
            wrong.append(Mistake(message, str(place), f"write {column.strip()}"))
    for other, plural in SEPARATORS.items():
        if len(columns) == 1 and other != separator and other in columns[0]:
            message = f"the columns are separated by {plural}, not by {SEPARATORS[separator]}"
            remedy = "save the table as comma-separated UTF-8"
            if {separator, other} == {",", "\t"}:
                remedy = text.rename(place.file, *(("csv", "tsv") if separator == "," else ("tsv", "csv")))
            wrong.append(Mistake(message, str(place), remedy))
    if wrong:
        raise UserError(wrong)
    return columns


def _name(separator: str) -> str:
    return "a tab" if separator == "\t" else f'a "{separator}"'
