"""`data.columns`: our field names for the file's columns, and for what stands inside their messages."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from luthier.data.fields import CATEGORY
from luthier.errors import Mistake, UserError
from luthier.flow import Problem, Record


def check_ours(columns: Mapping[str, str], known: Collection[str]) -> None:
    """Raises `UserError` for names on our side that no form knows. Of `messages.role` the first part counts."""
    wrong = []
    for ours in columns:
        if ours.partition(".")[0] not in known:
            near = get_close_matches(ours, known, n=1)
            remedy = f"did you mean {near[0]}?" if near else f"write one of: {', '.join(sorted(known))}"
            wrong.append(Mistake(f"{ours!r} is no field of a row", f"data.columns.{ours}", remedy))
    if wrong:
        raise UserError(wrong)


def check_theirs(columns: Mapping[str, str], seen: Collection[str], name: str) -> None:
    """Raises `UserError` for columns that no row of a file has, where the field that they stand for is not there
    either. `seen` holds every field of the file's rows. A role need not occur."""
    wrong = []
    for ours, theirs in columns.items():
        if seen and theirs not in seen and ours not in seen and ours.count(".") < 2:
            inside = f"{ours.partition('.')[0]}." if "." in ours else ""
            there = [field.removeprefix(inside) for field in seen if field.startswith(inside)]
            near = get_close_matches(theirs, there, n=1)
            remedy = f"did you mean {near[0]}?" if near else f"the rows have: {', '.join(sorted(there))}"
            wrong.append(Mistake(f"no row has the column {theirs!r} of data.columns.{ours}", name, remedy))
    if wrong:
        raise UserError(wrong)


def renamed(rows: Iterator[Record | Problem], columns: Mapping[str, str], seen: set[str]) -> Iterator[Record | Problem]:
    """The rows under our names; `seen` gathers theirs.

    A column that was taken under another name is gone, but `category` and `label` stay the row's class too.
    `{"messages.role": "speaker", "messages.role.user": "customer"}` names a field inside each message, and a role.
    """
    outer = {ours: theirs for ours, theirs in columns.items() if "." not in ours}
    inner = {ours: theirs for ours, theirs in columns.items() if "." in ours}
    taken = set(outer.values()) - set(CATEGORY)
    for row in rows:
        if isinstance(row, Record):
            seen.update(row.values)
            values = {name: value for name, value in row.values.items() if name not in taken}
            values |= {ours: row.values[theirs] for ours, theirs in outer.items() if theirs in row.values}
            if inner:
                values = {name: _inside(name, value, inner, seen) for name, value in values.items()}
            row = Record(values, row.place)
        yield row


def _inside(field: str, value: Any, columns: Mapping[str, str], seen: set[str]) -> Any:
    """A field's message, or its list of messages, under our names."""
    if isinstance(value, list):
        return [_inside(field, message, columns, seen) for message in value]
    if not isinstance(value, dict):
        return value
    ours = {
        theirs: name.partition(".")[2]
        for name, theirs in columns.items()
        if name.count(".") == 1 and name.startswith(f"{field}.")
    }
    seen.update(f"{field}.{ours.get(name, name)}" for name in value)
    message = {ours.get(name, name): inside for name, inside in value.items()}
    for path, theirs in columns.items():
        of, _, role = path.rpartition(".")
        name = of.rpartition(".")[2]
        if of == f"{field}.{name}" and message.get(name) == theirs:
            return {**message, name: role}
    return message
