"""Completion rows: `{input|prompt, output|completion}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from luthier.data.fields import CATEGORY, Fields, Parsed, with_category
from luthier.data.pairs import question_and_answer
from luthier.flow import Conversation, Form, Message, Place

gives: Form = "completion"
needs = (("input", "prompt"), ("output", "completion"))
fields = frozenset({"input", "prompt", "output", "completion", *CATEGORY})
example = '{"input": "...", "output": "..."}'


def parse(values: Mapping[str, Any], place: Place) -> Parsed:
    """The text that is given, then the text that follows it."""
    row = Fields(values, place)
    prompt = row.text("input", "prompt", empty="empty_prompt")
    answer = row.text("output", "completion", empty="empty_answer")
    category = row.category()
    if row.problems:
        return Parsed(None, tuple(row.problems))
    messages = (Message("user", prompt), Message("assistant", answer))
    return Parsed(Conversation("completion", messages, place, category))


def write(conversation: Conversation) -> dict[str, Any]:
    """The row. Raises `DoesNotFit`."""
    question, answer = question_and_answer(conversation, conversation.messages, "a completion row")
    return with_category({"prompt": question, "completion": answer}, conversation)
