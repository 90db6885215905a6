"""`data.columns`: our field names for the file's columns."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches

from luthier.data.fields import CATEGORY
from luthier.errors import Mistake, UserError
from luthier.flow import Problem, Record


def check_ours(columns: Mapping[str, str], known: Collection[str]) -> None:
    """Raises `UserError` for names on our side that no form knows."""
    wrong = []
    for ours in columns:
        if ours not in known:
            near = get_close_matches(ours, known, n=1)
            remedy = f"did you mean {near[0]}?" if near else f"write one of: {', '.join(sorted(known))}"
            wrong.append(Mistake(f"{ours!r} is no field of a row", f"data.columns.{ours}", remedy))
    if wrong:
        raise UserError(wrong)


def check_theirs(columns: Mapping[str, str], seen: Collection[str], name: str) -> None:
    """Raises `UserError` for columns that no row of a file has, where the field that they stand for is not there
    either. `seen` holds every field of the file's rows."""
    wrong = []
    for ours, theirs in columns.items():
        if seen and theirs not in seen and ours not in seen:
            near = get_close_matches(theirs, seen, n=1)
            remedy = f"did you mean {near[0]}?" if near else f"the rows have: {', '.join(sorted(seen))}"
            wrong.append(Mistake(f"no row has the column {theirs!r} of data.columns.{ours}", name, remedy))
    if wrong:
        raise UserError(wrong)


def renamed(rows: Iterator[Record | Problem], columns: Mapping[str, str], seen: set[str]) -> Iterator[Record | Problem]:
    """The rows under our names; `seen` gathers theirs.

    A column that was taken under another name is gone, but `category` and `label` stay the row's class too.
    """
    taken = set(columns.values()) - set(CATEGORY)
    for row in rows:
        if isinstance(row, Record):
            seen.update(row.values)
            values = {name: value for name, value in row.values.items() if name not in taken}
            values |= {ours: row.values[theirs] for ours, theirs in columns.items() if theirs in row.values}
            row = Record(values, row.place)
        yield row
