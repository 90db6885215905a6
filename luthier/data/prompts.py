"""Rows that only ask: the same files and forms as for training, where an answer may be there or not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from luthier.data.columns import renamed
from luthier.data.detect import detect, forms, refuse
from luthier.data.read import read
from luthier.flow import Conversation, Problem, Record

STAND_IN = "-"


def prompts(path: str | Path, columns: Mapping[str, str] | None = None) -> Iterator[Conversation | Problem]:
    """What each row asks, as a conversation that ends before the answer; a row that cannot be read is a `Problem`.

    `{"instruction": "Add.", "input": "2+2"}` gives the user message `Add.`, an empty line, `2+2`.
    """
    rows = list(renamed(read(Path(path)), columns or {}, set()))
    filled = [replace(row, values=_with_answer(row.values)) if isinstance(row, Record) else row for row in rows]
    records = [row.values for row in filled if isinstance(row, Record)]
    found = detect(records)
    if found is None:
        refuse(records, str(path))
        raise AssertionError("refuse raises")
    form = forms()[found.form]
    for row in filled:
        if isinstance(row, Problem):
            yield row
            continue
        parsed = form.parse(row.values, row.place)
        if parsed.conversation is None:
            yield from parsed.problems[:1]
            continue
        conversation = parsed.conversation
        yield replace(conversation, messages=conversation.messages[:-1])


def _with_answer(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The row with a stand-in where its last answer is missing, so that the forms' own checks read it."""
    messages = values.get("messages")
    if isinstance(messages, list) and messages:
        last = messages[-1]
        answered = isinstance(last, dict) and last.get("role") == "assistant"
        return values if answered else {**values, "messages": [*messages, {"role": "assistant", "content": STAND_IN}]}
    given = {name for name, value in values.items() if value not in (None, "")}
    if "instruction" in given:
        return values if given & {"response", "output"} else {**values, "response": STAND_IN}
    if given & {"input", "prompt"}:
        return values if given & {"output", "completion"} else {**values, "output": STAND_IN}
    return values
