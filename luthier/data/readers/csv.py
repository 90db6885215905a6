"""CSV: a header of column names, then a row a record; every value is a text."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from io import BufferedReader

from luthier.data.text import begin, decode
from luthier.errors import Mistake, UserError, mistake
from luthier.flow import Place, Problem, Record

OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


def read(file: BufferedReader, name: str, separator: str = ",") -> Iterator[Record | Problem]:
    """A record for every row under the header, placed at the physical line on which it begins.

    A quoted text may hold line breaks. Blank lines are no rows. Raises `UserError` for a header that cannot be used and
    for a quote that is never closed, because it takes the rest of the file with it.
    """
    begin(file, name)
    csv.field_size_limit(sys.maxsize)
    badly_encoded: list[Problem] = []
    rows = csv.reader(_lines(file, name, badly_encoded), delimiter=separator, strict=True)
    columns: list[str] = []
    while True:
        place = Place(name, rows.line_num + 1)
        problem: Problem | None = None
        try:
            values = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            values, problem = [], _broken(error, place, rows.line_num)
        if badly_encoded:
            problem = badly_encoded[0]
            badly_encoded.clear()
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
                f'write one value a column; a text that holds a "{separator}" stands in double quotes',
            )


def _lines(file: BufferedReader, name: str, badly_encoded: list[Problem]) -> Iterator[str]:
    for number, line in enumerate(file, 1):
        text = decode(line, name, number)
        if isinstance(text, Problem):
            badly_encoded.append(text)
            text = line.decode(errors="replace")
        yield text


def _broken(error: csv.Error, place: Place, last_line: int) -> Problem:
    """The problem of a row that `csv` refuses. Raises where the whole rest of the file stands inside a quote."""
    if "unexpected end of data" in str(error):
        message = "a double quote opens in this row and never closes"
        raise mistake(message, str(place), 'close it; inside a quoted text a double quote is written ""')
    lines = f" (lines {place.line} to {last_line})" if last_line > place.line else ""
    if "new-line character" in str(error):
        message, remedy = "a carriage return stands in a text without quotes", "put the text in double quotes"
    else:
        message = "text follows a closing double quote"
        remedy = 'inside a quoted text a double quote is written ""'
    return Problem("broken_csv", "error", place, f"{message}{lines}", remedy)


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
    for other, plural in OTHER_SEPARATORS.items():
        if len(columns) == 1 and other in columns[0]:
            message = f"the columns are separated by {plural}, not by {separator!r}"
            wrong.append(Mistake(message, str(place), "save the table as comma-separated UTF-8"))
    if wrong:
        raise UserError(wrong)
    return columns
