"""Instruction rows: `{instruction, input?, response|output}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from luthier.data.fields import CATEGORY, Fields, Parsed
from luthier.flow import Conversation, Message, Place

needs = (("instruction",), ("response", "output"))
fields = frozenset({"instruction", "input", "response", "output", *CATEGORY})
example = '{"instruction": "...", "response": "..."}'


def parse(values: Mapping[str, Any], place: Place) -> Parsed:
    """The instruction, an empty line and the input where there is one; then the answer."""
    row = Fields(values, place)
    question = row.text("instruction", empty="empty_prompt")
    context = row.optional_text("input")
    answer = row.text("response", "output", empty="empty_answer")
    category = row.category()
    if row.problems:
        return Parsed(None, tuple(row.problems))
    if context:
        question = f"{question}\n\n{context}"
    messages = (Message("user", question), Message("assistant", answer))
    return Parsed(Conversation("instruction", messages, place, category))
