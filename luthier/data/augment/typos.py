"""Slips of the hand: in one long word of eight, two neighbouring letters swapped, or one left out or doubled."""

from __future__ import annotations

from random import Random
from typing import Final

from luthier.data.augment import WORD, example, rewritten
from luthier.flow import Conversation

KEEPS: Final = (
    "every word, one in eight of those of five letters or more with one slip inside; none that the answer says"
)
EXAMPLES: Final = (
    example("When does the evening train to Hamburg leave from platform seven?", "at nine"),
    example("I would like to cancel my subscription because of the higher price.", "cancel"),
)
NOT_FOR: Final = (example("Is it on?", "no"), example("Send BH-56631, 12 pcs", "BH-56631"))

LONG: Final = 5
ONE_IN: Final = 8


def changed(row: Conversation, random: Random) -> Conversation | None:
    """`evening` may become `evenign`, `evning` or `evvening`; a word's first letter stays."""

    def change(question: str, answered: frozenset[str]) -> str | None:
        words = [
            word for word in WORD.finditer(question) if len(word[0]) >= LONG and word[0].casefold() not in answered
        ]
        if not words:
            return None
        chosen = random.sample(words, -(-len(words) // ONE_IN))
        for word in sorted(chosen, key=lambda word: -word.start()):
            question = question[: word.start()] + _slipped(word[0], random) + question[word.end() :]
        return question

    return rewritten(row, change)


def kept(before: str, after: str) -> bool:
    if len(before.split()) != len(after.split()):
        return False
    pairs = list(zip(before.split(), after.split(), strict=True))
    wrong = [pair for pair in pairs if pair[0] != pair[1]]
    near = all(abs(len(one) - len(other)) <= 1 and one[0] == other[0] for one, other in wrong)
    return near and len(wrong) <= -(-len(pairs) // ONE_IN)


def _slipped(word: str, random: Random) -> str:
    at = random.randrange(1, len(word) - 1)
    slips = [word[:at] + word[at + 1 :], word[: at + 1] + word[at:]]
    if word[at] != word[at + 1]:
        slips.append(word[:at] + word[at + 1] + word[at] + word[at + 2 :])
    return random.choice(slips)
