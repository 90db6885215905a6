"""Answers that give the question back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from luthier.data.checks import Hit, Row, Threshold, same

WORDS: Final = 5

criterion = "high_quality_outputs"
what = "Answers that are the question again, without regard to case, white space and punctuation."
why = "The model learns to echo."
remedy = "write the answer, or leave the row out: luthier check FILE --write KEPT"
thresholds = (Threshold(WORDS, "words at least", "a shorter answer may be what was asked for: `say hello to me`"),)


def look(row: Row) -> Iterator[Hit]:
    """Compares the last answer with the last message before it."""
    messages = row.conversation.messages
    answer = row.answer
    asked = next((message.content for message in reversed(messages) if message.role == "user"), "")
    if abs(len(asked) - len(answer)) > 40 + len(asked) // 10 or answer.count(" ") < WORDS - 1 or row.is_text:
        return
    if same(asked) == same(answer):
        yield Hit("the answer is the question again")


def faulty() -> list[dict[str, Any]]:
    return [{"instruction": "How long does an egg boil?", "response": '"How long does an egg boil"'}]


def clean() -> list[dict[str, Any]]:
    return [
        {"instruction": "Correct: how long do an egg boil?", "response": "How long does an egg boil?"},
        {"instruction": "Hello!", "response": "Hello!"},
    ]
