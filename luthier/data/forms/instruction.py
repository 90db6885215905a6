"""Instruction rows: `{instruction, input?, response|output}`, as Alpaca's files have them, with a system message and
earlier turns where there are any."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from luthier.data.fields import CATEGORY, MEDIA, Fields, Parsed, with_category
from luthier.data.json_text import kind
from luthier.data.messages import finished, with_system
from luthier.data.pairs import question_and_answer
from luthier.data.tools import read_tools
from luthier.flow import Conversation, Form, Message, Place

gives: Form = "instruction"
needs = (("instruction",), ("response", "output"))
fields = frozenset({"instruction", "input", "response", "output", "system", "history", "tools", *MEDIA, *CATEGORY})
USUAL = frozenset({"instruction", "input", "response", "output"})
example = '{"instruction": "...", "response": "..."}'


def parse(values: Mapping[str, Any], place: Place) -> Parsed:
    """The system message and the earlier pairs of question and answer where there are any; the instruction, an empty
    line and the input where there is one; then the answer."""
    row = Fields(values, place)
    question = asked(row)
    answer = Message("assistant", row.text("response", "output", empty="empty_answer"))
    if values.keys() <= USUAL and not row.problems:
        return Parsed(Conversation("instruction", (Message("user", question), answer), place))
    row.refuse_media()
    messages = with_system([*history(row), Message("user", question), answer], row)
    return finished("instruction", messages, row, read_tools(row, "tools"))


def asked(row: Fields) -> str:
    """The instruction with its input under an empty line."""
    question = row.text("instruction", empty="empty_prompt")
    context = row.optional_text("input")
    return f"{question}\n\n{context}" if context else question


def history(row: Fields) -> list[Message]:
    """The messages of the earlier turns: `history` is a list of pairs, question and answer."""
    given = row.values.get("history")
    messages: list[Message] = []
    if given is None:
        return messages
    if not isinstance(given, list):
        row.wrong("type", f"`history` is {kind(given)}, not a list", 'write [["question", "answer"]]')
        return messages
    for number, pair in enumerate(given, 1):
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(t, str) and t.strip() for t in pair):
            message = f"turn {number} of `history` is no pair of texts, question and answer"
            row.wrong("history", message, 'write [["question", "answer"]]')
        else:
            messages += [Message("user", pair[0]), Message("assistant", pair[1])]
    return messages


def write(conversation: Conversation) -> dict[str, Any]:
    """The row; what was its `input` stays a part of the instruction. Raises `DoesNotFit`."""
    messages = conversation.messages
    system = messages[0] if messages[0].role == "system" and messages[0].name is None else None
    question, answer = question_and_answer(conversation, messages[1:] if system else messages, "an instruction row")
    row = {"instruction": question, "response": answer}
    return with_category(({"system": system.content} if system else {}) | row, conversation)
