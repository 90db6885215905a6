"""Answers that begin or end with white space."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from luthier.data.checks import Hit, Row, Threshold

criterion = "consistent_formatting"
what = "Answers of chats and instructions that begin or end with white space."
why = "An answer's first token is another one with a space before it, and an end mark after a line break is learned so."
remedy = "take the spaces off: luthier check FILE --write KEPT does"
tolerated = 0.01
thresholds = (Threshold(tolerated, "of the rows may have it", "a few do no harm; as a habit it is learned"),)


def look(row: Row) -> Iterator[Hit]:
    """The last answer, where the form does not make spaces a part of it."""
    if row.conversation.form in ("completion", "text"):
        return
    answer = row.answer
    if answer and (answer[0].isspace() or answer[-1].isspace()) and not answer.startswith("    "):
        where = "begins" if answer[0].isspace() else "ends"
        yield Hit(f"the answer {where} with white space", where)


def repair_answer(text: str) -> str:
    """The answer without white space around it."""
    return text.strip()


def faulty() -> list[dict[str, Any]]:
    return [{"instruction": "Name a colour.", "response": "Red.\n"}]


def clean() -> list[dict[str, Any]]:
    return [{"instruction": "Name a colour.", "response": "Red."}, {"input": "A colour:", "output": " red"}][:1]
