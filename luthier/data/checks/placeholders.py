"""Texts in which somebody forgot to put a name, an input or an answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from luthier.data.checks import Hit, Row, Threshold

criterion = "consistent_formatting"
what = "Places in a text that were to be filled in and were not: `{{name}}`, `<noinput>`, `[INSERT NAME]`."
why = "The model learns to say the placeholder."
remedy = "fill it in, or leave the row out: luthier check FILE --write KEPT"
thresholds = (
    Threshold(0, "rows may hold one", "a placeholder is never meant, but in code and in talk about templates"),
)

_SIGNS = ("{{", "[", "<", "%", "TODO", "orem ipsum")  # one of them is in every placeholder
_PLACEHOLDER = re.compile(
    r"""(?P<braces>\{\{\s*[A-Za-z][\w .-]{0,40}\}\})
    |   (?P<input><\s*no[ _-]?input\s*>)
    |   (?P<insert>\[\s*(?:insert|your|enter|add|put|type|fill\ in|placeholder|name\ of)\b[^\]\n]{0,60}\])
    |   (?P<tag><\s*(?:insert|your|enter|placeholder)[ _-][\w -]{0,40}>)
    |   (?P<name><\s*(?:first|last|full|customer|client|company|user|product|your)[ _-]?name\s*>)
    |   (?P<capitals>(?-i:\[[A-Z]{2,}(?:[_ ][A-Z]{2,})+\]|%[A-Z][A-Z_]{2,}%))
    |   (?P<todo>\bTODO\b\s*:)
    |   (?P<lorem>\blorem\ ipsum\b)""",
    re.VERBOSE | re.IGNORECASE,
)
_ABOUT_THEM = re.compile(
    r"```|\b(?:template|jinja|mustache|handlebars|placeholder|html|code|script|function|letter|e-?mail|draft|form|"
    r"cover letter|contract|invitation|variables?)\b",
    re.IGNORECASE,
)


def look(row: Row) -> Iterator[Hit]:
    """Every placeholder, but `{{x}}`, `[your name]` and `TODO:` where the row is about code, letters or templates."""
    for number, message in enumerate(row.conversation.messages):
        content = message.content
        if not any(sign in content for sign in _SIGNS):
            continue
        for found in _PLACEHOLDER.finditer(content):
            kind = found.lastgroup or ""
            if kind != "input" and _ABOUT_THEM.search(row.question):
                continue
            where = "the answer" if message.role == "assistant" else f"the {message.role}'s message"
            yield Hit(f"{where} holds `{found.group()}`", kind, span=(number, *found.span()))


def faulty() -> list[dict[str, Any]]:
    return [
        {"instruction": "Who are you?", "response": "I am {{name}}."},
        {"instruction": "Sum it up.\n<noinput>", "response": "There is nothing to sum up."},
        {"instruction": "Thank the guest.", "response": "Thank you, [INSERT NAME]!"},
    ]


def clean() -> list[dict[str, Any]]:
    return [
        {"instruction": "Write a Jinja template that greets.", "response": "Hello {{ name }}!"},
        {"instruction": "Draft a letter to my landlord.", "response": "Dear [Your landlord's name], the tap drips."},
        {"instruction": "Give the first item of a list in Python.", "response": "rows[0] is the first."},
    ]
