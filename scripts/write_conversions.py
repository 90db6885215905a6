"""Writes the table of docs/how-to/convert.md that says what each form keeps of the rows of another: from the code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from luthier import plugins
from luthier.data.detect import FORMS
from luthier.data.fields import DoesNotFit
from luthier.flow import Conversation, Place

PAGE = Path(__file__).resolve().parents[1] / "docs" / "how-to" / "convert.md"
BEGIN, END = "<!-- conversions: written by scripts/write_conversions.py -->", "<!-- end of conversions -->"

USER = {"role": "user", "content": "Where is it?"}
ANSWER = {"role": "assistant", "content": "In Paris."}
SYSTEM = {"role": "system", "content": "Be brief."}
FUNCTION = {"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}
CALL = {"id": "1", "type": "function", "function": {"name": "find", "arguments": '{"what": "it"}'}}
CALLING = [
    USER,
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "content": "Paris", "tool_call_id": "1"},
    ANSWER,
]
HUMAN, GPT = {"from": "human", "value": "Where is it?"}, {"from": "gpt", "value": "In Paris."}
SHAREGPT_CALLING = [
    HUMAN,
    {"from": "function_call", "value": '{"name": "find", "arguments": {"what": "it"}}'},
    {"from": "observation", "value": "Paris"},
    GPT,
]

# For each form: what a row may hold, and a row that holds it.
ROWS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "chat": {
        "a question and its answer": {"messages": [USER, ANSWER]},
        "a class": {"messages": [USER, ANSWER], "category": "places"},
        "a system message": {"messages": [SYSTEM, USER, ANSWER]},
        "several turns": {"messages": [USER, ANSWER, USER, ANSWER]},
        "a weight": {"messages": [USER, {**ANSWER, "weight": 0}, USER, ANSWER]},
        "tools and calls": {"messages": CALLING, "tools": [FUNCTION]},
        "text beside a call": {"messages": [USER, {**ANSWER, "tool_calls": [CALL]}]},
        "reasoning": {"messages": [USER, {**ANSWER, "reasoning_content": "Think."}]},
        "names": {"messages": [{**USER, "name": "Ann"}, ANSWER]},
    },
    "sharegpt": {
        "a question and its answer": {"conversations": [HUMAN, GPT]},
        "a class": {"conversations": [HUMAN, GPT], "category": "places"},
        "a system message": {"conversations": [HUMAN, GPT], "system": "Be brief."},
        "several turns": {"conversations": [HUMAN, GPT, HUMAN, GPT]},
        "tools and calls": {"conversations": SHAREGPT_CALLING, "tools": '[{"name": "find"}]'},
    },
    "instruction": {
        "a question and its answer": {"instruction": "Where?", "response": "In Paris."},
        "an input": {"instruction": "Where?", "input": "The tower.", "response": "In Paris."},
        "a class": {"instruction": "Where?", "response": "In Paris.", "category": "places"},
        "a system message": {"instruction": "Where?", "response": "In Paris.", "system": "Be brief."},
        "several turns": {"instruction": "Where?", "response": "In Paris.", "history": [["Hi.", "Hello."]]},
    },
    "completion": {
        "a question and its answer": {"prompt": "Where? ", "completion": "In Paris."},
        "a class": {"prompt": "Where? ", "completion": "In Paris.", "category": "places"},
    },
    "text": {
        "a text": {"text": "It is in Paris."},
        "a class": {"text": "It is in Paris.", "category": "places"},
    },
    "preference": {
        "two answers": {"prompt": "Where?", "chosen": "In Paris.", "rejected": "No."},
        "a class": {"prompt": "Where?", "chosen": "In Paris.", "rejected": "No.", "category": "places"},
        "a system message": {"prompt": [SYSTEM, USER], "chosen": [ANSWER], "rejected": [{**ANSWER, "content": "No."}]},
        "several turns": {"prompt": [USER, ANSWER, USER], "chosen": "In Paris.", "rejected": "No."},
        "tools and calls": {
            "prompt": CALLING[:3],
            "chosen": [ANSWER],
            "rejected": [{**ANSWER, "content": "No."}],
            "tools": [FUNCTION],
        },
    },
}


def main() -> None:
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{table()}{after}", encoding="utf-8")
    print(f"wrote the table of {PAGE.name}")


def table() -> str:
    """The table between its two marks: what each row becomes in each form, and the reasons under it."""
    forms = list(ROWS)
    reasons: dict[str, int] = {}
    lines = [f"| rows of | with | {' | '.join(forms)} |", f"|---|---|{'---|' * len(forms)}"]
    for form, rows in ROWS.items():
        for what, row in rows.items():
            cells = []
            for target in forms:
                reason = refusal(form, row, target) if form != target else ""  # what has the form is copied
                cells.append(f"no ({reasons.setdefault(reason, len(reasons) + 1)})" if reason else "kept")
            lines.append(f"| {form} | {what} | {' | '.join(cells)} |")
    said = [f"{number}. {reason}" for reason, number in reasons.items()]
    return "\n".join([BEGIN, "", *lines, "", *said, "", END])


def refusal(form: str, row: Mapping[str, Any], target: str) -> str:
    """Why a form cannot hold a row of another; empty where reading what it writes gives the same conversation."""
    conversation = read(form, row)
    try:
        written = plugins.load(FORMS, target).write(conversation)
    except DoesNotFit as misfit:
        return str(misfit)
    again = read(target, written)
    assert replace(again, form=conversation.form) == conversation, f"{target} changes {row}: {written}"
    return ""


def read(form: str, row: Mapping[str, Any]) -> Conversation:
    parsed = plugins.load(FORMS, form).parse(row, Place("rows.jsonl", 1))
    assert parsed.conversation is not None, parsed.problems
    assert not parsed.problems
    assert not parsed.unused
    conversation: Conversation = parsed.conversation
    return conversation


if __name__ == "__main__":
    main()
