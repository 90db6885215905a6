"""Marks of chat templates inside of what people or the model say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from luthier.data.checks import Hit, Row, Threshold

criterion = "consistent_formatting"
what = "Marks by which chat templates tell turns apart, such as `<|im_end|>` or `[/INST]`, inside of a text."
why = "The row was rendered already, or two rows ran together: the model learns to speak for both sides."
remedy = "cut the text into its turns, or leave the row out: luthier check FILE --write KEPT"
severity = "error"
thresholds = (
    Threshold(
        0, "of them may stand in a text", "the marks of the templates of Llama, Mistral, Gemma, Qwen, Phi, DeepSeek"
    ),
)

_FIRST = re.compile(r"<[|｜]|INST\]|<</?SYS|_of_turn>|###|\n(?:Human|USER|ASSISTANT|Assistant):")
_MARK = re.compile(
    r"<\|[A-Za-z][\w ]{1,30}\|>|<｜[^｜\n]{1,30}｜>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|"
    r"\#\#\# (?:Instruction|Response|Input|Human|Assistant|User):|^(?:Human|USER|ASSISTANT|Assistant):",
    re.MULTILINE,
)


def look(row: Row) -> Iterator[Hit]:
    """The first in each message. Prompts of completion rows and running text may be made of a template."""
    plain = row.conversation.form in ("completion", "text")
    for number, message in enumerate(row.conversation.messages):
        if (plain and (row.is_text or message.role != "assistant")) or not _FIRST.search(message.content):
            continue
        found = _MARK.search(message.content)
        if found and "```" not in message.content:
            where = "the answer" if message.role == "assistant" else f"the {message.role}'s message"
            yield Hit(f"{where} holds the template's mark `{found.group()}`", span=(number, *found.span()))


def faulty() -> list[dict[str, Any]]:
    return [
        {"instruction": "Name a colour.", "response": "Red.<|im_end|>"},
        {"instruction": "Name a colour.", "response": "Red.\n\n### Instruction:\nName a fruit."},
    ]


def clean() -> list[dict[str, Any]]:
    return [
        {"instruction": "Write a heading.", "response": "### Summer\n\nIt is warm."},
        {"instruction": "What is |x| < 3?", "response": "All x with -3 < x and x < 3; as a shell pipe: a <b|c>d."},
        {"input": "### Instruction:\nName a colour.\n### Response:\n", "output": "Red."},
    ][:2]
