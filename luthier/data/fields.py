"""What every row form checks in the same way: texts that must be there, the category, and what was wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from luthier.data.json_text import kind
from luthier.flow import Conversation, Place, Problem

CATEGORY = ("category", "label")
MEDIA = ("images", "videos", "audios")
"""Fields of other tools' rows that name pictures, films and sounds."""


class Parsed(NamedTuple):
    """What a form makes of a row: a conversation, or none where a problem is an error.

    `unused` names what the form does not read inside the fields that it knows (`messages.name`).
    """

    conversation: Conversation | None
    problems: tuple[Problem, ...] = ()
    unused: tuple[str, ...] = ()


class DoesNotFit(Exception):
    """A form cannot hold a conversation. The text says why, in the same words for every row of that kind."""


class Fields:
    """The values of one row, read one after the other; `problems` collects what is wrong with them, `unused` what is
    not read inside of them."""

    __slots__ = ("place", "problems", "unused", "values")

    def __init__(self, values: Mapping[str, Any], place: Place) -> None:
        self.values = values
        self.place = place
        self.problems: list[Problem] = []
        self.unused: list[str] = []

    def wrong(self, check: str, message: str, remedy: str) -> None:
        """Adds an error."""
        self.problems.append(Problem(check, "error", self.place, message, remedy))

    def given(self, *names: str) -> str:
        """The one of `names` that is there and not null; an empty text where none is. Two are an error."""
        given = [name for name in names if self.values.get(name) is not None]
        if len(given) > 1:
            self.wrong("two_fields", f"`{given[0]}` and `{given[1]}` are both there", "keep one of them")
        return given[0] if given else ""

    def missing(self, *names: str) -> None:
        """Adds the error that none of `names` is there."""
        self.wrong("missing_field", f"no {' or '.join(f'`{name}`' for name in names)}", "write it; " + RENAME)

    def text(self, *names: str, empty: str) -> str:
        """The text under the one of `names` that is there. `empty` names the check that a blank text fails."""
        before = len(self.problems)
        name = self.given(*names)
        if len(self.problems) > before:
            return ""
        if not name:
            self.missing(*names)
            return ""
        value = self.values[name]
        if type(value) is str and value and not value.isspace():
            return value
        if isinstance(value, str):
            self.wrong(empty, f"`{name}` is empty", "write its text, or take the row out")
        else:
            self.wrong("type", f"`{name}` is {kind(value)}, not a text", as_text(value))
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
            if name not in self.values:
                continue
            value = self.values[name]
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

    def refuse_media(self) -> None:
        """Adds an error for each picture, film or sound beside the texts."""
        for name in MEDIA:
            if self.values.get(name):
                self.wrong("media", f"`{name}` is there, and models are trained on text alone here", WITHOUT_MEDIA)


RENAME = "where it has another name, write `columns: {our name: theirs}` under `data`"
WITHOUT_MEDIA = "take the row out, or write in words what it shows"


def as_text(value: Any) -> str:
    """What to write instead of a value that is no text."""
    if isinstance(value, bool | int | float) and not (isinstance(value, float) and not math.isfinite(value)):
        return f'write "{kind(value).removeprefix("the number ")}" in double quotes'
    return "write a text in double quotes"


def with_category(values: dict[str, Any], conversation: Conversation) -> dict[str, Any]:
    """The row that a form writes, with the conversation's class."""
    return values if conversation.category is None else {**values, "category": conversation.category}
