"""Text rows: `{text}`, all of it trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from luthier.data.fields import CATEGORY, DoesNotFit, Fields, Parsed, with_category
from luthier.flow import Conversation, Form, Message, Place

gives: Form = "text"
needs = (("text",),)
fields = frozenset({"text", *CATEGORY})
unless = frozenset({"messages", "conversations", *CATEGORY})
"""Beside these `text` does not tell the form: the rows are of another, or a text and its class are question and answer.
`data.format: text` says that they are not."""
example = '{"text": "..."}'


def parse(values: Mapping[str, Any], place: Place) -> Parsed:
    """The text, as one answer to nothing."""
    row = Fields(values, place)
    text = row.text("text", empty="empty_answer")
    category = row.category()
    if row.problems:
        return Parsed(None, tuple(row.problems))
    return Parsed(Conversation("text", (Message("assistant", text),), place, category))


def write(conversation: Conversation) -> dict[str, Any]:
    """The row. Raises `DoesNotFit`."""
    if conversation.form != "text":
        raise DoesNotFit("a text row holds one text, and only a template makes one of a question and its answer")
    return with_category({"text": conversation.messages[0].content}, conversation)
