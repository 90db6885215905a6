"""Rows that only ask: the same files and forms as for training, where an answer may be there or not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from luthier import plugins
from luthier.data.columns import check_ours, check_theirs, renamed
from luthier.data.detect import FORMS, detect, forms, refuse
from luthier.data.forms.preference import prompt_length
from luthier.data.llama_factory import described
from luthier.data.read import read
from luthier.flow import Conversation, Problem, Record

STAND_IN = "-"
BETTER, WORSE = {"chosen", "preferred_output", "chosen_messages"}, {"rejected", "non_preferred_output"}
RESPONSES, COMPLETIONS = {"response", "output"}, {"output", "completion"}
ANSWERS = BETTER | WORSE | RESPONSES | COMPLETIONS
"""Fields that hold an answer, and may be missing here."""
ANSWERERS = {"assistant", "gpt", "function_call"}
"""The roles of messages that are answers."""


def prompts(path: str | Path, columns: Mapping[str, str] | None = None) -> Iterator[Conversation | Problem]:
    """What each row asks, as a conversation that ends before the answer; a row that cannot be read is a `Problem`, and
    so is a text row, which asks nothing.

    `{"instruction": "Add.", "input": "2+2"}` gives the user message `Add.`, an empty line, `2+2`; of a preference row
    both answers are left out.
    """
    path = Path(path)
    check_ours(columns or {}, {name for form in forms().values() for name in form.fields})
    told = described(path, columns=columns)
    columns = told.columns if told else columns or {}
    seen: set[str] = set()
    rows = list(renamed(read(path), columns, seen))
    check_theirs({ours: theirs for ours, theirs in columns.items() if ours not in ANSWERS}, seen, str(path))
    filled = [replace(row, values=_with_answer(row.values)) if isinstance(row, Record) else row for row in rows]
    records = [row.values for row in filled if isinstance(row, Record)]
    found = told.detection if told else detect(records)
    if found is None:
        refuse(records, str(path))
        raise AssertionError("refuse raises")
    form = plugins.load(FORMS, found.form)
    for row in filled:
        if isinstance(row, Problem):
            yield row
            continue
        conversation, problems, _ = form.parse(row.values, row.place)
        yield without_answer(conversation) if conversation else problems[0]


def without_answer(conversation: Conversation) -> Conversation | Problem:
    """The conversation without its last answer; a text row, which asks nothing, is a `Problem`."""
    if conversation.rejected:
        return replace(conversation, messages=conversation.messages[: prompt_length(conversation)], rejected=())
    if len(conversation.messages) == 1:
        message, remedy = "a text row asks nothing", 'write what is given as {"prompt": "..."}'
        return Problem("no_question", "error", conversation.place, message, remedy)
    return replace(conversation, messages=conversation.messages[:-1])


def _with_answer(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The row with a stand-in where its last answer is missing, so that the forms' own checks read it."""
    values = {name: value for name, value in values.items() if name not in ANSWERS or value not in (None, "")}
    if BETTER & values.keys():
        return values
    for field, role, content in (("messages", "role", "content"), ("conversations", "from", "value")):
        messages = values.get(field)
        if isinstance(messages, list) and messages:
            last = messages[-1]
            answered = isinstance(last, dict) and (last.get("role") in ANSWERERS or last.get("from") in ANSWERERS)
            return values if answered else {**values, field: [*messages, {role: "assistant", content: STAND_IN}]}
    given = {name for name, value in values.items() if value not in (None, "")}
    if "instruction" in given:
        return values if given & RESPONSES else {**values, "response": STAND_IN}
    if given & {"input", "prompt"}:
        return values if given & COMPLETIONS else {**values, "output": STAND_IN}
    return values
