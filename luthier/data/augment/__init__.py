"""Changes of a row that must not matter to its answer, one a file: asked about a tuned model, or trained on.

A file says what its change `KEEPS`, gives `EXAMPLES` that it applies to and rows that it is `NOT_FOR`, and defines
`changed` and `kept`. Words that the answer says stand in the question as before, so that the answer stays right.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random
from typing import Final, Protocol, cast

from msgspec.structs import replace

from luthier import plugins
from luthier.data.split import content_hash
from luthier.flow import Conversation, Message, Place

FOLDER: Final = "luthier.data.augment"

WORD: Final = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
"""A word of letters, `don't` too."""

_CODE = re.compile(r"```|^\s*[\[{]|</?\w+[^>]*>|\w\(.*\)|[;{}]\s*$", re.M)


class Augmentation(Protocol):
    """What a file defines."""

    KEEPS: str
    EXAMPLES: tuple[Conversation, ...]
    NOT_FOR: tuple[Conversation, ...]

    def changed(self, row: Conversation, random: Random) -> Conversation | None:
        """The row with its question changed, or None where the change does not apply."""

    def kept(self, before: str, after: str) -> bool:
        """Whether what `KEEPS` says holds between a question and its changed form."""


def names() -> list[str]:
    """All changes, sorted."""
    return plugins.names(FOLDER)


def load(name: str) -> Augmentation:
    """The change of that name. Raises `UserError` with the names that exist."""
    return cast(Augmentation, plugins.load(FOLDER, name))


def augmented(row: Conversation, name: str, seed: int = 0) -> Conversation | None:
    """The row under one change, or None. It depends on the row, the name and the seed, and on no other row."""
    found = load(name).changed(row, Random(f"{seed} {name} {content_hash(row)}"))
    return None if found is None or found.messages == row.messages else found


def rewritten(row: Conversation, change: Callable[[str, frozenset[str]], str | None]) -> Conversation | None:
    """The row with the question before its last answer changed; None where it has none, or it holds code.

    `change` is given the question and the words (casefolded) that the answer says.
    """
    at = question_at(row)
    if at is None or _CODE.search(row.messages[at].content) or row.rejected:
        return None
    new = change(row.messages[at].content, answered_words(row))
    return None if new is None else with_message(row, at, new)


def question_at(row: Conversation) -> int | None:
    """The place of the user's message before the last answer."""
    asked = [at for at, message in enumerate(row.messages[:-1]) if message.role == "user"]
    return asked[-1] if asked and row.messages[-1].role == "assistant" else None


def answered_words(row: Conversation) -> frozenset[str]:
    """The words of the row's last answer, casefolded."""
    return frozenset(word.casefold() for word in re.findall(r"\w+", row.messages[-1].content))


def with_message(row: Conversation, at: int, content: str) -> Conversation:
    """The row with one message's content replaced."""
    messages = list(row.messages)
    messages[at] = replace(messages[at], content=content)
    return replace(row, messages=tuple(messages))


def example(question: str, answer: str, system: str = "") -> Conversation:
    """A row for a file's examples."""
    messages = (Message("user", question), Message("assistant", answer))
    return Conversation("chat", (Message("system", system), *messages) if system else messages, Place("example", 1))
