"""The question in other words, by rules that keep its meaning: contractions, and phrases that stand for each other."""

from __future__ import annotations

import re
from random import Random
from typing import Final

from luthier.data.augment import example, rewritten
from luthier.flow import Conversation

KEEPS: Final = "the meaning: only phrases of a short list are put for each other; none with a word that the answer says"
EXAMPLES: Final = (
    example("How do I change my password?", "settings"),
    example("I'm looking for a lamp, and I don't know which one fits.", "lamp"),
    example("Can you tell me what is the price?", "It costs 5 euros."),
    example("Please help me: it is not working.", "restart"),
)
NOT_FOR: Final = (example("red or blue?", "blue"), example("Define entropy", "A measure of disorder."))

RULES: Final = (
    ("how do I", "how can I"),
    ("can you tell me", "could you tell me"),
    ("I would like to", "I want to"),
    ("I'm", "I am"),
    ("I've", "I have"),
    ("I can't", "I cannot"),
    ("don't", "do not"),
    ("doesn't", "does not"),
    ("didn't", "did not"),
    ("isn't", "is not"),
    ("wasn't", "was not"),
    ("what's", "what is"),
    ("where's", "where is"),
    ("it's", "it is"),
    ("that's", "that is"),
    ("is it possible to", "can one"),
    ("due to", "because of"),
    ("in order to", "to"),
    ("a lot of", "many"),
    ("as soon as possible", "quickly"),
    ("please help me", "I need your help"),
    ("help me with", "assist me with"),
    ("for example", "for instance"),
    ("find out", "learn"),
    ("what is the", "tell me the"),
)
"""Phrases that stand for each other; each rule is used one way, left to right, and the contractions both ways."""

_ONE_WAY: Final = ("can one", "to", "many", "quickly", "I need your help", "learn", "tell me the", "because of")
_TABLE: Final = {
    one.casefold(): other
    for left, right in RULES
    for one, other in ((left, right), *([] if right in _ONE_WAY else [(right, left)]))
}
_PHRASE: Final = re.compile(
    r"(?<![\w'’])(?:" + "|".join(re.escape(key) for key in sorted(_TABLE, key=len, reverse=True)) + r")(?![\w'’])", re.I
)


def changed(row: Conversation, random: Random) -> Conversation | None:
    """`How do I pay?` becomes `How can I pay?`, and `I'm late` becomes `I am late`."""

    def change(question: str, answered: frozenset[str]) -> str | None:
        def other(found: re.Match[str]) -> str:
            if answered & {word.casefold() for word in re.findall(r"\w+", found[0]) if len(word) > 2}:
                return found[0]
            new = _TABLE[found[0].replace("’", "'").casefold()]
            return new[0].upper() + new[1:] if found[0][0].isupper() else new

        new = _PHRASE.sub(other, question.replace("’", "'"))
        return None if new == question.replace("’", "'") else new

    return rewritten(row, change)


def kept(before: str, after: str) -> bool:
    rest = [re.sub(r"\W+", " ", _PHRASE.sub(" ", text)).casefold().split() for text in (before, after)]
    short = {word for pair in RULES for phrase in pair for word in re.findall(r"\w+", phrase.casefold())}
    return [word for word in rest[0] if word not in short] == [word for word in rest[1] if word not in short]
