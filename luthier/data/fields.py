"""What every row form checks in the same way: texts that must be there, the category, and what was wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from luthier.data.json_text import kind
from luthier.flow import Conversation, Place, Problem

CATEGORY = ("category", "label")


class Parsed(NamedTuple):
    """What a form makes of a row: a conversation, or none where a problem is an error.

    `unused` names what the form does not read inside the fields that it knows (`messages.name`).
    """

    conversation: Conversation | None
    problems: tuple[Problem, ...] = ()
    unused: tuple[str, ...] = ()


class Fields:
    """The values of one row, read one after the other; `problems` collects what is wrong with them."""

    __slots__ = ("place", "problems", "values")

    def __init__(self, values: Mapping[str, Any], place: Place) -> None:
        self.values = values
        self.place = place
        self.problems: list[Problem] = []

    def wrong(self, check: str, message: str, remedy: str) -> None:
        """Adds an error."""
        self.problems.append(Problem(check, "error", self.place, message, remedy))

    def text(self, *names: str, empty: str) -> str:
        """The text under the one of `names` that is there. `empty` names the check that a blank text fails."""
        given = [name for name in names if self.values.get(name) is not None]
        if len(given) == 1:
            value = self.values[given[0]]
            if type(value) is str and value and not value.isspace():
                return value
            if isinstance(value, str):
                self.wrong(empty, f"`{given[0]}` is empty", "write its text, or take the row out")
            else:
                self.wrong("type", f"`{given[0]}` is {kind(value)}, not a text", as_text(value))
        elif given:
            self.wrong("two_fields", f"`{given[0]}` and `{given[1]}` are both there", "keep one of them")
        else:
            self.wrong("missing_field", f"no {' or '.join(f'`{name}`' for name in names)}", "write it; " + RENAME)
        return ""

    def optional_text(self, name: str) -> str:
        """The text under `name`; an empty text where there is none, null or only blanks."""
        value = self.values.get(name)
        if value is None:
            return ""
        if isinstance(value, str):
            return "" if value.isspace() else value
        self.wrong("type", f"`{name}` is {kind(value)}, not a text", f"{as_text(value)}, or leave it out")
        return ""

    def category(self) -> str | None:
        """The row's class: `category`, else `label`. A number becomes its text; null and an empty text are none."""
        for name in CATEGORY:
            value = self.values.get(name)
            if isinstance(value, str):
                if value and not value.isspace():
                    return value
            elif isinstance(value, bool):
                return kind(value)
            elif isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
                return str(value)
            elif value is not None:
                self.wrong("type", f"`{name}` is {kind(value)}, not a text", as_text(value))
        return None


RENAME = "where it has another name, write `columns: {our name: theirs}` under `data`"


def as_text(value: Any) -> str:
    """What to write instead of a value that is no text."""
    if isinstance(value, bool | int | float) and not (isinstance(value, float) and not math.isfinite(value)):
        return f'write "{kind(value).removeprefix("the number ")}" in double quotes'
    return "write a text in double quotes"
