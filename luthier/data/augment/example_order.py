"""The examples of a prompt in another order: blocks between empty lines that have the same named fields."""

from __future__ import annotations

import re
from random import Random
from typing import Final

from luthier.data.augment import example, question_at, with_message
from luthier.flow import Conversation

KEEPS: Final = "every example as it stands, and all that stands before and behind them"
_SHOTS: Final = (
    "Sort the reviews.\n\nReview: Great!\nLabel: good\n\nReview: Awful.\nLabel: bad\n\nReview: Fine.\nLabel: good"
)
EXAMPLES: Final = (
    example(f"{_SHOTS}\n\nReview: Broken after a day.\nLabel:", "bad"),
    example("Review: Broken after a day.", "bad", system=_SHOTS),
)
NOT_FOR: Final = (
    example("Review: Great!\nLabel: good\n\nReview: Awful.\nLabel:", "bad"),
    example("One thing.\n\nAnother thing.", "yes"),
)

_FIELD = re.compile(r"^([A-Z][\w ]{0,30}):[ \t]*(?=\S)", re.M)


def changed(row: Conversation, random: Random) -> Conversation | None:
    """In the system message or the question, whichever has two examples or more; never in the order that they had."""
    at = question_at(row)
    places = [] if at is None or row.rejected else [number for number, message in enumerate(row.messages[: at + 1])
                                                    if message.role == "system" or number == at]  # fmt: skip
    for place in places:
        blocks = row.messages[place].content.split("\n\n")
        chosen = _examples(blocks)
        if len(chosen) < 2:
            continue
        order = chosen[1:] + chosen[:1]
        for _ in range(8):
            drawn = random.sample(chosen, len(chosen))
            if drawn != chosen:
                order = drawn
                break
        new = list(blocks)
        for to, taken in zip(chosen, order, strict=True):
            new[to] = blocks[taken]
        return with_message(row, place, "\n\n".join(new))
    return None


def kept(before: str, after: str) -> bool:
    old, new = before.split("\n\n"), after.split("\n\n")
    examples = _examples(old)
    return sorted(old) == sorted(new) and all(old[at] == new[at] for at in range(len(old)) if at not in examples)


def _examples(blocks: list[str]) -> list[int]:
    """The blocks with two fields or more, all filled in, of the names that most of them have."""
    fields = [tuple(_FIELD.findall(block)) for block in blocks]
    known = [names for names in fields if len(names) >= 2]
    if not known:
        return []
    commonest = max(known, key=known.count)
    return [number for number, names in enumerate(fields) if names == commonest]
