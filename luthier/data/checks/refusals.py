"""Answers that refuse to answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from luthier.data.checks import Hit, Row, Threshold

LETTERS: Final = 400

criterion = "high_quality_outputs"
what = "Answers that refuse, apologize or say that they cannot."
why = "A model tuned on refusals refuses more than it should, and on harmless questions first."
remedy = "write the answer that you want, or leave the row out: luthier check FILE --write KEPT"
tolerated = 0.02
thresholds = (
    Threshold(tolerated, "of the rows may refuse", "some refusals are meant; more of them change how a model behaves"),
    Threshold(LETTERS, "letters an answer has at most to be a refusal", "a longer one goes on to help"),
)

_CANNOT = (
    r"(?:can(?:'|’)?t|can ?not|could ?n(?:'|’)t|(?:am|'m|’m) (?:not able|unable|not allowed)|"
    r"(?:will not|won(?:'|’)t)(?: be able)?|must (?:decline|refuse)|have to decline|do not have the ability)"
)
_DO = (
    r"(?:to )?(?:assist|help|answer|provide|fulfil+|comply|do|create|generate|write|complete|respond|process|share|"
    r"give|support|discuss|engage)"
)
_SORRY = (
    r"(?:(?:i(?:'|’)?m|i am|we are)?\s*(?:very |so )?sorry|i apologi[sz]e|(?:my )?apologies|unfortunately|regrettably)"
)
_ELSEWHERE = (
    r"(?:es tut mir leid|tut mir leid|je suis désolé|désolé|lo siento|mi dispiace)\b[^.!?\n]{0,60}"
    r"\b(?:kann|peux|puedo|posso)\b"
)
REFUSAL = re.compile(
    rf"""\s*["“]?(?:{_SORRY}\b[^.!?\n]{{0,60}}?\b(?:i|(?:that|this)\ is\ something\ i)\b\s*{_CANNOT}
    |(?:as\ an?\ [\w ]{{2,30}},\ )?i\s*{_CANNOT}\s+{_DO}\b
    |i\s*(?:must|have\ to)\s+(?:decline|refuse)\b
    |{_ELSEWHERE})""".replace("\n    ", ""),
    re.IGNORECASE,
)


def look(row: Row) -> Iterator[Hit]:
    """The last answer, where it is short and begins with a refusal."""
    if refuses(row.answer) and not row.is_text:
        yield Hit(f"the answer refuses: `{' '.join(row.answer.split())[:70]}`")


def refuses(answer: str) -> bool:
    return len(answer) <= LETTERS and REFUSAL.match(answer) is not None


def faulty() -> list[dict[str, Any]]:
    return [
        {"instruction": "How do I boil an egg?", "response": "I'm sorry, but I can't help with that."},
        {"instruction": "How do I fry an egg?", "response": "Unfortunately, I am unable to provide this information."},
    ]


def clean() -> list[dict[str, Any]]:
    return [
        {"instruction": "What did she say?", "response": "She was sorry that she could not come."},
        {"instruction": "Do you sell eggs?", "response": "Unfortunately, eggs are sold out until Monday."},
        {"instruction": "Write a line of a song.", "response": "I can't stop the rain from falling."},
    ]
