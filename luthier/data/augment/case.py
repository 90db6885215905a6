"""The question in small letters, or, where it has no capitals, in capitals."""

from __future__ import annotations

from random import Random
from typing import Final

from luthier.data.augment import WORD, example, rewritten
from luthier.flow import Conversation

KEEPS: Final = "every word but for its capitals; words that the answer says as they are written"
EXAMPLES: Final = (
    example("Where is my Parcel with the number BH-20?", "BH-20"),
    example("is water wet", "yes"),
    example("Which city is the capital of France? Paris or Lyon?", "Paris"),
)
NOT_FOR: Final = (example("1 + 2 = ?", "3"), example("```python\nprint(1)\n```", "It prints 1."))


def changed(row: Conversation, random: Random) -> Conversation | None:
    """`Is it Monday?` becomes `is it monday?`, and `is it late?` becomes `IS IT LATE?`."""

    def change(question: str, answered: frozenset[str]) -> str:
        lowered = WORD.sub(lambda word: word[0] if word[0].casefold() in answered else word[0].lower(), question)
        if lowered != question:
            return lowered
        return WORD.sub(lambda word: word[0] if word[0].casefold() in answered else word[0].upper(), question)

    return rewritten(row, change)


def kept(before: str, after: str) -> bool:
    return before.casefold() == after.casefold()
