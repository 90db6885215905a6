"""Answers in another language than the question, where nobody asked for another."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from luthier.data.checks import Hit, Row, Threshold
from luthier.data.checks._language import CLEAR, FEWEST, language

LETTERS: Final = 20

criterion = "high_quality_outputs"
what = "Answers in another language than their question."
why = "The model learns to change the language unasked."
remedy = "translate the answer, or leave the row out: luthier check FILE --write KEPT"
tolerated = 0.01
thresholds = (
    Threshold(FEWEST, "little words at least tell a language, of the ten that are known; a script tells itself",
              "one or two words of a language stand in quotations and names"),
    Threshold(CLEAR, "times as many as any other language's", "kindred languages share many little words"),
    Threshold(tolerated, "of the rows may have it", "rows about languages are not all told by their question"),
)  # fmt: skip

_ASKED = re.compile(
    r"\b(?:translat\w*|language|english|german|french|spanish|italian|portuguese|dutch|polish|russian|chinese|mandarin|"
    r"japanese|korean|arabic|hindi|turkish|greek|hebrew|thai|latin|swedish|vietnamese|übersetz\w*|tradu\w*|auf (?:"
    r"deutsch|englisch)|lyrics|haiku)\b|翻译|英文|英语|中文|译",
    re.IGNORECASE,
)


def look(row: Row) -> Iterator[Hit]:
    """Compares the last answer with all that the users say; a system message that names a language lets it pass."""
    answer = row.answer
    if row.is_text or len(answer) < LETTERS or "```" in answer:
        return
    told = language(answer)
    if not told:
        return
    asked = row.asked_in
    if not asked or asked == told:
        return
    before = "\n".join(m.content for m in row.conversation.messages if m.role in ("system", "user"))
    if not _ASKED.search(before):
        yield Hit(f"the question is in {asked}, the answer in {told}")


def faulty() -> list[dict[str, Any]]:
    return [
        {
            "instruction": "How do I store the eggs that I bought at the market?",
            "response": "Die Eier bleiben in der Schachtel und stehen nicht in der Sonne, damit sie frisch sind.",
        }
    ]


def clean() -> list[dict[str, Any]]:
    return [
        {
            "instruction": "How do I say in German where the eggs are and that they are fresh?",
            "response": "Die Eier sind in der Schachtel, und sie sind nicht alt.",
        },
        {"instruction": "What is the name of the dish with the eggs?", "response": "Crème brûlée à la vanille."},
    ]
